//! What the bundle is asked for: every kind of caller and of crossing that the data knows.

use std::collections::{HashMap, HashSet};
use std::fmt;

use engine::policy::{MaskingInput, ResidencyInput, Surface, WarrantFacts};
use engine::schema::OperationKind;
use engine::warrant::{Operation, WarrantError};
use serde_json::Value;

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
pub(crate) struct Directory<'v> {
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
pub(crate) struct Caller<'v> {
    roles: Vec<String>,
    purpose: Option<&'v str>,
    tenant: &'v str,
    region: &'v str,
    operation: OperationKind,
    subject: &'v str,
    acr: Option<&'v str>,
    pub(crate) surface: Surface,
}

/// What one decision of `ig.residency` is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Crossing<'v> {
    tenant: &'v str,
    home: Option<&'v str>,
    gateway_region: &'v str,
    data_region: Option<&'v str>,
    warrant: Paper,
}

/// The warrant that a request presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Paper {
    None,
    /// From the tenant's home to the gateway's region.
    Good,
    /// Between other regions.
    Astray,
    /// None that holds.
    Refused,
}

impl<'v> Directory<'v> {
    pub(crate) fn of(data: &'v Value) -> Self {
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
    pub(crate) fn callers(&self) -> Vec<Caller<'v>> {
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
    pub(crate) fn crossings(&self) -> Vec<Crossing<'v>> {
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
                home: tenant.home,
                gateway_region,
                data_region: **data_region,
                warrant: Paper::None,
            })
            .collect();
        for Tenant { name, home } in &self.tenants {
            crossings.extend(home.map(|home| Crossing {
                tenant: name,
                home: Some(home),
                gateway_region: home,
                data_region: None,
                warrant: Paper::None,
            }));
        }
        for (tenant, region) in pairs(&self.tenants, &self.regions, CROSSINGS) {
            for warrant in [Paper::Good, Paper::Astray, Paper::Refused] {
                crossings.push(Crossing {
                    tenant: tenant.name,
                    home: tenant.home,
                    gateway_region: region,
                    data_region: None,
                    warrant,
                });
            }
        }
        once(crossings)
    }
}

impl Caller<'_> {
    pub(crate) fn input(&self) -> MaskingInput<'_> {
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
    pub(crate) fn input(&self) -> ResidencyInput<'_> {
        ResidencyInput {
            tenant: self.tenant,
            home: self.home,
            gateway_region: self.gateway_region,
            data_region: self.data_region,
            warrant: matches!(self.warrant, Paper::Good | Paper::Astray).then(|| WarrantFacts {
                id: "wrt_examination",
                src: self.home.unwrap_or("a-region-unknown"),
                dst: match self.warrant {
                    Paper::Good => self.gateway_region,
                    _ => "a-region-unknown",
                },
                operations: &Operation::ALL,
                purpose: "examination",
                authority: "examination",
                jurisdiction: "examination",
                case: "examination",
            }),
            warrant_refused: (self.warrant == Paper::Refused).then(|| WarrantError::Expired.into()),
        }
    }
}

impl fmt::Display for Crossing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tenant {} at a gateway of {}, data region {}, {}",
            self.tenant,
            self.gateway_region,
            self.data_region.unwrap_or("(none)"),
            match self.warrant {
                Paper::None => "no warrant",
                Paper::Good => "a warrant",
                Paper::Astray => "a warrant for other regions",
                Paper::Refused => "a warrant that does not hold",
            }
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
    use crate::Bundle;

    #[test]
    fn large_directories_take_no_longer() {
        let policies = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        let mut large = Bundle::read(&policies).unwrap();
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
        assert!((200..=600).contains(&asked), "{asked}");
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
}
