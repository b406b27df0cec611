//! The decision log and status APIs of Open Policy Agent
//! (<https://www.openpolicyagent.org/docs/management-decision-logs>,
//! <https://www.openpolicyagent.org/docs/management-status>): `POST /logs[/PARTITION]` with a gzipped JSON
//! array of events, `POST /status[/PARTITION]` with an object.

use std::io::Read;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use crate::intake::Intake;
use crate::mask::MaskPolicy;
use crate::record::{Batch, Kind, Record, Sink};
use crate::sender::{Field, Sender};
use crate::time;

/// Bytes of a body as it is sent, and unpacked.
const LARGEST: usize = 16 << 20;
const LARGEST_UNPACKED: u64 = 64 << 20;

#[derive(Clone)]
struct Receiver<S> {
    sink: S,
    mask: Option<MaskPolicy>,
}

/// The APIs. An upload is answered 200 when it is stored, 503 when it can't be: an OPA sends it again. Each
/// request needs a [`Sender`] as its extension, which says whose it is; without one it is answered 500.
///
/// What comes from a node that proved who it is, is that node's, whatever its label `id` says, which an OPA
/// chooses by chance; with a label `node` or `region` of another it is refused.
pub fn router<S: Sink>(sink: S, mask: Option<MaskPolicy>) -> Router {
    Router::new()
        .route("/logs", post(logs::<S>))
        .route("/logs/{*partition}", post(logs::<S>))
        .route("/status", post(status::<S>))
        .route("/status/{*partition}", post(status::<S>))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Receiver { sink, mask })
}

async fn logs<S: Sink>(
    State(receiver): State<Receiver<S>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Receiver { sink, mut mask } = receiver;
    let name = sender.name().to_owned();
    // Unpacking and masking take the processor for a while: not on a thread that serves.
    let read = tokio::task::spawn_blocking(move || {
        // Before anything is unpacked.
        may_send(&sender, &Value::Null)?;
        let events: Vec<Value> = unpack(&headers, &body)?;
        for event in &events {
            may_send(&sender, event)?;
        }
        let first = events.first().unwrap_or(&Value::Null);
        let source = format!("opa:{}", node(&sender, first));
        let mut intake = Intake::new(&source, mask.as_mut());
        let upload = format!("upload of {}", time::now_ms());
        let count = events.len() as u64;
        for (event, place) in events.into_iter().zip(0..) {
            intake.batch.lines += 1;
            match record(event, &sender) {
                Ok(record) => intake.record(record),
                Err((why, event)) => {
                    intake.malformed(why, event.to_string().as_bytes(), &upload, place);
                }
            }
        }
        Ok::<Batch, Refusal>(intake.done(&upload, count))
    });
    let batch = match read.await {
        Ok(Ok(batch)) => batch,
        Ok(Err(refusal)) => return refusal.told(&sink, &name),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let source = batch.source.clone();
    stored(&sink, &source, sink.commit(batch).await)
}

async fn status<S: Sink>(
    State(receiver): State<Receiver<S>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let name = sender.name().to_owned();
    let read = tokio::task::spawn_blocking(move || {
        may_send(&sender, &Value::Null)?;
        let status: Map<String, Value> = unpack(&headers, &body)?;
        let status = Value::Object(status);
        may_send(&sender, &status)?;
        Ok::<_, Refusal>((node(&sender, &status).to_owned(), status.to_string()))
    });
    let (of, text) = match read.await {
        Ok(Ok(read)) => read,
        Ok(Err(refusal)) => return refusal.told(&receiver.sink, &name),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let noted = receiver.sink.node_status(&of, time::now_ms(), &text).await;
    stored(&receiver.sink, &format!("opa:{of}"), noted)
}

fn stored<S: Sink>(sink: &S, source: &str, done: Result<(), crate::SinkError>) -> Response {
    match done {
        Ok(()) => {
            sink.trouble(source, None);
            (StatusCode::OK, "{}\n").into_response()
        }
        Err(error) => {
            sink.trouble(source, Some(&crate::run::told(&*error)));
            (StatusCode::SERVICE_UNAVAILABLE, "can't store it now\n").into_response()
        }
    }
}

/// Why an upload is refused.
struct Refusal(StatusCode, String);

impl Refusal {
    /// The answer. That somebody is not who it says is told to the sink.
    fn told<S: Sink>(self, sink: &S, sender: &str) -> Response {
        let Self(status, why) = self;
        if status == StatusCode::FORBIDDEN {
            sink.refused(sender, &why);
        }
        (status, format!("{why}\n")).into_response()
    }
}

fn unpack<T: serde::de::DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Refusal> {
    let refuse = |status: StatusCode, why: String| Err(Refusal(status, why));
    let encoding = headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes());
    let mut unpacked = Vec::new();
    let text = match encoding {
        None | Some(b"identity") => body,
        Some(b"gzip") => {
            let read = MultiGzDecoder::new(body)
                .take(LARGEST_UNPACKED + 1)
                .read_to_end(&mut unpacked);
            match read {
                Ok(_) if unpacked.len() as u64 > LARGEST_UNPACKED => {
                    let why = format!("unpacked it is larger than {LARGEST_UNPACKED} bytes");
                    return refuse(StatusCode::PAYLOAD_TOO_LARGE, why);
                }
                Ok(_) => unpacked.as_slice(),
                Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("no gzip: {error}")),
            }
        }
        Some(_) => {
            let why = "the content encoding must be gzip or none".to_owned();
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
        }
    };
    match serde_json::from_slice(text) {
        Ok(value) => Ok(value),
        Err(error) => refuse(
            StatusCode::BAD_REQUEST,
            format!("not what is expected: {error}"),
        ),
    }
}

