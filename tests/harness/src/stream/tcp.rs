//! A TCP connection through a Wasm network filter in front of `tcp_proxy`.

use crate::abi::PeerType;
use crate::figures::CallbackFigures;
use crate::host::{Host, HostShared};
use crate::stream::{Buffer, StreamInfo};
use crate::vm::{Called, ContextId, FailurePolicy, Owner, Plugin, VmShared};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

pub(crate) struct TcpShared {
    vm: Arc<VmShared>,
    slot: usize,
    context: OnceLock<Option<ContextId>>,
    own: Weak<TcpShared>,
    state: Mutex<TcpState>,
}

pub(crate) struct TcpState {
    pub(crate) info: StreamInfo,
    pub(crate) started: u64,
    from_client: Lane,
    from_upstream: Lane,
    /// `tcp_proxy` has begun to choose a cluster.
    upstream_chosen: bool,
    closed_by_filter: bool,
    downstream_closed: bool,
    over: bool,
    callbacks: Vec<CallbackFigures>,
}

/// One direction of bytes.
#[derive(Default)]
struct Lane {
    held: Buffer,
    visible: bool,
    ended: bool,
    delivered: Vec<u8>,
    delivered_end: bool,
}

impl TcpState {
    /// The bytes that the guest may read and change now.
    pub(crate) fn visible(&mut self, from_client: bool) -> Option<&mut Buffer> {
        let lane = self.lane(from_client);
        if lane.visible {
            Some(&mut lane.held)
        } else {
            None
        }
    }

    fn lane(&mut self, from_client: bool) -> &mut Lane {
        if from_client {
            &mut self.from_client
        } else {
            &mut self.from_upstream
        }
    }
}

impl TcpShared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, TcpState> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn call(&self, name: &'static str, arguments: &[i32]) -> Called {
        let owner = || Owner::Tcp(self.own.clone());
        let context = self
            .context
            .get_or_init(|| self.vm.open_stream(self.slot, owner()));
        let Some(context) = *context else {
            return Called::Failed;
        };
        let (called, figures) = self
            .vm
            .measure(0, name, || self.vm.call_stream(context, name, arguments));
        if !matches!(called, Called::Missing) {
            self.lock().callbacks.push(figures);
        }
        called
    }

    /// Whether bytes may pass after a callback. A failed VM closes the connection.
    fn passes(&self, called: &Called) -> bool {
        match called {
            Called::Missing => true,
            Called::Returned { value, .. } => *value == 0,
            Called::Failed if self.vm.failure_policy() == FailurePolicy::Open => true,
            Called::Failed => {
                self.close_by_filter();
                false
            }
        }
    }

    fn new_connection(&self) {
        let called = self.call("proxy_on_new_connection", &[]);
        if self.passes(&called) {
            self.lock().upstream_chosen = true;
        }
    }

    /// Bytes that the filter does not let pass stay and are shown again with those that follow.
    fn data(&self, from_client: bool, bytes: &[u8], end: bool) {
        let size = {
            let mut state = self.lock();
            if state.over || state.closed_by_filter {
                return;
            }
            let lane = state.lane(from_client);
            lane.held.extend_from_slice(bytes);
            lane.ended |= end;
            lane.visible = true;
            lane.held.len()
        };
        let name = if from_client {
            "proxy_on_downstream_data"
        } else {
            "proxy_on_upstream_data"
        };
        let called = self.call(name, &[size as i32, i32::from(end)]);
        let passes = self.passes(&called);
        let mut state = self.lock();
        let lane = state.lane(from_client);
        if passes {
            lane.visible = false;
            lane.flush();
            state.upstream_chosen |= from_client;
        }
        if !from_client && end {
            drop(state);
            // Envoy notices the upstream's close by the end of what it writes downstream.
            self.call(
                "proxy_on_upstream_connection_close",
                &[PeerType::Unknown as i32],
            );
        }
    }

    /// `continueReading`: what is held from the client goes on without the filter.
    pub(crate) fn continue_reading(&self) {
        let mut state = self.lock();
        state.upstream_chosen = true;
        state.from_client.visible = false;
        state.from_client.flush();
    }

    pub(crate) fn close_by_filter(&self) {
        self.lock().closed_by_filter = true;
    }

    fn close_downstream(&self, peer: PeerType) {
        if std::mem::replace(&mut self.lock().downstream_closed, true) {
            return;
        }
        self.call("proxy_on_downstream_connection_close", &[peer as i32]);
        self.lock().over = true;
        self.call("proxy_on_log", &[]);
        if let Some(Some(context)) = self.context.get() {
            self.vm.close_stream(*context);
        }
    }
}

