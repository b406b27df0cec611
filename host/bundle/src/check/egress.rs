//! Trying what guards will ask.

use engine::context::WarrantUse;
use engine::guard::GuardConfig;
use engine::policy::{EgressDecision, EgressInput, EgressOperation, Policy, StoreInput};
use serde_json::Value;

use crate::{Bundle, BundleError};

const OPERATIONS: [EgressOperation; 4] = [
    EgressOperation::Connect,
    EgressOperation::Read,
    EgressOperation::Write,
    EgressOperation::Delete,
];

/// How many tenants are tried: rules can tell them apart by what the data says of them, and that is
/// validated.
const TENANTS: usize = 16;

/// Loads the policy as guards will, and asks it for each guard's decisions about tenants, regions and
/// operations, with and without a warrant. Gives how many.
///
/// # Errors
/// A configuration or the policy can't be used, or a decision is missing or malformed.
pub fn examine_guards(bundle: &Bundle, guards: &[GuardConfig]) -> Result<usize, BundleError> {
    let mut policy = None;
    let mut tried = 0;
    for guard in guards {
        tried += examine(bundle, guard, &mut policy)?;
    }
    Ok(tried)
}

fn examine(
    bundle: &Bundle,
    guard: &GuardConfig,
    policy: &mut Option<Policy>,
) -> Result<usize, BundleError> {
    let invalid = |reason: String| BundleError::Guard {
        path: bundle.path.clone(),
        store: guard.store.name.clone(),
        reason,
    };
    guard.check().map_err(|e| invalid(e.to_string()))?;
    let data = &bundle.policy.data;
    for region in [&guard.region, &guard.store.region] {
        if data
            .pointer("/ig/regions")
            .and_then(|r| r.get(region))
            .is_none()
        {
            return Err(invalid(format!("the policies have no region `{region}`")));
        }
    }
    let policy = match policy {
        Some(policy) => policy,
        None => policy.insert(
            Policy::load::<EgressDecision>(&bundle.policy).map_err(|e| invalid(e.to_string()))?,
        ),
    };
    let known = data.pointer("/ig/tenants").and_then(Value::as_object);
    let known = known
        .into_iter()
        .flatten()
        .take(TENANTS)
        .map(|(name, _)| name.as_str());
    // A tenant's home may be anywhere, and what crosses a border is asked about too.
    let homes = data.pointer("/ig/regions").and_then(Value::as_object);
    let homes: Vec<&String> = homes.into_iter().flat_map(|r| r.keys()).collect();
    let mut tried = 0;
    for tenant in known.chain(["a-tenant-unknown"]) {
        for &home in &homes {
            let warrant = WarrantUse {
                id: "wrt_examination".into(),
                src: home.clone(),
                dst: guard.region.clone(),
                operations: ["read", "write", "delete"].map(Into::into).into(),
                authority: "examination".into(),
                case: "examination".into(),
            };
            for (operation, warrant) in OPERATIONS
                .iter()
                .flat_map(|o| [(*o, None), (*o, Some(&warrant))])
            {
                let input = EgressInput {
                    tenant,
                    home,
                    region: &guard.region,
                    store: StoreInput {
                        kind: guard.store.kind,
                        region: &guard.store.region,
                        name: &guard.store.name,
                        tenant: None,
                    },
                    operation,
                    warrant,
                };
                let asked = serde_json::to_string(&input).map_err(|e| invalid(e.to_string()))?;
                policy
                    .ask::<EgressDecision>(&asked)
                    .map_err(|e| invalid(format!("{asked}: {e}")))?;
                tried += 1;
            }
        }
    }
    Ok(tried)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use engine::guard::{StoreConfig, StoreKind};

    use super::*;

    fn bundle() -> Bundle {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        Bundle::read(&policies).unwrap()
    }

    fn guard(bundle: &Bundle) -> GuardConfig {
        let store = StoreConfig {
            kind: StoreKind::Postgres,
            name: "main".into(),
            region: "us".into(),
            objects: Vec::new(),
            users: Vec::new(),
            hosts: Vec::new(),
        };
        bundle.guard("eu", store, "store-main")
    }

    #[test]
    fn the_policies_of_this_repository_guard() {
        let bundle = bundle();
        assert!(examine_guards(&bundle, &[guard(&bundle)]).unwrap() >= 50);
    }

    #[test]
    fn what_a_guard_would_stumble_over_is_found() {
        type Spoil = fn(&mut Bundle, &mut GuardConfig);
        fn without(bundle: &mut Bundle, text: &str) {
            let module = bundle.policy.modules.iter_mut();
            let module = module
                .into_iter()
                .find(|m| m.path == "ig/egress.rego")
                .unwrap();
            assert!(module.text.contains(text), "{text}");
            module.text = module.text.replace(text, "");
        }
        let cases: [(Spoil, &str); 6] = [
            (|_, g| g.store.region = "mars".into(), "no region `mars`"),
            (|_, g| g.store.hosts = vec!["a".into()], "no `hosts`"),
            (
                |b, _| b.policy.modules.retain(|m| m.path != "ig/egress.rego"),
                "data.ig.egress.decision",
            ),
            (
                |b, _| without(b, "\"reason\": \"the tenant's own region\","),
                "gives no decision",
            ),
            // What is asked about a border, without a warrant and with one.
            (
                |b, _| without(b, "\"reason\": concat(\"; \", sort(crossings | faults)),"),
                "gives no decision",
            ),
            (
                |b, _| {
                    let reason = "\"reason\": sprintf(\"warrant %s of %s, case %s\", \
                                  [input.warrant.id, input.warrant.authority, input.warrant.case]),";
                    without(b, reason);
                },
                "gives no decision",
            ),
        ];
        for (spoil, want) in cases {
            let mut bundle = bundle();
            let mut guard = guard(&bundle);
            guard.store.region = "eu".into();
            spoil(&mut bundle, &mut guard);
            let error = examine_guards(&bundle, &[guard]).unwrap_err().to_string();
            assert!(
                error.contains("`main`") && error.contains(want),
                "{want}: {error}"
            );
        }
    }
}
