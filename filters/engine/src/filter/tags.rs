//! The schema's `@tag`s and the policy's data that explains them, `ig.tags`.
//!
//! A tag that nothing explains classifies nothing, and what it should have classified would go out
//! clear: it is refused before anything is served.

use serde_json::{Map, Value};

use crate::mask::StrategyKind;
use crate::schema::{Schema, TagPlace};

/// Why the tags of a schema can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The data does not know the name.
    #[error(
        "schema line {line}, column {column}: nothing in ig/tags/data.json explains the tag \
        `{name}`: {}add it there (as {{}} if it classifies nothing)", instead(.nearest.as_deref())
    )]
    Unexplained {
        /// Line of the schema, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The tag's name.
        name: String,
        /// The name of the data that is most like it, if one is.
        nearest: Option<String>,
    },
    /// It would classify fields, and none is there.
    #[error(
        "schema line {line}, column {column}: the tag `{name}` classifies fields, and does nothing \
        here: put it on the fields, or on the type that has them"
    )]
    Misplaced {
        /// Line of the schema, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The tag's name.
        name: String,
    },
    /// An entry of the data neither classifies nor says that it does not.
    #[error(
        "policy data ig.tags[{name:?}]: it must be {{}} if the tag classifies nothing, else have a \
        `class` and a `strategy`: {}",
        StrategyKind::NAMES.join(", ")
    )]
    Entry {
        /// The entry's name.
        name: String,
    },
}

fn instead(nearest: Option<&str>) -> String {
    nearest
        .map(|n| format!("write `{n}`, or "))
        .unwrap_or_default()
}

/// The tags of the schema become policy data: `ig.schema.tags`, coordinate → names.
///
/// # Errors
/// The data does not explain one of them, or it stands where it can't do what the data says.
pub fn tell_tags(schema: &Schema, data: &mut Value) -> Result<(), TagError> {
    let none = Map::new();
    let known = data.pointer("/ig/tags").and_then(Value::as_object);
    let known = known.unwrap_or(&none);
    if let Some((name, _)) = known.iter().find(|(_, e)| !is_explanation(e)) {
        return Err(TagError::Entry { name: name.clone() });
    }
    for tag in schema.tag_uses() {
        let (line, column, name) = (tag.line, tag.column, tag.name.to_string());
        match known.get(&*tag.name) {
            None => {
                return Err(TagError::Unexplained {
                    line,
                    column,
                    nearest: nearest(&name, known.keys()),
                    name,
                });
            }
            Some(entry) if tag.place == TagPlace::Elsewhere && !is_harmless(entry) => {
                return Err(TagError::Misplaced { line, column, name });
            }
            Some(_) => {}
        }
    }
    if let Some(ig) = data.get_mut("ig").and_then(Value::as_object_mut) {
        let tags = serde_json::json!({ "tags": schema.tags() });
        ig.insert("schema".into(), tags);
    }
    Ok(())
}

fn is_harmless(entry: &Value) -> bool {
    entry.as_object().is_some_and(Map::is_empty)
}

fn is_explanation(entry: &Value) -> bool {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let strategy = text("strategy").and_then(StrategyKind::parse);
    is_harmless(entry) || (text("class").is_some_and(|c| !c.is_empty()) && strategy.is_some())
}

/// The name that is most like another, in whatever case: at most half of it differs.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n String>) -> Option<String> {
    let most = name.chars().count().div_ceil(2);
    known
        .map(|k| (distance(&k.to_lowercase(), &name.to_lowercase()), k))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, k)| k.clone())
}

