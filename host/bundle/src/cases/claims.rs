use engine::identity::{Claims, Unreadable};
use serde_json::Value;

/// Claims as Envoy gives them to a filter that asks for one: numbers as eight bytes, lists and
/// objects as serialised pairs, nothing at all that holds a null (measured on Envoy 1.40).
#[derive(Debug)]
pub struct EncodedClaims<'c>(pub &'c Value);

impl Claims for EncodedClaims<'_> {
    fn claim(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let bytes = encode(value).ok_or(Unreadable)?;
        // An empty text can't be told from a missing one.
        Ok(Some(bytes).filter(|b| !b.is_empty()))
    }
}

fn encode(value: &Value) -> Option<Vec<u8>> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(b) => vec![u8::from(*b)],
        Value::Number(n) => n.as_f64()?.to_le_bytes().to_vec(),
        Value::String(s) => s.clone().into_bytes(),
        Value::Array(items) => {
            // The elements are keys, and the values are empty.
            let keys: Option<Vec<Vec<u8>>> = items.iter().map(encode).collect();
            pairs(keys?.into_iter().map(|k| (k, Vec::new())).collect())
        }
        Value::Object(members) => {
            let members: Option<Vec<_>> = members
                .iter()
                .map(|(k, v)| Some((k.clone().into_bytes(), encode(v)?)))
                .collect();
            pairs(members?)
        }
    })
}

fn pairs(pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = length(pairs.len()).to_vec();
    for (key, value) in &pairs {
        out.extend(length(key.len()));
        out.extend(length(value.len()));
    }
    for (key, value) in &pairs {
        for part in [key, value] {
            out.extend(part);
            out.push(0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn encodes_as_envoy_was_seen_to() {
        let hex = |value: Value| -> String {
            encode(&value)
                .map(|b| b.iter().map(|b| format!("{b:02x}")).collect())
                .unwrap_or_default()
        };
        for (value, want) in [
            (json!("Zoë\u{0}z"), "5a6fc3ab007a"),
            (json!(42), "0000000000004540"),
            (json!(true), "01"),
            (json!([]), "00000000"),
            (
                json!(["a", "b"]),
                "0200000001000000000000000100000000000000610000620000",
            ),
            (json!({"k": "v"}), "0100000001000000010000006b007600"),
            (json!(["a", null]), ""),
            (json!({"k": {"n": null}}), ""),
        ] {
            assert_eq!(hex(value.clone()), want, "{value}");
        }
    }
}
