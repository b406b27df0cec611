//! Recorded exchanges: a JSON file that says which filters an exchange passes and what is sent.
//!
//! ```json
//! {
//!   "about": "an analyst asks for e-mail addresses",
//!   "filters": [
//!     { "wasm": "masking.wasm", "config": "masking.json", "allow_on_headers_stop_iteration": true }
//!   ],
//!   "env": { "IG_MASK_KEYS": "…" },
//!   "now": 1767225600,
//!   "claims": { "sub": "ann", "tenant": "acme", "roles": ["analyst"] },
//!   "properties": [ { "path": ["source", "address"], "value": "10.0.0.7:5000" } ],
//!   "request": {
//!     "method": "POST", "path": "/graphql",
//!     "headers": { "content-type": "application/json" },
//!     "body": { "query": "{ me { email } }" }
//!   },
//!   "response": {
//!     "status": 200,
//!     "headers": { "content-type": "application/json" },
//!     "body": { "data": { "me": { "email": "ann@example.test" } } },
//!     "splits": [10, 25]
//!   },
//!   "callouts": { "auth": { "status": 200, "text": "ok", "delay_ms": 20 } }
//! }
//! ```
//!
//! Only `request` is required. A body is `body` (JSON, sent with the whitespace that it has in the
//! file) or `text`; it is cut at the byte offsets of `splits` or every `split_every` bytes. Header
//! values are text or a list of texts. `content-length` is added where a body has none. Paths are
//! relative to the file. Unknown fields are errors.

use crate::error::Error;
use crate::exchange::{EndOfBody, Exchange, Message};
use crate::host::{Host, HttpAnswer};
use crate::stream::Chain;
use crate::vm::{FailurePolicy, Plugin, PluginOptions, Vm, VmOptions};
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod convert;

use convert::{body, cut, message, property};

/// A recorded exchange. The module's documentation shows the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// What it is about, for people.
    pub about: Option<String>,
    /// Filters in the order in which the request passes them.
    #[serde(default)]
    pub filters: Vec<RecordedFilter>,
    /// Environment variables of every filter.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Virtual time in seconds since the Unix epoch; 2026-01-01T00:00:00Z if there is none.
    pub now: Option<u64>,
    /// Verified claims, as `jwt_authn` puts them into dynamic metadata.
    pub claims: Option<Json>,
    /// `payload_in_metadata` of `jwt_authn`.
    #[serde(default = "payload")]
    pub payload_in_metadata: String,
    /// Further dynamic metadata by filter name.
    #[serde(default)]
    pub metadata: serde_json::Map<String, Json>,
    /// Further properties.
    #[serde(default)]
    pub properties: Vec<RecordedProperty>,
    /// What the client sends.
    pub request: RecordedRequest,
    /// What the upstream answers; 200 without a body if there is none.
    pub response: Option<RecordedResponse>,
    /// Answers to HTTP callouts by cluster.
    #[serde(default)]
    pub callouts: BTreeMap<String, RecordedCallout>,
}

/// A filter of a recorded exchange: a VM with one plugin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFilter {
    /// The module.
    pub wasm: PathBuf,
    /// File with the plugin's configuration; an empty one if there is none.
    pub config: Option<PathBuf>,
    /// `vm_id`, and the plugin's name; the module's file name if there is none.
    pub name: Option<String>,
    /// See [`PluginOptions::allow_on_headers_stop_iteration`].
    #[serde(default)]
    pub allow_on_headers_stop_iteration: bool,
}

/// A property of the stream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedProperty {
    /// Path, part by part.
    pub path: Vec<String>,
    /// Text, whole number (a signed 64-bit integer), fraction (a double), bool, list or object.
    pub value: Json,
}

/// What the client sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRequest {
    /// Method.
    pub method: String,
    /// Path with the query.
    pub path: String,
    /// Host.
    #[serde(default = "authority")]
    pub authority: String,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderValues>,
    /// Body as JSON.
    pub body: Option<Box<RawValue>>,
    /// Body as text.
    pub text: Option<String>,
    /// Byte offsets at which the body is cut.
    pub splits: Option<Vec<usize>>,
    /// Size of the pieces of the body, in bytes.
    pub split_every: Option<usize>,
    /// Trailers.
    pub trailers: Option<BTreeMap<String, HeaderValues>>,
}

/// What the upstream answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedResponse {
    /// Status.
    pub status: u16,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderValues>,
    /// Body as JSON.
    pub body: Option<Box<RawValue>>,
    /// Body as text.
    pub text: Option<String>,
    /// Byte offsets at which the body is cut.
    pub splits: Option<Vec<usize>>,
    /// Size of the pieces of the body, in bytes.
    pub split_every: Option<usize>,
    /// Trailers.
    pub trailers: Option<BTreeMap<String, HeaderValues>>,
}

/// Answer to an HTTP callout.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCallout {
    /// Status.
    pub status: u16,
    /// Body.
    #[serde(default)]
    pub text: String,
    /// When it comes, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
}

/// One value of a header or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum HeaderValues {
    /// One.
    One(String),
    /// Several, each a header of its own.
    Several(Vec<String>),
}

fn payload() -> String {
    "payload".to_owned()
}

fn authority() -> String {
    "example.test".to_owned()
}

