//! Passing headers, bodies and trailers through a chain of filters. This follows Envoy's
//! `source/common/http/filter_manager.cc`; the names of its functions stand at ours.

use crate::headers::Headers;
use crate::host::HostShared;
use crate::stream::state::{HttpState, Iteration, LocalReplyRecord, ReplyPath, Side};
use crate::stream::{Buffer, Direction, LocalReply, StreamInfo};
use crate::vm::{Called, ContextId, FailurePolicy, Owner, VmShared};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

/// Values that callbacks return (`FilterHeadersStatus`, `FilterDataStatus`). 0 continues.
mod returned {
    pub(super) const STOP: i32 = 1;
    pub(super) const HEADERS_CONTINUE_AND_END: i32 = 2;
    pub(super) const DATA_STOP_AND_BUFFER: i32 = 1;
    pub(super) const DATA_STOP_AND_WATERMARK: i32 = 2;
}

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
enum Verdict {
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
            failed_once: false,
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
    fn at(&self, direction: Direction, step: usize) -> usize {
        match direction {
            Direction::Request => step,
            Direction::Response => self.filters.len() - 1 - step,
        }
    }

    /// The step at which a filter is: its own inverse.
    fn step_of(&self, direction: Direction, filter: usize) -> usize {
        self.at(direction, filter)
    }

