//! An instance of a module: starting it, calling its callbacks, what happens when it traps.

use crate::abi::AbiVersion;
use crate::error::Error;
use crate::figures::{CallbackFigures, Figures};
use crate::host::{CalloutEvent, GrpcEvent, Host, HostShared, SeededRandom, Trap};
use crate::hostcalls;
use crate::stream;
use crate::vm::exports::{self, Callback};
use crate::vm::store::{CallResponse, Context, Deferred, Limits, Owner, StoreData};
use crate::vm::{FailurePolicy, PluginOptions, VmOptions};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use wasmtime::{Instance, Linker, Module, Store, Val, WasmBacktrace};
use wasmtime_wasi::WasiCtxBuilder;

pub(crate) struct VmShared {
    pub(crate) host: Arc<HostShared>,
    module: Module,
    abi: AbiVersion,
    options: VmOptions,
    inner: Mutex<Inner>,
}

struct Inner {
    store: Store<StoreData>,
    callbacks: HashMap<&'static str, Callback>,
    plugins: Vec<Slot>,
    next_context: u32,
    failed: bool,
    /// Counts instances, so that contexts of an earlier one are not taken for the present one's.
    generation: u32,
    fuel: u64,
    peak: usize,
    earlier_host_calls: BTreeMap<&'static str, u64>,
}

struct Slot {
    options: Arc<PluginOptions>,
    root: u32,
}

/// A context of a VM's instance.
#[derive(Clone, Copy)]
pub(crate) struct ContextId {
    pub(crate) id: u32,
    generation: u32,
}

/// How a callback went.
#[derive(Debug)]
pub(crate) enum Called {
    /// The guest does not export it.
    Missing,
    /// It returned this number (0 if it returns none); whether it sent a local response.
    Returned { value: i32, stopped: bool },
    /// The VM has trapped, now or earlier.
    Failed,
}

