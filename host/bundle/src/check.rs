//! Trying a bundle before anything is pushed.

use std::collections::{HashMap, HashSet};
use std::fmt;

use engine::config::ConfigError;
use engine::filter::{Masking, tell_tags};
use engine::mask::RuleTable;
use engine::policy::{Decision, MaskingInput, Policy, ResidencyDecision, ResidencyInput, Surface};
use engine::residency::Residency;
use engine::schema::{OperationKind, Schema};
use serde_json::Value;

use crate::{Bundle, BundleError, data};

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
            ConfigError::Route { .. } => bundle.path.join("masking.json"),
            _ => bundle.path.clone(),
        },
        error,
    };
    let paths = ["/graphql".to_owned()];
    let config = |value: Result<Vec<u8>, serde_json::Error>| {
        value.map_err(|e| invalid(ConfigError::Form(e)))
    };
    let masking = config(serde_json::to_vec(&bundle.masking("examination", &paths)))?;
    Masking::configure(&masking, None).map_err(invalid)?;
    let residency = config(serde_json::to_vec(&bundle.residency(
        "examination",
        &[],
        &paths,
    )))?;
    Residency::configure(&residency).map_err(invalid)?;

    let undecided = |asked: &dyn fmt::Display, reason: String| BundleError::Undecided {
        path: bundle.path.clone(),
        caller: asked.to_string(),
        reason,
    };
    let schema = Schema::parse(&bundle.schema).map_err(|e| invalid(e.into()))?;
    let directory = Directory::of(&bundle.policy.data);

    let callers = directory.callers();
    let mut source = bundle.policy.clone();
    tell_tags(&schema, &mut source.data);
    let mut policy = Policy::load::<Decision>(&source).map_err(|e| invalid(e.into()))?;
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

/// How many pairs of one kind are tried; where there are more, every value is, once.
const PAIRS: usize = 40;
/// The same for the border, whose decisions are cheap.
const CROSSINGS: usize = 80;
/// How many of the subjects that the data names are tried.
const SUBJECTS: usize = 16;

const UNKNOWN_TENANT: Tenant<'static> = Tenant {
    name: "a-tenant-unknown",
    home: None,
};

/// What the data knows, which is what rules can tell apart.
struct Directory<'v> {
    roles: Vec<&'v str>,
    purposes: Vec<Option<&'v str>>,
    regions: Vec<&'v str>,
    subjects: Vec<&'v str>,
    acrs: Vec<&'v str>,
    /// One of each region and risk, those of the lowest risk first, and one that is unknown.
    tenants: Vec<Tenant<'v>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Tenant<'v> {
    name: &'v str,
    home: Option<&'v str>,
}

/// What one decision of `ig.masking` is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Caller<'v> {
    roles: Vec<String>,
    purpose: Option<&'v str>,
    tenant: &'v str,
    region: &'v str,
    operation: OperationKind,
    subject: &'v str,
    acr: Option<&'v str>,
    surface: Surface,
}

/// What one decision of `ig.residency` is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Crossing<'v> {
    tenant: &'v str,
    gateway_region: &'v str,
    data_region: Option<&'v str>,
}

impl<'v> Directory<'v> {
    fn of(data: &'v Value) -> Self {
        let levels = data.pointer("/ig/risk/levels");
        let tenants = data.pointer("/ig/tenants").and_then(Value::as_object);
        let mut first: HashMap<(Option<&str>, Option<&str>), &'v str> = HashMap::new();
        for (name, tenant) in tenants.into_iter().flatten() {
            let text = |member: &str| tenant.get(member).and_then(Value::as_str);
            first
                .entry((text("region"), text("risk")))
                .or_insert(name.as_str());
        }
        let mut kinds: Vec<_> = first
            .into_iter()
            .map(|((home, risk), name)| {
                let level = risk.and_then(|r| levels?.get(r)?.as_u64());
                (level, name, home)
            })
            .collect();
        kinds.sort_unstable();
        let purposes = keys(data, "/ig/purposes");
        let subjects = keys(data, "/ig/risk/subjects");
        Self {
            roles: keys(data, "/ig/roles"),
            purposes: purposes.into_iter().map(Some).chain([None]).collect(),
            regions: keys(data, "/ig/regions"),
            acrs: keys(data, "/ig/acr/levels"),
            subjects: subjects.into_iter().take(SUBJECTS).collect(),
            tenants: kinds
                .into_iter()
                .map(|(_, name, home)| Tenant { name, home })
                .chain([UNKNOWN_TENANT])
                .collect(),
        }
    }