/// How many characters must be added, removed or replaced to make one text of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, of_one) in (1..).zip(one.chars()) {
        let mut left = line;
        let mut next = vec![left];
        for (of_other, above) in other.iter().zip(row.windows(2)) {
            let [diagonal, above] = above else { continue };
            let replaced = diagonal + usize::from(*of_other != of_one);
            left = replaced.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is said of a schema's tags under `ig.tags`.
    fn told(sdl: &str, tags: Value) -> Result<Value, String> {
        let schema = Schema::parse(sdl).map_err(|e| e.to_string())?;
        let mut data = json!({"ig": {"tags": tags}});
        tell_tags(&schema, &mut data).map_err(|e| e.to_string())?;
        Ok(data["ig"]["schema"]["tags"].take())
    }

    #[test]
    fn a_tag_must_be_explained() {
        let born = json!({"born": {"class": "identity", "strategy": "null"}, "public": {}});
        for (tag, tags, column, name, fix) in [
            (
                r#"@tag(name: "bron")"#,
                &born,
                13,
                "bron",
                "write `born`, or ",
            ),
            (
                r#"@tag(name: "Born")"#,
                &born,
                13,
                "Born",
                "write `born`, or ",
            ),
            (
                r#"@tag(name: "born ")"#,
                &born,
                13,
                "born ",
                "write `born`, or ",
            ),
            (
                r#"@tag(name: "pulbic")"#,
                &born,
                13,
                "pulbic",
                "write `public`, or ",
            ),
            (r#"@tag(name: "salary")"#, &born, 13, "salary", ""),
            (
                r#"@tag(name: "public") @tag(name: "x")"#,
                &born,
                34,
                "x",
                "",
            ),
            (r#"@tag(name: "born")"#, &json!({}), 13, "born", ""),
            (r#"@tag(name: "born")"#, &json!(null), 13, "born", ""),
            (r#"@tag(name: "born")"#, &json!(["born"]), 13, "born", ""),
        ] {
            let said = told(
                &format!("type Query {{\n  a: String {tag} }}"),
                tags.clone(),
            );
            let want = format!(
                "schema line 2, column {column}: nothing in ig/tags/data.json explains the tag \
                 `{name}`: {fix}add it there (as {{}} if it classifies nothing)"
            );
            assert_eq!(said, Err(want), "{tag}");
        }
        // Nor is there any data, or any of this house.
        let schema = Schema::parse(r#"type Query @tag(name: "born") { a: Int }"#).unwrap();
        for mut data in [json!({}), json!({"ig": {}}), json!({"ig": []}), json!(null)] {
            let error = tell_tags(&schema, &mut data).unwrap_err();
            assert!(
                matches!(error, TagError::Unexplained { line: 1, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn a_tag_must_stand_where_it_does_what_the_data_says() {
        let tags = json!({"born": {"class": "identity", "strategy": "null"}, "public": {}});
        for (place, fields) in [
            (
                "type T @X { a: Int, b: Int }",
                json!({"T.a": ["X"], "T.b": ["X"]}),
            ),
            (
                "type T { a: Int } extend type T @X { b: Int }",
                json!({"T.a": ["X"], "T.b": ["X"]}),
            ),
            ("interface T { a: Int @X }", json!({"T.a": ["X"]})),
            (
                "interface T { a: Int } extend interface T @X",
                json!({"T.a": ["X"]}),
            ),
            ("type T { a(b: Int @X): Int }", json!({})),
            ("input T @X { a: Int }", json!({})),
            ("input T { a: Int } extend input T { b: Int @X }", json!({})),
        ] {
            for name in ["born", "public"] {
                let of = |text: &str, x: &str| text.replace('X', x);
                let sdl = of(place, &format!("@tag(name: \"{name}\")")).replace("@@", "@");
                let seen = told(&format!("type Query {{ q: Int }} {sdl}"), tags.clone());
                let want = serde_json::from_str(&of(&fields.to_string(), name)).unwrap();
                assert_eq!(seen, Ok(want), "{sdl}");
            }
        }
        for place in [
            "scalar T @X",
            "scalar T extend scalar T @X",
            "scalar String @X",
            "enum T @X { A }",
            "enum T { A @X }",
            "union T @X = Query",
            "union T = Query extend union T @X",
            "schema @X { query: Query }",
            "directive @d(a: Int) on FIELD extend schema @X",
        ] {
            let sdl = |name: &str| {
                let tag = format!("@tag(name: \"{name}\")");
                format!("type Query {{ q: Int }}\n{}", place.replace("@X", &tag))
            };
            assert_eq!(told(&sdl("public"), tags.clone()), Ok(json!({})), "{place}");
            let error = told(&sdl("born"), tags.clone()).unwrap_err();
            let said = "the tag `born` classifies fields, and does nothing here";
            assert!(
                error.starts_with("schema line 2, ") && error.contains(said),
                "{error}"
            );
            assert!(told(&sdl("bron"), tags.clone()).is_err(), "{place}");
        }
    }

    #[test]
    fn a_tag_without_a_plain_name_and_an_entry_without_a_strategy_are_refused() {
        for tag in [
            "@tag",
            "@tag(nam: \"born\")",
            "@tag(name: \"\")",
            "@tag(name: BORN)",
            "@tag(name: \"bo\\u0072n\")",
            "@tag(name: \"\"\"born\"\"\")",
            "@tag(name: \"born\", name: \"x\")",
            "@tag(name: [\"born\"])",
        ] {
            let error = told(&format!("type Query {{ q: Int {tag} }}"), json!({})).unwrap_err();
            let want = "schema line 1, column 21: @tag needs a name: ";
            assert!(error.starts_with(want), "{tag}: {error}");
        }
        for entry in [
            json!(null),
            json!("null"),
            json!([]),
            json!({"class": "identity"}),
            json!({"strategy": "null"}),
            json!({"class": "", "strategy": "null"}),
            json!({"class": "identity", "strategy": "Null"}),
            json!({"class": "identity", "strategy": "reveal"}),
        ] {
            let error = told("type Query { q: Int }", json!({"born": entry})).unwrap_err();
            assert!(
                error.starts_with("policy data ig.tags[\"born\"]: it must be {} if"),
                "{error}"
            );
        }
    }

    #[test]
    fn distances() {
        for (one, other, want) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("born", "bron", 2),
            ("kitten", "sitting", 3),
            ("é漢", "é", 1),
        ] {
            assert_eq!(distance(one, other), want, "{one} {other}");
            assert_eq!(distance(other, one), want, "{other} {one}");
        }
    }
}
