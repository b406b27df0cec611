//! The house's data under `ig`: what its rules rely on, and so what must be there.
//!
//! A rule over data that is missing or misspelt is not an error in Rego: it is undefined, and a
//! field that should be masked goes out clear. So the data is looked at before any rule is asked.
//! Other sections under `ig` and other roots belong to whoever writes the policy.

mod residency;

use std::collections::BTreeSet;
use std::fmt;

use engine::mask::StrategyKind;
use serde_json::{Map, Value};

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Section and key, as one writes them in Rego: `ig.fields["Contact.email"]`.
    pub at: String,
    /// A sentence. It holds names, and no other values.
    pub reason: String,
}

type Checked<T> = Result<T, Fault>;

/// Looks at all sections of the house's data, and at how they refer to each other.
pub(crate) fn validate(data: &Value) -> Checked<()> {
    let ig = data.get("ig").unwrap_or(&Value::Null);
    let ig = object("ig".into(), ig)?;

    let regions = section(ig, "regions")?;
    residency::validate(data, ig, regions)?;

    let risk = Place::new("ig.risk".into(), present(ig, "ig", "risk")?)?;
    risk.only(&["levels", "subjects"])?;
    let levels = not_empty("ig.risk.levels", risk.object("levels")?)?;
    for (name, level) in levels {
        // What is below every level is left for a grant that names none.
        if level.as_u64().is_none() {
            return Err(wrong(
                key("ig.risk.levels", name),
                level,
                "a whole number, 0 or more",
            ));
        }
    }
    for (subject, level) in risk.object("subjects")? {
        let at = key("ig.risk.subjects", subject);
        let level = level
            .as_str()
            .ok_or_else(|| wrong(at.clone(), level, "the name of a risk level"))?;
        known(&at, "risk level", level, levels.keys(), "ig.risk.levels")?;
    }

    for tenant in entries("ig.tenants", section(ig, "tenants")?)? {
        tenant.only(&["region", "regions", "move", "risk"])?;
        residency::tenant(&tenant, regions)?;
        let level = tenant.text("risk")?;
        known(
            &tenant.at,
            "risk level",
            level,
            levels.keys(),
            "ig.risk.levels",
        )?;
    }

    residency::directory(data)?;

    let roles = section(ig, "roles")?;
    let purposes = section(ig, "purposes")?;
    let flags: [(&str, _, &[&str]); 2] = [
        ("ig.roles", roles, &["administers", "introspects"]),
        ("ig.purposes", purposes, &["administers"]),
    ];
    for (name, section, flags) in flags {
        for entry in entries(name, section)? {
            entry.only(flags)?;
            for flag in flags {
                entry.optional(flag, Value::as_bool, "true or false")?;
            }
        }
    }

    let no_levels = Map::new();
    let acrs = match ig.get("acr") {
        None => &no_levels,
        Some(acr) => {
            let acr = Place::new("ig.acr".into(), acr)?;
            acr.only(&["levels"])?;
            acr.object("levels")?
        }
    };
    for (name, level) in acrs {
        // What is not named counts as 0, the weakest.
        if level.as_u64().is_none_or(|l| l == 0) {
            let at = key("ig.acr.levels", name);
            return Err(wrong(at, level, "a whole number, 1 or more"));
        }
    }

    let mut classes = BTreeSet::new();
    let fields = entries("ig.fields", section(ig, "fields")?)?;
    let tags = match ig.get("tags") {
        None => Vec::new(),
        Some(tags) => entries("ig.tags", object("ig.tags".into(), tags)?)?,
    };
    // A tag that classifies nothing says so by an empty entry.
    let tags = tags.into_iter().filter(|tag| !tag.members.is_empty());
    for field in fields.into_iter().chain(tags) {
        field.only(&[
            "class",
            "strategy",
            "keep_first",
            "keep_last",
            "entropy",
            "compare",
        ])?;
        field.optional("compare", Value::as_bool, "true or false")?;
        let entropy = |v: &Value| {
            v.as_str()
                .filter(|e| matches!(*e, "low" | "high"))
                .map(|_| ())
        };
        field.optional("entropy", entropy, "`low` or `high`")?;
        classes.insert(field.text("class")?.to_owned());
        let strategy = field.text("strategy")?;
        if strategy != "reveal" && StrategyKind::parse(strategy).is_none() {
            return Err(Fault {
                at: field.at,
                reason: format!(
                    "there is no strategy `{strategy}`: use reveal, {}",
                    StrategyKind::NAMES.join(", ")
                ),
            });
        }
        for kept in ["keep_first", "keep_last"] {
            let byte = |v: &Value| v.as_u64().filter(|n| *n <= u64::from(u8::MAX));
            field.optional(kept, byte, "a whole number of characters, 0 to 255")?;
        }
    }

    let grants = present(ig, "ig", "grants")?;
    let grants = grants
        .as_array()
        .ok_or_else(|| wrong("ig.grants".into(), grants, "a list"))?;
    for (index, grant) in grants.iter().enumerate() {
        let grant = Place::new(format!("ig.grants[{index}]"), grant)?;
        let at = &grant.at;
        grant.only(&[
            "role", "purpose", "classes", "max_risk", "min_acr", "exports",
        ])?;
        grant.optional("exports", Value::as_bool, "true or false")?;
        if grant.members.contains_key("min_acr") {
            known(
                at,
                "acr",
                grant.text("min_acr")?,
                acrs.keys(),
                "ig.acr.levels",
            )?;
        }
        known(at, "role", grant.text("role")?, roles.keys(), "ig.roles")?;
        let purpose = grant.text("purpose")?;
        known(at, "purpose", purpose, purposes.keys(), "ig.purposes")?;
        let level = grant.text("max_risk")?;
        known(at, "risk level", level, levels.keys(), "ig.risk.levels")?;
        let granted = present(grant.members, at, "classes")?;
        let list = granted
            .as_array()
            .ok_or_else(|| wrong(format!("{at}.classes"), granted, "a list"))?;
        for (index, class) in list.iter().enumerate() {
            let at = format!("{at}.classes[{index}]");
            let name = class
                .as_str()
                .ok_or_else(|| wrong(at.clone(), class, "the name of a class"))?;
            known(&at, "class", name, classes.iter(), "ig.fields")?;
        }
    }
    Ok(())
}