    /// The callers that `ig.masking` is asked about.
    fn callers(&self) -> Vec<Caller<'v>> {
        let tenant = self.tenants.first().copied().unwrap_or(UNKNOWN_TENANT);
        let nowhere = self.regions.first().copied().unwrap_or("a-region-unknown");
        let base = Caller {
            roles: Vec::new(),
            purpose: None,
            tenant: tenant.name,
            region: tenant.home.unwrap_or(nowhere),
            operation: OperationKind::Query,
            subject: "examination",
            acr: None,
            surface: Surface::Graphql,
        };
        let one = |role: &&str| vec![(*role).to_owned()];
        let all: Vec<String> = self.roles.iter().map(|r| (*r).to_owned()).collect();
        // Each role alone, and all of them together.
        let held: Vec<Vec<String>> = self.roles.iter().map(one).chain([all.clone()]).collect();
        let writes = [OperationKind::Query, OperationKind::Mutation];
        let mut callers = Vec::new();
        for (roles, purpose) in pairs(&held, &self.purposes, PAIRS) {
            for operation in writes {
                callers.push(Caller {
                    roles: roles.clone(),
                    purpose: *purpose,
                    operation,
                    ..base.clone()
                });
            }
            for surface in [Surface::Rest, Surface::Export] {
                callers.push(Caller {
                    roles: roles.clone(),
                    purpose: *purpose,
                    surface,
                    ..base.clone()
                });
            }
        }
        for (at, (tenant, roles)) in pairs(&self.tenants, &held, PAIRS).into_iter().enumerate() {
            callers.push(Caller {
                roles: roles.clone(),
                purpose: turn(&self.purposes, at).flatten(),
                tenant: tenant.name,
                region: tenant.home.unwrap_or(nowhere),
                ..base.clone()
            });
        }
        for (at, (region, roles)) in pairs(&self.regions, &held, PAIRS).into_iter().enumerate() {
            for operation in writes {
                callers.push(Caller {
                    roles: roles.clone(),
                    purpose: turn(&self.purposes, at).flatten(),
                    region,
                    operation,
                    ..base.clone()
                });
            }
        }
        for (at, subject) in self.subjects.iter().enumerate() {
            for roles in [turn(&held, at).unwrap_or_default(), all.clone()] {
                callers.push(Caller {
                    roles,
                    subject,
                    ..base.clone()
                });
            }
        }
        for roles in [turn(&held, 0).unwrap_or_default(), all] {
            for acr in self.acrs.iter().chain(&["an-acr-unknown"]) {
                callers.push(Caller {
                    roles: roles.clone(),
                    acr: Some(*acr),
                    ..base.clone()
                });
            }
            callers.push(Caller {
                roles,
                operation: OperationKind::Subscription,
                ..base.clone()
            });
        }
        callers.push(Caller {
            roles: vec!["a-role-unknown".into()],
            purpose: Some("a-purpose-unknown"),
            ..base.clone()
        });
        callers.push(base);
        once(callers)
    }

    /// What `ig.residency` is asked about.
    fn crossings(&self) -> Vec<Crossing<'v>> {
        let asked: Vec<Option<&str>> = self
            .regions
            .iter()
            .copied()
            .map(Some)
            .chain([None])
            .collect();
        let ways = pairs(&self.regions, &asked, CROSSINGS);
        let mut crossings: Vec<Crossing<'_>> = pairs(&self.tenants, &ways, CROSSINGS)
            .into_iter()
            .map(|(tenant, (gateway_region, data_region))| Crossing {
                tenant: tenant.name,
                gateway_region,
                data_region: **data_region,
            })
            .collect();
        for Tenant { name, home } in &self.tenants {
            crossings.extend(home.map(|home| Crossing {
                tenant: name,
                gateway_region: home,
                data_region: None,
            }));
        }
        once(crossings)
    }
}

impl Caller<'_> {
    fn input(&self) -> MaskingInput<'_> {
        MaskingInput {
            tenant: self.tenant,
            subject: self.subject,
            roles: &self.roles,
            purpose: self.purpose,
            acr: self.acr,
            region: self.region,
            operation: self.operation,
            surface: self.surface,
            route: None,
        }
    }
}

