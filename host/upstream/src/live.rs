//! Answers that come bit by bit: results of subscriptions, as events or as parts, and deferred
//! fields.

use std::{convert::Infallible, sync::Arc, sync::atomic::AtomicU64, sync::atomic::Ordering};

use async_graphql::{
    Response as Result,
    futures_util::{Stream, StreamExt, stream},
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, header::ACCEPT, header::CONTENT_TYPE},
};
use serde_json::{Map, Value, json};

/// How parts of an answer follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events: GraphQL over SSE, distinct connections mode.
    Events,
    /// `multipart/mixed`: results of subscriptions in payloads (`subscriptionSpec=1.0`).
    Parts,
}

impl Framing {
    /// What a client accepts; events, unless it speaks of parts only.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let accept = accepts(headers);
        if accept.contains("multipart/mixed") && !accept.contains("text/event-stream") {
            Self::Parts
        } else {
            Self::Events
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Parts => "multipart/mixed; boundary=\"-\"; subscriptionSpec=1.0",
        }
    }

    fn frame(self, result: &str) -> String {
        match self {
            Self::Events => format!("event: next\ndata: {result}\n\n"),
            Self::Parts => part(&format!("{{\"payload\":{result}}}")),
        }
    }

    fn start(self) -> &'static str {
        match self {
            Self::Events => ":\n\n",
            Self::Parts => DELIMITER,
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Events => "event: complete\ndata:\n\n",
            Self::Parts => "--\r\n",
        }
    }
}

/// The results of a subscription, each sent as soon as it is there.
pub(crate) fn results(
    framing: Framing,
    results: impl Stream<Item = Result> + Send + 'static,
    served: Arc<AtomicU64>,
) -> Response<Body> {
    let frames = results.map(move |result| {
        let result = serde_json::to_string(&result).unwrap_or_default();
        framing.frame(&result)
    });
    let once = |text: &'static str| stream::once(async move { text.to_owned() });
    let all = once(framing.start())
        .chain(frames)
        .chain(once(framing.end()));
    respond(framing.content_type(), all, served)
}

/// The notation of deferred fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draft {
    /// With a `path` in each (`deferSpec=20220824`).
    Paths,
    /// With the `id` of something `pending` (`incrementalSpec=v0.2`).
    Ids,
}

impl Draft {
    /// What a client accepts, if it accepts deferred fields at all.
    pub(crate) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let accept = accepts(headers);
        let paths = accept.contains("deferspec=20220824");
        let mixed = accept.contains("multipart/mixed");
        mixed.then_some(if paths { Self::Paths } else { Self::Ids })
    }
}

/// What of an object is not deferred.
const AT_ONCE: [&str; 3] = ["__typename", "id", "name"];

/// A whole answer in two parts: the first object below `data` keeps what identifies it, the rest is
/// deferred.
pub(crate) fn deferred(draft: Draft, body: &str, served: Arc<AtomicU64>) -> Response<Body> {
    let mut whole: Value = serde_json::from_str(body).unwrap_or_default();
    let mut later = Map::new();
    let mut path = Vec::new();
    if let Some((key, Value::Object(fields))) = whole
        .get_mut("data")
        .and_then(Value::as_object_mut)
        .and_then(|data| data.iter_mut().next())
    {
        path.push(key.clone());
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in names.into_iter().filter(|n| !AT_ONCE.contains(&n.as_str())) {
            later.extend(fields.remove(&name).map(|value| (name, value)));
        }
    }
    whole["hasNext"] = true.into();
    let (content_type, second) = match draft {
        Draft::Paths => (
            "multipart/mixed; boundary=\"-\"; deferSpec=20220824",
            json!({"incremental": [{"path": path, "data": later}], "hasNext": false}),
        ),
        Draft::Ids => {
            whole["pending"] = json!([{"id": "0", "path": path}]);
            (
                "multipart/mixed; boundary=\"-\"; incrementalSpec=v0.2",
                json!({
                    "incremental": [{"id": "0", "data": later}],
                    "completed": [{"id": "0"}],
                    "hasNext": false,
                }),
            )
        }
    };
    let frames = [
        Framing::Parts.start().to_owned(),
        part(&whole.to_string()),
        part(&second.to_string()),
        Framing::Parts.end().to_owned(),
    ];
    respond(content_type, stream::iter(frames), served)
}

const DELIMITER: &str = "\r\n---";

/// A part up to and with the delimiter of the next one: it is whole when it comes.
fn part(document: &str) -> String {
    format!("\r\ncontent-type: application/json\r\n\r\n{document}{DELIMITER}")
}

fn accepts(headers: &HeaderMap) -> String {
    let all = headers.get_all(ACCEPT).iter();
    all.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
        .collect()
}

fn respond(
    content_type: &'static str,
    frames: impl Stream<Item = String> + Send + 'static,
    served: Arc<AtomicU64>,
) -> Response<Body> {
    let bytes = frames.map(move |frame| {
        let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        served.fetch_add(length, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from(frame))
    });
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
