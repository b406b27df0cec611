//! Property lookup with Envoy's attribute names and encodings (`Context::getProperty`,
//! `serializeValue` of `source/extensions/common/wasm/context.cc`).

use crate::abi::{Status, encode_pairs};
use crate::headers::Headers;
use crate::stream::{Property, StreamInfo};
use serde_json::Value as Json;

mod protobuf;

/// What a lookup can see. `info` and the maps are absent in a root context.
pub(crate) struct View<'a> {
    pub(crate) plugin_name: &'a str,
    pub(crate) root_id: &'a str,
    pub(crate) vm_id: &'a str,
    pub(crate) node: &'a Json,
    pub(crate) info: Option<&'a StreamInfo>,
    pub(crate) request: Option<&'a Headers>,
    pub(crate) response: Option<&'a Headers>,
    pub(crate) response_trailers: Option<&'a Headers>,
    /// Nanoseconds since the Unix epoch at which the stream began.
    pub(crate) started: u64,
}

enum Value {
    Bytes(Vec<u8>),
    Int(i64),
    Uint(u64),
    Double(f64),
    Bool(bool),
    Null,
    Map(Vec<(String, Value)>),
    List(Vec<Value>),
    /// A protobuf message: its encoding and its fields.
    Message(Vec<u8>, Vec<(String, Value)>),
}

/// Looks up a path whose parts are separated by zero bytes and encodes what it finds.
pub(crate) fn lookup(path: &[u8], view: &View<'_>) -> Result<Vec<u8>, Status> {
    let parts: Vec<String> = path
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    if let Some(property) = view.info.and_then(|info| info.properties.get(&parts)) {
        return encode(&Value::from(property));
    }
    let (first, rest) = parts.split_first().ok_or(Status::NotFound)?;
    let mut value = top_level(first, view).ok_or(Status::NotFound)?;
    for part in rest {
        value = match value {
            Value::Map(fields) | Value::Message(_, fields) => {
                fields
                    .into_iter()
                    .find(|(name, _)| name == part)
                    .ok_or(Status::NotFound)?
                    .1
            }
            Value::List(values) => {
                let index: usize = part.parse().map_err(|_| Status::NotFound)?;
                values.into_iter().nth(index).ok_or(Status::NotFound)?
            }
            _ => return Err(Status::NotFound),
        };
    }
    encode(&value)
}

/// The filter state key that `proxy_set_property` writes: the path as it came, zero bytes and all.
pub(crate) fn state_key(path: &[u8]) -> String {
    format!("wasm.{}", String::from_utf8_lossy(path))
}

fn top_level(name: &str, view: &View<'_>) -> Option<Value> {
    let text = |text: &str| Some(Value::Bytes(text.as_bytes().to_vec()));
    match name {
        "plugin_name" => return text(view.plugin_name),
        "plugin_root_id" => return text(view.root_id),
        "plugin_vm_id" => return text(view.vm_id),
        "node" => return Some(node(view.node)),
        "listener_direction" => return Some(Value::Int(1)),
        _ => {}
    }
    let info = view.info?;
    let built_in = match name {
        "metadata" => Some(metadata(info)),
        "request" => Some(Value::Map(request(view))),
        "response" => Some(Value::Map(response(view))),
        "filter_state" => {
            let state = info.filter_state.iter();
            Some(Value::Map(
                state
                    .map(|(key, value)| (key.clone(), Value::Bytes(value.clone())))
                    .collect(),
            ))
        }
        "source" | "destination" | "connection" | "upstream" => Some(Value::Map(Vec::new())),
        _ => info
            .filter_state
            .get(&state_key(name.as_bytes()))
            .cloned()
            .map(Value::Bytes),
    };
    // What the test set below this name joins, or makes, the map.
    let below = info
        .properties
        .iter()
        .filter(|(path, _)| path.len() == 2 && path[0] == name);
    let mut set: Vec<(String, Value)> = below
        .map(|(path, property)| (path[1].clone(), Value::from(property)))
        .collect();
    match built_in {
        Some(Value::Map(mut fields)) => {
            fields.retain(|(own, _)| !set.iter().any(|(name, _)| name == own));
            fields.append(&mut set);
            Some(Value::Map(fields))
        }
        None if !set.is_empty() => Some(Value::Map(set)),
        other => other,
    }
}

fn headers(map: Option<&Headers>) -> Value {
    let pairs = map.into_iter().flat_map(Headers::iter);
    Value::Map(
        pairs
            .map(|(name, value)| (name.to_owned(), Value::Bytes(value.to_vec())))
            .collect(),
    )
}

