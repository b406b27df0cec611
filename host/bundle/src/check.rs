//! Trying a bundle before anything is pushed.

pub(crate) mod asked;
mod egress;

use std::collections::BTreeMap;
use std::fmt;

use engine::config::ConfigError;
use engine::filter::{Masking, tell_tags};
use engine::mask::RuleTable;
use engine::policy::{Decision, Policy, PolicyError, ResidencyDecision, package};
use engine::residency::Residency;
use engine::schema::Schema;

use crate::{Bundle, BundleError, data};
use asked::Directory;

pub use egress::examine_guards;

/// What an examination tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examined {
    /// Decisions of `ig.masking`.
    pub masking: usize,
    /// Decisions of `ig.residency`.
    pub residency: usize,
}

/// Looks at the data, loads the bundle as the filters will, and asks it for decisions about every
/// kind of caller, so that a rule that fails or names a field that does not exist is found here and
/// not by a request.
///
/// Every value that the policy's data knows is tried, and those that rules mostly combine in pairs;
/// not everything with everything, so that a push does not take longer with every tenant and role.
///
/// # Errors
/// The data lacks something, the bundle does not load, or a decision is missing or malformed.
pub fn examine(bundle: &Bundle) -> Result<Examined, BundleError> {
    data::validate(&bundle.policy.data).map_err(|fault| BundleError::Data {
        path: bundle.path.clone(),
        at: fault.at,
        reason: fault.reason,
    })?;
    let invalid = |error| BundleError::Invalid {
        path: match error {
            ConfigError::Route { .. } | ConfigError::Batch(_) | ConfigError::Persisted { .. } => {
                bundle.path.join("masking.json")
            }
            _ => bundle.path.clone(),
        },
        error,
    };
    let paths = ["/graphql".to_owned()];
    let config = |value: Result<Vec<u8>, serde_json::Error>| {
        value.map_err(|e| invalid(ConfigError::Form(e)))
    };
    let masking = config(serde_json::to_vec(&bundle.masking("examination", &paths)))?;
    Masking::configure(&masking, |_| None).map_err(invalid)?;
    let residency = config(serde_json::to_vec(&bundle.residency(
        "examination",
        &[],
        &paths,
    )))?;
    Residency::configure(&residency, |_| None).map_err(invalid)?;

    let undecided = |asked: &dyn fmt::Display, reason: String| BundleError::Undecided {
        path: bundle.path.clone(),
        caller: asked.to_string(),
        reason,
    };
    let schema = Schema::parse(&bundle.schema).map_err(|e| invalid(e.into()))?;
    let directory = Directory::of(&bundle.policy.data);

    let callers = directory.callers();
    let mut source = bundle.policy.clone();
    tell_tags(&schema, &mut source.data).map_err(|e| invalid(e.into()))?;
    let mut policy = Policy::load::<Decision>(&source).map_err(|e| invalid(e.into()))?;
    beside_rules(bundle, &mut policy)?;
    for caller in &callers {
        serde_json::to_string(&caller.input())
            .map_err(|e| e.to_string())
            .and_then(|i| policy.ask::<Decision>(&i).map_err(|e| e.to_string()))
            .and_then(|d| RuleTable::new(&schema, &d, caller.surface).map_err(|e| e.to_string()))
            .map_err(|reason| undecided(caller, reason))?;
    }

    let crossings = directory.crossings();
    let mut policy =
        Policy::load::<ResidencyDecision>(&bundle.policy).map_err(|e| invalid(e.into()))?;
    for crossing in &crossings {
        let mut ask = |i: String| policy.ask::<ResidencyDecision>(&i);
        serde_json::to_string(&crossing.input())
            .map_err(|e| e.to_string())
            .and_then(|i| ask(i).map_err(|e| e.to_string()))
            .map_err(|reason| undecided(crossing, reason))?;
    }
    Ok(Examined {
        masking: callers.len(),
        residency: crossings.len(),
    })
}

