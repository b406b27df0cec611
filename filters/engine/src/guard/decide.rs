use std::sync::Arc;

use crate::audit::{DecisionIds, Outcome};
use crate::config::{check_refusals, strict};
use crate::context::{ContextKeys, ContextToken};
use crate::policy::{Decisions, EgressDecision, EgressInput, EgressOperation, StoreInput};

use super::config::{GuardConfig, GuardError};
use super::objects::{Owner, owner};
use super::record::{EgressRecord, StoreRecord};

/// A loaded configuration.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    keys: ContextKeys,
    decisions: Decisions<EgressDecision>,
    ids: DecisionIds,
}

/// What was decided, and the record of it.
#[derive(Debug)]
pub struct Ruling {
    /// The record for the access log.
    pub record: EgressRecord,
    /// Nothing, or why not.
    pub verdict: Result<(), Denial>,
}

/// Why a store is not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Whose fault it is.
    pub kind: DenialKind,
    /// A stable code.
    pub code: String,
    /// A sentence for the client. The access log may know more.
    pub message: String,
}

/// Whose fault a denial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialKind {
    /// There is no context token, or it is not to be believed.
    Context,
    /// The rules don't allow it.
    Rules,
    /// What the client sent is not the store's protocol, or a part of it that is not served.
    Malformed,
    /// The rules give no decision, or the store no answer.
    Failed,
}

/// What is asked for, as far as the store's protocol tells.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask<'a> {
    /// Bucket or database and what is done with each; none where the protocol does not tell.
    pub objects: Vec<(&'a str, EgressOperation)>,
    /// The user of a database.
    pub user: Option<&'a str>,
}

struct Refusal {
    denial: Denial,
    /// For the access log, if it is not the message.
    reason: Option<String>,
}

impl Refusal {
    fn new(kind: DenialKind, code: &str, message: String) -> Self {
        let code = code.to_owned();
        let denial = Denial {
            kind,
            code,
            message,
        };
        Self {
            denial,
            reason: None,
        }
    }

    /// Where a policy is broken is for its authors to know, not for clients.
    fn failed(reason: String) -> Self {
        let message = "the policy gives no decision".to_owned();
        Self {
            reason: Some(reason),
            ..Self::new(DenialKind::Failed, "POLICY_FAILED", message)
        }
    }
}