impl Lane {
    fn flush(&mut self) {
        self.delivered.append(&mut self.held);
        self.delivered_end |= self.ended;
    }
}

/// A TCP connection through one filter. Dropping it closes it as the client would.
pub struct TcpStream {
    host: Arc<HostShared>,
    shared: Arc<TcpShared>,
}

impl TcpStream {
    /// A client connects: `proxy_on_new_connection`.
    pub fn open(plugin: &Plugin, info: StreamInfo) -> Self {
        let vm = plugin.vm.shared.clone();
        let host = vm.host.clone();
        let state = Mutex::new(TcpState {
            info,
            started: host.clock.nanoseconds(),
            from_client: Lane::default(),
            from_upstream: Lane::default(),
            upstream_chosen: false,
            closed_by_filter: false,
            downstream_closed: false,
            over: false,
            callbacks: Vec::new(),
        });
        let (slot, context) = (plugin.slot, OnceLock::new());
        let shared = Arc::new_cyclic(|own| TcpShared {
            vm,
            slot,
            context,
            own: own.clone(),
            state,
        });
        let stream = Self { host, shared };
        stream.shared.new_connection();
        stream.settle();
        stream
    }

    /// The client sends bytes, and perhaps its end.
    pub fn from_client(&mut self, bytes: impl AsRef<[u8]>, end_of_stream: bool) {
        self.shared.data(true, bytes.as_ref(), end_of_stream);
        self.settle();
    }

    /// The upstream sends bytes, and perhaps its end.
    pub fn from_upstream(&mut self, bytes: impl AsRef<[u8]>, end_of_stream: bool) {
        self.shared.data(false, bytes.as_ref(), end_of_stream);
        self.settle();
    }

    /// The connection of the client closes; the filter's context ends.
    pub fn close(&mut self, by: PeerType) {
        self.shared.close_downstream(by);
        self.settle();
    }

    /// Bytes that reached the upstream, and whether the end did.
    pub fn upstream(&self) -> (Vec<u8>, bool) {
        let state = self.shared.lock();
        (
            state.from_client.delivered.clone(),
            state.from_client.delivered_end,
        )
    }

    /// Bytes that reached the client, and whether the end did.
    pub fn downstream(&self) -> (Vec<u8>, bool) {
        let state = self.shared.lock();
        (
            state.from_upstream.delivered.clone(),
            state.from_upstream.delivered_end,
        )
    }

    /// Whether `tcp_proxy` behind the filter has been reached, so that a cluster is chosen: by the
    /// filter state `envoy.tcp_proxy.cluster` if there is one.
    pub fn upstream_chosen(&self) -> bool {
        self.shared.lock().upstream_chosen
    }

    /// Whether the filter closed the connection, or its VM failed.
    pub fn closed_by_filter(&self) -> bool {
        self.shared.lock().closed_by_filter
    }

    /// Facts about the connection and what the filter left on it.
    pub fn info(&self) -> StreamInfo {
        self.shared.lock().info.clone()
    }

    /// Every callback so far with its cost.
    pub fn callbacks(&self) -> Vec<CallbackFigures> {
        self.shared.lock().callbacks.clone()
    }

    fn settle(&self) {
        Host(self.host.clone()).settle();
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.close(PeerType::Remote);
        }
    }
}
