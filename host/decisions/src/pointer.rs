//! The rules of a mask policy and what they do to an event, as Open Policy Agent has it
//! (<https://www.openpolicyagent.org/docs/management-decision-logs#masking-sensitive-data>): a path is a
//! mask that removes, an object says `op`, `path` and, for `upsert`, `value`. Rules apply one after the
//! other; what is not there is no fault.

use serde_json::{Map, Value};

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// `input`, `result` or `nd_builtin_cache`.
    root: String,
    /// What is below it.
    parts: Vec<String>,
    /// The path as it was written.
    path: String,
    /// What is put there; nothing removes what is there.
    upsert: Option<Value>,
}

/// Reads what `data.system.log.mask` gives.
///
/// # Errors
/// A sentence: a rule is none.
pub fn rules(value: &Value) -> Result<Vec<Rule>, String> {
    let list = value.as_array().ok_or("the mask is no set")?;
    list.iter().map(rule).collect()
}

fn rule(value: &Value) -> Result<Rule, String> {
    let (path, upsert) = match value {
        Value::String(path) => (path.as_str(), None),
        Value::Object(rule) => {
            let path = rule.get("path").and_then(Value::as_str).unwrap_or_default();
            let value = rule.get("value").cloned().unwrap_or_default();
            match rule.get("op").and_then(Value::as_str) {
                Some("remove") => (path, None),
                Some("upsert") => (path, Some(value)),
                other => {
                    return Err(format!(
                        "a mask's `op` is {other:?}: it must be `remove` or `upsert`"
                    ));
                }
            }
        }
        _ => return Err("a mask is neither a path nor an object".to_owned()),
    };
    let inner = path
        .strip_prefix('/')
        .ok_or_else(|| format!("the mask `{path}` does not begin with a slash"))?;
    let mut parts = Vec::new();
    for part in inner.split('/') {
        let part = percent_encoding::percent_decode_str(part).decode_utf8();
        let part = part.map_err(|_| format!("the mask `{path}` is not UTF-8"))?;
        parts.push(part.into_owned());
    }
    let root = parts.remove(0);
    if !["input", "result", "nd_builtin_cache"].contains(&root.as_str()) {
        return Err(format!(
            "the mask `{path}` must begin with /input, /result or /nd_builtin_cache"
        ));
    }
    Ok(Rule {
        root,
        parts,
        path: path.to_owned(),
        upsert,
    })
}

/// Applies rules to an event, and notes in `erased` and `masked` what they did.
pub fn apply(rules: &[Rule], event: &mut Map<String, Value>) {
    let (mut erased, mut masked) = (Vec::new(), Vec::new());
    for rule in rules {
        // What is null was never there.
        let Some(root) = event.get_mut(&rule.root).filter(|v| !v.is_null()) else {
            continue;
        };
        match (&rule.upsert, rule.parts.split_last()) {
            (None, None) => {
                event.remove(&rule.root);
                erased.push(Value::from(rule.path.as_str()));
            }
            (Some(value), None) => {
                *root = value.clone();
                masked.push(Value::from(rule.path.as_str()));
            }
            (None, Some((last, parents))) => {
                if remove(root, parents, last) {
                    erased.push(Value::from(rule.path.as_str()));
                }
            }
            (Some(value), Some((last, parents))) => {
                if root.is_object() && put(root, parents, last, value) {
                    masked.push(Value::from(rule.path.as_str()));
                }
            }
        }
    }
    for (name, paths) in [("erased", erased), ("masked", masked)] {
        if !paths.is_empty() {
            event.insert(name.to_owned(), Value::Array(paths));
        }
    }
}

