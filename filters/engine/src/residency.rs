//! Which region serves a request, and whether this gateway may pass it on.

use std::sync::Arc;

use crate::audit::{DecisionIds, Outcome, ResidencyRecord};
use crate::cache::Cache;
use crate::config::{ConfigError, ResidencyConfig};
use crate::filter::{Edit, Headers, is_intent, is_reserved};
use crate::identity::{Claims, Identity, IdentityError, intent};
use crate::policy::{Policy, ResidencyDecision, ResidencyInput};
use crate::reply::Reply;

/// The header that names the cluster to the masking filter, which hands it over to the gateway's
/// route (see [`crate::filter::ROUTE_HEADER`]).
pub const CLUSTER_HEADER: &str = "x-ig-cluster";
/// The header that tells the upstream the verified tenant.
pub const TENANT_HEADER: &str = "x-ig-tenant";
/// The header that tells the upstream the region of the data.
pub const REGION_HEADER: &str = "x-ig-region";
/// The header with which a client asks for the data of a region.
pub const DATA_REGION_HEADER: &str = "x-ig-data-region";

/// A loaded configuration.
#[derive(Debug)]
pub struct Residency {
    config: ResidencyConfig,
    policy: Policy,
    decisions: Cache<String, Arc<ResidencyDecision>>,
    ids: DecisionIds,
}

/// What happens to a request.
#[derive(Debug)]
pub struct Routing {
    /// The record for the access log.
    pub record: ResidencyRecord,
    /// Header changes and no reply, or the reply.
    pub effect: Result<Vec<Edit>, Reply>,
}

struct Refusal {
    status: u16,
    code: String,
    /// For the access log.
    reason: String,
    /// For the caller, if it is not the reason.
    message: Option<&'static str>,
}

impl From<IdentityError> for Refusal {
    fn from(e: IdentityError) -> Self {
        Self {
            status: e.status(),
            code: e.code().to_owned(),
            reason: e.to_string(),
            message: None,
        }
    }
}

impl Residency {
    /// Loads a configuration, a JSON text.
    ///
    /// # Errors
    /// It is malformed, or its policy is.
    pub fn configure(config: &[u8]) -> Result<Self, ConfigError> {
        let config: ResidencyConfig = crate::config::strict::from_slice(config)?;
        if config.region.is_empty() {
            return Err(ConfigError::Empty("region"));
        }
        let policy = Policy::load::<ResidencyDecision>(&config.policy)?;
        let decisions = Cache::new(config.cache_entries);
        Ok(Self {
            policy,
            decisions,
            config,
            ids: DecisionIds::default(),
        })
    }

    /// Where the claims are.
    pub fn claims_path(&self) -> &[String] {
        &self.config.claims
    }

    /// Decides about a request by its headers.
    pub fn route(&mut self, headers: Headers<'_>, claims: &dyn Claims) -> Routing {
        let mut record = ResidencyRecord {
            decision_id: self.ids.next_id(),
            outcome: Outcome::Denied,
            tenant: None,
            region_src: self.config.region.clone(),
            region_dst: None,
            revision: self.config.revision.clone(),
            reason: String::new(),
            code: None,
        };
        let effect = match self.decide(headers, claims, &mut record) {
            Ok((tenant, region, cluster)) => {
                record.outcome = Outcome::Allowed;
                let mut edits: Vec<Edit> = headers.removals(|n| is_reserved(n) && !is_intent(n));
                edits.push(Edit::Set(CLUSTER_HEADER, cluster));
                edits.push(Edit::Set(TENANT_HEADER, tenant));
                edits.push(Edit::Set(REGION_HEADER, region));
                Ok(edits)
            }
            Err(refusal) => {
                record.code = Some(refusal.code.clone());
                record.reason.clone_from(&refusal.reason);
                let graphql = self
                    .config
                    .graphql_paths
                    .iter()
                    .any(|p| headers.path() == p);
                Err(Reply::for_path(
                    graphql,
                    refusal.status,
                    &refusal.code,
                    refusal.message.unwrap_or(&refusal.reason),
                ))
            }
        };
        Routing { record, effect }
    }

    fn decide(
        &mut self,
        headers: Headers<'_>,
        claims: &dyn Claims,
        record: &mut ResidencyRecord,
    ) -> Result<(String, String, String), Refusal> {
        let who = Identity::read(claims)?;
        record.tenant = Some(who.tenant.clone());
        let data_region = intent(DATA_REGION_HEADER, &headers.all(DATA_REGION_HEADER))?;
        let input = ResidencyInput {
            tenant: &who.tenant,
            gateway_region: &self.config.region,
            data_region,
            warrant: None,
        };
        let failed = |reason: String| Refusal {
            status: 500,
            code: "POLICY_FAILED".into(),
            reason,
            // Where a policy is broken is for its authors to know, not for callers.
            message: Some("the policy gives no decision"),
        };
        let key = serde_json::to_string(&input).map_err(|e| failed(e.to_string()))?;
        let decision = match self.decisions.get(key.as_str()) {
            Some(decision) => decision,
            None => {
                let decision = self.policy.ask::<ResidencyDecision>(&key);
                let decision = Arc::new(decision.map_err(|e| failed(e.to_string()))?);
                self.decisions.insert(key, decision.clone());
                decision
            }
        };
        record.region_dst.clone_from(&decision.region);
        record.reason.clone_from(&decision.reason);
        if !decision.allow {
            let code = decision
                .code
                .clone()
                .unwrap_or_else(|| "RESIDENCY_DENIED".into());
            return Err(Refusal {
                status: 403,
                code,
                reason: decision.reason.clone(),
                message: None,
            });
        }
        let Some(region) = decision.region.clone() else {
            return Err(failed(
                "the policy allows the request but names no region".into(),
            ));
        };
        match self.config.clusters.get(&region) {
            Some(cluster) => Ok((who.tenant, region, cluster.clone())),
            // Whatever the policy allows: a gateway has no way to another region's stores.
            None => Err(Refusal {
                status: 503,
                code: "REGION_UNREACHABLE".into(),
                reason: "this gateway has no cluster in the region of the data".into(),
                message: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