impl VmShared {
    pub(crate) fn new(
        module: Module,
        abi: AbiVersion,
        host: Host,
        options: VmOptions,
    ) -> Result<Arc<Self>, Error> {
        let mut failure = None;
        let vm = Arc::new_cyclic(|weak: &Weak<VmShared>| {
            let (inner, error) = Inner::new(&module, abi, &host.0, &options, weak.clone());
            failure = error;
            VmShared {
                host: host.0.clone(),
                module,
                abi,
                options,
                inner: Mutex::new(inner),
            }
        });
        if let Some(error) = failure {
            return Err(error);
        }
        host.0.lock().vms.push(Arc::downgrade(&vm));
        Ok(vm)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn failure_policy(&self) -> FailurePolicy {
        self.options.failure_policy
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.lock().failed
    }

    pub(crate) fn root_of(&self, slot: usize) -> u32 {
        self.lock().plugins[slot].root
    }

    pub(crate) fn plugin_options(&self, slot: usize) -> PluginOptions {
        (*self.lock().plugins[slot].options).clone()
    }

    pub(crate) fn add_plugin(self: &Arc<Self>, options: PluginOptions) -> Result<usize, Error> {
        if self.has_failed() {
            return Err(Error::VmFailed(self.options.vm_id.clone()));
        }
        let options = Arc::new(options);
        let slot = {
            let mut inner = self.lock();
            let root = inner.new_context(Owner::Root, 0, options.clone());
            inner.plugins.push(Slot { options, root });
            inner.plugins.len() - 1
        };
        if let Err(error) = self.start_plugin(slot) {
            let mut inner = self.lock();
            let root = inner.plugins[slot].root;
            inner.store.data_mut().contexts.remove(&root);
            inner.store.data_mut().timers.remove(&root);
            inner.plugins.truncate(slot);
            return Err(error);
        }
        Ok(slot)
    }

    fn start_plugin(&self, slot: usize) -> Result<(), Error> {
        let (root, options) = {
            let mut inner = self.lock();
            let Slot { root, options } = &inner.plugins[slot];
            let (root, options) = (*root, options.clone());
            inner.store.data_mut().configuring = Some(options.clone());
            (root, options)
        };
        let vm_size = self.options.configuration.len() as i32;
        let outcome = self
            .step(root, "proxy_on_context_create", &[0])
            .and_then(|_| {
                if slot == 0 && self.step(root, "proxy_on_vm_start", &[vm_size])? == Some(0) {
                    return Err(Error::StartRefused(self.last_log_line()));
                }
                let size = options.configuration.len() as i32;
                match self.step(root, "proxy_on_configure", &[size])? {
                    Some(0) => Err(Error::ConfigurationRefused(self.last_log_line())),
                    _ => Ok(()),
                }
            });
        self.lock().store.data_mut().configuring = None;
        outcome
    }

    /// Calls a callback of starting, where a trap is an error.
    fn step(&self, context: u32, name: &'static str, rest: &[i32]) -> Result<Option<i32>, Error> {
        match self.call(context, name, rest) {
            Called::Missing => Ok(None),
            Called::Returned { value, .. } => Ok(Some(value)),
            Called::Failed => Err(self.trap_error(name)),
        }
    }

    fn trap_error(&self, callback: &'static str) -> Error {
        match self.host.lock().traps.last().cloned() {
            Some(Trap {
                message, backtrace, ..
            }) => Error::Trapped {
                callback,
                message,
                backtrace,
            },
            None => Error::VmFailed(self.options.vm_id.clone()),
        }
    }

    fn last_log_line(&self) -> String {
        let state = self.host.lock();
        let last = state
            .logs
            .iter()
            .rev()
            .find(|line| line.vm_id == self.options.vm_id);
        last.map_or_else(|| "none".to_owned(), |line| line.message.clone())
    }

    /// Makes the guest's context of a new stream. `None` if the VM has failed for good.
    pub(crate) fn open_stream(&self, slot: usize, owner: Owner) -> Option<ContextId> {
        if self.has_failed() && self.options.failure_policy == FailurePolicy::Reload {
            // A VM that fails again while it is reloaded stays failed: the stream sees 503.
            let _ = self.reload();
        }
        let (context, root) = {
            let mut inner = self.lock();
            if inner.failed {
                return None;
            }
            let Slot { root, options } = &inner.plugins[slot];
            let (root, options) = (*root, options.clone());
            let id = inner.new_context(owner, root, options);
            (
                ContextId {
                    id,
                    generation: inner.generation,
                },
                root,
            )
        };
        self.call(context.id, "proxy_on_context_create", &[root as i32]);
        Some(context)
    }

    /// Deletes the guest's context of a stream.
    pub(crate) fn close_stream(&self, context: ContextId) {
        self.call_stream(context, "proxy_on_done", &[]);
        self.call_stream(context, "proxy_on_delete", &[]);
        let mut inner = self.lock();
        if inner.generation == context.generation {
            inner.store.data_mut().contexts.remove(&context.id);
        }
    }

    /// Calls a callback of a stream's context.
    pub(crate) fn call_stream(
        &self,
        context: ContextId,
        name: &'static str,
        rest: &[i32],
    ) -> Called {
        if self.lock().generation != context.generation {
            return Called::Failed;
        }
        self.call(context.id, name, rest)
    }

    /// Calls a callback with its context and further arguments, then lets happen what it asked for.
    pub(crate) fn call(&self, context: u32, name: &'static str, rest: &[i32]) -> Called {
        let (called, deferred) = {
            let mut inner = self.lock();
            if inner.failed {
                return Called::Failed;
            }
            let called = inner.call(context, name, rest, self.options.fuel_limit);
            let called = match called {
                Ok(called) => called,
                Err(error) => {
                    inner.failed = true;
                    self.host
                        .lock()
                        .traps
                        .push(trap(&self.options.vm_id, name, &error));
                    Called::Failed
                }
            };
            (called, std::mem::take(&mut inner.store.data_mut().deferred))
        };
        for effect in deferred {
            self.apply(effect);
        }
        called
    }

    fn apply(&self, effect: Deferred) {
        match effect {
            Deferred::Continue(stream, filter, direction) => {
                stream::with(&stream, |stream| stream.continue_filter(filter, direction));
            }
            Deferred::Reply(stream, reply) => stream::with(&stream, |stream| stream.reply(reply)),
            Deferred::Reset(stream) => stream::with(&stream, |stream| {
                stream.reset("the filter closed the stream")
            }),
            Deferred::ContinueTcp(connection) => {
                stream::with(&connection, |connection| connection.continue_reading());
            }
            Deferred::CloseTcp(connection) => {
                stream::with(&connection, |connection| connection.close_by_filter());
            }
            Deferred::DeleteRoot(root) => self.delete_root(root),
        }
    }

    /// Gives a callout's answer to the root context that made the call.
    pub(crate) fn deliver(&self, root: u32, token: u32, event: CalloutEvent) {
        let http = !matches!(event, CalloutEvent::Grpc(_));
        let (name, sizes, response, last) = match event {
            CalloutEvent::HttpResponse(answer) => {
                let sizes = vec![
                    answer.headers.len(),
                    answer.body.len(),
                    answer.trailers.len(),
                ];
                let response = CallResponse {
                    headers: Some(answer.headers),
                    body: Some(answer.body),
                    trailers: Some(answer.trailers),
                    ..CallResponse::default()
                };
                ("proxy_on_http_call_response", sizes, response, true)
            }
            CalloutEvent::HttpReset => {
                // WasmResult::BrokenConnection
                let response = CallResponse {
                    status: (11, "reset".into()),
                    ..Default::default()
                };
                ("proxy_on_http_call_response", vec![0, 0, 0], response, true)
            }
            CalloutEvent::Grpc(event) => grpc_callback(event, token),
        };
        {
            let mut inner = self.lock();
            let data = inner.store.data_mut();
            let open = if http {
                data.open_calls.contains(&token)
            } else {
                data.open_grpc.contains_key(&token)
            };
            // Cancelled or closed meanwhile.
            if !open {
                return;
            }
            if let Some(context) = data.contexts.get_mut(&root) {
                context.response = Some(response);
            }
            if last && http {
                data.open_calls.remove(&token);
            } else if last {
                data.open_grpc.remove(&token);
            }
        }
        let mut arguments = vec![token as i32];
        arguments.extend(sizes.iter().map(|size| *size as i32));
        self.call(root, name, &arguments);
        if let Some(context) = self.lock().store.data_mut().contexts.get_mut(&root) {
            context.response = None;
        }
    }

    pub(crate) fn call_guest_function(&self, root: u32, function: u32, arguments: &[u8]) {
        self.lock().store.data_mut().call_data = Some(arguments.to_vec());
        let arguments = [function as i32, arguments.len() as i32];
        self.call(root, "proxy_on_foreign_function", &arguments);
        self.lock().store.data_mut().call_data = None;
    }

    /// Root contexts that tick.
    pub(crate) fn timers(&self) -> Vec<u32> {
        self.lock().store.data().timers.keys().copied().collect()
    }

    /// When the next tick is and of which root context; a failed VM has none.
    pub(crate) fn next_tick(&self) -> Option<(u64, u32)> {
        let inner = self.lock();
        if inner.failed {
            return None;
        }
        let timers = inner.store.data().timers.iter();
        timers.map(|(root, (_, next))| (*next, *root)).min()
    }

    /// Envoy arms the timer anew when a tick fires.
    pub(crate) fn rearm(&self, root: u32, fired: u64) {
        if let Some((period, next)) = self.lock().store.data_mut().timers.get_mut(&root) {
            *next = fired.saturating_add(*period);
        }
    }

    pub(crate) fn reload(&self) -> Result<(), Error> {
        let slots = {
            let mut inner = self.lock();
            let weak = inner.store.data().vm.clone();
            // Answers to the old instance's calls have nobody to go to.
            self.host
                .lock()
                .pending
                .retain(|callout| !Weak::ptr_eq(&callout.vm, &weak));
            let (mut fresh, error) =
                Inner::new(&self.module, self.abi, &self.host, &self.options, weak);
            if let Some(error) = error {
                return Err(error);
            }
            fresh.generation = inner.generation + 1;
            fresh.fuel += inner.fuel;
            fresh.peak = inner.peak.max(inner.store.data().limits.peak);
            fresh.earlier_host_calls = inner.host_calls();
            for slot in &inner.plugins {
                let options = slot.options.clone();
                let root = fresh.new_context(Owner::Root, 0, options.clone());
                fresh.plugins.push(Slot { options, root });
            }
            *inner = fresh;
            inner.plugins.len()
        };
        (0..slots).try_for_each(|slot| self.start_plugin(slot))
    }

    pub(crate) fn shut_down(&self) -> bool {
        let roots: Vec<u32> = {
            let inner = self.lock();
            let data = inner.store.data();
            let roots = inner.plugins.iter().map(|slot| slot.root);
            // Those that were asked already wait for their `proxy_done`, or are gone.
            roots
                .filter(|root| {
                    data.contexts.contains_key(root) && !data.pending_done.contains(root)
                })
                .collect()
        };
        for root in roots {
            if let Called::Returned { value: 0, .. } = self.call(root, "proxy_on_done", &[]) {
                self.lock().store.data_mut().pending_done.insert(root);
            } else {
                self.delete_root(root);
            }
        }
        self.lock().store.data().pending_done.is_empty()
    }

    fn delete_root(&self, root: u32) {
        self.call(root, "proxy_on_delete", &[]);
        let mut inner = self.lock();
        let data = inner.store.data_mut();
        data.contexts.remove(&root);
        data.timers.remove(&root);
        data.pending_done.remove(&root);
    }

    pub(crate) fn figures(&self) -> Figures {
        let inner = self.lock();
        let data = inner.store.data();
        Figures {
            fuel: inner.fuel,
            memory: data
                .memory
                .map_or(0, |memory| memory.data_size(&inner.store)),
            memory_peak: inner.peak.max(data.limits.peak),
            host_calls: inner.host_calls(),
            callbacks: Vec::new(),
        }
    }

    /// Calls a callback of a stream and measures it.
    pub(crate) fn measure(
        &self,
        filter: usize,
        name: &'static str,
        call: impl FnOnce() -> Called,
    ) -> (Called, CallbackFigures) {
        let before = self.figures();
        let called = call();
        let after = self.figures();
        let returned = match called {
            Called::Returned { value, .. } => Some(value),
            _ => None,
        };
        let host_calls = after.host_call_count() - before.host_call_count();
        let fuel = after.fuel - before.fuel;
        (
            called,
            CallbackFigures {
                filter,
                name,
                fuel,
                host_calls,
                returned,
            },
        )
    }
}

fn grpc_callback(event: GrpcEvent, token: u32) -> (&'static str, Vec<usize>, CallResponse, bool) {
    let mut response = CallResponse::default();
    // Odd tokens are calls, even ones streams, as in Envoy.
    let call = token % 2 == 1;
    match event {
        GrpcEvent::Metadata(map) => {
            let sizes = vec![map.len()];
            response.grpc_metadata = Some(map);
            (
                "proxy_on_grpc_receive_initial_metadata",
                sizes,
                response,
                false,
            )
        }
        GrpcEvent::Message(message) => {
            let sizes = vec![message.len()];
            response.grpc_message = Some(message);
            ("proxy_on_grpc_receive", sizes, response, call)
        }
        GrpcEvent::Trailers(map) => {
            let sizes = vec![map.len()];
            response.grpc_trailers = Some(map);
            (
                "proxy_on_grpc_receive_trailing_metadata",
                sizes,
                response,
                false,
            )
        }
        GrpcEvent::Close(status, text) => {
            response.status = (status, text);
            ("proxy_on_grpc_close", vec![status as usize], response, true)
        }
    }
}

fn trap(vm_id: &str, callback: &'static str, error: &wasmtime::Error) -> Trap {
    let frames = error.downcast_ref::<WasmBacktrace>().map(|backtrace| {
        let names = backtrace.frames().iter().map(|frame| {
            let name = frame.func_name().map(str::to_owned);
            name.unwrap_or_else(|| format!("function {}", frame.func_index()))
        });
        names.collect::<Vec<_>>().join("\n")
    });
    let (vm_id, message) = (vm_id.to_owned(), error.root_cause().to_string());
    Trap {
        vm_id,
        callback,
        message,
        backtrace: frames.unwrap_or_default(),
    }
}

impl Inner {
    /// A fresh instance, and what went wrong with it.
    fn new(
        module: &Module,
        abi: AbiVersion,
        host: &Arc<HostShared>,
        options: &VmOptions,
        vm: Weak<VmShared>,
    ) -> (Self, Option<Error>) {
        let mut wasi = WasiCtxBuilder::new();
        wasi.wall_clock(host.clock.clone());
        wasi.monotonic_clock(host.clock.clone());
        wasi.secure_random(SeededRandom::new(options.seed));
        wasi.insecure_random(SeededRandom::new(options.seed));
        wasi.insecure_random_seed(u128::from(options.seed));
        for (name, value) in &options.env {
            wasi.env(name, value);
        }
        let data = StoreData {
            wasi: wasi.build_p1(),
            host: host.clone(),
            vm,
            vm_id: options.vm_id.clone(),
            vm_configuration: options.configuration.clone(),
            abi,
            memory: None,
            allocate: None,
            contexts: BTreeMap::new(),
            current: 0,
            effective: 0,
            stop_iteration: false,
            configuring: None,
            deferred: Vec::new(),
            host_calls: BTreeMap::new(),
            metrics: HashMap::new(),
            next_metric: 0,
            next_http_token: 1,
            next_grpc_token: 1,
            open_calls: BTreeSet::new(),
            open_grpc: BTreeMap::new(),
            timers: BTreeMap::new(),
            pending_done: BTreeSet::new(),
            call_data: None,
            limits: Limits {
                most: options.memory_limit,
                peak: 0,
            },
        };
        let mut store = Store::new(module.engine(), data);
        store.limiter(|data| &mut data.limits);
        let mut inner = Inner {
            store,
            callbacks: HashMap::new(),
            plugins: Vec::new(),
            next_context: 0,
            failed: false,
            generation: 0,
            fuel: 0,
            peak: 0,
            earlier_host_calls: BTreeMap::new(),
        };
        let error = inner.start(module, abi, options).err();
        (inner, error)
    }

