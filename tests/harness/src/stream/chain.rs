//! A stream's filters: calling them, what their answers mean, local replies, resets, the end. This
//! and `passing.rs` follow Envoy's `source/common/http/filter_manager.cc`; the names of its
//! functions stand at ours.

use crate::host::HostShared;
use crate::stream::state::{HttpState, LocalReplyRecord, ReplyPath, Side};
use crate::stream::{Buffer, Direction, LocalReply, StreamInfo};
use crate::vm::{Called, ContextId, FailurePolicy, Owner, VmShared};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

pub(crate) struct Filter {
    pub(crate) vm: Arc<VmShared>,
    pub(crate) slot: usize,
    pub(crate) allow_headers_stop: bool,
    /// Made when the filter is first reached; `None` if the VM had failed for good by then.
    pub(crate) context: OnceLock<Option<ContextId>>,
}

pub(crate) struct HttpShared {
    pub(crate) filters: Vec<Filter>,
    own: Weak<HttpShared>,
    state: Mutex<HttpState>,
}

/// What to do with a piece at a filter.
pub(super) enum Verdict {
    Pass,
    Stop(i32),
    Halt,
}

impl HttpShared {
    pub(crate) fn new(
        host: &HostShared,
        plugins: &[(Arc<VmShared>, usize)],
        info: StreamInfo,
        buffer_limit: usize,
    ) -> Arc<Self> {
        let sides = || plugins.iter().map(|_| Side::default()).collect();
        let mut state = HttpState {
            info,
            request: Default::default(),
            response: Default::default(),
            fed_request: Default::default(),
            fed_response: Default::default(),
            upstream: Default::default(),
            downstream: Default::default(),
            request_cut: false,
            response_cut: false,
            responding: false,
            replies: Vec::new(),
            shown: vec![false; plugins.len()],
            failed: vec![false; plugins.len()],
            logging: false,
            warnings: Vec::new(),
            callbacks: Vec::new(),
            buffer_limit,
            started: host.clock.nanoseconds(),
        };
        state.request.sides = sides();
        state.response.sides = sides();
        let filters = plugins.iter().map(|(vm, slot)| Filter {
            vm: vm.clone(),
            slot: *slot,
            allow_headers_stop: vm.plugin_options(*slot).allow_on_headers_stop_iteration,
            context: OnceLock::new(),
        });
        let filters = filters.collect();
        let state = Mutex::new(state);
        Arc::new_cyclic(|own| HttpShared {
            filters,
            own: own.clone(),
            state,
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HttpState> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The filter at a step of a direction: responses pass in reverse order.
    pub(super) fn at(&self, direction: Direction, step: usize) -> usize {
        match direction {
            Direction::Request => step,
            Direction::Response => self.filters.len() - 1 - step,
        }
    }

    /// The step at which a filter is: its own inverse.
    pub(super) fn step_of(&self, direction: Direction, filter: usize) -> usize {
        self.at(direction, filter)
    }

    pub(super) fn call(&self, filter: usize, name: &'static str, arguments: &[i32]) -> Called {
        let Filter {
            vm, slot, context, ..
        } = &self.filters[filter];
        let owner = || Owner::Http(self.own.clone(), filter);
        let Some(context) = *context.get_or_init(|| vm.open_stream(*slot, owner())) else {
            return Called::Failed;
        };
        let (called, figures) =
            vm.measure(filter, name, || vm.call_stream(context, name, arguments));
        if !matches!(called, Called::Missing) {
            self.lock().callbacks.push(figures);
        }
        called
    }

    pub(super) fn judge(&self, filter: usize, direction: Direction, called: &Called) -> Verdict {
        if self.lock().halted(direction) {
            return Verdict::Halt;
        }
        match called {
            Called::Missing => Verdict::Pass,
            // A reply went out that left this direction open: it came to nothing but stops it.
            Called::Returned { stopped: true, .. } => Verdict::Halt,
            Called::Returned { value: 0, .. } => Verdict::Pass,
            Called::Returned { value, .. } => Verdict::Stop(*value),
            Called::Failed if self.filters[filter].vm.failure_policy() == FailurePolicy::Open => {
                Verdict::Pass
            }
            Called::Failed => {
                // `CHECK_FAIL_HTTP`: one reply a filter, which then passes that filter.
                if std::mem::replace(&mut self.lock().failed[filter], true) {
                    return match direction {
                        Direction::Request => Verdict::Halt,
                        Direction::Response => Verdict::Pass,
                    };
                }
                self.reply(LocalReply::failed_stream());
                Verdict::Halt
            }
        }
    }

    /// `sendLocalReply`
    pub(crate) fn reply(&self, reply: LocalReply) {
        let body = {
            let mut state = self.lock();
            if state.downstream.reset.is_some() || state.downstream.ended {
                return;
            }
            let path = match (state.responding, state.downstream.headers.is_some()) {
                (false, _) => ReplyPath::ThroughFilters,
                (true, false) => ReplyPath::Direct,
                (true, true) => ReplyPath::Reset,
            };
            let (headers, body) = reply.encode(state.request.headers.as_ref());
            let details = reply.details.clone();
            state.replies.push(LocalReplyRecord { reply, path });
            state.request_cut = true;
            if state.upstream.headers.is_some() && !state.upstream.ended {
                state.upstream.reset = Some("the proxy answered by itself".to_owned());
            }
            match path {
                ReplyPath::Reset => {
                    state.downstream.reset =
                        Some(format!("local reply after response headers ({details})"));
                    return;
                }
                ReplyPath::Direct => {
                    state.response_cut = true;
                    state.response.headers = Some(headers.clone());
                    state.downstream.headers = Some(headers);
                    if !body.is_empty() {
                        state.downstream.chunks.push(body);
                    }
                    state.downstream.ended = true;
                    return;
                }
                ReplyPath::ThroughFilters => {}
            }
            state.responding = true;
            state.response.headers = Some(headers);
            state.response.source_ended = body.is_empty();
            body
        };
        self.headers(Direction::Response, 0, body.is_empty());
        if !body.is_empty() {
            self.lock().response.source_ended = true;
            self.data(Direction::Response, 0, body, true);
        }
    }

    /// `resetStream`
    pub(crate) fn reset(&self, why: &str) {
        let mut state = self.lock();
        if state.downstream.reset.is_none() && !state.downstream.ended {
            state.downstream.reset = Some(why.to_owned());
            if state.upstream.headers.is_some() && !state.upstream.ended {
                state.upstream.reset = Some(why.to_owned());
            }
        }
    }

    /// A buffering filter that holds more than the connection's buffer limit: 413 for a request;
    /// 500 or, once headers are out, a reset for a response.
    pub(super) fn over_limit(&self, direction: Direction, filter: usize) -> bool {
        {
            let mut state = self.lock();
            let limit = state.buffer_limit;
            let side = state.side(direction, filter);
            let held = side.held.as_ref().map_or(0, Buffer::len);
            if !side.buffering || held <= limit {
                return false;
            }
        }
        self.reply(match direction {
            Direction::Request => {
                LocalReply::new(413, "request_payload_too_large", "Payload Too Large")
            }
            Direction::Response => {
                LocalReply::new(500, "response_payload_too_large", "Internal Server Error")
            }
        });
        true
    }

    /// `proxy_on_log` of every filter, then `proxy_on_done` and `proxy_on_delete`.
    pub(crate) fn finish(&self) {
        self.lock().logging = true;
        for filter in 0..self.filters.len() {
            self.call(filter, "proxy_on_log", &[]);
        }
        self.lock().logging = false;
        for Filter { vm, context, .. } in &self.filters {
            if let Some(Some(context)) = context.get() {
                vm.close_stream(*context);
            }
        }
    }
}
