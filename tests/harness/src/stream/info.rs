//! What Envoy knows of a stream besides its bytes; the filters of a chain share it.

use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A property value of a stream with the type that Envoy gives it, which fixes its encoding.
#[derive(Debug, Clone, PartialEq)]
pub enum Property {
    /// Text or bytes, passed as they are.
    Bytes(Vec<u8>),
    /// A signed integer (also a time or a duration in nanoseconds): 8 bytes little-endian.
    Int(i64),
    /// An unsigned integer: 8 bytes little-endian.
    Uint(u64),
    /// A double: 8 bytes little-endian. Every number of dynamic metadata is one.
    Double(f64),
    /// One byte, 0 or 1.
    Bool(bool),
    /// A structure as protobuf's `Struct`: objects and lists become serialised pairs.
    Json(Json),
}

impl From<&str> for Property {
    fn from(text: &str) -> Self {
        Property::Bytes(text.as_bytes().to_vec())
    }
}

/// Facts about a stream, and what filters left on it.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamInfo {
    /// Dynamic metadata: one object a filter name, such as `envoy.filters.http.jwt_authn`.
    pub metadata: serde_json::Map<String, Json>,
    /// Filter state. `proxy_set_property` writes under `wasm.` followed by the path.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// How often a filter had the route looked up anew.
    pub route_cache_clears: u32,
    /// Further properties by path, such as `["source", "address"]`; they win over what the harness
    /// would answer by itself.
    pub properties: BTreeMap<Vec<String>, Property>,
}

impl Default for StreamInfo {
    fn default() -> Self {
        let mut info = Self {
            metadata: serde_json::Map::new(),
            filter_state: BTreeMap::new(),
            route_cache_clears: 0,
            properties: BTreeMap::new(),
        };
        info.set_property(&["source", "address"], "127.0.0.1:40000");
        info.set_property(&["source", "port"], Property::Int(40000));
        info.set_property(&["destination", "address"], "127.0.0.1:10000");
        info.set_property(&["destination", "port"], Property::Int(10000));
        info.set_property(&["connection", "id"], Property::Uint(1));
        info.set_property(&["connection", "mtls"], Property::Bool(false));
        info.set_property(&["connection_id"], Property::Uint(1));
        info.set_property(&["request", "protocol"], "HTTP/1.1");
        info.set_property(&["request", "id"], "00000000-0000-4000-8000-000000000001");
        info
    }
}

impl StreamInfo {
    /// Sets a property by path.
    pub fn set_property(&mut self, path: &[&str], value: impl Into<Property>) {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        self.properties.insert(path, value.into());
    }

    /// Puts verified claims where `jwt_authn` puts them: under `payload_in_metadata` of the
    /// namespace `envoy.filters.http.jwt_authn`.
    pub fn set_claims(&mut self, payload_in_metadata: &str, claims: Json) {
        let namespace = self
            .metadata
            .entry("envoy.filters.http.jwt_authn")
            .or_insert_with(|| json!({}));
        namespace[payload_in_metadata] = claims;
    }

    /// What a filter stored with `proxy_set_property` under a path of one part.
    pub fn wasm_state(&self, name: &str) -> Option<&[u8]> {
        self.filter_state
            .get(&format!("wasm.{name}"))
            .map(Vec::as_slice)
    }
}
