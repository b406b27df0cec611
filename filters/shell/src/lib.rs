//! What the shells share: host calls as plain functions that never panic.
//!
//! The SDK's traits unwrap what the host answers; these do not. Where the host fails, the caller
//! fails closed.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod slots;
mod uses;

pub use uses::SharedUses;

use std::time::Duration;

use engine::filter::Edit;
use engine::identity::{self, Claims, Unreadable};
use engine::patch;
use engine::reply::Reply;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType, Status};
use slots::SharedSlots;

/// Loads a filter's configuration, of `size` bytes, whole or as a patch of one before. `None` if it can't
/// be used: the log says why, under the filter's name.
pub fn configured<T>(
    filter: &str,
    size: usize,
    load: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Option<T> {
    let config = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size);
    let slots = SharedSlots::of_this_place();
    let loaded = patch::resolve(config.ok().flatten().unwrap_or_default(), &slots)
        .map_err(|e| e.to_string())
        .and_then(|resolved| {
            let loaded = load(&resolved.text)?;
            patch::keep(&resolved, &slots);
            Ok(loaded)
        });
    loaded
        .inspect_err(|e| log(LogLevel::Critical, &format!("{filter}: {e}")))
        .ok()
}

/// A variable of the environment that the proxy gives the filter.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The claims that `jwt_authn` left in the dynamic metadata.
pub struct MetadataClaims<'a> {
    path: &'a [String],
    /// All claims at once, as one encoded map.
    payload: Option<Vec<u8>>,
}

impl<'a> MetadataClaims<'a> {
    /// Asks for the payload at `path`, whole: one call instead of one a claim. The host can't give a
    /// payload that holds a null anywhere; then claims are asked for one by one.
    pub fn read(path: &'a [String]) -> Self {
        let payload = hostcalls::get_property(path.iter().map(String::as_str).collect());
        let payload = payload
            .ok()
            .flatten()
            .filter(|p| identity::map(p).is_some());
        Self { path, payload }
    }
}

impl Claims for MetadataClaims<'_> {
    fn claim(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        if let Some(payload) = &self.payload {
            return Ok(identity::member(payload, name.as_bytes()).map(<[u8]>::to_vec));
        }
        let mut path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        path.push(name);
        hostcalls::get_property(path).map_err(|_| Unreadable)
    }
}

/// The headers of a map; empty if the host has none.
pub fn headers(map: MapType) -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(map).unwrap_or_default()
}

/// Changes a header map.
///
/// # Errors
/// The host refused a change: the message must not go on.
pub fn edit(map: MapType, edits: &[Edit]) -> Result<(), Status> {
    for edit in edits {
        match edit {
            Edit::Remove(name) => hostcalls::remove_map_value(map, name)?,
            Edit::Set(name, value) => hostcalls::set_map_value(map, name, Some(value))?,
        }
    }
    Ok(())
}

/// `size` bytes of a body buffer from `start` on.
///
/// # Errors
/// The host has fewer.
pub fn body(buffer: BufferType, start: usize, size: usize) -> Result<Vec<u8>, Status> {
    if size == 0 {
        return Ok(Vec::new());
    }
    match hostcalls::get_buffer(buffer, start, size)? {
        Some(bytes) if bytes.len() == size => Ok(bytes),
        _ => Err(Status::InternalFailure),
    }
}

/// Sends a reply in the place of the response; after its headers have gone out, the proxy cuts the
/// response off.
pub fn send(reply: &Reply) {
    let headers: Vec<(&str, &str)> = reply
        .headers
        .iter()
        .map(|(n, v)| (*n, v.as_str()))
        .collect();
    let body = Some(reply.body.as_bytes());
    if hostcalls::send_http_response(u32::from(reply.status), headers, body).is_err() {
        log(
            LogLevel::Critical,
            "the proxy refused to send the filter's reply",
        );
    }
}

/// Leaves a record where the access log finds it: `%FILTER_STATE(wasm.NAME:PLAIN)%`.
pub fn leave_record(name: &str, json: &str) {
    if hostcalls::set_property(vec![name], Some(json.as_bytes())).is_err() {
        log(
            LogLevel::Error,
            "the decision could not be left for the access log",
        );
    }
}

/// Whether the response at hand is the upstream's and not the proxy's own. A proxy that does not say
/// is taken to pass on its upstream's.
pub fn from_upstream() -> bool {
    let details = hostcalls::get_property(vec!["response", "code_details"])
        .ok()
        .flatten();
    details.is_none_or(|d| d == b"via_upstream")
}

/// Makes the proxy choose the route anew.
///
/// # Errors
/// The proxy does not know how: the old route would stand.
pub fn clear_route_cache() -> Result<(), Status> {
    hostcalls::call_foreign_function("clear_route_cache", None).map(|_| ())
}

/// Tells all virtual machines of this filter, on every thread.
///
/// # Errors
/// The host does not pass it on.
pub fn announce(name: &str, value: &str) -> Result<(), Status> {
    hostcalls::set_shared_data(name, Some(value.as_bytes()), None)
}

/// Whether this is what was announced last. A host that does not tell has announced something else.
pub fn is_announced(name: &str, value: &str) -> bool {
    let last = hostcalls::get_shared_data(name).ok().and_then(|(v, _)| v);
    last.is_some_and(|last| last == value.as_bytes())
}

/// Writes to the proxy's log.
pub fn log(level: LogLevel, message: &str) {
    let _ = hostcalls::log(level, message);
}

/// A metric of the proxy; one that could not be defined counts nothing.
#[derive(Debug, Clone, Copy)]
pub struct Metric(Option<u32>);

impl Metric {
    /// A counter.
    pub fn counter(name: &str) -> Self {
        Self(hostcalls::define_metric(MetricType::Counter, name).ok())
    }

    /// A histogram.
    pub fn histogram(name: &str) -> Self {
        Self(hostcalls::define_metric(MetricType::Histogram, name).ok())
    }

    /// Counts.
    pub fn add(self, n: u64) {
        if let (Some(id), 1..) = (self.0, n) {
            let _ = hostcalls::increment_metric(id, i64::try_from(n).unwrap_or(i64::MAX));
        }
    }

    /// Records a value.
    pub fn record(self, value: u64) {
        if let Some(id) = self.0 {
            let _ = hostcalls::record_metric(id, value);
        }
    }
}

/// A name as metrics can have it: letters, digits and `_`.
pub fn metric_name(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(legal).collect()
}

/// The time since some moment, or zero if the host does not tell.
pub fn now() -> Duration {
    hostcalls::get_current_time()
        .ok()
        .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok())
        .unwrap_or_default()
}