/// One object of the data.
struct Place<'v> {
    at: String,
    members: &'v Map<String, Value>,
}

impl<'v> Place<'v> {
    fn new(at: String, value: &'v Value) -> Checked<Self> {
        let members = object(at.clone(), value)?;
        Ok(Self { at, members })
    }

    /// Refuses other members: a misspelt one would be one that is missing.
    fn only(&self, names: &[&str]) -> Checked<()> {
        match self.members.keys().find(|k| !names.contains(&k.as_str())) {
            None => Ok(()),
            Some(other) => Err(Fault {
                at: self.at.clone(),
                reason: format!("there is no member `{other}`: use {}", names.join(", ")),
            }),
        }
    }

    fn text(&self, name: &str) -> Checked<&'v str> {
        let value = present(self.members, &self.at, name)?;
        let text = value.as_str().filter(|t| !t.is_empty());
        text.ok_or_else(|| wrong(format!("{}.{name}", self.at), value, "a text, not empty"))
    }

    fn object(&self, name: &str) -> Checked<&'v Map<String, Value>> {
        let value = present(self.members, &self.at, name)?;
        object(format!("{}.{name}", self.at), value)
    }

    fn optional<T>(
        &self,
        name: &str,
        read: impl Fn(&'v Value) -> Option<T>,
        expected: &str,
    ) -> Checked<()> {
        match self.members.get(name) {
            Some(value) if read(value).is_none() => {
                Err(wrong(format!("{}.{name}", self.at), value, expected))
            }
            _ => Ok(()),
        }
    }
}

/// A section that holds entries by name, and at least one.
fn section<'v>(ig: &'v Map<String, Value>, name: &str) -> Checked<&'v Map<String, Value>> {
    let at = format!("ig.{name}");
    let section = object(at.clone(), present(ig, "ig", name)?)?;
    not_empty(&at, section)
}

fn entries<'v>(at: &str, section: &'v Map<String, Value>) -> Checked<Vec<Place<'v>>> {
    section
        .iter()
        .map(|(name, value)| Place::new(key(at, name), value))
        .collect()
}

fn present<'v>(members: &'v Map<String, Value>, at: &str, name: &str) -> Checked<&'v Value> {
    members.get(name).ok_or_else(|| Fault {
        at: at.to_owned(),
        reason: format!("`{name}` is missing"),
    })
}

fn object(at: String, value: &Value) -> Checked<&Map<String, Value>> {
    value
        .as_object()
        .ok_or_else(|| wrong(at, value, "an object"))
}

fn not_empty<'v>(at: &str, section: &'v Map<String, Value>) -> Checked<&'v Map<String, Value>> {
    if section.is_empty() {
        return Err(Fault {
            at: at.to_owned(),
            reason: "it must not be empty".into(),
        });
    }
    Ok(section)
}

fn known<'n>(
    at: &str,
    kind: &str,
    name: &str,
    mut names: impl Iterator<Item = &'n String>,
    section: &str,
) -> Checked<()> {
    if names.any(|n| n == name) {
        return Ok(());
    }
    Err(Fault {
        at: at.to_owned(),
        reason: format!("there is no {kind} `{name}` in {section}"),
    })
}

/// Says of what kind a value is, not what it is.
fn wrong(at: String, value: &Value, expected: impl fmt::Display) -> Fault {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "empty",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Fault {
        at,
        reason: format!("it must be {expected}, and it is {kind}"),
    }
}

/// `ig.fields["Contact.email"]`
fn key(at: &str, name: &str) -> String {
    format!("{at}[{}]", Value::from(name))
}

#[cfg(test)]
mod tests;
