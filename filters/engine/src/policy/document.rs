use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::{PolicyError, PolicySource, clean, interpreter};

/// A loaded policy that is asked for documents by their path, whatever shape they have.
#[derive(Clone)]
pub struct Document {
    engine: regorus::Engine,
    known: Vec<(&'static str, Place)>,
}

/// Where a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A rule gives it: that is evaluated alone.
    Rule,
    /// It may be a package, data, or not there: a query finds it.
    Anywhere,
    /// Nothing can give it.
    Nowhere,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").finish_non_exhaustive()
    }
}

impl Document {
    /// Loads a policy, of which these documents will be asked for.
    ///
    /// # Errors
    /// A module or the data is broken.
    pub fn load(source: &PolicySource, paths: &[&'static str]) -> Result<Self, PolicyError> {
        let mut engine = interpreter(source)?;
        let known = paths.iter().map(|path| {
            let place = place(&mut engine, source, path);
            (*path, place)
        });
        let known = known.collect();
        Ok(Self { engine, known })
    }

    /// What [`Self::value`] is about from now on.
    ///
    /// # Errors
    /// It can't be an input.
    pub fn set_input(&mut self, input: &Value) -> Result<(), PolicyError> {
        let input = regorus::Value::deserialize(input).map_err(|e| PolicyError::Data(clean(&e)))?;
        self.engine.set_input(input);
        Ok(())
    }

    /// The value of a document such as `data.system.log.mask` for the input; nothing if it is undefined or
    /// there is none. A set is an array. Documents that were named to [`Self::load`] are found faster.
    ///
    /// # Errors
    /// A rule fails.
    pub fn value(&mut self, path: &'static str) -> Result<Option<Value>, PolicyError> {
        let failed = |e: &dyn fmt::Display| PolicyError::Evaluate {
            rule: path,
            message: clean(e),
        };
        let known = self.known.iter().find(|(known, _)| *known == path);
        let value = match known.map_or(Place::Anywhere, |(_, place)| *place) {
            Place::Nowhere => return Ok(None),
            Place::Rule => self.engine.eval_rule(path.to_owned()),
            Place::Anywhere => {
                let found = self.engine.eval_query(path.to_owned(), false);
                found.map(|found| {
                    let first = found.result.first().and_then(|r| r.expressions.first());
                    first.map_or(regorus::Value::Undefined, |e| e.value.clone())
                })
            }
        };
        let value = value.map_err(|e| failed(&e))?;
        if value == regorus::Value::Undefined {
            return Ok(None);
        }
        let json = value.to_json_str().map_err(|e| failed(&e))?;
        serde_json::from_str(&json)
            .map(Some)
            .map_err(|e| PolicyError::Shape {
                rule: path,
                message: e.to_string(),
            })
    }
}

/// Finds out where a document is.
fn place(engine: &mut regorus::Engine, source: &PolicySource, path: &str) -> Place {
    // No name can be written otherwise but with an escape.
    let name = path.rsplit('.').next().unwrap_or_default();
    let named = |text: &str| text.contains(name) || text.contains('\\');
    if !source.modules.iter().any(|module| named(&module.text)) && !named(&source.data.to_string())
    {
        return Place::Nowhere;
    }
    // What fails is a rule as well; only the interpreter knows which paths are rules.
    match engine.eval_rule(path.to_owned()) {
        Err(error) if clean(&error).contains("not a valid rule path") => Place::Anywhere,
        _ => Place::Rule,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Module;
    use super::*;

    const MASK: &str = "data.system.log.mask";
    const DROP: &str = "data.system.log.drop";

    fn policy(text: &str, paths: &[&'static str]) -> Document {
        let modules = vec![Module {
            path: "m.rego".into(),
            text: text.into(),
        }];
        let data = json!({});
        Document::load(&PolicySource { modules, data }, paths).unwrap()
    }

    #[test]
    fn documents_are_found_or_not() {
        let text = r#"package system.log
mask contains "/input/a" if input.x == 1
mask contains {"op": "upsert", "path": "/input/b", "value": 2} if input.x
drop if input.x == 2
"#;
        // Whether or not they were named before.
        for paths in [&[][..], &[MASK, DROP]] {
            let mut policy = policy(text, paths);
            let mut ask = |path, input| {
                policy.set_input(&input).unwrap();
                policy.value(path).unwrap()
            };
            let both = ask(MASK, json!({"x": 1})).unwrap();
            assert_eq!(both.as_array().map(Vec::len), Some(2), "{both}");
            assert_eq!(ask(MASK, json!({})), Some(json!([])));
            assert_eq!(ask(DROP, json!({})), None);
            assert_eq!(ask(DROP, json!({"x": 2})), Some(json!(true)));
            assert_eq!(ask("data.system.none.at_all", json!({})), None);
        }
    }

    #[test]
    fn a_document_is_found_wherever_it_is() {
        for (text, place, want) in [
            (
                "package system.log\nmask := [1]",
                Place::Rule,
                Some(json!([1])),
            ),
            (
                "package system\nlog.mask := [1]",
                Place::Rule,
                Some(json!([1])),
            ),
            (
                "package system[\"log\"]\nmask := [1]",
                Place::Rule,
                Some(json!([1])),
            ),
            (
                "package system.log.mask\na := 1",
                Place::Anywhere,
                Some(json!({"a": 1})),
            ),
            (
                "package system.log\nmask.a := 1",
                Place::Anywhere,
                Some(json!({"a": 1})),
            ),
            (
                "package system.log\nm := 1 # no mask",
                Place::Anywhere,
                None,
            ),
            (
                "package system.log\nm := \"\\u006d\"",
                Place::Anywhere,
                None,
            ),
            ("package system.log\nm := 1", Place::Nowhere, None),
        ] {
            let mut named = policy(text, &[MASK]);
            assert_eq!(named.known, [(MASK, place)], "{text}");
            named.set_input(&json!({})).unwrap();
            assert_eq!(named.value(MASK).unwrap(), want, "{text}");
            let mut other = policy(text, &[]);
            other.set_input(&json!({})).unwrap();
            assert_eq!(other.value(MASK).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn what_fails_says_where() {
        let mut policy = policy("package system.log\nmask := to_number(input.x)\n", &[MASK]);
        policy.set_input(&json!({"x": "y"})).unwrap();
        let error = policy.value(MASK).unwrap_err().to_string();
        assert!(error.contains(MASK), "{error}");
        policy.set_input(&json!({"x": "7"})).unwrap();
        assert_eq!(policy.value(MASK).unwrap(), Some(json!(7)));
    }
}