impl Recording {
    /// Reads a recording; paths in it become relative to the working directory.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not what the format says, with line and column.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read(path)?;
        let mut recording: Recording =
            serde_json::from_slice(&text).map_err(|source| Error::Recording {
                path: path.to_owned(),
                source,
            })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for filter in &mut recording.filters {
            filter.wasm = folder.join(&filter.wasm);
            filter.config = filter.config.take().map(|config| folder.join(config));
        }
        Ok(recording)
    }

    /// Loads the filters into one process with the recording's clock, variables and callouts.
    ///
    /// # Errors
    ///
    /// There is no filter, a file cannot be read, a module is broken or refuses its configuration.
    pub fn load(&self) -> Result<Chain, Error> {
        if self.filters.is_empty() {
            return Err(Error::RecordedValue {
                place: "filters",
                problem: "names no filter; name one there or on the command line".to_owned(),
            });
        }
        let host = Host::new();
        if let Some(now) = self.now {
            host.set_now(Duration::from_secs(now));
        }
        for (cluster, callout) in &self.callouts {
            let callout = callout.clone();
            host.on_http_call(cluster, move |_| {
                let delay = Duration::from_millis(callout.delay_ms);
                HttpAnswer::respond(callout.status, &callout.text).after(delay)
            });
        }
        let plugins: Result<Vec<Plugin>, Error> = self
            .filters
            .iter()
            .map(|filter| self.load_filter(filter, &host))
            .collect();
        Ok(Chain::new(&plugins?))
    }

    fn load_filter(&self, filter: &RecordedFilter, host: &Host) -> Result<Plugin, Error> {
        let stem = filter
            .wasm
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name = filter.name.clone().unwrap_or(stem);
        let configuration = filter
            .config
            .as_deref()
            .map(read)
            .transpose()?
            .unwrap_or_default();
        let options = VmOptions {
            vm_id: name.clone(),
            env: self.env.clone().into_iter().collect(),
            host: Some(host.clone()),
            failure_policy: FailurePolicy::Closed,
            ..VmOptions::default()
        };
        Vm::load(&read(&filter.wasm)?, options)?.plugin(PluginOptions {
            name,
            configuration,
            allow_on_headers_stop_iteration: filter.allow_on_headers_stop_iteration,
            ..PluginOptions::default()
        })
    }

    /// The exchange itself.
    ///
    /// # Errors
    ///
    /// A body or a cut makes no sense.
    pub fn exchange(&self) -> Result<Exchange, Error> {
        let request = &self.request;
        let pseudo = [
            (":method", request.method.as_str()),
            (":scheme", "http"),
            (":authority", request.authority.as_str()),
            (":path", request.path.as_str()),
        ];
        let request = message(
            pseudo.into(),
            &request.headers,
            body(
                "request.body",
                request.body.as_deref(),
                request.text.as_deref(),
            )?,
            cut(
                "request.splits",
                request.splits.as_deref(),
                request.split_every,
            )?,
            request.trailers.as_ref(),
        );
        let response = match &self.response {
            None => Message::new([(":status", "200")]),
            Some(response) => message(
                [(":status", response.status.to_string())].into(),
                &response.headers,
                body(
                    "response.body",
                    response.body.as_deref(),
                    response.text.as_deref(),
                )?,
                cut(
                    "response.splits",
                    response.splits.as_deref(),
                    response.split_every,
                )?,
                response.trailers.as_ref(),
            ),
        };
        let mut exchange = Exchange::new(request, response);
        exchange.end_of_body = EndOfBody::Alone;
        exchange.info.metadata.clone_from(&self.metadata);
        if let Some(claims) = &self.claims {
            exchange
                .info
                .set_claims(&self.payload_in_metadata, claims.clone());
        }
        for RecordedProperty { path, value } in &self.properties {
            exchange
                .info
                .properties
                .insert(path.clone(), property(value));
        }
        Ok(exchange)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Property;

    fn parse(text: &str) -> Result<Recording, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_recording_becomes_an_exchange_with_the_bytes_of_the_file() {
        let recording = parse(
            r#"{
                "claims": {"sub": "ann"},
                "properties": [{"path": ["a", "b"], "value": 3}],
                "request": {"method": "POST", "path": "/graphql", "body": {"query":  "{ me }"},
                            "headers": {"X-A": ["1", "2"]}, "split_every": 5},
                "response": {"status": 200, "text": "abcdef", "splits": [2], "trailers": {"t": "1"}}
            }"#,
        )
        .unwrap();
        let exchange = recording.exchange().unwrap();
        assert_eq!(exchange.request.body(), br#"{"query":  "{ me }"}"#);
        assert_eq!(exchange.request.chunks.len(), 4);
        assert_eq!(exchange.request.headers.get_all("x-a"), ["1", "2"]);
        assert_eq!(
            exchange.request.headers.get("content-length").as_deref(),
            Some("20")
        );
        assert_eq!(exchange.response.chunks, [b"ab".to_vec(), b"cdef".to_vec()]);
        assert_eq!(exchange.response.trailers, Some([("t", "1")].into()));
        let path = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(exchange.info.properties[&path], Property::Int(3));
        assert!(
            recording
                .load()
                .is_err_and(|error| error.to_string().starts_with("filters: "))
        );
    }

    #[test]
    fn what_makes_no_sense_is_an_error_that_names_its_place() {
        let error = parse(r#"{"request": {"method": "GET", "path": "/", "heders": {}}}"#);
        assert!(error.unwrap_err().to_string().contains("heders"));
        for (part, place) in [
            (r#""body": 1, "text": "x""#, "request.body"),
            (r#""text": "abc", "splits": [2, 1]"#, "request.splits"),
            (r#""text": "abc", "split_every": 0"#, "request.splits"),
        ] {
            let text = format!(r#"{{"request": {{"method": "GET", "path": "/", {part}}}}}"#);
            let error = parse(&text).unwrap().exchange().unwrap_err();
            assert!(error.to_string().starts_with(place), "{error}");
        }
    }
}
