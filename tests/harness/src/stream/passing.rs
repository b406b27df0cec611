//! Headers, bodies and trailers on their way through the filters of a stream.

use crate::headers::Headers;
use crate::stream::chain::{HttpShared, Verdict};
use crate::stream::state::{HttpState, Iteration};
use crate::stream::{Buffer, Delivered, Direction};

/// Values that callbacks return (`FilterHeadersStatus`, `FilterDataStatus`). 0 continues.
mod returned {
    pub(super) const STOP: i32 = 1;
    pub(super) const HEADERS_CONTINUE_AND_END: i32 = 2;
    pub(super) const DATA_STOP_AND_BUFFER: i32 = 1;
    pub(super) const DATA_STOP_AND_WATERMARK: i32 = 2;
}

impl HttpShared {
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
}

fn sink(state: &mut HttpState, direction: Direction) -> &mut Delivered {
    match direction {
        Direction::Request => &mut state.upstream,
        Direction::Response => &mut state.downstream,
    }
}
