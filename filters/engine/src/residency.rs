//! Which region serves a request, and whether this gateway may pass it on.

mod decide;
mod directory;

pub use directory::Directory;

use crate::audit::{DecisionIds, Outcome, ResidencyRecord};
use crate::config::{ConfigError, ResidencyConfig, strict};
use crate::context::{CONTEXT_HEADER, ContextKeys};
use crate::filter::{Edit, Headers, is_intent, is_reserved};
use crate::identity::Claims;
use crate::policy::{Decisions, ResidencyDecision};
use crate::reply::Reply;
use crate::warrant::{Registry, Uses, Warrants};

/// The header that names the cluster to the masking filter, which hands it over to the gateway's
/// route (see [`crate::filter::ROUTE_HEADER`]).
pub const CLUSTER_HEADER: &str = "x-ig-cluster";
/// The header that tells the upstream the verified tenant.
pub const TENANT_HEADER: &str = "x-ig-tenant";
/// The header that tells the upstream the region that serves the request.
pub const REGION_HEADER: &str = "x-ig-region";
/// The header that tells later filters what a warrant covers (`read,write`); without a warrant it is
/// not there.
pub const OPERATIONS_HEADER: &str = "x-ig-operations";
/// The header with which a client asks for the data of a region.
pub const DATA_REGION_HEADER: &str = "x-ig-data-region";

/// A loaded configuration.
#[derive(Debug)]
pub struct Residency {
    config: ResidencyConfig,
    decisions: Decisions<ResidencyDecision>,
    ids: DecisionIds,
    directory: Directory,
    warrants: Warrants,
    keys: Option<ContextKeys>,
}

/// What happens to a request.
#[derive(Debug)]
pub struct Routing {
    /// The record for the access log.
    pub record: ResidencyRecord,
    /// Header changes and no reply, or the reply.
    pub effect: Result<Vec<Edit>, Reply>,
    /// What became of the warrant that the request presented, if it did.
    pub warrant: Option<WarrantFate>,
}

/// What became of a warrant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarrantFate {
    /// It opened a border.
    Used,
    /// The request needed none: it stays in its region.
    Unneeded,
    /// The request was refused.
    Refused,
}

impl Residency {
    /// Loads a configuration, a JSON text, and the keys of context tokens, which `environment` has under
    /// the name that the configuration says. Without keys no token is made, and guards will deny.
    ///
    /// # Errors
    /// The configuration, its policy, the data that the filter itself reads, or the keys are malformed.
    pub fn configure(
        config: &[u8],
        environment: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let config: ResidencyConfig = strict::from_slice(config)?;
        if config.region.is_empty() {
            return Err(ConfigError::Empty("region"));
        }
        let keys = environment(&config.keys_env).filter(|text| !text.is_empty());
        let keys = keys.map(|text| ContextKeys::parse(&text, &config.region));
        Ok(Self {
            keys: keys.transpose()?,
            directory: Directory::read(&config.policy.data)?,
            warrants: Warrants::new(Registry::read(&config.policy.data)?),
            decisions: Decisions::load(&config.policy, config.cache_entries)?,
            config,
            ids: DecisionIds::default(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &ResidencyConfig {
        &self.config
    }

    /// Whether there are keys to sign context tokens with.
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Decides about a request by its headers, at `now_s`, seconds since 1970.
    pub fn route(
        &mut self,
        headers: Headers<'_>,
        claims: &dyn Claims,
        now_s: u64,
        uses: &mut dyn Uses,
    ) -> Routing {
        let mut record = ResidencyRecord {
            decision_id: self.ids.next_id(),
            outcome: Outcome::Denied,
            tenant: None,
            home: None,
            region_src: self.config.region.clone(),
            region_dst: None,
            data_region: None,
            warrant: None,
            warrant_refused: None,
            revision: self.config.revision.clone(),
            reason: String::new(),
            code: None,
        };
        let presented = headers.has(crate::warrant::WARRANT_HEADER);
        let effect = match self.decide(headers, claims, now_s, uses, &mut record) {
            Ok(way) => {
                record.outcome = Outcome::Allowed;
                let mut edits: Vec<Edit> = headers.removals(|n| is_reserved(n) && !is_intent(n));
                edits.push(Edit::Set(CLUSTER_HEADER, way.cluster));
                edits.push(Edit::Set(TENANT_HEADER, way.tenant));
                edits.push(Edit::Set(REGION_HEADER, way.region));
                edits.extend(way.operations.map(|o| Edit::Set(OPERATIONS_HEADER, o)));
                edits.extend(way.token.map(|token| Edit::Set(CONTEXT_HEADER, token)));
                Ok(edits)
            }
            Err(refusal) => {
                record.code = Some(refusal.code.clone());
                record.reason.clone_from(&refusal.reason);
                let reply = Reply::for_path(
                    self.serves_graphql(headers),
                    refusal.status,
                    &refusal.code,
                    refusal.message.unwrap_or(&refusal.reason),
                );
                Err(match &refusal.location {
                    Some(location) => reply.with("location", location),
                    None => reply,
                })
            }
        };
        let used = record.warrant.as_ref().is_some_and(|w| w.warrant_used);
        let fate = match &effect {
            Err(_) => WarrantFate::Refused,
            Ok(_) if used => WarrantFate::Used,
            Ok(_) => WarrantFate::Unneeded,
        };
        Routing {
            record,
            effect,
            warrant: presented.then_some(fate),
        }
    }

    /// The policy, to be watched.
    #[cfg(feature = "coverage")]
    pub fn policy_mut(&mut self) -> &mut crate::policy::Policy {
        self.decisions.policy_mut()
    }

    fn serves_graphql(&self, headers: Headers<'_>) -> bool {
        let path = headers.path();
        self.config.graphql_paths.iter().any(|p| path == p)
    }
}

#[cfg(test)]
mod tests;
