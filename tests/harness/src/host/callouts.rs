//! Calls that filters make to other clusters, and the scripts that answer them.

use crate::headers::Headers;
use crate::vm::VmShared;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// An HTTP callout of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// The cluster it goes to.
    pub cluster: String,
    /// Headers with the pseudo-headers.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Headers,
    /// When Envoy gives up; zero is never.
    pub timeout: Duration,
}

/// How a cluster answers an HTTP callout.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    delay: Duration,
    what: HttpAnswerKind,
}

#[derive(Debug, Clone)]
enum HttpAnswerKind {
    Response(Box<HttpResponse>),
    Reset,
    Silence,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct HttpResponse {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
}

impl HttpAnswer {
    /// A response with a status and a body.
    pub fn respond(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::respond_with([(":status", status.to_string())], body, Headers::new())
    }

    /// A response with these headers (`:status` among them), body and trailers.
    pub fn respond_with(
        headers: impl Into<Headers>,
        body: impl AsRef<[u8]>,
        trailers: impl Into<Headers>,
    ) -> Self {
        let (headers, trailers) = (headers.into(), trailers.into());
        let response = HttpResponse {
            headers,
            body: body.as_ref().to_vec(),
            trailers,
        };
        Self {
            delay: Duration::ZERO,
            what: HttpAnswerKind::Response(Box::new(response)),
        }
    }

    /// The call fails: the filter sees a response without headers, as after a reset.
    pub fn reset() -> Self {
        Self {
            delay: Duration::ZERO,
            what: HttpAnswerKind::Reset,
        }
    }

    /// No endpoint can be reached: Envoy answers 503 by itself.
    pub fn unreachable() -> Self {
        Self::respond(
            503,
            "upstream connect error or disconnect/reset before headers",
        )
    }

    /// Nothing comes: Envoy answers 504 by itself when the timeout is over.
    pub fn silence() -> Self {
        Self {
            delay: Duration::MAX,
            what: HttpAnswerKind::Silence,
        }
    }

    /// The same answer, later on the virtual clock. After the call's timeout it is a 504 instead.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// When and what the filter sees; `None` is never.
    pub(crate) fn event(self, timeout: Duration) -> Option<(Duration, CalloutEvent)> {
        let timed_out = !timeout.is_zero() && self.delay >= timeout;
        match self.what {
            _ if timed_out => {
                let response = HttpResponse {
                    headers: [(":status", "504"), ("content-type", "text/plain")].into(),
                    body: b"upstream request timeout".to_vec(),
                    trailers: Headers::new(),
                };
                Some((timeout, CalloutEvent::HttpResponse(Box::new(response))))
            }
            HttpAnswerKind::Response(response) => {
                Some((self.delay, CalloutEvent::HttpResponse(response)))
            }
            HttpAnswerKind::Reset => Some((self.delay, CalloutEvent::HttpReset)),
            HttpAnswerKind::Silence => None,
        }
    }
}

/// A gRPC call, the opening of a gRPC stream, or a message sent on one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcCall {
    /// The cluster it goes to.
    pub cluster: String,
    /// Full name of the service.
    pub service: String,
    /// Name of the method.
    pub method: String,
    /// Initial metadata.
    pub metadata: Headers,
    /// The message; `None` when a stream is opened.
    pub message: Option<Vec<u8>>,
    /// Whether this belongs to a stream.
    pub stream: bool,
    /// Whether the guest ends its side with this message.
    pub end_stream: bool,
    /// When Envoy gives up on a call; zero is never.
    pub timeout: Duration,
}

/// Something that the guest sees of a gRPC call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcEvent {
    /// Initial metadata arrived (streams only).
    Metadata(Headers),
    /// A message arrived.
    Message(Vec<u8>),
    /// Trailing metadata arrived (streams only).
    Trailers(Headers),
    /// The call is over with a status that is not 0, or a stream is over: status and text.
    Close(u32, String),
}

/// How a cluster answers gRPC: events in order, all after one delay.
#[derive(Debug, Clone, Default)]
pub struct GrpcAnswer {
    pub(crate) delay: Duration,
    pub(crate) events: Vec<GrpcEvent>,
}

impl GrpcAnswer {
    /// Nothing yet.
    pub fn silence() -> Self {
        Self::default()
    }

    /// One message.
    pub fn message(message: impl AsRef<[u8]>) -> Self {
        Self::events([GrpcEvent::Message(message.as_ref().to_vec())])
    }

    /// A failure.
    pub fn failure(status: u32, text: impl Into<String>) -> Self {
        Self::events([GrpcEvent::Close(status, text.into())])
    }

    /// Events in order.
    pub fn events(events: impl IntoIterator<Item = GrpcEvent>) -> Self {
        Self {
            delay: Duration::ZERO,
            events: events.into_iter().collect(),
        }
    }

    /// The same answer, later on the virtual clock.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

pub(crate) type HttpHandler = Arc<Mutex<dyn FnMut(&HttpCall) -> HttpAnswer + Send>>;
pub(crate) type GrpcHandler = Arc<Mutex<dyn FnMut(&GrpcCall) -> GrpcAnswer + Send>>;

#[derive(Default)]
pub(crate) struct ClusterHandlers {
    pub(crate) http: HashMap<String, HttpHandler>,
    pub(crate) grpc: HashMap<String, GrpcHandler>,
}

/// An answer that waits for its time.
pub(crate) struct Callout {
    /// Nanoseconds since the Unix epoch.
    pub(crate) due: u64,
    /// Order among those due at one time.
    pub(crate) sequence: u64,
    pub(crate) vm: Weak<VmShared>,
    pub(crate) root: u32,
    pub(crate) token: u32,
    pub(crate) event: CalloutEvent,
}

#[derive(Debug)]
pub(crate) enum CalloutEvent {
    HttpResponse(Box<HttpResponse>),
    HttpReset,
    Grpc(GrpcEvent),
}

/// The cluster that a gRPC upstream names: either plain text or an encoded
/// `envoy.config.core.v3.GrpcService` with `envoy_grpc.cluster_name`.
pub(crate) fn cluster_name(upstream: &[u8]) -> String {
    fn field_one(bytes: &[u8]) -> Option<&[u8]> {
        let [0x0a, length, rest @ ..] = bytes else {
            return None;
        };
        // Lengths over 127 take several bytes; no cluster in a test is named that long.
        if *length > 127 {
            None
        } else {
            rest.get(..usize::from(*length))
        }
    }
    let inner = field_one(upstream).and_then(field_one);
    String::from_utf8_lossy(inner.unwrap_or(upstream)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_upstream_is_a_name_or_an_encoded_service() {
        assert_eq!(cluster_name(b"auth"), "auth");
        assert_eq!(cluster_name(b"\x0a\x06\x0a\x04auth"), "auth");
    }

    #[test]
    fn an_answer_after_the_timeout_is_a_504() {
        let late = HttpAnswer::respond(200, "x").after(Duration::from_secs(6));
        let (at, event) = late.event(Duration::from_secs(5)).unwrap();
        assert_eq!(at, Duration::from_secs(5));
        let CalloutEvent::HttpResponse(response) = event else {
            panic!("{event:?}")
        };
        assert_eq!(response.headers.get(":status").as_deref(), Some("504"));
        assert!(HttpAnswer::silence().event(Duration::ZERO).is_none());
    }
}
