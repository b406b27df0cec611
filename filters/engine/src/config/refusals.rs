//! The sections of the house's data that close what is else open: revoked warrants, tenants in
//! quarantine. Rules ask for an entry, and one that is not where they look is none: so what holds it
//! must be of the kind that they look into.

use serde_json::{Map, Value};

use super::DataFault;

/// A section of the house's data, if it is there.
pub(crate) fn section<'v>(
    data: &'v Value,
    name: &str,
) -> Result<Option<&'v Map<String, Value>>, DataFault> {
    match data.get("ig").and_then(|ig| ig.get(name)) {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(DataFault::new(format!("ig.{name}"), "it must be an object")),
    }
}

/// Says what of `ig.revocations` and `ig.quarantine` is not what it must be: an object of objects.
///
/// # Errors
/// The first fault found.
pub(crate) fn check_refusals(data: &Value) -> Result<(), DataFault> {
    for name in ["revocations", "quarantine"] {
        let mut entries = section(data, name)?.into_iter().flatten();
        if let Some((key, _)) = entries.find(|(_, entry)| !entry.is_object()) {
            let at = format!("ig.{name}[{}]", Value::from(key.as_str()));
            return Err(DataFault::new(at, "it must be an object"));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// Data with a refusal that rules would not see, and where it is.
    pub(crate) fn unseen() -> Vec<(Value, String)> {
        let mut cases = Vec::new();
        for name in ["revocations", "quarantine"] {
            for (section, entry) in [
                (json!(["acme"]), ""),
                (json!("acme"), ""),
                (json!(true), ""),
                (json!(null), ""),
                (json!({"acme": false}), r#"["acme"]"#),
                (json!({"acme": null}), r#"["acme"]"#),
                (json!({"globex": {}, "acme": "x"}), r#"["acme"]"#),
            ] {
                cases.push((json!({"ig": {name: section}}), format!("ig.{name}{entry}")));
            }
        }
        cases
    }

    #[test]
    fn what_rules_would_not_see_is_a_fault() {
        for (data, at) in unseen() {
            let fault = check_refusals(&data).expect_err(&at);
            assert_eq!((fault.at, fault.problem), (at, "it must be an object"));
        }
        for data in [
            json!({}),
            json!({"ig": {}}),
            json!({"ig": {"revocations": {}, "quarantine": {"acme": {"reason": "breach"}}}}),
        ] {
            assert_eq!(check_refusals(&data), Ok(()), "{data}");
        }
    }
}