fn request(view: &View<'_>) -> Vec<(String, Value)> {
    let mut fields = vec![
        ("headers".to_owned(), headers(view.request)),
        ("time".to_owned(), Value::Int(view.started as i64)),
    ];
    let mut field = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            fields.push((name.to_owned(), Value::Bytes(value.into_bytes())));
        }
    };
    let header = |name: &str| view.request.and_then(|map| map.get(name));
    let path = header(":path");
    let (url_path, query) = match path.as_deref().and_then(|path| path.split_once('?')) {
        Some((before, query)) => (Some(before.to_owned()), Some(query.to_owned())),
        None => (path.clone(), path.as_ref().map(|_| String::new())),
    };
    field("path", path);
    field("url_path", url_path);
    field("query", query);
    field("host", header(":authority"));
    field("method", header(":method"));
    field("scheme", header(":scheme"));
    field("referer", header("referer"));
    field("useragent", header("user-agent"));
    if let Some(size) = header("content-length").and_then(|size| size.parse().ok()) {
        fields.push(("size".to_owned(), Value::Int(size)));
    }
    if let Some(map) = view.request {
        fields.push(("total_size".to_owned(), Value::Int(map.byte_size() as i64)));
    }
    fields
}

fn response(view: &View<'_>) -> Vec<(String, Value)> {
    let mut fields = vec![
        ("headers".to_owned(), headers(view.response)),
        ("trailers".to_owned(), headers(view.response_trailers)),
        ("flags".to_owned(), Value::Int(0)),
    ];
    let header = |name: &str| view.response.and_then(|map| map.get(name));
    if let Some(code) = header(":status").and_then(|status| status.parse().ok()) {
        fields.push(("code".to_owned(), Value::Int(code)));
    }
    if let Some(size) = header("content-length").and_then(|size| size.parse().ok()) {
        fields.push(("size".to_owned(), Value::Int(size)));
    }
    fields
}

fn node(node: &Json) -> Value {
    let mut encoding = Vec::new();
    for (number, name) in [(1, "id"), (2, "cluster")] {
        if let Some(text) = node[name].as_str() {
            protobuf::bytes(&mut encoding, number, text.as_bytes());
        }
    }
    if node["metadata"].is_object() {
        protobuf::bytes(&mut encoding, 3, &protobuf::structure(&node["metadata"]));
    }
    let Value::Map(fields) = Value::from(node) else {
        return Value::Null;
    };
    Value::Message(encoding, fields)
}

/// `envoy.config.core.v3.Metadata`: 1 is a map of filter name to `Struct`.
fn metadata(info: &StreamInfo) -> Value {
    let mut encoding = Vec::new();
    let mut filters = Vec::new();
    for (name, value) in &info.metadata {
        let mut entry = Vec::new();
        protobuf::bytes(&mut entry, 1, name.as_bytes());
        protobuf::bytes(&mut entry, 2, &protobuf::structure(value));
        protobuf::bytes(&mut encoding, 1, &entry);
        filters.push((name.clone(), Value::from(value)));
    }
    Value::Message(
        encoding,
        vec![("filter_metadata".to_owned(), Value::Map(filters))],
    )
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            // A Struct holds doubles only.
            Json::Number(number) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Value::Bytes(text.as_bytes().to_vec()),
            Json::Array(values) => Value::List(values.iter().map(Value::from).collect()),
            Json::Object(fields) => {
                let fields = fields.iter();
                Value::Map(
                    fields
                        .map(|(name, value)| (name.clone(), Value::from(value)))
                        .collect(),
                )
            }
        }
    }
}

impl From<&Property> for Value {
    fn from(property: &Property) -> Self {
        match property {
            Property::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Property::Int(value) => Value::Int(*value),
            Property::Uint(value) => Value::Uint(*value),
            Property::Double(value) => Value::Double(*value),
            Property::Bool(value) => Value::Bool(*value),
            Property::Json(json) => Value::from(json),
        }
    }
}

