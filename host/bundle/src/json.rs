//! Values of JSON whose shape nobody vouches for.

use serde_json::Value;

/// A member of an object; null where there is none, or no object.
pub fn member<'v>(of: &'v Value, name: &str) -> &'v Value {
    of.get(name).unwrap_or(&Value::Null)
}

/// Puts a member into an object; into anything else, nothing.
pub fn put(into: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(members) = into {
        members.insert(name.to_owned(), value.into());
    }
}
