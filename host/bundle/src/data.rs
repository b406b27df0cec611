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
mod tests {
    use super::*;
    use serde_json::json;

    fn data() -> Value {
        let policies = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        crate::Bundle::read(&policies).unwrap().policy.data
    }

    /// The house's data with one value put in place of another.
    pub(super) fn with(pointer: &str, value: Value) -> String {
        let mut data = data();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match data.pointer_mut(parent).unwrap() {
            Value::Object(members) => members.insert(name.into(), value),
            Value::Array(items) => Some(std::mem::replace(
                &mut items[name.parse::<usize>().unwrap()],
                value,
            )),
            _ => panic!("{pointer}"),
        };
        let fault = validate(&data).expect_err(pointer);
        format!("{}: {}", fault.at, fault.reason)
    }

    #[test]
    fn the_data_of_this_repository_is_good_and_an_author_may_add_to_it() {
        let mut data = data();
        assert_eq!(validate(&data), Ok(()));
        data["ig"]["calendar"] = json!([1, 2]);
        data["house"] = json!("ours");
        data["ig"]["grants"] = json!([]);
        data["ig"]["risk"]["subjects"] = json!({});
        assert_eq!(validate(&data), Ok(()));
    }

    #[test]
    fn every_section_must_be_there_and_of_its_type() {
        for name in [
            "regions", "tenants", "roles", "purposes", "risk", "fields", "grants",
        ] {
            let mut missing = data();
            missing["ig"].as_object_mut().unwrap().remove(name);
            let fault = validate(&missing).unwrap_err();
            assert_eq!(
                (fault.at.as_str(), fault.reason),
                ("ig", format!("`{name}` is missing"))
            );
            for other in [Value::Null, json!(5), json!("x"), json!(true)] {
                let error = with(&format!("/ig/{name}"), other);
                assert!(
                    error.starts_with(&format!("ig.{name}: it must be a")),
                    "{error}"
                );
            }
            if name != "grants" {
                let error = with(&format!("/ig/{name}"), json!([]));
                assert_eq!(
                    error,
                    format!("ig.{name}: it must be an object, and it is a list")
                );
            }
            if !["grants", "risk"].contains(&name) {
                let error = with(&format!("/ig/{name}"), json!({}));
                assert_eq!(error, format!("ig.{name}: it must not be empty"));
                let error = with(&format!("/ig/{name}/x"), json!(5));
                assert_eq!(
                    error,
                    format!("ig.{name}[\"x\"]: it must be an object, and it is a number")
                );
                let error = with(&format!("/ig/{name}/x"), json!({"nope": 1}));
                assert!(
                    error.starts_with(&format!(
                        "ig.{name}[\"x\"]: there is no member `nope`: use "
                    )),
                    "{error}"
                );
            }
        }
        for broken in [json!(null), json!([]), json!({}), json!({"ig": []})] {
            assert_eq!(validate(&broken).unwrap_err().at, "ig");
        }
    }

    #[test]
    fn names_that_stand_for_nothing_are_refused() {
        for (pointer, value, want) in [
            (
                "/ig/fields/Contact.email/strategy",
                json!("scramble"),
                r#"ig.fields["Contact.email"]: there is no strategy `scramble`: use reveal, partial, hash, null, redact"#,
            ),
            (
                "/ig/tenants/acme/region",
                json!("mars"),
                r#"ig.tenants["acme"]: there is no region `mars` in ig.regions"#,
            ),
            (
                "/ig/tenants/acme/risk",
                json!("lwo"),
                r#"ig.tenants["acme"]: there is no risk level `lwo` in ig.risk.levels"#,
            ),
            (
                "/ig/risk/subjects/eve",
                json!("lwo"),
                r#"ig.risk.subjects["eve"]: there is no risk level `lwo` in ig.risk.levels"#,
            ),
            (
                "/ig/grants/0/max_risk",
                json!("lwo"),
                "ig.grants[0]: there is no risk level `lwo` in ig.risk.levels",
            ),
            (
                "/ig/grants/1/role",
                json!("suport"),
                "ig.grants[1]: there is no role `suport` in ig.roles",
            ),
            (
                "/ig/grants/1/purpose",
                json!("suport"),
                "ig.grants[1]: there is no purpose `suport` in ig.purposes",
            ),
            (
                "/ig/grants/0/classes/1",
                json!("exprot"),
                "ig.grants[0].classes[1]: there is no class `exprot` in ig.fields",
            ),
        ] {
            assert_eq!(with(pointer, value), want);
        }
    }

    #[test]
    fn members_are_of_their_types_and_no_value_is_repeated() {
        for (pointer, value, want) in [
            (
                "/ig/risk/levels",
                json!({}),
                "ig.risk.levels: it must not be empty",
            ),
            (
                "/ig/risk/levels/high",
                json!(-1),
                r#"ig.risk.levels["high"]: it must be a whole number, 0 or more, and it is a number"#,
            ),
            (
                "/ig/risk/level",
                json!({}),
                "ig.risk: there is no member `level`: use levels, subjects",
            ),
            (
                "/ig/risk/subjects/eve",
                json!(2),
                r#"ig.risk.subjects["eve"]: it must be the name of a risk level, and it is a number"#,
            ),
            (
                "/ig/roles/admin/administers",
                json!("s3cret"),
                r#"ig.roles["admin"].administers: it must be true or false, and it is a text"#,
            ),
            (
                "/ig/fields/Contact.phone/keep_last",
                json!(256),
                r#"ig.fields["Contact.phone"].keep_last: it must be a whole number of characters, 0 to 255, and it is a number"#,
            ),
            (
                "/ig/fields/Contact.phone/keep_last",
                json!(null),
                r#"ig.fields["Contact.phone"].keep_last: it must be a whole number of characters, 0 to 255, and it is null"#,
            ),
            (
                "/ig/fields/Contact.phone",
                json!({"class": "contact"}),
                r#"ig.fields["Contact.phone"]: `strategy` is missing"#,
            ),
            (
                "/ig/fields/Contact.phone/class",
                json!(["s3cret"]),
                r#"ig.fields["Contact.phone"].class: it must be a text, not empty, and it is a list"#,
            ),
            (
                "/ig/tenants/acme",
                json!({"region": "eu"}),
                r#"ig.tenants["acme"]: `risk` is missing"#,
            ),
            (
                "/ig/grants/0/classes",
                json!("financial"),
                "ig.grants[0].classes: it must be a list, and it is a text",
            ),
            (
                "/ig/grants/0",
                json!({"role": "auditor", "purpose": "audit", "classes": []}),
                "ig.grants[0]: `max_risk` is missing",
            ),
        ] {
            assert_eq!(with(pointer, value), want);
        }
    }
}
