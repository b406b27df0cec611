use std::fmt;

use serde_json::Value;

use super::{PolicyError, PolicySource, clean, interpreter};

/// A loaded policy that is asked for documents by their path, whatever shape they have.
#[derive(Clone)]
pub struct Document {
    engine: regorus::Engine,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").finish_non_exhaustive()
    }
}

impl Document {
    /// Loads a policy.
    ///
    /// # Errors
    /// A module or the data is broken.
    pub fn load(source: &PolicySource) -> Result<Self, PolicyError> {
        Ok(Self {
            engine: interpreter(source)?,
        })
    }

    /// The value of a document such as `data.system.log.mask` for an input, a JSON text; nothing if it is
    /// undefined or there is none. A set is an array.
    ///
    /// # Errors
    /// A rule fails.
    pub fn value(&mut self, path: &'static str, input: &str) -> Result<Option<Value>, PolicyError> {
        let failed = |e: &dyn fmt::Display| PolicyError::Evaluate {
            rule: path,
            message: clean(e),
        };
        self.engine.set_input_json(input).map_err(|e| failed(&e))?;
        let results = self
            .engine
            .eval_query(path.to_owned(), false)
            .map_err(|e| failed(&e))?;
        let first = results.result.first().and_then(|r| r.expressions.first());
        let Some(found) = first.filter(|e| e.value != regorus::Value::Undefined) else {
            return Ok(None);
        };
        let json = found.value.to_json_str().map_err(|e| failed(&e))?;
        serde_json::from_str(&json)
            .map(Some)
            .map_err(|e| PolicyError::Shape {
                rule: path,
                message: e.to_string(),
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Module;
    use super::*;

    #[test]
    fn documents_are_found_or_not() {
        let text = r#"package system.log
mask contains "/input/a" if input.x == 1
mask contains {"op": "upsert", "path": "/input/b", "value": 2} if input.x
drop if input.x == 2
"#;
        let modules = vec![Module {
            path: "m.rego".into(),
            text: text.into(),
        }];
        let data = json!({});
        let mut policy = Document::load(&PolicySource { modules, data }).unwrap();
        let mut ask = |path, input: &str| policy.value(path, input).unwrap();
        let (mask, drop) = ("data.system.log.mask", "data.system.log.drop");
        let both = ask(mask, r#"{"x":1}"#).unwrap();
        assert_eq!(both.as_array().map(Vec::len), Some(2), "{both}");
        assert_eq!(ask(mask, "{}"), Some(json!([])));
        assert_eq!(ask(drop, "{}"), None);
        assert_eq!(ask(drop, r#"{"x":2}"#), Some(json!(true)));
        assert_eq!(ask("data.system.none.at_all", "{}"), None);
    }

    #[test]
    fn what_fails_says_where() {
        let modules = vec![Module {
            path: "m.rego".into(),
            text: "package system.log\nmask := to_number(input.x)\n".into(),
        }];
        let data = json!({});
        let mut policy = Document::load(&PolicySource { modules, data }).unwrap();
        let error = policy.value("data.system.log.mask", r#"{"x":"y"}"#);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("data.system.log.mask")
        );
    }
}
