//! What belongs to the proxy process and not to one VM: clock, log, metrics, shared data and
//! queues, the clusters that filters call out to, foreign functions.

mod callouts;
mod clock;
mod events;
mod foreign;
mod log;
mod metrics;
mod shared;

pub use callouts::{GrpcAnswer, GrpcCall, GrpcEvent, HttpAnswer, HttpCall};
pub use foreign::ForeignCall;
pub use log::LogLine;
pub use metrics::{Histogram, Metric, Metrics};

pub(crate) use callouts::{Callout, CalloutEvent, ClusterHandlers, cluster_name};
pub(crate) use clock::{SeededRandom, SharedClock};
pub(crate) use foreign::Foreign;
pub(crate) use shared::{SharedData, SharedQueues};

use crate::abi::{LogLevel, Status};
use crate::vm::VmShared;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

/// A proxy process: everything that several VMs and streams have in common. Cheap to clone; clones
/// are the same process. Nothing is global: two hosts never see each other.
#[derive(Clone)]
pub struct Host(pub(crate) Arc<HostShared>);

pub(crate) struct HostShared {
    pub(crate) clock: SharedClock,
    pub(crate) state: Mutex<HostState>,
}

pub(crate) struct HostState {
    pub(crate) log_level: LogLevel,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) metrics: Metrics,
    pub(crate) shared_data: SharedData,
    pub(crate) queues: SharedQueues,
    pub(crate) foreign: HashMap<String, Foreign>,
    pub(crate) clusters: ClusterHandlers,
    pub(crate) http_calls: Vec<HttpCall>,
    pub(crate) grpc_calls: Vec<GrpcCall>,
    pub(crate) pending: Vec<Callout>,
    pub(crate) next_sequence: u64,
    /// Queues that were written to: token and the VM and root context to tell.
    pub(crate) posted: VecDeque<(u32, Weak<VmShared>, u32)>,
    pub(crate) vms: Vec<Weak<VmShared>>,
    pub(crate) node: serde_json::Value,
    pub(crate) traps: Vec<Trap>,
}

/// A trap of a guest: its VM is unusable from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Which VM.
    pub vm_id: String,
    /// The callback that it was in, such as `proxy_on_response_body`.
    pub callback: &'static str,
    /// What went wrong, such as `wasm unreachable instruction executed`.
    pub message: String,
    /// Innermost frame first, one a line.
    pub backtrace: String,
}

impl HostShared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HostState> {
        // A panic of a foreign function's closure must not hide the test's own failure.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A process whose clock stands at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        let state = HostState {
            log_level: LogLevel::Trace,
            logs: Vec::new(),
            metrics: Metrics::default(),
            shared_data: SharedData::default(),
            queues: SharedQueues::default(),
            foreign: HashMap::new(),
            clusters: ClusterHandlers::default(),
            http_calls: Vec::new(),
            grpc_calls: Vec::new(),
            pending: Vec::new(),
            next_sequence: 0,
            posted: VecDeque::new(),
            vms: Vec::new(),
            node: serde_json::json!({"id": "harness", "cluster": "harness", "metadata": {}}),
            traps: Vec::new(),
        };
        let host = Host(Arc::new(HostShared {
            clock: SharedClock::new(),
            state: Mutex::new(state),
        }));
        foreign::register_built_ins(&host);
        host
    }

    /// Time since the Unix epoch on the virtual clock.
    pub fn now(&self) -> Duration {
        self.0.clock.now()
    }

    /// Sets the virtual clock without firing anything.
    pub fn set_now(&self, since_epoch: Duration) {
        self.0.clock.set(since_epoch);
    }

    /// The level that filters are told; what is below it is dropped. Trace at first.
    pub fn set_log_level(&self, level: LogLevel) {
        self.0.lock().log_level = level;
    }

    /// Every line logged so far.
    pub fn logs(&self) -> Vec<LogLine> {
        self.0.lock().logs.clone()
    }

    /// Metrics by name.
    pub fn metrics(&self) -> Metrics {
        self.0.lock().metrics.clone()
    }

    /// Traps so far, in order.
    pub fn traps(&self) -> Vec<Trap> {
        self.0.lock().traps.clone()
    }

    /// The node that the property `node` shows: an object with `id`, `cluster`, `metadata`.
    pub fn set_node(&self, node: serde_json::Value) {
        self.0.lock().node = node;
    }

    /// A value of the shared data of a VM id, as any VM with that id sees it.
    pub fn shared_data(&self, vm_id: &str, key: &str) -> Option<Vec<u8>> {
        self.0
            .lock()
            .shared_data
            .get(vm_id, key.as_bytes())
            .map(|(value, _)| value)
    }

    /// Values waiting in a shared queue, oldest first; `None` if no VM registered it.
    pub fn queue(&self, vm_id: &str, name: &str) -> Option<Vec<Vec<u8>>> {
        self.0.lock().queues.peek(vm_id, name.as_bytes())
    }

    /// Registers a function that filters reach by `proxy_call_foreign_function`. A later one of the
    /// same name replaces it, the built-in ones too: `clear_route_cache`, `set_envoy_filter_state`,
    /// `declare_property`. The closure must not call into a VM.
    pub fn on_foreign_function(
        &self,
        name: impl Into<String>,
        function: impl Fn(&mut ForeignCall<'_>) -> Result<Vec<u8>, Status> + Send + Sync + 'static,
    ) {
        self.0
            .lock()
            .foreign
            .insert(name.into(), Arc::new(function));
    }

    /// Creates a cluster that answers HTTP callouts. A callout to a cluster that does not exist is
    /// refused with `BadArgument`, as in Envoy.
    pub fn on_http_call(
        &self,
        cluster: impl Into<String>,
        answer: impl FnMut(&HttpCall) -> HttpAnswer + Send + 'static,
    ) {
        self.0
            .lock()
            .clusters
            .http
            .insert(cluster.into(), Arc::new(Mutex::new(answer)));
    }

    /// Creates a cluster that answers gRPC calls and streams: `answer` is asked when the call or
    /// stream is opened and for each message that the guest sends on a stream.
    pub fn on_grpc_call(
        &self,
        cluster: impl Into<String>,
        answer: impl FnMut(&GrpcCall) -> GrpcAnswer + Send + 'static,
    ) {
        self.0
            .lock()
            .clusters
            .grpc
            .insert(cluster.into(), Arc::new(Mutex::new(answer)));
    }

    /// Every HTTP callout that filters made, in order.
    pub fn http_calls(&self) -> Vec<HttpCall> {
        self.0.lock().http_calls.clone()
    }

    /// Every gRPC call, stream and stream message that filters sent, in order.
    pub fn grpc_calls(&self) -> Vec<GrpcCall> {
        self.0.lock().grpc_calls.clone()
    }
}