impl fmt::Display for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.roles.as_slice() {
            [] => f.write_str("no role")?,
            [role] => write!(f, "role {role}")?,
            roles => write!(f, "roles {}", roles.join(" and "))?,
        }
        let operation = match self.operation {
            OperationKind::Query => "query",
            OperationKind::Mutation => "mutation",
            OperationKind::Subscription => "subscription",
        };
        write!(
            f,
            ", purpose {}, tenant {}, region {}, operation {operation}, subject {}, acr {}, {}",
            self.purpose.unwrap_or("(none)"),
            self.tenant,
            self.region,
            self.subject,
            self.acr.unwrap_or("(none)"),
            match self.surface {
                Surface::Graphql => "GraphQL",
                Surface::Rest => "a REST route",
                Surface::Export => "an export",
            },
        )
    }
}

impl Crossing<'_> {
    fn input(&self) -> ResidencyInput<'_> {
        ResidencyInput {
            tenant: self.tenant,
            gateway_region: self.gateway_region,
            data_region: self.data_region,
            warrant: None,
        }
    }
}

impl fmt::Display for Crossing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tenant {} at a gateway of {}, data region {}",
            self.tenant,
            self.gateway_region,
            self.data_region.unwrap_or("(none)")
        )
    }
}

/// Each with each, if there are at most `most` pairs; else each of both in at least one pair.
fn pairs<'a, A, B>(a: &'a [A], b: &'a [B], most: usize) -> Vec<(&'a A, &'a B)> {
    if a.len().saturating_mul(b.len()) <= most {
        return a
            .iter()
            .flat_map(|a| b.iter().map(move |b| (a, b)))
            .collect();
    }
    let longer = a.len().max(b.len());
    a.iter()
        .cycle()
        .zip(b.iter().cycle())
        .take(longer)
        .collect()
}

/// The values in turn.
fn turn<T: Clone>(values: &[T], at: usize) -> Option<T> {
    values.iter().cycle().nth(at).cloned()
}

/// Each question once, in their order.
fn once<T: Clone + Eq + std::hash::Hash>(questions: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    let mut questions = questions;
    questions.retain(|q| seen.insert(q.clone()));
    questions
}

fn keys<'v>(data: &'v Value, pointer: &str) -> Vec<&'v str> {
    let object = data.pointer(pointer).and_then(Value::as_object);
    object
        .map(|o| o.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn bundle() -> Bundle {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        Bundle::read(&policies).unwrap()
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
    fn what_only_some_callers_would_meet_is_found() {
        let mut broken = bundle();
        let text = &mut broken.policy.modules[0].text;
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

    /// Appends to the masking module, and returns what the examination says.
    fn with_rule(rule: &str) -> String {
        let mut broken = bundle();
        let module = &mut broken.policy.modules[0];
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
                "roles admin and analyst and auditor and support",
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

    #[test]
    fn large_directories_take_no_longer() {
        let mut large = bundle();
        let ig = &mut large.policy.data["ig"];
        for n in 0..1000 {
            ig["tenants"][format!("t{n}")] = serde_json::json!({"region": "eu", "risk": "low"});
            ig["risk"]["subjects"][format!("s{n}")] = "high".into();
        }
        for n in 0..30 {
            ig["roles"][format!("r{n}")] = serde_json::json!({});
            ig["purposes"][format!("p{n}")] = serde_json::json!({});
            ig["regions"][format!("g{n}")] = serde_json::json!({});
            ig["tenants"][format!("u{n}")] =
                serde_json::json!({"region": format!("g{n}"), "risk": "low"});
        }
        let directory = Directory::of(&large.policy.data);
        let (callers, crossings) = (directory.callers(), directory.crossings());
        let asked = callers.len() + crossings.len();
        assert!((200..=400).contains(&asked), "{asked}");
        for role in &directory.roles {
            assert!(callers.iter().any(|c| c.roles == [*role]), "{role}");
        }
        for purpose in &directory.purposes {
            assert!(callers.iter().any(|c| c.purpose == *purpose), "{purpose:?}");
        }
        for region in &directory.regions {
            assert!(callers.iter().any(|c| c.region == *region), "{region}");
            assert!(
                crossings.iter().any(|c| c.gateway_region == *region)
                    && crossings.iter().any(|c| c.data_region == Some(*region)),
                "{region}"
            );
        }
        for tenant in &directory.tenants {
            assert!(
                callers.iter().any(|c| c.tenant == tenant.name),
                "{tenant:?}"
            );
            assert!(
                crossings.iter().any(|c| c.tenant == tenant.name),
                "{tenant:?}"
            );
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