impl Guard {
    /// Loads a configuration, a JSON text, and the context keys, which `environment` has under the name
    /// that the configuration says.
    ///
    /// # Errors
    /// It is malformed, or its policy or keys are; or there are no keys.
    pub fn configure(
        config: &[u8],
        environment: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, GuardError> {
        let config: GuardConfig = strict::from_slice(config)?;
        config.check()?;
        check_refusals(&config.policy.data)?;
        let keys = environment(&config.keys_env).filter(|text| !text.is_empty());
        let keys = ContextKeys::parse(&keys.ok_or(GuardError::NoKeys)?, &config.region)?;
        let decisions = Decisions::load(&config.policy, config.limits.cache_entries)?;
        Ok(Self {
            config,
            keys,
            decisions,
            ids: DecisionIds::default(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// Decides. `now_s` is the time in seconds since 1970.
    pub(super) fn decide(
        &mut self,
        token: Option<&[u8]>,
        ask: &Ask<'_>,
        operation: EgressOperation,
        now_s: u64,
    ) -> Ruling {
        let mut record = self.record(operation);
        let object = ask.objects.first().map(|(name, _)| *name);
        let longest = self.config.store.kind.longest_name();
        record.store.object = object
            .filter(|name| name.len() <= longest)
            .map(str::to_owned);
        match self.admit(token, ask, operation, now_s, &mut record) {
            Ok(()) => {
                record.outcome = Outcome::Allowed;
                let verdict = Ok(());
                Ruling { record, verdict }
            }
            Err(refusal) => refused(record, refusal),
        }
    }

    fn admit(
        &mut self,
        token: Option<&[u8]>,
        ask: &Ask<'_>,
        operation: EgressOperation,
        now_s: u64,
        record: &mut EgressRecord,
    ) -> Result<(), Refusal> {
        let token = token.unwrap_or_default();
        let token = ContextToken::verify(token, &self.keys, &self.config.region, now_s)
            .map_err(|e| Refusal::new(DenialKind::Context, e.code(), e.to_string()))?;
        record.tenant = Some(token.tenant.clone());
        record.home = Some(token.home.clone());
        record.context = Some(token.jti.clone());
        record.warrant = token.warrant.as_ref().map(|w| w.id.clone());
        let store = &self.config.store;
        let longest = store.kind.longest_name();
        let mut asked: Vec<(Option<Owner>, EgressOperation)> = Vec::new();
        for (name, operation) in &ask.objects {
            let owner = find(&store.objects, name, longest, "bucket or database")?;
            asked.push((owner, *operation));
        }
        if let Some(user) = ask.user {
            let owner = find(&store.users, user, longest, "user")?;
            asked.push((owner, operation));
        }
        if asked.is_empty() {
            asked.push((None, operation));
        }
        let home = store.region.clone();
        for (owner, operation) in asked {
            let owner = owner.unwrap_or(Owner {
                tenant: None,
                region: None,
            });
            let region = owner.region.as_deref().unwrap_or(&home);
            // The record names the region of the first object, or of the one that is refused.
            let decision = self.ask(&token, region, owner.tenant.as_deref(), operation)?;
            if record.reason.is_empty() || !decision.allow {
                record.region_dst = region.to_owned();
                record.reason.clone_from(&decision.reason);
            }
            if !decision.allow {
                let code = decision.code.as_deref().unwrap_or("EGRESS_DENIED");
                return Err(Refusal::new(
                    DenialKind::Rules,
                    code,
                    decision.reason.clone(),
                ));
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        token: &ContextToken,
        region: &str,
        tenant: Option<&str>,
        operation: EgressOperation,
    ) -> Result<Arc<EgressDecision>, Refusal> {
        let store = &self.config.store;
        let input = EgressInput {
            tenant: &token.tenant,
            home: &token.home,
            region: &self.config.region,
            store: StoreInput {
                kind: store.kind,
                region,
                name: &store.name,
                tenant,
            },
            operation,
            warrant: token.warrant.as_ref(),
        };
        let decision = self.decisions.ask(&input);
        decision.map_err(|e| Refusal::failed(e.to_string()))
    }

    /// The ruling about what is not the store's protocol, or a part of it that is not served.
    pub(super) fn malformed(
        &mut self,
        code: &str,
        reason: &str,
        operation: EgressOperation,
    ) -> Ruling {
        let record = self.record(operation);
        refused(
            record,
            Refusal::new(DenialKind::Malformed, code, reason.to_owned()),
        )
    }

    /// The ruling about a connection that took too long to be let in.
    pub fn expired(&mut self) -> Ruling {
        let reason = format!(
            "the connection was not opened within {} ms",
            self.config.limits.opening_ms
        );
        self.malformed("OPENING_TIMEOUT", &reason, EgressOperation::Connect)
    }

    /// The ruling about a connection whose client went away before it was let in.
    pub fn abandoned(&mut self) -> Ruling {
        let reason = "the client went away before the connection was opened";
        let mut ruling = self.malformed("OPENING_ABANDONED", reason, EgressOperation::Connect);
        ruling.record.outcome = Outcome::Incomplete;
        ruling
    }

    /// The ruling about a connection whose store does not speak its protocol
    /// ([`super::FromStore::broken`]).
    pub fn broken(&mut self) -> Ruling {
        let reason = "the store's answer is none of its protocol".to_owned();
        let record = self.record(EgressOperation::Connect);
        refused(
            record,
            Refusal::new(DenialKind::Failed, "STORE_MALFORMED", reason),
        )
    }

    /// The ruling about what needs no tenant: cancelling by a key that only its owner has.
    pub(super) fn by_secret(&mut self, reason: &str) -> Ruling {
        let mut record = self.record(EgressOperation::Connect);
        let store = &self.config.store;
        if store.region != self.config.region {
            let message = "the store is in another region than this guard".to_owned();
            return refused(
                record,
                Refusal::new(DenialKind::Rules, "CROSS_REGION", message),
            );
        }
        record.outcome = Outcome::Allowed;
        reason.clone_into(&mut record.reason);
        let verdict = Ok(());
        Ruling { record, verdict }
    }

    fn record(&mut self, operation: EgressOperation) -> EgressRecord {
        let store = &self.config.store;
        EgressRecord {
            decision_id: self.ids.next_id(),
            outcome: Outcome::Denied,
            tenant: None,
            home: None,
            region_src: self.config.region.clone(),
            region_dst: store.region.clone(),
            store: StoreRecord {
                kind: store.kind,
                name: store.name.clone(),
                object: None,
            },
            operation,
            warrant: None,
            context: None,
            revision: self.config.revision.clone(),
            reason: String::new(),
            code: None,
        }
    }
}

/// Whose it is, by rules; `None` where there are none.
fn find(
    rules: &[super::ObjectRule],
    name: &str,
    longest: usize,
    what: &str,
) -> Result<Option<Owner>, Refusal> {
    if name.len() > longest {
        let message = format!("the name of the {what} has more than {longest} bytes");
        let kind = DenialKind::Malformed;
        return Err(Refusal::new(kind, "OBJECT_NAME_LONG", message));
    }
    if rules.is_empty() {
        return Ok(None);
    }
    let unknown = || {
        let message = format!("the {what} is in no list of this store");
        Refusal::new(DenialKind::Rules, "OBJECT_UNKNOWN", message)
    };
    owner(rules, name).map(Some).ok_or_else(unknown)
}

fn refused(mut record: EgressRecord, refusal: Refusal) -> Ruling {
    let Refusal { denial, reason } = refusal;
    if denial.kind == DenialKind::Failed {
        record.outcome = Outcome::Failed;
    }
    record.code = Some(denial.code.clone());
    record.reason = reason.unwrap_or_else(|| denial.message.clone());
    let verdict = Err(denial);
    Ruling { record, verdict }
}
