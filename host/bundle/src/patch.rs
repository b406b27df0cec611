use engine::config::strict;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Bundle, BundleError};

/// What one recorded case changes of a policy directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Patch {
    /// Laid over `masking.json` (JSON merge patch, RFC 7396).
    pub settings: Option<Value>,
    /// Laid over the data below `ig`, in the same way.
    pub data: Option<Value>,
    /// SDL behind the schema's.
    pub schema: Option<String>,
}

impl Patch {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Bundle {
    /// The directory with a patch, under the revision that it has without.
    ///
    /// # Errors
    /// The settings are none any more.
    pub fn patched(&self, patch: &Patch) -> Result<Self, BundleError> {
        let mut bundle = self.clone();
        let unreadable = |error| BundleError::Json {
            path: self.path.join("masking.json"),
            error,
        };
        if let Some(over) = &patch.settings {
            let mut settings = serde_json::to_value(&self.settings).map_err(unreadable)?;
            lay_over(&mut settings, over);
            bundle.settings = strict::from(settings).map_err(unreadable)?;
        }
        if let (Some(over), Some(ig)) = (&patch.data, bundle.policy.data.get_mut("ig")) {
            lay_over(ig, over);
        }
        if let Some(sdl) = &patch.schema {
            bundle.schema.push('\n');
            bundle.schema.push_str(sdl);
        }
        Ok(bundle)
    }
}

/// RFC 7396.
fn lay_over(value: &mut Value, over: &Value) {
    let Value::Object(over) = over else {
        value.clone_from(over);
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(members) = value else {
        return;
    };
    for (key, over) in over {
        if over.is_null() {
            members.remove(key);
        } else {
            lay_over(members.entry(key.clone()).or_insert(Value::Null), over);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The example of RFC 7396, section 3.
    #[test]
    fn lays_over_as_the_rfc_does() {
        let mut value = json!({
            "title": "Goodbye!",
            "author": {"givenName": "John", "familyName": "Doe"},
            "tags": ["example", "sample"],
            "content": "This will be unchanged"
        });
        let over = json!({
            "title": "Hello!", "phoneNumber": "+01-123-456-7890",
            "author": {"familyName": null}, "tags": ["example"]
        });
        lay_over(&mut value, &over);
        assert_eq!(
            value,
            json!({
                "title": "Hello!", "author": {"givenName": "John"}, "tags": ["example"],
                "content": "This will be unchanged", "phoneNumber": "+01-123-456-7890"
            })
        );
    }
}
