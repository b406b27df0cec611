//! The mask policy: what of a decision is kept. Package `system.log`, as Open Policy Agent has it.
//!
//! A gateway's line is put to it as an event of OPA's form: `decision_id`, `labels` (`id`, `region`),
//! `path`, `timestamp`, `input` (the line, with the filters' records as objects under `decision` and
//! `residency`, a guard's under `egress`) and `result` (`outcome`, `revision`, `masked`). What is kept is
//! the line after that.

use std::path::{Path, PathBuf};

use engine::policy::{Document, Module, PolicySource};
use serde_json::{Map, Value, json};

use crate::error::DecisionsError;
use crate::pointer;
use crate::record::{Kind, Record};

const MASK: &str = "data.system.log.mask";
const DROP: &str = "data.system.log.drop";

/// A loaded mask policy.
#[derive(Debug, Clone)]
pub struct MaskPolicy {
    document: Document,
}

/// What is kept of a decision.
#[derive(Debug)]
pub(crate) enum Kept {
    /// This.
    Masked(Record),
    /// The policy failed: all but the input, and why.
    Failed(Record),
    /// Nothing.
    Dropped,
}

impl MaskPolicy {
    /// Loads a Rego file, or a directory's Rego files.
    ///
    /// # Errors
    /// They can't be read or parsed, or there is none.
    pub fn load(path: &Path) -> Result<Self, DecisionsError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| DecisionsError::File { path, source }
        };
        let mut files: Vec<PathBuf> = Vec::new();
        if std::fs::metadata(path).map_err(file(path))?.is_dir() {
            for entry in std::fs::read_dir(path).map_err(file(path))? {
                let path = entry.map_err(file(path))?.path();
                if path.extension().is_some_and(|e| e == "rego") {
                    files.push(path);
                }
            }
            files.sort();
        } else {
            files.push(path.to_owned());
        }
        if files.is_empty() {
            return Err(DecisionsError::NoMask(path.to_owned()));
        }
        let mut modules = Vec::new();
        for of in files {
            if !std::fs::metadata(&of).map_err(file(&of))?.is_file() {
                return Err(DecisionsError::NoMask(of));
            }
            modules.push(Module {
                text: std::fs::read_to_string(&of).map_err(file(&of))?,
                path: of.display().to_string(),
            });
        }
        let masks = modules.iter().any(masks);
        let data = json!({});
        let document = Document::load(&PolicySource { modules, data }, &[MASK, DROP]);
        let document = document.map_err(|source| DecisionsError::Mask {
            path: path.to_owned(),
            source,
        })?;
        // What is no Rego at all was said by now.
        match masks {
            true => Ok(Self { document }),
            false => Err(DecisionsError::NoRule(path.to_owned())),
        }
    }

    pub(crate) fn apply(&mut self, record: Record) -> Kept {
        let Ok(Value::Object(line)) = serde_json::from_str(&record.line) else {
            return Kept::Failed(without_input(record, "the line is no object"));
        };
        let event = match record.kind {
            Kind::Opa => line,
            Kind::Gateway | Kind::Undecided | Kind::Guard => event(&record, line),
        };
        let event = Value::Object(event);
        let rules = match self.rules(&event) {
            Ok(Some(rules)) => rules,
            Ok(None) => return Kept::Dropped,
            Err(why) => return Kept::Failed(without_input(record, &why)),
        };
        if rules.is_empty() {
            return Kept::Masked(record);
        }
        let Value::Object(mut event) = event else {
            return Kept::Failed(without_input(record, "the event is no object"));
        };
        pointer::apply(&rules, &mut event);
        Kept::Masked(match record.kind {
            Kind::Opa => Record {
                tenant: tenant(event.get("input")),
                line: Value::Object(event).to_string(),
                ..record
            },
            Kind::Gateway | Kind::Undecided | Kind::Guard => line_of(record, event),
        })
    }

    /// The rules for an event; nothing if it is dropped.
    fn rules(&mut self, event: &Value) -> Result<Option<Vec<pointer::Rule>>, String> {
        let input = self.document.set_input(event);
        input.map_err(|e| e.to_string())?;
        let dropped = self.document.value(DROP);
        match dropped.map_err(|e| e.to_string())? {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => return Ok(None),
            Some(_) => return Err(format!("{DROP} is neither true nor false")),
        }
        match self.document.value(MASK) {
            Ok(Some(mask)) => pointer::rules(&mask).map(Some),
            Ok(None) => Ok(Some(Vec::new())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Whether a module has a rule that takes something out. One that has none would keep all, and look as if it
/// did not.
fn masks(module: &Module) -> bool {
    let is_ours = engine::policy::package(module).is_ok_and(|p| p == ["system", "log"]);
    let begins = |line: &str| {
        let word = line
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next();
        matches!(word, Some("mask" | "drop"))
    };
    is_ours && module.text.lines().any(|line| begins(line.trim_start()))
}

const RECORDS: [&str; 3] = ["decision", "residency", "egress"];

/// A gateway's or sidecar's line as an event.
fn event(record: &Record, mut line: Map<String, Value>) -> Map<String, Value> {
    let mut path = match record.kind {
        Kind::Guard => "ig/egress/decision",
        _ => "ig/residency/decision",
    };
    for name in RECORDS {
        let text = line.get(name).and_then(Value::as_str);
        if let Some(object) = text.and_then(|t| serde_json::from_str::<Map<_, _>>(t).ok()) {
            if name == "decision" {
                path = "ig/masking/decision";
            }
            line.insert(name.to_owned(), Value::Object(object));
        }
    }
    let event = json!({
        "decision_id": record.id,
        "labels": {"id": record.node, "region": line.get("region")},
        "path": path,
        "timestamp": line.get("time"),
        "result": {"outcome": record.outcome, "revision": record.revision, "masked": record.masked},
        "input": line,
    });
    match event {
        Value::Object(event) => event,
        _ => Map::new(),
    }
}

/// The line after its event was masked.
fn line_of(record: Record, mut event: Map<String, Value>) -> Record {
    let input = event.remove("input");
    let tenant = input.as_ref().and_then(|input| {
        let of = |name: &str| tenant(input.get(name));
        RECORDS.iter().find_map(|name| of(name))
    });
    let mut line = match input {
        Some(Value::Object(line)) => line,
        Some(other) => [("input".to_owned(), other)].into_iter().collect(),
        None => Map::new(),
    };
    for name in RECORDS {
        if let Some(object) = line.get_mut(name).filter(|v| v.is_object()) {
            *object = Value::String(object.to_string());
        }
    }
    for name in ["erased", "masked"] {
        line.extend(event.remove(name).map(|paths| (name.to_owned(), paths)));
    }
    Record {
        tenant,
        line: Value::Object(line).to_string(),
        ..record
    }
}

fn tenant(of: Option<&Value>) -> Option<String> {
    of?.get("tenant")?.as_str().map(str::to_owned)
}

/// What is kept where the policy fails: that there was a decision, and what came of it.
fn without_input(record: Record, why: &str) -> Record {
    let line = json!({
        "decision_id": record.id,
        "erased": ["/input"],
        "mask_failed": why,
        "node": record.node,
        "outcome": record.outcome,
        "revision": record.revision,
    });
    Record {
        tenant: None,
        line: line.to_string(),
        ..record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{self, Line};

    fn policy(text: &str) -> MaskPolicy {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mask.rego");
        std::fs::write(&file, format!("package system.log\n{text}")).unwrap();
        assert!(MaskPolicy::load(&file).is_ok());
        MaskPolicy::load(directory.path()).unwrap()
    }

    fn record() -> Record {
        let value = line::tests::access(
            Some(line::tests::masking("dec_1")),
            Some(line::tests::residency("dec_2")),
        );
        match line::read(value.to_string().as_bytes()) {
            Line::Record(record) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_masked_line_is_a_line_still() {
        let mut policy = policy(
            "mask contains \"/input/decision/subject\" if input.result.outcome == \"allowed\"\n\
             mask contains {\"op\": \"upsert\", \"path\": \"/input/user_agent\", \"value\": \"x\"} if \
             input.labels.id == \"gateway-eu\"\n\
             mask contains \"/input/decision/tenant\" if input.path == \"ig/masking/decision\"\n\
             mask contains \"/input/residency/tenant\"",
        );
        let Kept::Masked(kept) = policy.apply(record()) else {
            panic!()
        };
        assert!(!kept.line.contains("ann") && !kept.line.contains("quoted"));
        assert_eq!((kept.tenant.as_deref(), kept.masked), (None, 5));
        assert!(
            kept.line.contains("/input/decision/subject"),
            "{}",
            kept.line
        );
        let Line::Record(again) = line::read(kept.line.as_bytes()) else {
            panic!("{}", kept.line)
        };
        assert_eq!((again.id, again.beside), (kept.id, kept.beside));
    }

    #[test]
    fn what_needs_no_mask_stays_as_it_was_written() {
        let mut policy = policy("mask contains \"/input/x\" if input.result.outcome == \"failed\"");
        let Kept::Masked(kept) = policy.apply(record()) else {
            panic!()
        };
        assert_eq!(kept, record());
    }

    #[test]
    fn what_fails_keeps_no_input() {
        for text in [
            "mask contains \"/labels\"",
            "mask := to_number(input.input.user_agent)",
            "mask := 7",
            "drop := to_number(input.input.user_agent)",
            "drop := \"yes\"",
        ] {
            let Kept::Failed(kept) = policy(text).apply(record()) else {
                panic!("{text}")
            };
            assert!(!kept.line.contains("ann") && !kept.line.contains("acme"));
            assert!(kept.line.contains("mask_failed") && kept.tenant.is_none());
            assert_eq!(
                (kept.id.as_str(), kept.outcome.as_str()),
                ("dec_1", "allowed")
            );
        }
    }

    #[test]
    fn the_whole_input_goes_and_what_is_dropped() {
        let Kept::Masked(kept) = policy("mask contains \"/input\"").apply(record()) else {
            panic!()
        };
        assert_eq!(kept.line, r#"{"erased":["/input"]}"#);
        assert_eq!((kept.revision.as_str(), kept.own_us), ("r-1", Some(345)));
        let mut policy = policy("drop if input.result.outcome == \"allowed\"");
        assert!(matches!(policy.apply(record()), Kept::Dropped));
    }

    #[test]
    fn a_policy_that_is_none_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        assert!(
            MaskPolicy::load(&at.join("none"))
                .unwrap_err()
                .to_string()
                .contains("none")
        );
        assert!(
            MaskPolicy::load(at)
                .unwrap_err()
                .to_string()
                .contains("no .rego file")
        );
        std::fs::write(at.join("m.rego"), "packag").unwrap();
        assert!(
            MaskPolicy::load(at)
                .unwrap_err()
                .to_string()
                .contains("can't be used")
        );
        for takes_nothing_out in [
            "package wrong\nmask contains \"/input\"",
            "package system.log\nx := 1",
            "package system.log\n# mask\ndefault drop := false",
        ] {
            std::fs::write(at.join("m.rego"), takes_nothing_out).unwrap();
            let said = MaskPolicy::load(at).unwrap_err().to_string();
            assert!(
                said.contains("no rule `mask` or `drop`"),
                "{takes_nothing_out}: {said}"
            );
        }
    }
}
