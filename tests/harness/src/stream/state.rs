//! The data of an HTTP stream: what passed, what is held at which filter, what arrived.

use crate::abi::MapType;
use crate::figures::CallbackFigures;
use crate::headers::Headers;
use crate::stream::{Buffer, Direction, LocalReply, StreamInfo};

/// What arrived at one end of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Headers as they were when they were sent; `None` while none were.
    pub headers: Option<Headers>,
    /// Body as it arrived, piece by piece; empty pieces are left out.
    pub chunks: Vec<Vec<u8>>,
    /// Trailers.
    pub trailers: Option<Headers>,
    /// Whether the end arrived.
    pub ended: bool,
    /// Why the stream was cut before its end: the receiver sees a truncated transfer.
    pub reset: Option<String>,
}

impl Delivered {
    /// The body in one piece.
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    /// The `:status` of a response.
    pub fn status(&self) -> Option<u16> {
        self.headers.as_ref()?.get(":status")?.parse().ok()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.as_ref()?.get(name)
    }

    /// Whether all of it arrived: headers, the end, no reset.
    pub fn is_complete(&self) -> bool {
        self.headers.is_some() && self.ended && self.reset.is_none()
    }
}

/// Which way a local reply took to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyPath {
    /// Nothing of a response existed: the reply passed through the filters' response callbacks.
    ThroughFilters,
    /// A response was under way but none of it had been sent: the reply went to the client directly.
    Direct,
    /// Response headers had been sent: there was no reply, the stream was reset.
    Reset,
}

/// A local reply that a filter, or the proxy, sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReplyRecord {
    /// What was to be sent.
    pub reply: LocalReply,
    /// What became of it.
    pub path: ReplyPath,
}

/// Whether a filter lets things pass (Envoy's `IterationState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Iteration {
    Continue,
    /// Held, but later callbacks of this direction happen.
    StopOne,
    /// Held with everything that follows.
    StopAll,
}

/// One filter in one direction.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) iteration: Iteration,
    pub(crate) headers_sent: bool,
    /// Whether the guest sees headers: in their callback, and as long as it never let them go.
    pub(crate) headers_visible: bool,
    pub(crate) trailers_visible: bool,
    pub(crate) held: Option<Buffer>,
    /// The piece that is passing now.
    pub(crate) passing: Option<Buffer>,
    /// The last body callback paused: the next one sees all that is held.
    pub(crate) buffering: bool,
    /// The body's end was shown to the filter.
    pub(crate) ended: bool,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            iteration: Iteration::Continue,
            headers_sent: false,
            headers_visible: false,
            trailers_visible: false,
            held: None,
            passing: None,
            buffering: false,
            ended: false,
        }
    }
}

impl Side {
    pub(crate) fn hold(&mut self, piece: Buffer) {
        self.held.get_or_insert_default().extend(piece);
    }
}

/// One direction of a stream.
#[derive(Debug, Default)]
pub(crate) struct Way {
    pub(crate) headers: Option<Headers>,
    pub(crate) trailers: Option<Headers>,
    /// The source has sent its end.
    pub(crate) source_ended: bool,
    pub(crate) sides: Vec<Side>,
}

/// What the test feeds next, so that misuse is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fed {
    #[default]
    Nothing,
    Headers,
    End,
}

pub(crate) struct HttpState {
    pub(crate) info: StreamInfo,
    pub(crate) request: Way,
    pub(crate) response: Way,
    pub(crate) fed_request: Fed,
    pub(crate) fed_response: Fed,
    pub(crate) upstream: Delivered,
    pub(crate) downstream: Delivered,
    /// The request no longer passes: a local reply was sent.
    pub(crate) request_cut: bool,
    /// The response of the upstream no longer passes: a direct reply was sent.
    pub(crate) response_cut: bool,
    /// A response, whatever its source, has entered the filters.
    pub(crate) responding: bool,
    pub(crate) replies: Vec<LocalReplyRecord>,
    /// Filters that were shown the request's headers, by position.
    pub(crate) shown: Vec<bool>,
    /// Filters whose VM failed during this stream, by position.
    pub(crate) failed: Vec<bool>,
    pub(crate) logging: bool,
    pub(crate) warnings: Vec<String>,
    pub(crate) callbacks: Vec<CallbackFigures>,
    pub(crate) buffer_limit: usize,
    /// Nanoseconds since the Unix epoch.
    pub(crate) started: u64,
}

impl HttpState {
    pub(crate) fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    pub(crate) fn side(&mut self, direction: Direction, filter: usize) -> &mut Side {
        &mut self.way(direction).sides[filter]
    }

    /// Whether nothing more passes in a direction.
    pub(crate) fn halted(&self, direction: Direction) -> bool {
        self.downstream.reset.is_some()
            || match direction {
                Direction::Request => self.request_cut,
                Direction::Response => self.response_cut,
            }
    }

    /// A map that a filter may read and change now.
    pub(crate) fn visible_map(&mut self, filter: usize, map: MapType) -> Option<&mut Headers> {
        let (direction, trailers) = match map {
            MapType::HttpRequestHeaders => (Direction::Request, false),
            MapType::HttpRequestTrailers => (Direction::Request, true),
            MapType::HttpResponseHeaders => (Direction::Response, false),
            MapType::HttpResponseTrailers => (Direction::Response, true),
            _ => return None,
        };
        let way = self.way(direction);
        let side = way.sides.get(filter)?;
        if trailers {
            if side.trailers_visible {
                way.trailers.as_mut()
            } else {
                None
            }
        } else if side.headers_visible {
            way.headers.as_mut()
        } else {
            None
        }
    }

    /// A map that any filter may read in `proxy_on_log`.
    pub(crate) fn logged_map(&self, map: MapType) -> Option<Headers> {
        let map = match map {
            _ if !self.logging => return None,
            MapType::HttpRequestHeaders => &self.request.headers,
            MapType::HttpResponseHeaders => &self.response.headers,
            MapType::HttpResponseTrailers => &self.response.trailers,
            _ => return None,
        };
        map.clone()
    }

    /// The body that a filter may read and change now.
    pub(crate) fn visible_body(
        &mut self,
        filter: usize,
        direction: Direction,
    ) -> Option<&mut Buffer> {
        let side = self.way(direction).sides.get_mut(filter)?;
        if side.buffering {
            side.held.as_mut()
        } else {
            side.passing.as_mut()
        }
    }
}