fn remove(root: &mut Value, parents: &[String], last: &str) -> bool {
    let mut node = root;
    for part in parents {
        let Some(child) = child(node, part) else {
            return false;
        };
        node = child;
    }
    match node {
        Value::Object(map) => map.remove(last).is_some(),
        Value::Array(list) => match last.parse::<usize>() {
            Ok(place) if place < list.len() => {
                list.remove(place);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

fn child<'v>(node: &'v mut Value, part: &str) -> Option<&'v mut Value> {
    match node {
        Value::Object(map) => map.get_mut(part),
        Value::Array(list) => list.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    }
}

fn put(root: &mut Value, parents: &[String], last: &str, value: &Value) -> bool {
    let mut node = root;
    for part in parents {
        if let Value::Object(map) = node {
            node = map
                .entry(part.as_str())
                .or_insert_with(|| Value::Object(Map::new()));
            continue;
        }
        let Some(child) = child(node, part) else {
            return false;
        };
        node = child;
    }
    match node {
        Value::Object(map) => {
            map.insert(last.to_owned(), value.clone());
            true
        }
        _ => match child(node, last) {
            Some(there) => {
                *there = value.clone();
                true
            }
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn masks_do_what_they_do_in_opa() {
        let event = json!({"input": {"a": {"b": 1, "c/d": 2}, "list": [1, [2, 3]], "n": null},
            "result": {"x": 1}});
        for (masks, want) in [
            (
                json!(["/input/a/b"]),
                json!({"input": {"a": {"c/d": 2}, "list": [1, [2, 3]], "n": null},
                "result": {"x": 1}, "erased": ["/input/a/b"]}),
            ),
            (
                json!([
                    "/input/a/c%2Fd",
                    "/input/none",
                    "/input/a/b/c",
                    "/input/list/9"
                ]),
                json!({"input": {"a": {"b": 1}, "list": [1, [2, 3]], "n": null}, "result": {"x": 1},
                "erased": ["/input/a/c%2Fd"]}),
            ),
            (
                json!(["/input/list/0", "/input/list/0/1"]),
                json!({"input": {"a": {"b": 1, "c/d": 2}, "list": [[2]], "n": null}, "result": {"x": 1},
                "erased": ["/input/list/0", "/input/list/0/1"]}),
            ),
            (
                json!(["/input", "/input/a", "/nd_builtin_cache"]),
                json!({"result": {"x": 1}, "erased": ["/input"]}),
            ),
            (
                json!([{"op": "remove", "path": "/result/x"}, {"op": "upsert", "path": "/input", "value": 7}]),
                json!({"input": 7, "result": {}, "erased": ["/result/x"], "masked": ["/input"]}),
            ),
            (
                json!([{"op": "upsert", "path": "/input/p/q/r", "value": "new"},
                {"op": "upsert", "path": "/input/list/1/0", "value": "2"},
                {"op": "upsert", "path": "/input/a/b/c", "value": "no"}]),
                json!({"input": {"a": {"b": 1, "c/d": 2}, "list": [1, ["2", 3]], "n": null,
                "p": {"q": {"r": "new"}}}, "result": {"x": 1},
                "masked": ["/input/p/q/r", "/input/list/1/0"]}),
            ),
            (
                json!([{"op": "upsert", "path": "/input/n"}]),
                json!({"input": {"a": {"b": 1, "c/d": 2}, "list": [1, [2, 3]], "n": null},
                "result": {"x": 1}, "masked": ["/input/n"]}),
            ),
            (json!([]), event.clone()),
        ] {
            let mut event = event.as_object().unwrap().clone();
            apply(&rules(&masks).unwrap(), &mut event);
            assert_eq!(Value::Object(event), want, "{masks}");
        }
    }

    #[test]
    fn a_mask_that_is_none_is_told() {
        for (masks, why) in [
            (json!({}), "no set"),
            (json!([7]), "neither"),
            (json!([""]), "slash"),
            (json!(["input"]), "slash"),
            (json!(["/labels/id"]), "must begin with"),
            (json!(["/input/%ff"]), "UTF-8"),
            (json!([{"path": "/input"}]), "`op`"),
            (json!([{"op": "hide", "path": "/input"}]), "`op`"),
            (json!([{"op": "remove", "path": 7}]), "slash"),
        ] {
            let error = rules(&masks).unwrap_err();
            assert!(error.contains(why), "{masks}: {error}");
        }
    }
}
