//! One instance of a module: starting it and calling its callbacks, under a budget of fuel.

use crate::abi::AbiVersion;
use crate::error::Error;
use crate::host::{HostShared, SeededRandom, Trap};
use crate::hostcalls;
use crate::vm::exports::{self, Callback};
use crate::vm::shared::{Called, VmShared};
use crate::vm::store::{Context, Limits, Owner, StoreData};
use crate::vm::{PluginOptions, VmOptions};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use wasmtime::{Instance, Linker, Module, Store, Val, WasmBacktrace};
use wasmtime_wasi::WasiCtxBuilder;

pub(super) struct Inner {
    pub(super) store: Store<StoreData>,
    pub(super) callbacks: HashMap<&'static str, Callback>,
    pub(super) plugins: Vec<Slot>,
    pub(super) next_context: u32,
    pub(super) failed: bool,
    /// Counts instances, so that contexts of an earlier one are not taken for the present one's.
    pub(super) generation: u32,
    pub(super) fuel: u64,
    pub(super) peak: usize,
    pub(super) earlier_host_calls: BTreeMap<&'static str, u64>,
}

pub(super) struct Slot {
    pub(super) options: Arc<PluginOptions>,
    pub(super) root: u32,
}

pub(super) fn trap(vm_id: &str, callback: &'static str, error: &wasmtime::Error) -> Trap {
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
    pub(super) fn new(
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

    pub(super) fn start(
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
    pub(super) fn run(
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
    pub(super) fn metered<R>(
        &mut self,
        limit: u64,
        run: impl FnOnce(&mut Store<StoreData>) -> wasmtime::Result<R>,
    ) -> wasmtime::Result<R> {
        self.store.set_fuel(limit)?;
        let outcome = run(&mut self.store);
        self.fuel += limit - self.store.get_fuel()?;
        outcome
    }

    pub(super) fn call(
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

    pub(super) fn new_context(
        &mut self,
        owner: Owner,
        root: u32,
        plugin: Arc<PluginOptions>,
    ) -> u32 {
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

    pub(super) fn host_calls(&self) -> BTreeMap<&'static str, u64> {
        let mut calls = self.earlier_host_calls.clone();
        for (name, count) in &self.store.data().host_calls {
            *calls.entry(name).or_default() += count;
        }
        calls
    }
}