    fn call(&self, filter: usize, name: &'static str, arguments: &[i32]) -> Called {
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

    fn judge(&self, filter: usize, direction: Direction, called: &Called) -> Verdict {
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
                // `CHECK_FAIL_HTTP`: one reply a stream, whoever fails.
                let first = {
                    let mut state = self.lock();
                    // The reply itself must pass the filter that failed.
                    if direction == Direction::Response && !state.replies.is_empty() {
                        return Verdict::Pass;
                    }
                    !std::mem::replace(&mut state.failed_once, true)
                };
                if first {
                    self.reply(LocalReply::failed_stream());
                }
                Verdict::Halt
            }
        }
    }

    /// `decodeHeaders`, `encodeHeaders`
    pub(crate) fn headers(&self, direction: Direction, from: usize, end: bool) {
        for step in from..self.filters.len() {
            let filter = self.at(direction, step);
            let count = {
                let mut state = self.lock();
                if state.halted(direction) {
                    return;
                }
                if direction == Direction::Request {
                    state.shown[filter] = true;
                } else if !state.shown[filter] {
                    state.side(direction, filter).headers_sent = true;
                    continue;
                }
                state.side(direction, filter).headers_visible = true;
                state
                    .way(direction)
                    .headers
                    .as_ref()
                    .map_or(0, Headers::len)
            };
            let name = match direction {
                Direction::Request => "proxy_on_request_headers",
                Direction::Response => "proxy_on_response_headers",
            };
            let called = self.call(filter, name, &[count as i32, i32::from(end)]);
            match self.judge(filter, direction, &called) {
                Verdict::Halt => return,
                Verdict::Stop(value) if value != returned::HEADERS_CONTINUE_AND_END => {
                    let alone = value == returned::STOP && self.filters[filter].allow_headers_stop;
                    let mut state = self.lock();
                    let side = state.side(direction, filter);
                    side.iteration = if alone {
                        Iteration::StopOne
                    } else {
                        Iteration::StopAll
                    };
                    return;
                }
                Verdict::Pass | Verdict::Stop(_) => {
                    let mut state = self.lock();
                    let side = state.side(direction, filter);
                    side.headers_visible = false;
                    side.headers_sent = true;
                }
            }
        }
        let mut state = self.lock();
        if state.halted(direction) {
            return;
        }
        let headers = state.way(direction).headers.clone();
        let sink = sink(&mut state, direction);
        sink.headers = headers;
        sink.ended = end;
    }

    /// `decodeData`, `encodeData`
    pub(crate) fn data(&self, direction: Direction, from: usize, mut piece: Buffer, end: bool) {
        for step in from..self.filters.len() {
            let filter = self.at(direction, step);
            let (size, end_of_stream) = {
                let mut state = self.lock();
                if state.halted(direction) {
                    return;
                }
                let end_of_stream = end && state.way(direction).trailers.is_none();
                let shown = state.shown[filter];
                let side = state.side(direction, filter);
                if side.iteration == Iteration::StopAll {
                    side.hold(piece);
                    return;
                }
                if !shown {
                    continue;
                }
                if side.ended {
                    return;
                }
                side.ended = end_of_stream;
                let size = if side.buffering {
                    side.hold(std::mem::take(&mut piece));
                    side.held.as_ref().map_or(0, Buffer::len)
                } else {
                    side.passing.insert(std::mem::take(&mut piece)).len()
                };
                drop(state);
                if self.over_limit(direction, filter) {
                    return;
                }
                (size, end_of_stream)
            };
            let name = match direction {
                Direction::Request => "proxy_on_request_body",
                Direction::Response => "proxy_on_response_body",
            };
            let called = self.call(filter, name, &[size as i32, i32::from(end_of_stream)]);
            let verdict = self.judge(filter, direction, &called);
            let mut state = self.lock();
            let side = state.side(direction, filter);
            piece = side.passing.take().unwrap_or_default();
            side.buffering = false;
            match verdict {
                Verdict::Halt => return,
                Verdict::Pass if side.iteration == Iteration::StopOne => {
                    side.hold(piece);
                    drop(state);
                    return self.proceed(direction, step);
                }
                Verdict::Pass => {}
                Verdict::Stop(value) => {
                    side.iteration = Iteration::StopOne;
                    match value {
                        returned::DATA_STOP_AND_BUFFER => {
                            side.hold(piece);
                            side.buffering = true;
                            drop(state);
                            self.over_limit(direction, filter);
                        }
                        returned::DATA_STOP_AND_WATERMARK => side.hold(piece),
                        // Not kept; but the end must be able to pass later.
                        _ if end_of_stream => side.hold(Buffer::new()),
                        _ => {}
                    }
                    return;
                }
            }
        }
        let mut state = self.lock();
        if state.halted(direction) {
            return;
        }
        let ended = end && state.way(direction).trailers.is_none();
        let sink = sink(&mut state, direction);
        if !piece.is_empty() {
            sink.chunks.push(piece);
        }
        sink.ended = ended;
    }

    /// `decodeTrailers`, `encodeTrailers`
    pub(crate) fn trailers(&self, direction: Direction, from: usize) {
        for step in from..self.filters.len() {
            let filter = self.at(direction, step);
            let count = {
                let mut state = self.lock();
                if state.halted(direction) {
                    return;
                }
                let shown = state.shown[filter];
                let side = state.side(direction, filter);
                if side.iteration == Iteration::StopAll {
                    return;
                }
                if !shown {
                    continue;
                }
                side.trailers_visible = true;
                state
                    .way(direction)
                    .trailers
                    .as_ref()
                    .map_or(0, Headers::len)
            };
            let name = match direction {
                Direction::Request => "proxy_on_request_trailers",
                Direction::Response => "proxy_on_response_trailers",
            };
            let called = self.call(filter, name, &[count as i32]);
            let verdict = self.judge(filter, direction, &called);
            let mut state = self.lock();
            let side = state.side(direction, filter);
            match verdict {
                Verdict::Halt => return,
                Verdict::Stop(_) => {
                    if side.iteration == Iteration::Continue {
                        side.iteration = Iteration::StopOne;
                    }
                    return;
                }
                Verdict::Pass => {
                    side.trailers_visible = false;
                    if side.iteration == Iteration::StopOne {
                        drop(state);
                        return self.proceed(direction, step);
                    }
                }
            }
        }
        let mut state = self.lock();
        if state.halted(direction) {
            return;
        }
        let trailers = state.way(direction).trailers.clone();
        let sink = sink(&mut state, direction);
        sink.trailers = trailers;
        sink.ended = true;
    }

    /// `commonContinue`: lets go what a filter held.
    fn proceed(&self, direction: Direction, step: usize) {
        let filter = self.at(direction, step);
        let (resume_at, send_headers, headers_end) = {
            let mut state = self.lock();
            if state.halted(direction) {
                return;
            }
            let way = state.way(direction);
            let no_trailers = way.trailers.is_none();
            let source_ended = way.source_ended;
            let side = &mut way.sides[filter];
            // Whoever held everything has not seen what came after.
            let resume_at = if side.iteration == Iteration::StopAll {
                step
            } else {
                step + 1
            };
            side.iteration = Iteration::Continue;
            side.buffering = false;
            let send_headers = !std::mem::replace(&mut side.headers_sent, true);
            let headers_end = source_ended && side.held.is_none() && no_trailers;
            (resume_at, send_headers, headers_end)
        };
        if send_headers {
            self.headers(direction, step + 1, headers_end);
        }
        let (held, end) = {
            let mut state = self.lock();
            if state.halted(direction) {
                return;
            }
            let way = state.way(direction);
            (way.sides[filter].held.take(), way.source_ended)
        };
        if let Some(held) = held {
            self.data(direction, resume_at, held, end);
        }
        let trailers = {
            let mut state = self.lock();
            let way = state.way(direction);
            let stopped_again = way.sides[filter].iteration != Iteration::Continue;
            // A filter that shows trailers now passes them by itself.
            way.trailers.is_some() && !stopped_again && !state.halted(direction)
        };
        if trailers {
            self.trailers(direction, resume_at);
        }
    }

    /// `continueDecoding`, `continueEncoding`: the guest asked for it.
    pub(crate) fn continue_filter(&self, filter: usize, direction: Direction) {
        {
            let mut state = self.lock();
            if state.side(direction, filter).iteration == Iteration::Continue {
                state.warnings.push(format!(
                    "filter {filter} continued the {direction:?}, which it does not hold: ignored"
                ));
                return;
            }
        }
        self.proceed(direction, self.step_of(direction, filter));
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
    fn over_limit(&self, direction: Direction, filter: usize) -> bool {
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

fn sink(state: &mut HttpState, direction: Direction) -> &mut crate::stream::Delivered {
    match direction {
        Direction::Request => &mut state.upstream,
        Direction::Response => &mut state.downstream,
    }
}