    fn start(
        &mut self,
        module: &Module,
        abi: AbiVersion,
        options: &VmOptions,
    ) -> Result<(), Error> {
        let mut linker = Linker::new(module.engine());
        hostcalls::link(&mut linker).map_err(Error::Instantiate)?;
        self.store
            .set_fuel(options.fuel_limit)
            .map_err(Error::Instantiate)?;
        let instance = linker
            .instantiate(&mut self.store, module)
            .map_err(Error::Instantiate)?;
        let memory = instance
            .get_memory(&mut self.store, "memory")
            .ok_or(Error::MissingExport("memory"))?;
        let allocate = exports::allocator(&instance, &mut self.store)?;
        self.callbacks = exports::callbacks(&instance, &mut self.store, abi)?;
        let size = memory.data_size(&self.store);
        let data = self.store.data_mut();
        data.memory = Some(memory);
        data.allocate = Some(allocate);
        data.limits.peak = data.limits.peak.max(size);
        if !self.run(&instance, "_initialize", options)? {
            self.run(&instance, "_start", options)?;
        } else {
            self.run(&instance, "main", options)?;
        }
        Ok(())
    }

    /// Runs an export of starting, if it exists.
    fn run(
        &mut self,
        instance: &Instance,
        name: &'static str,
        options: &VmOptions,
    ) -> Result<bool, Error> {
        let Some(function) = instance.get_func(&mut self.store, name) else {
            return Ok(false);
        };
        let kind = function.ty(&self.store);
        let arguments = vec![Val::I32(0); kind.params().len()];
        let mut results = vec![Val::I32(0); kind.results().len()];
        let outcome = self.metered(options.fuel_limit, |store| {
            function.call(store, &arguments, &mut results)
        });
        outcome.map(|()| true).map_err(|error| {
            let trap = trap(&options.vm_id, name, &error);
            Error::Trapped {
                callback: name,
                message: trap.message,
                backtrace: trap.backtrace,
            }
        })
    }

