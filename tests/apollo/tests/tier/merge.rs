//! What a client makes of an incremental response: all its parts as one result.
//!
//! Both formats: `path` in every increment (the draft of 2022), and `pending` with `id`s (that of
//! 2023).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The data that the parts of a response amount to.
///
/// # Panics
/// A part is of no format.
pub fn merged(parts: &[Value]) -> Value {
    let mut whole = Value::Null;
    let mut places: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (position, part) in parts.iter().enumerate() {
        assert_eq!(
            part["hasNext"],
            Value::Bool(position + 1 < parts.len()),
            "part {position} of {parts:?}"
        );
        if let Some(data) = part.get("data") {
            whole = data.clone();
        }
        for pending in list(part, "pending") {
            places.insert(text(pending, "id"), path(pending));
        }
        for increment in list(part, "incremental") {
            apply(&mut whole, increment, &mut places);
        }
    }
    whole
}

fn list<'a>(part: &'a Value, key: &str) -> &'a [Value] {
    part[key].as_array().map_or(&[], Vec::as_slice)
}

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().expect("a text").to_owned()
}

fn path(of: &Value) -> Vec<Value> {
    of["path"].as_array().expect("a path").clone()
}

fn apply(whole: &mut Value, increment: &Value, places: &mut BTreeMap<String, Vec<Value>>) {
    let named = increment.get("id").is_some();
    let mut at = match named {
        true => places[&text(increment, "id")].clone(),
        false => path(increment),
    };
    at.extend(list(increment, "subPath").iter().cloned());
    if let Some(items) = increment.get("items").and_then(Value::as_array) {
        if !named {
            // The index of the first of them.
            at.pop();
        }
        let place = find(whole, &at).as_array_mut().expect("a list");
        place.extend(items.iter().cloned());
    } else if let Some(data) = increment["data"].as_object() {
        let place = find(whole, &at).as_object_mut().expect("an object");
        join(place, data);
    }
}

fn find<'a>(whole: &'a mut Value, path: &[Value]) -> &'a mut Value {
    path.iter().fold(whole, |at, step| {
        match step {
            Value::String(key) => at.get_mut(key),
            step => at.get_mut(
                step.as_u64()
                    .and_then(|i| usize::try_from(i).ok())
                    .expect("an index"),
            ),
        }
        .expect("the place of an increment is there")
    })
}

fn join(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(into)), Value::Object(from)) => join(into, from),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}
