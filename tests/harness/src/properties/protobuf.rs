//! `google.protobuf.Struct`, for the few messages that a property shows whole.

use serde_json::Value as Json;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

pub(super) fn structure(json: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in json.as_object().into_iter().flatten() {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, name.as_bytes());
        bytes(&mut entry, 2, &self::value(value));
        bytes(&mut out, 1, &entry);
    }
    out
}

fn value(json: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    match json {
        Json::Null => out.extend([1 << 3, 0]),
        Json::Number(number) => {
            out.push(2 << 3 | 1);
            out.extend(number.as_f64().unwrap_or(f64::NAN).to_le_bytes());
        }
        Json::String(text) => bytes(&mut out, 3, text.as_bytes()),
        Json::Bool(value) => out.extend([4 << 3, u8::from(*value)]),
        Json::Object(_) => bytes(&mut out, 5, &structure(json)),
        Json::Array(values) => {
            let mut list = Vec::new();
            for item in values {
                bytes(&mut list, 1, &value(item));
            }
            bytes(&mut out, 6, &list);
        }
    }
    out
}
