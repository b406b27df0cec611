//! The masking filter's configuration, loaded, and what it remembers: documents, decisions, plans.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::audit::DecisionIds;
use crate::cache::Cache;
use crate::config::{ConfigError, MaskingConfig};
use crate::graphql::{self, Document, GraphqlError, Operation};
use crate::mask::{self, Envelope, Keyring, Plan, RuleTable};
use crate::policy::{Decision, ErrorDetail, MaskingInput, Policy};
use crate::schema::Schema;

/// A loaded configuration with its caches.
#[derive(Debug)]
pub struct Masking {
    config: MaskingConfig,
    schema: Schema,
    policy: Policy,
    keys: Option<Keyring>,
    documents: Cache<Box<str>, Arc<KnownDocument>>,
    decisions: Cache<String, Arc<KnownDecision>>,
    /// By document, operation and decision.
    plans: Cache<(u64, usize, u64), Arc<Plan>>,
    /// Numbers documents and decisions.
    serial: u64,
    ids: DecisionIds,
    error_codes: Vec<Box<str>>,
}

/// A document that was parsed before.
#[derive(Debug)]
pub(super) struct KnownDocument {
    serial: u64,
    pub(super) document: Document,
    pub(super) hash: String,
}

/// A decision that was made before, with the rule of every field under it.
#[derive(Debug)]
pub(super) struct KnownDecision {
    serial: u64,
    pub(super) decision: Decision,
    table: RuleTable,
}

/// Bytes of query text that are remembered: callers choose it, and memory that a filter took is
/// never given back.
const CACHED_DOCUMENTS: usize = 4 << 20;

/// Members and masks of all plans that are remembered.
const CACHED_PLANS: usize = 1 << 20;

impl Masking {
    /// Loads a configuration, a JSON text, and the keys, as the environment has them.
    ///
    /// # Errors
    /// A part of it is malformed; the error names the part and the place.
    pub fn configure(config: &[u8], keys: Option<&str>) -> Result<Self, ConfigError> {
        Self::load(serde_json::from_slice(config)?, keys)
    }

    /// The name of the environment variable that holds the keys, by the configuration.
    ///
    /// # Errors
    /// The configuration is malformed.
    pub fn keys_env(config: &[u8]) -> Result<String, ConfigError> {
        Ok(serde_json::from_slice::<MaskingConfig>(config)?.keys_env)
    }

    /// Loads a configuration.
    ///
    /// # Errors
    /// As [`Masking::configure`].
    pub fn load(config: MaskingConfig, keys: Option<&str>) -> Result<Self, ConfigError> {
        if config.graphql_paths.is_empty() {
            return Err(ConfigError::Empty("graphql_paths"));
        }
        let schema = Schema::parse(&config.schema)?;
        if let Some(fields) = config
            .policy
            .data
            .pointer("/ig/fields")
            .and_then(|f| f.as_object())
        {
            for coordinate in fields.keys() {
                schema.expand(coordinate)?;
            }
        }
        let policy = Policy::load::<Decision>(&config.policy)?;
        let keys = keys.map(Keyring::parse).transpose()?;
        let mut error_codes: Vec<Box<str>> = config
            .error_codes
            .iter()
            .map(|c| c.as_str().into())
            .collect();
        error_codes.sort_unstable();
        let entries = config.limits.cache_entries;
        Ok(Self {
            documents: Cache::weighing(entries, CACHED_DOCUMENTS),
            decisions: Cache::new(entries),
            plans: Cache::weighing(entries, CACHED_PLANS),
            serial: 0,
            ids: DecisionIds::default(),
            config,
            schema,
            policy,
            keys,
            error_codes,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &MaskingConfig {
        &self.config
    }

    /// Whether pseudonyms can be made.
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// An id for the next decision.
    pub(super) fn next_decision_id(&mut self) -> String {
        self.ids.next_id()
    }

    pub(super) fn document(
        &mut self,
        query: &str,
    ) -> Result<Arc<KnownDocument>, graphql::GraphqlError> {
        if let Some(known) = self.documents.get(query) {
            return Ok(known);
        }
        let limits = graphql::Limits {
            tokens: self.config.limits.query_tokens,
            depth: self.config.limits.query_depth,
        };
        let document = Document::parse(query, limits)?;
        let hash = hex(&Sha256::digest(query.as_bytes()));
        let known = Arc::new(KnownDocument {
            serial: self.next_serial(),
            document,
            hash,
        });
        self.documents
            .insert_weighing(query.into(), known.clone(), query.len());
        Ok(known)
    }

    pub(super) fn decision(
        &mut self,
        input: &MaskingInput<'_>,
    ) -> Result<Arc<KnownDecision>, String> {
        let key = serde_json::to_string(input).map_err(|e| e.to_string())?;
        if let Some(known) = self.decisions.get(key.as_str()) {
            return Ok(known);
        }
        let decision = self
            .policy
            .ask::<Decision>(&key)
            .map_err(|e| e.to_string())?;
        let table = RuleTable::new(&self.schema, &decision)
            .map_err(|e| format!("the policy's rules: {e}"))?;
        let known = Arc::new(KnownDecision {
            serial: self.next_serial(),
            decision,
            table,
        });
        self.decisions.insert(key, known.clone());
        Ok(known)
    }

    /// The plan of an operation, which stands at `index` in the document, under a decision.
    pub(super) fn plan(
        &mut self,
        known: &KnownDocument,
        (index, operation): (usize, &Operation),
        decided: &KnownDecision,
        tenant: &str,
    ) -> Result<Arc<Plan>, GraphqlError> {
        let key = (known.serial, index, decided.serial);
        if let Some(plan) = self.plans.get(&key) {
            return Ok(plan);
        }
        let envelope = match decided.decision.errors {
            ErrorDetail::Verbatim => Envelope::Verbatim,
            ErrorDetail::Generic => Envelope::Generic {
                codes: self.error_codes.clone(),
            },
        };
        let plan = Arc::new(mask::compile(
            &self.schema,
            &known.document,
            operation,
            &decided.table,
            &envelope,
            self.keys.as_ref().map(|k| (k, tenant)),
            mask::Limits::default(),
        )?);
        self.plans.insert_weighing(key, plan.clone(), plan.size());
        Ok(plan)
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
