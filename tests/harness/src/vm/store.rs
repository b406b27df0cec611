//! What host calls find in the store while the guest runs.

use crate::abi::{AbiVersion, LogLevel, MetricType};
use crate::headers::Headers;
use crate::host::{HostShared, LogLine};
use crate::stream::{Direction, HttpShared, LocalReply, TcpShared};
use crate::vm::{PluginOptions, VmShared};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use wasmtime::{Memory, ResourceLimiter, TypedFunc};
use wasmtime_wasi::p1::WasiP1Ctx;

pub(crate) type Caller<'a> = wasmtime::Caller<'a, StoreData>;

pub(crate) struct StoreData {
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) host: Arc<HostShared>,
    pub(crate) vm: Weak<VmShared>,
    pub(crate) vm_id: String,
    pub(crate) vm_configuration: Vec<u8>,
    pub(crate) abi: AbiVersion,
    pub(crate) memory: Option<Memory>,
    pub(crate) allocate: Option<TypedFunc<i32, i32>>,
    pub(crate) contexts: BTreeMap<u32, Context>,
    /// The context whose callback runs, and the one that the guest acts for; 0 is none.
    pub(crate) current: u32,
    pub(crate) effective: u32,
    /// A local response was sent in this callback: what the callback returns no longer counts.
    pub(crate) stop_iteration: bool,
    /// The plugin that is being configured now, whose configuration can be read.
    pub(crate) configuring: Option<Arc<PluginOptions>>,
    /// What a callback asked for that happens once it has returned.
    pub(crate) deferred: Vec<Deferred>,
    pub(crate) host_calls: BTreeMap<&'static str, u64>,
    /// Metric number to name and kind.
    pub(crate) metrics: HashMap<u32, (String, MetricType)>,
    pub(crate) next_metric: u32,
    pub(crate) next_http_token: u32,
    pub(crate) next_grpc_token: u32,
    pub(crate) open_calls: BTreeSet<u32>,
    pub(crate) open_grpc: BTreeMap<u32, crate::host::GrpcCall>,
    /// Tick period and next tick of root contexts, in nanoseconds.
    pub(crate) timers: BTreeMap<u32, (u64, u64)>,
    /// Root contexts that answered false to `proxy_on_done`.
    pub(crate) pending_done: BTreeSet<u32>,
    pub(crate) call_data: Option<Vec<u8>>,
    pub(crate) limits: Limits,
}

/// A context of the guest.
pub(crate) struct Context {
    pub(crate) root: u32,
    pub(crate) plugin: Arc<PluginOptions>,
    pub(crate) owner: Owner,
    /// The answer of a callout while the guest handles it (root contexts).
    pub(crate) response: Option<CallResponse>,
}

/// Whose context it is.
#[derive(Clone)]
pub(crate) enum Owner {
    Root,
    Http(Weak<HttpShared>, usize),
    Tcp(Weak<TcpShared>),
}

/// What can be read of a callout's answer.
#[derive(Default)]
pub(crate) struct CallResponse {
    pub(crate) headers: Option<Headers>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) trailers: Option<Headers>,
    pub(crate) grpc_metadata: Option<Headers>,
    pub(crate) grpc_message: Option<Vec<u8>>,
    pub(crate) grpc_trailers: Option<Headers>,
    pub(crate) status: (u32, String),
}

/// An effect on a stream that waits until the guest's callback has returned.
pub(crate) enum Deferred {
    Continue(Weak<HttpShared>, usize, Direction),
    Reply(Weak<HttpShared>, LocalReply),
    Reset(Weak<HttpShared>),
    ContinueTcp(Weak<TcpShared>),
    CloseTcp(Weak<TcpShared>),
    DeleteRoot(u32),
}

impl StoreData {
    /// The context that host calls are about.
    pub(crate) fn active(&self) -> u32 {
        if self.effective != 0 && self.contexts.contains_key(&self.effective) {
            self.effective
        } else {
            self.current
        }
    }

    pub(crate) fn owner(&self) -> Option<Owner> {
        self.contexts
            .get(&self.active())
            .map(|context| context.owner.clone())
    }

    /// The root context of the active context.
    pub(crate) fn root(&self) -> u32 {
        let active = self.active();
        self.contexts
            .get(&active)
            .map_or(active, |context| context.root)
    }

    pub(crate) fn plugin(&self) -> Option<&Arc<PluginOptions>> {
        self.contexts
            .get(&self.active())
            .map(|context| &context.plugin)
    }

    pub(crate) fn response(&self) -> Option<&CallResponse> {
        self.contexts.get(&self.root())?.response.as_ref()
    }

    pub(crate) fn count(&mut self, name: &'static str) {
        *self.host_calls.entry(name).or_default() += 1;
    }

    pub(crate) fn log(&self, level: LogLevel, message: String) {
        let at = self.host.clock.now();
        let plugin = self
            .plugin()
            .map(|plugin| plugin.name.clone())
            .unwrap_or_default();
        let line = LogLine {
            level,
            vm_id: self.vm_id.clone(),
            plugin,
            context: self.active(),
            message,
            at,
        };
        let mut state = self.host.lock();
        if level >= state.log_level {
            state.logs.push(line);
        }
    }
}

/// Keeps linear memory below the limit and remembers the most there was.
pub(crate) struct Limits {
    pub(crate) most: usize,
    pub(crate) peak: usize,
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = desired <= self.most;
        if granted {
            self.peak = self.peak.max(desired);
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(true)
    }
}
