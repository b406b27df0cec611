//! One decision: who asks, under which warrant, what the policy says, and what comes of it.

use std::sync::Arc;

use super::{DATA_REGION_HEADER, Residency};
use crate::audit::{ResidencyRecord, WarrantRecord};
use crate::context::ContextToken;
use crate::filter::Headers;
use crate::identity::{Claims, Identity, IdentityError, PURPOSE_HEADER, intent};
use crate::policy::{ResidencyDecision, ResidencyInput};
use crate::warrant::{Operation, Use, Uses, WARRANT_HEADER, Warrant, WarrantError};

/// Where a request goes.
pub(super) struct Way {
    pub tenant: String,
    pub region: String,
    pub cluster: String,
    pub token: Option<String>,
    /// What the warrant covers, if one is used.
    pub operations: Option<String>,
}

/// Why it goes nowhere.
pub(super) struct Refusal {
    pub status: u16,
    pub code: String,
    /// For the access log.
    pub reason: String,
    /// For the caller, if it is not the reason.
    pub message: Option<&'static str>,
    /// Where the client is sent instead.
    pub location: Option<String>,
}

impl Refusal {
    fn new(status: u16, code: &str, reason: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            reason: reason.into(),
            message: None,
            location: None,
        }
    }

    /// The policy does not do what a policy must. Where it is broken is for its authors to know, not
    /// for callers.
    fn failed(reason: impl Into<String>) -> Self {
        Self {
            message: Some("the policy gives no decision"),
            ..Self::new(500, "POLICY_FAILED", reason)
        }
    }
}

impl From<IdentityError> for Refusal {
    fn from(e: IdentityError) -> Self {
        Self::new(e.status(), e.code(), e.to_string())
    }
}

impl From<WarrantError> for Refusal {
    fn from(e: WarrantError) -> Self {
        Self::new(403, e.code(), e.to_string())
    }
}

impl Residency {
    pub(super) fn decide(
        &mut self,
        headers: Headers<'_>,
        claims: &dyn Claims,
        now_s: u64,
        uses: &mut dyn Uses,
        record: &mut ResidencyRecord,
    ) -> Result<Way, Refusal> {
        let who = Identity::read(claims)?;
        record.tenant = Some(who.tenant.clone());
        let data_region = intent(DATA_REGION_HEADER, &headers.all(DATA_REGION_HEADER))?;
        record.data_region = data_region.map(str::to_owned);
        let warrant = self.presented(headers, &who, now_s, record)?;
        record.warrant_refused = match &warrant {
            Some(Err(error)) => Some((*error).into()),
            _ => None,
        };
        let home = self.directory.home(&who.tenant, now_s).map(str::to_owned);
        record.home.clone_from(&home);
        let facts = warrant.as_ref().map(|w| w.as_deref());
        let input = ResidencyInput {
            tenant: &who.tenant,
            home: home.as_deref(),
            gateway_region: &self.config.region,
            data_region,
            warrant: facts.and_then(Result::ok).map(Into::into),
            warrant_refused: record.warrant_refused.clone(),
        };
        let decision = self.decisions.ask(&input);
        let decision = decision.map_err(|e| Refusal::failed(e.to_string()))?;
        record.region_dst.clone_from(&decision.region);
        record.reason.clone_from(&decision.reason);
        if !decision.allow {
            return Err(refused(&decision, headers));
        }
        let Some(region) = decision.region.clone() else {
            return Err(Refusal::failed(
                "the policy allows the request but names no region",
            ));
        };
        // Whatever the policy allows: a gateway has no way to another region's stores.
        let cluster = self.config.clusters.get(&region).ok_or_else(|| {
            Refusal::new(
                503,
                "REGION_UNREACHABLE",
                "this gateway has no cluster in the region of the data",
            )
        })?;
        let cluster = cluster.clone();
        let used = match &decision.warrant {
            None => None,
            Some(id) => {
                let warrant = warrant
                    .and_then(Result::ok)
                    .filter(|w| w.jti == *id)
                    .ok_or_else(|| Refusal::failed("the policy names a warrant that is none"))?;
                Some(self.used(warrant, home.as_deref(), &region, uses, record)?)
            }
        };
        let operations = used.as_ref().map(|warrant| {
            let names: Vec<&str> = warrant.operations.iter().map(|o| o.name()).collect();
            names.join(",")
        });
        let token = self.keys.as_ref().map(|keys| {
            ContextToken {
                jti: record.decision_id.clone(),
                tenant: who.tenant.clone(),
                home: home.unwrap_or_default(),
                region: region.clone(),
                iat: now_s,
                exp: now_s.saturating_add(self.config.token_lifetime_s),
                warrant: used.map(|w| w.in_use()),
            }
            .sign(keys)
            .ok_or_else(|| Refusal::new(500, "CONTEXT_FAILED", "the context token can't be made"))
        });
        Ok(Way {
            tenant: who.tenant,
            region,
            cluster,
            token: token.transpose()?,
            operations,
        })
    }