fn encode(value: &Value) -> Result<Vec<u8>, Status> {
    let nested = |value: &Value| encode(value).map_err(|_| Status::SerializationFailure);
    Ok(match value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::Int(value) => value.to_le_bytes().to_vec(),
        Value::Uint(value) => value.to_le_bytes().to_vec(),
        Value::Double(value) => value.to_le_bytes().to_vec(),
        Value::Bool(value) => vec![u8::from(*value)],
        Value::Null => return Err(Status::SerializationFailure),
        Value::Map(fields) => {
            let pairs: Result<Vec<_>, Status> = fields
                .iter()
                .map(|(name, value)| Ok((name.as_bytes(), nested(value)?)))
                .collect();
            encode_pairs(&pairs?)
        }
        // A list is a map whose names are its values and whose values are empty.
        Value::List(values) => {
            let pairs: Result<Vec<_>, Status> = values
                .iter()
                .map(|value| Ok((nested(value)?, b"")))
                .collect();
            encode_pairs(&pairs?)
        }
        Value::Message(encoding, _) => encoding.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &[&str], info: &StreamInfo) -> Result<Vec<u8>, Status> {
        let request = Headers::from([(":path", "/graphql?x=1"), (":method", "POST"), ("a", "b")]);
        let view = View {
            plugin_name: "masking",
            root_id: "root",
            vm_id: "vm",
            node: &json!({"id": "n1", "metadata": {"REGION": "eu"}}),
            info: Some(info),
            request: Some(&request),
            response: None,
            response_trailers: None,
            started: 7,
        };
        lookup(path.join("\0").as_bytes(), &view)
    }

    #[test]
    fn claims_have_the_encodings_of_envoy() {
        let mut info = StreamInfo::default();
        let claims = json!({
            "sub": "ann", "roles": ["a", "bc"], "level": 2, "admin": true, "gone": null,
            "deep": {"list": [{"x": 1.5}]},
        });
        info.set_claims("payload", claims);
        let claim = |path: &[&str]| {
            let mut full = vec![
                "metadata",
                "filter_metadata",
                "envoy.filters.http.jwt_authn",
                "payload",
            ];
            full.extend(path);
            find(&full, &info)
        };
        assert_eq!(claim(&["sub"]), Ok(b"ann".to_vec()));
        assert_eq!(
            claim(&["roles"]),
            Ok(encode_pairs(&[("a", ""), ("bc", "")]))
        );
        assert_eq!(claim(&["roles", "1"]), Ok(b"bc".to_vec()));
        assert_eq!(claim(&["level"]), Ok(2f64.to_le_bytes().to_vec()));
        assert_eq!(claim(&["admin"]), Ok(vec![1]));
        assert_eq!(
            claim(&["deep", "list", "0", "x"]),
            Ok(1.5f64.to_le_bytes().to_vec())
        );
        assert_eq!(claim(&["gone"]), Err(Status::SerializationFailure));
        assert_eq!(claim(&["missing"]), Err(Status::NotFound));
        assert_eq!(claim(&["sub", "x"]), Err(Status::NotFound));
        assert_eq!(claim(&["roles", "2"]), Err(Status::NotFound));
    }

    #[test]
    fn a_whole_message_is_protobuf() {
        let mut info = StreamInfo::default();
        info.metadata.insert("f".into(), json!({"k": "v"}));
        // Metadata{1: {1: "f", 2: Struct{1: {1: "k", 2: Value{3: "v"}}}}}
        let expected = b"\x0a\x0f\x0a\x01f\x12\x0a\x0a\x08\x0a\x01k\x12\x03\x1a\x01v";
        assert_eq!(find(&["metadata"], &info), Ok(expected.to_vec()));
        assert_eq!(find(&["node", "id"], &info), Ok(b"n1".to_vec()));
        assert_eq!(
            find(&["node", "metadata", "REGION"], &info),
            Ok(b"eu".to_vec())
        );
    }

    #[test]
    fn request_attributes_and_what_a_test_sets() {
        let mut info = StreamInfo::default();
        assert_eq!(
            find(&["request", "url_path"], &info),
            Ok(b"/graphql".to_vec())
        );
        assert_eq!(find(&["request", "query"], &info), Ok(b"x=1".to_vec()));
        assert_eq!(find(&["request", "headers", "a"], &info), Ok(b"b".to_vec()));
        assert_eq!(
            find(&["request", "time"], &info),
            Ok(7i64.to_le_bytes().to_vec())
        );
        assert_eq!(
            find(&["source", "address"], &info),
            Ok(b"127.0.0.1:40000".to_vec())
        );
        assert_eq!(find(&["xds", "route_name"], &info), Err(Status::NotFound));
        info.set_property(&["xds", "route_name"], "r");
        assert_eq!(find(&["xds", "route_name"], &info), Ok(b"r".to_vec()));
        info.filter_state.insert("wasm.own".into(), b"1".to_vec());
        assert_eq!(find(&["own"], &info), Ok(b"1".to_vec()));
        assert_eq!(
            find(&["filter_state", "wasm.own"], &info),
            Ok(b"1".to_vec())
        );
    }
}
