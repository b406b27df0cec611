//! Trying a bundle before anything is pushed.

use engine::config::ConfigError;
use engine::filter::Masking;
use engine::mask::RuleTable;
use engine::policy::{Decision, MaskingInput, Policy, ResidencyDecision, ResidencyInput};
use engine::residency::Residency;
use engine::schema::{OperationKind, Schema};
use serde_json::Value;

use crate::{Bundle, BundleError};

/// What an examination tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examined {
    /// Decisions of `ig.masking`.
    pub masking: usize,
    /// Decisions of `ig.residency`.
    pub residency: usize,
}

/// Loads the bundle as the filters will, and asks it for the decisions of every role with every
/// purpose in every tenant's shoes, so that a rule that fails or names a field that does not exist
/// is found here and not by a request.
///
/// # Errors
/// The bundle does not load, or a decision is missing or malformed.
pub fn examine(bundle: &Bundle) -> Result<Examined, BundleError> {
    let invalid = |error| BundleError::Invalid {
        path: bundle.path.clone(),
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

    let undecided = |caller: String, reason: String| BundleError::Undecided {
        path: bundle.path.clone(),
        caller,
        reason,
    };
    let schema = Schema::parse(&bundle.schema).map_err(|e| invalid(e.into()))?;
    let mut examined = Examined {
        masking: 0,
        residency: 0,
    };

    let mut policy = Policy::load::<Decision>(&bundle.policy).map_err(|e| invalid(e.into()))?;
    let roles = keys(&bundle.policy.data, "/ig/roles");
    let purposes = keys(&bundle.policy.data, "/ig/purposes");
    let regions = keys(&bundle.policy.data, "/ig/regions");
    let tenants = keys(&bundle.policy.data, "/ig/tenants");
    // Large directories are sampled: what differs between tenants is data, not rules.
    let sample: Vec<&str> = tenants
        .iter()
        .copied()
        .take(32)
        .chain(["a-tenant-unknown"])
        .collect();
    for tenant in &sample {
        for role in &roles {
            for purpose in purposes.iter().map(|p| Some(*p)).chain([None]) {
                let caller = format!(
                    "role {role}, purpose {}, tenant {tenant}",
                    purpose.unwrap_or("(none)")
                );
                let input = MaskingInput {
                    tenant,
                    subject: "examination",
                    roles: &[(*role).to_owned()],
                    purpose,
                    acr: None,
                    region: "examination",
                    operation: OperationKind::Query,
                };
                let decided = serde_json::to_string(&input)
                    .map_err(|e| e.to_string())
                    .and_then(|i| policy.ask::<Decision>(&i).map_err(|e| e.to_string()))
                    .and_then(|d| RuleTable::new(&schema, &d).map_err(|e| e.to_string()));
                decided.map_err(|reason| undecided(caller, reason))?;
                examined.masking += 1;
            }
        }
    }
    let mut policy =
        Policy::load::<ResidencyDecision>(&bundle.policy).map_err(|e| invalid(e.into()))?;
    for tenant in &sample {
        for gateway_region in &regions {
            for data_region in regions.iter().map(|r| Some(*r)).chain([None]) {
                let input = ResidencyInput {
                    tenant,
                    gateway_region,
                    data_region,
                    warrant: None,
                };
                let decided = serde_json::to_string(&input)
                    .map_err(|e| e.to_string())
                    .and_then(|i| {
                        policy
                            .ask::<ResidencyDecision>(&i)
                            .map_err(|e| e.to_string())
                    });
                let caller = format!("tenant {tenant} at a gateway of {gateway_region}");
                decided.map_err(|reason| undecided(caller, reason))?;
                examined.residency += 1;
            }
        }
    }
    Ok(examined)
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
}