fn node<'a>(sender: &'a Sender, event: &'a Value) -> &'a str {
    if let Sender::Node { node, .. } = sender {
        return node;
    }
    let id = event.pointer("/labels/id").and_then(Value::as_str);
    id.unwrap_or("unknown")
}

/// Whether who sends it may. Labels that it has not say nothing.
fn may_send(sender: &Sender, event: &Value) -> Result<(), Refusal> {
    let labels = event.get("labels");
    let label = |name| labels.and_then(|l| l.get(name));
    let said: Vec<(Field, Option<&str>)> = [("node", Field::Node), ("region", Field::Region)]
        .into_iter()
        .filter_map(|(name, field)| Some((field, label(name)?.as_str())))
        .collect();
    let may = sender.may_say(&said);
    may.map_err(|why| Refusal(StatusCode::FORBIDDEN, why))
}

/// An event of OPA's as a record, or what it lacks.
fn record(event: Value, sender: &Sender) -> Result<Record, (String, Value)> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let Some(id) = text("/decision_id").filter(|id| !id.is_empty()) else {
        return Err(("an event has no decision_id".to_owned(), event));
    };
    let Some(time_ms) = text("/timestamp").and_then(time::read) else {
        return Err(("an event has no timestamp".to_owned(), event));
    };
    let bundle = event.get("bundles").and_then(Value::as_object);
    let bundle = bundle.and_then(|bundles| bundles.values().next());
    let revision = bundle.and_then(|b| b.get("revision")?.as_str());
    let result = event.get("result");
    let allowed = result.and_then(|r| r.as_bool().or_else(|| r.get("allow")?.as_bool()));
    let outcome = match (event.get("error").filter(|e| !e.is_null()), allowed) {
        (Some(_), _) => "failed",
        (None, Some(true)) => "allowed",
        (None, Some(false)) => "denied",
        (None, None) => "",
    };
    Ok(Record {
        id: id.to_owned(),
        kind: Kind::Opa,
        beside: None,
        time_ms,
        node: node(sender, &event).to_owned(),
        revision: revision
            .or(text("/revision"))
            .unwrap_or_default()
            .to_owned(),
        tenant: text("/input/tenant").map(str::to_owned),
        outcome: outcome.to_owned(),
        response_code: None,
        duration_ms: None,
        own_us: None,
        masked: 0,
        store: None,
        store_region: None,
        line: event.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_read() {
        let event = json!({"decision_id": "4ca636c1-55e4-417a-b1d8-4aceb67960d1",
            "timestamp": "2026-11-27T17:00:00.123456789Z", "labels": {"id": "opa-1"},
            "bundles": {"main": {"revision": "r-7"}}, "path": "http/authz/allow",
            "input": {"tenant": "acme"}, "result": {"allow": false}});
        let read = record(event.clone(), &Sender::Believed).unwrap();
        assert_eq!((read.kind, read.time_ms), (Kind::Opa, 1_795_798_800_123));
        assert_eq!(
            (read.node.as_str(), read.revision.as_str()),
            ("opa-1", "r-7")
        );
        assert_eq!(
            (read.outcome.as_str(), read.tenant.as_deref()),
            ("denied", Some("acme"))
        );
        for (name, value, outcome) in [
            ("result", json!(true), "allowed"),
            ("result", json!("x"), ""),
            ("error", json!({"code": "internal_error"}), "failed"),
        ] {
            let mut event = event.clone();
            event[name] = value;
            assert_eq!(record(event, &Sender::Believed).unwrap().outcome, outcome);
        }
        for lacks in ["decision_id", "timestamp"] {
            let mut event = event.clone();
            event.as_object_mut().unwrap().remove(lacks);
            assert!(
                record(event, &Sender::Believed)
                    .unwrap_err()
                    .0
                    .contains(lacks)
            );
        }
    }
}