    /// The warrant that the request presents, or why it is none. It must hold for the request whether
    /// or not one is needed; whether its regions are the right ones is for the policy to say.
    fn presented(
        &mut self,
        headers: Headers<'_>,
        who: &Identity,
        now_s: u64,
        record: &mut ResidencyRecord,
    ) -> Result<Option<Result<Arc<Warrant>, WarrantError>>, Refusal> {
        let text = match headers.all(WARRANT_HEADER).as_slice() {
            [] => return Ok(None),
            [text] => *text,
            _ => return Err(IdentityError::Header(WARRANT_HEADER).into()),
        };
        let warrant = match self.warrants.authenticate(text) {
            Ok(warrant) => warrant,
            Err(error) => return Ok(Some(Err(error))),
        };
        record.warrant = Some(WarrantRecord {
            warrant: warrant.jti.clone(),
            authority: warrant.binding.authority.clone(),
            case: warrant.binding.case_reference.clone(),
            warrant_src: warrant.src.clone(),
            warrant_dst: warrant.dst.clone(),
            warrant_operations: warrant.operations.clone(),
            warrant_purpose: warrant.purpose.clone(),
            warrant_jurisdiction: warrant.binding.jurisdiction.clone(),
            warrant_used: false,
        });
        let method = headers.text(":method").unwrap_or_default();
        let what = Use {
            tenant: &who.tenant,
            operation: Operation::of_request(method, self.serves_graphql(headers)),
            purpose: who.purpose(&headers.all(PURPOSE_HEADER))?,
        };
        let stands = self.warrants.registry().upholds(&warrant, now_s);
        Ok(Some(
            stands
                .and_then(|()| warrant.covers(&what))
                .map(|()| warrant),
        ))
    }

    /// Uses a warrant to cross the border from the tenant's home into the gateway's own region.
    fn used(
        &self,
        warrant: Arc<Warrant>,
        home: Option<&str>,
        region: &str,
        uses: &mut dyn Uses,
        record: &mut ResidencyRecord,
    ) -> Result<Arc<Warrant>, Refusal> {
        // Whatever the policy says: a warrant opens the border that it names and no other, and what it
        // lets in is worked on here.
        if region != self.config.region {
            return Err(Refusal::failed(
                "the policy serves a warrant in another region than the gateway's",
            ));
        }
        warrant.opens(home.unwrap_or_default(), region)?;
        let taken = warrant
            .take(uses)
            .map_err(|e| Refusal::new(503, "WARRANT_UNCOUNTED", e.to_string()))?;
        taken?;
        if let Some(record) = &mut record.warrant {
            record.warrant_used = true;
        }
        Ok(warrant)
    }
}

/// What the client gets where the policy denies: 403, or where the right gateway is.
fn refused(decision: &ResidencyDecision, headers: Headers<'_>) -> Refusal {
    let code = decision.code.as_deref().unwrap_or("RESIDENCY_DENIED");
    let reason = decision.reason.as_str();
    let Some(gateway) = &decision.redirect else {
        return Refusal::new(403, code, reason);
    };
    let gateway = gateway.trim_end_matches('/');
    let target = headers.text(":path").filter(|path| path.starts_with('/'));
    match (decision.status, target) {
        // 307 keeps the method and the body (RFC 9110, section 15.4.8), so also a GraphQL query by POST.
        (None | Some(307), Some(target)) => Refusal {
            location: Some(format!("{gateway}{target}")),
            ..Refusal::new(307, code, reason)
        },
        (None | Some(307 | 421), _) => Refusal::new(421, code, format!("{reason}: ask {gateway}")),
        (Some(_), _) => Refusal::failed("the policy redirects by another status than 307 and 421"),
    }
}
