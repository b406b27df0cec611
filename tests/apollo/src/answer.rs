//! What came back, and what must not be in it.

use hyper::HeaderMap;
use serde_json::Value;

use crate::canary::{Canary, canaries};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// What came of the body.
    pub body: String,
    /// In how many pieces it came.
    pub pieces: usize,
    /// Whether all of it came.
    pub complete: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, headers: HeaderMap) -> Self {
        Self {
            status,
            headers,
            body: String::new(),
            pieces: 0,
            complete: true,
        }
    }

    pub(crate) fn extend(&mut self, piece: &[u8]) {
        self.body.push_str(&String::from_utf8_lossy(piece));
        self.pieces += 1;
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A header's text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// `extensions.code` of the first error, or `-`.
    pub fn code(&self) -> String {
        let json = self.json();
        let code = json.pointer("/errors/0/extensions/code");
        code.and_then(Value::as_str).unwrap_or("-").to_owned()
    }

    /// `message` of the first error, or `-`.
    pub fn message(&self) -> String {
        let json = self.json();
        let message = json.pointer("/errors/0/message");
        message.and_then(Value::as_str).unwrap_or("-").to_owned()
    }

    /// The payloads of a `multipart/mixed` body, in order (RFC 2046, section 5.1, with the
    /// separator `-` that all GraphQL servers use).
    ///
    /// # Panics
    /// A part is not JSON.
    pub fn parts(&self) -> Vec<Value> {
        self.body
            .split("\r\n---")
            .filter_map(|part| part.split_once("\r\n\r\n"))
            .map(|(_, payload)| {
                serde_json::from_str(payload.trim())
                    .unwrap_or_else(|error| panic!("{error} in a part of {}", self.body))
            })
            .collect()
    }

    /// The payloads of the `next` events of a `text/event-stream` body (GraphQL over SSE, distinct
    /// connections mode).
    ///
    /// # Panics
    /// An event's data is not JSON.
    pub fn events(&self) -> Vec<Value> {
        let data = |event: &str| -> Option<Value> {
            if !event.lines().any(|line| line == "event: next") {
                return None;
            }
            let data: String = event
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .collect();
            let json = serde_json::from_str(data.trim());
            Some(json.unwrap_or_else(|error| panic!("{error} in an event of {}", self.body)))
        };
        self.body.split("\n\n").filter_map(data).collect()
    }

    /// The canaries that are in it: in the body or a header, plain or encoded.
    pub fn leaks(&self) -> Vec<Canary> {
        let headers: Vec<String> = self
            .headers
            .values()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        canaries()
            .into_iter()
            .filter(|canary| canary.is_in(&self.body) || headers.iter().any(|h| canary.is_in(h)))
            .collect()
    }
}
