//! A VM as streams and the host see it: its plugins, its contexts, what happens when it traps.

use crate::abi::AbiVersion;
use crate::error::Error;
use crate::figures::{CallbackFigures, Figures};
use crate::host::{Host, HostShared, Trap};
use crate::stream;
use crate::vm::instance::{Inner, Slot, trap};
use crate::vm::store::{Deferred, Owner};
use crate::vm::{FailurePolicy, PluginOptions, VmOptions};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use wasmtime::Module;

pub(crate) struct VmShared {
    pub(crate) host: Arc<HostShared>,
    module: Module,
    abi: AbiVersion,
    options: VmOptions,
    inner: Mutex<Inner>,
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

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
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