    /// Runs with a full tank and adds what was burnt.
    fn metered<R>(
        &mut self,
        limit: u64,
        run: impl FnOnce(&mut Store<StoreData>) -> wasmtime::Result<R>,
    ) -> wasmtime::Result<R> {
        self.store.set_fuel(limit)?;
        let outcome = run(&mut self.store);
        self.fuel += limit - self.store.get_fuel()?;
        outcome
    }

    fn call(
        &mut self,
        context: u32,
        name: &'static str,
        rest: &[i32],
        fuel_limit: u64,
    ) -> wasmtime::Result<Called> {
        let Some(callback) = self.callbacks.get(name).copied() else {
            return Ok(Called::Missing);
        };
        let mut arguments = vec![Val::I32(context as i32)];
        arguments.extend(rest.iter().map(|number| Val::I32(*number)));
        arguments.truncate(callback.parameters);
        let mut results = vec![Val::I32(0); usize::from(callback.returns)];
        let data = self.store.data_mut();
        data.current = context;
        data.effective = 0;
        data.stop_iteration = false;
        let outcome = self.metered(fuel_limit, |store| {
            callback.function.call(store, &arguments, &mut results)
        });
        let data = self.store.data_mut();
        (data.current, data.effective) = (0, 0);
        outcome?;
        let value = results.first().and_then(Val::i32).unwrap_or(0);
        Ok(Called::Returned {
            value,
            stopped: self.store.data().stop_iteration,
        })
    }

    fn new_context(&mut self, owner: Owner, root: u32, plugin: Arc<PluginOptions>) -> u32 {
        self.next_context += 1;
        let id = self.next_context;
        let root = if root == 0 { id } else { root };
        let context = Context {
            root,
            plugin,
            owner,
            response: None,
        };
        self.store.data_mut().contexts.insert(id, context);
        id
    }

    fn host_calls(&self) -> BTreeMap<&'static str, u64> {
        let mut calls = self.earlier_host_calls.clone();
        for (name, count) in &self.store.data().host_calls {
            *calls.entry(name).or_default() += count;
        }
        calls
    }
}
