//! Warrants of recorded cases: signed by keys that everybody knows, so of no worth outside them.

use serde::Deserialize;
use serde_json::Value;

use crate::tokens::Issuer;

/// The `typ` of a warrant's header.
const TYPE: &str = "ig-warrant+jwt";

/// A warrant: what it says, and who signs it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedWarrant {
    /// The name of the key that signs: the same key for the same name.
    key: String,
    /// The name of the key that is said to sign, if it is another.
    #[serde(default)]
    named: Option<String>,
    /// The claims, but for `authorityBinding.key`.
    claims: Value,
}

impl RecordedWarrant {
    /// In compact form, as `x-ig-warrant` carries it.
    #[must_use]
    pub fn text(&self) -> String {
        let kid = key(self.named.as_deref().unwrap_or(&self.key))
            .kid()
            .to_owned();
        let mut claims = self.claims.clone();
        if let Some(binding) = claims
            .get_mut("authorityBinding")
            .and_then(Value::as_object_mut)
        {
            binding.insert("key".to_owned(), kid.as_str().into());
        }
        key(&self.key).named(&kid).sign_as(TYPE, &claims)
    }
}

/// The key of a name.
fn key(name: &str) -> Issuer {
    Issuer::from_seed(name.as_bytes())
}

/// Puts keys in the place of their names in `authorities[…].keys` of a case's data.
pub fn name_keys(data: &mut Value) {
    let authorities = data.get_mut("authorities").and_then(Value::as_object_mut);
    for authority in authorities.into_iter().flat_map(|a| a.values_mut()) {
        let keys = authority.get_mut("keys").and_then(Value::as_array_mut);
        for jwk in keys.into_iter().flatten() {
            if let Some(name) = jwk.as_str() {
                *jwk = key(name).jwk();
            }
        }
    }
}