/// Looks whether data stands where a rule does: the interpreter would take it for the rule's value.
fn beside_rules(bundle: &Bundle, policy: &mut Policy) -> Result<(), BundleError> {
    let invalid = |error: PolicyError| BundleError::Invalid {
        path: bundle.path.clone(),
        error: error.into(),
    };
    let mut packages = BTreeMap::new();
    for module in &bundle.policy.modules {
        packages.insert(module.path.clone(), package(module).map_err(invalid)?);
    }
    for module in policy.coverage().map_err(invalid)? {
        let Some(package) = packages.get(&module.path) else {
            continue;
        };
        for rule in module.rules {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let name: String = rule.head.chars().take_while(|c| is_name(*c)).collect();
            let mut data = Some(&bundle.policy.data);
            for step in package.iter().chain([&name]) {
                data = data.and_then(|d| d.get(step));
            }
            if data.is_some() {
                return Err(BundleError::OverRule {
                    path: bundle.path.clone(),
                    key: format!("{}/{name}", package.join("/")),
                    module: module.path,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use serde_json::Value;

    fn bundle() -> Bundle {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        Bundle::read(&policies).unwrap()
    }

    fn masking(bundle: &mut Bundle) -> &mut engine::policy::Module {
        let modules = &mut bundle.policy.modules;
        modules
            .iter_mut()
            .find(|m| m.path == "ig/masking.rego")
            .unwrap()
    }

    #[test]
    fn the_policies_of_this_repository_pass() {
        let examined = examine(&bundle()).unwrap();
        assert!(
            examined.masking >= 100 && examined.residency >= 50,
            "{examined:?}"
        );
    }

    #[test]
    fn settings_that_can_not_be_meant_are_refused_with_their_place() {
        use serde_json::json;

        let route = |name: &str, value: Value| {
            let mut route = json!({"name": "a", "path": "/a", "type": "Person"});
            route[name] = value;
            json!({"routes": [route]})
        };
        for (settings, want) in [
            (
                route("methods", json!(["get"])),
                "route `a`: no request has the method `get`",
            ),
            (
                route("path", json!("/A/../b")),
                "route `a`: no path has the segment `..`",
            ),
            (
                route("path", json!("/a//b")),
                "route `a`: no path has the segment ``",
            ),
            (
                route("surface", json!("graphql")),
                "route `a`: `surface` is for what is no GraphQL",
            ),
            (
                json!({"graphql": {"batch": 1_000_000}}),
                "`graphql.batch` is 1000000, which is too many: use 1000 or less",
            ),
            (
                json!({"graphql": {"manifest": {"mine": "{ nope"}}}),
                "persisted query `mine`: ",
            ),
        ] {
            let mut bundle = bundle();
            bundle.settings = serde_json::from_value(settings).unwrap();
            let error = examine(&bundle).unwrap_err().to_string();
            assert!(
                error.contains(&format!("masking.json can't be used: {want}")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_only_some_callers_would_meet_is_found() {
        let mut broken = bundle();
        let text = &mut masking(&mut broken).text;
        assert!(text.starts_with("# What a caller may see"));
        text.push_str("\nrules[\"Person.emial\"] := {\"strategy\": \"hash\", \"reason\": \"typo\"} if \"auditor\" in roles\n");
        let error = examine(&broken).unwrap_err().to_string();
        assert!(
            error.contains("role auditor") && error.contains("Person.emial"),
            "{error}"
        );
    }

    #[test]
    fn a_classified_field_that_does_not_exist_is_found() {
        let mut broken = bundle();
        broken.policy.data["ig"]["fields"]["Person.nope"] =
            serde_json::json!({"class": "x", "strategy": "hash"});
        let error = examine(&broken).unwrap_err().to_string();
        assert!(error.contains("`Person.nope`"), "{error}");
    }

    #[test]
    fn a_tag_that_the_data_does_not_explain_is_found_with_its_line_and_fix() {
        use serde_json::json;

        let tagged = |tag: &str, tags: Option<Value>| {
            let mut broken = bundle();
            let sdl = &mut broken.schema;
            let line = sdl.lines().position(|l| l.contains("@tag(name: \"born\")"));
            *sdl = sdl.replace("@tag(name: \"born\")", &format!("@tag(name: \"{tag}\")"));
            let ig = broken.policy.data["ig"].as_object_mut().unwrap();
            match tags {
                Some(tags) => ig.insert("tags".into(), tags),
                None => ig.remove("tags"),
            };
            (
                examine(&broken),
                format!("schema line {}, ", line.unwrap() + 1),
            )
        };
        let born = bundle().policy.data["ig"]["tags"].clone();
        for (tag, tags, fix) in [
            (
                "bron",
                Some(born.clone()),
                "`bron`: write `born`, or add it there",
            ),
            (
                "Born",
                Some(born.clone()),
                "`Born`: write `born`, or add it there",
            ),
            ("born", Some(json!({})), "`born`: add it there (as {} if"),
            ("born", None, "`born`: add it there (as {} if"),
        ] {
            let (seen, line) = tagged(tag, tags);
            let error = seen.expect_err(tag).to_string();
            assert!(
                error.contains(&line) && error.contains(fix),
                "{tag}: {error}"
            );
        }
        let harmless = json!({"born": {}, "house": {}});
        for (tag, tags) in [("born", born), ("house", harmless)] {
            tagged(tag, Some(tags)).0.unwrap();
        }
    }

    /// Appends to the masking module, and returns what the examination says.
    fn with_rule(rule: &str) -> String {
        let mut broken = bundle();
        let module = masking(&mut broken);
        assert_eq!(module.path, "ig/masking.rego");
        module.text.push_str(rule);
        examine(&broken).expect_err(rule).to_string()
    }

    #[test]
    fn what_only_some_requests_would_meet_is_found() {
        for (condition, named) in [
            (r#"input.region == "eu""#, "region eu"),
            (r#"input.region == "apac""#, "region apac"),
            (r#"input.operation == "mutation""#, "operation mutation"),
            (
                r#"input.operation == "subscription""#,
                "operation subscription",
            ),
            (r#"input.subject == "mallory@acme""#, "subject mallory@acme"),
            (r#"input.acr == "mfa""#, "acr mfa"),
            (r#"input.purpose == "analytics""#, "purpose analytics"),
            (
                r#"data.ig.tenants[input.tenant].risk == "medium""#,
                "tenant globex",
            ),
            (
                "count(input.roles) == count(data.ig.roles)",
                "roles admin and analyst and auditor and probe and support",
            ),
            (
                "input.operation == \"mutation\"\n\tinput.region == \"us\"\n\t\"support\" in input.roles",
                "role support",
            ),
        ] {
            let error = with_rule(&format!(
                "\nrules[\"Person.emial\"] := {{\"strategy\": \"hash\", \"reason\": \"typo\"}} if {{\n\t{condition}\n}}\n"
            ));
            assert!(
                error.contains(named) && error.contains("`Person.emial`"),
                "{condition}: {error}"
            );
            for part in [
                "role",
                "purpose ",
                "tenant ",
                "region ",
                "operation ",
                "subject ",
            ] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }

    /// What the house's rules say with other data, without the examination before them.
    fn decide(data: impl FnOnce(&mut Value), tenant: &str, role: &str, purpose: &str) -> Decision {
        let mut other = bundle();
        data(&mut other.policy.data["ig"]);
        let mut policy = Policy::load::<Decision>(&other.policy).unwrap();
        let input = serde_json::json!({
            "tenant": tenant, "subject": "eve", "roles": [role], "purpose": purpose,
            "acr": null, "region": "eu", "operation": "query",
        });
        policy.ask::<Decision>(&input.to_string()).unwrap()
    }

    #[test]
    fn broken_data_is_refused_and_the_rules_alone_widen_nothing_under_it() {
        use engine::mask::StrategyKind;
        use engine::policy::Verdict;
        use serde_json::json;

        let strategy = |d: &Decision, c: &str| d.rules[c].strategy;
        let salary = "Person.salary";
        let good = decide(|_| (), "globex", "auditor", "audit");
        assert_eq!(strategy(&good, salary), Verdict::Reveal);

        // A level that does not exist reaches nobody, not even those of the lowest risk.
        for max_risk in [json!("lwo"), json!(null), json!(7)] {
            for tenant in ["acme", "globex"] {
                let edit = |ig: &mut Value| ig["grants"][0]["max_risk"] = max_risk.clone();
                let decision = decide(edit, tenant, "auditor", "audit");
                let masked = Verdict::Mask(StrategyKind::Null);
                assert_eq!(strategy(&decision, salary), masked, "{max_risk}");
            }
        }
        // Without levels all of risk is the highest.
        for risk in [
            json!({}),
            json!({"levels": {}}),
            json!({"levels": {}, "subjects": {}}),
        ] {
            for tenant in ["umbrella", "acme"] {
                let edit = |ig: &mut Value| ig["risk"] = risk.clone();
                let decision = decide(edit, tenant, "auditor", "audit");
                for (coordinate, rule) in &decision.rules {
                    let masked = Verdict::Mask(StrategyKind::Redact);
                    assert_eq!(rule.strategy, masked, "{coordinate} under {risk}");
                }
                assert!(decision.rules.contains_key("Contact.email"));
            }
        }

        for (pointer, value, named) in [
            ("/ig/fields", json!([]), "policy data ig.fields: "),
            ("/ig/risk", json!({}), "policy data ig.risk: "),
            (
                "/ig/grants/0/max_risk",
                json!("lwo"),
                "policy data ig.grants[0]: ",
            ),
            ("/ig/tenants", json!([]), "policy data ig.tenants: "),
            (
                "/ig/tenants/acme",
                json!(5),
                "policy data ig.tenants[\"acme\"]: ",
            ),
            ("/ig/roles", json!(null), "policy data ig.roles: "),
            ("/ig/purposes", json!([]), "policy data ig.purposes: "),
            ("/ig/regions", json!({}), "policy data ig.regions: "),
            (
                "/ig/fields/Contact.email/strategy",
                json!("scramble"),
                "policy data ig.fields[\"Contact.email\"]: there is no strategy `scramble`: use ",
            ),
        ] {
            let mut broken = bundle();
            *broken.policy.data.pointer_mut(pointer).unwrap() = value;
            let error = examine(&broken).unwrap_err();
            assert!(matches!(error, BundleError::Data { .. }), "{error:?}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
