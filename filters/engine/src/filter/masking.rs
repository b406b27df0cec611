//! The masking filter's configuration, loaded, and what it remembers: documents, decisions, plans.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::audit::DecisionIds;
use crate::cache::Cache;
use crate::config::{
    ConfigError, MOST_BATCHED, MaskingConfig, RouteConfig, response_header, strict,
};
use crate::graphql::{self, Document, GraphqlError, Operation};
use crate::mask::{self, Comparison, Envelope, Keyring, Known, Plan, RoutePlan, RuleTable};
use crate::patch::sha256;
use crate::policy::{Decision, ErrorDetail, MaskingInput, Policy};
use crate::schema::{Schema, TypeSet};

use super::routes::Routes;
use super::stream::OpenPath;
use super::tags::tell_tags;

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
    /// By route and decision.
    route_plans: Cache<(usize, u64), Arc<KnownRoute>>,
    /// Queries that callers have registered by their hash.
    registered: Cache<Box<str>, Arc<str>>,
    /// SHA-256 of the manifest's documents.
    trusted: HashSet<String>,
    routes: Routes,
    /// What the settings say of names of arguments; by route, what they say of its parameters.
    known: Arc<Known>,
    known_of: Vec<Arc<Known>>,
    /// By route, the types that its parameters speak of.
    subjects_of: Vec<TypeSet>,
    /// What a batch gets that is refused as a whole.
    refused: [Arc<Plan>; 2],
    classes: Vec<Box<str>>,
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

/// What a decision makes of a route, whatever the request.
#[derive(Debug)]
pub(super) struct KnownRoute {
    pub(super) plan: Arc<RoutePlan>,
    pub(super) path: OpenPath,
}

/// Bytes of query text that are remembered: callers choose it, and memory that a filter took is
/// never given back.
const CACHED_DOCUMENTS: usize = 4 << 20;

/// Members and masks of all plans that are remembered.
const CACHED_PLANS: usize = 1 << 20;

impl Masking {
    /// Loads a configuration, a JSON text, and the keys, which `environment` has under the name that
    /// the configuration says.
    ///
    /// # Errors
    /// A part of it is malformed; the error names the part and the place.
    pub fn configure(
        config: &[u8],
        environment: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let config: MaskingConfig = strict::from_slice(config)?;
        let keys = environment(&config.keys_env);
        Self::load(config, keys.as_deref())
    }

    /// The policy, to be watched.
    #[cfg(feature = "coverage")]
    pub fn policy_mut(&mut self) -> &mut Policy {
        &mut self.policy
    }

    /// Loads a configuration.
    ///
    /// # Errors
    /// As [`Masking::configure`].
    pub fn load(config: MaskingConfig, keys: Option<&str>) -> Result<Self, ConfigError> {
        if config.graphql_paths.is_empty() {
            return Err(ConfigError::Empty("graphql_paths"));
        }
        for name in &config.response_headers {
            response_header(name).map_err(|problem| ConfigError::ResponseHeader {
                name: name.clone(),
                problem,
            })?;
        }
        if config.graphql.batch > MOST_BATCHED {
            return Err(ConfigError::Batch(config.graphql.batch));
        }
        let schema = Schema::parse(&config.schema)?;
        let mut config = config;
        tell_tags(&schema, &mut config.policy.data)?;
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
        let routes = Routes::new(&config.routes)?;
        let known = Known::of_graphql(&schema, &config.graphql.compared);
        let known = Arc::new(known.map_err(ConfigError::Compared)?);
        let mut known_of = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            let of = Known::of_route(&schema, route);
            known_of.push(Arc::new(of.map_err(|problem| ConfigError::Route {
                route: route.name.clone(),
                problem,
            })?));
        }
        let of = |route: &RouteConfig| schema.type_id(&route.of);
        let subjects = |route| of(route).map(|of| mask::subjects(&schema, of));
        let subjects_of = config.routes.iter().map(subjects);
        let subjects_of = subjects_of.map(Option::unwrap_or_default).collect();
        let mut trusted = HashSet::new();
        for (id, text) in &config.graphql.manifest {
            Document::parse(text, document_limits(&config)).map_err(|problem| {
                ConfigError::Persisted {
                    id: id.clone(),
                    problem,
                }
            })?;
            trusted.insert(sha256(text.as_bytes()));
        }
        let envelopes = [ErrorDetail::Generic, ErrorDetail::Verbatim];
        let refused = envelopes.map(|e| Arc::new(mask::refused(&envelope(e, &error_codes))));
        let data = &config.policy.data;
        let mut classes: Vec<Box<str>> = ["/ig/fields", "/ig/tags"]
            .into_iter()
            .filter_map(|at| data.pointer(at)?.as_object())
            .flat_map(|f| f.values())
            .filter_map(|f| f.get("class")?.as_str())
            .map(Into::into)
            .collect();
        classes.extend(["unclassified".into(), "unknown".into()]);
        classes.sort_unstable();
        classes.dedup();
        let entries = config.limits.cache_entries;
        Self {
            documents: Cache::weighing(entries, CACHED_DOCUMENTS),
            decisions: Cache::new(entries),
            plans: Cache::weighing(entries, CACHED_PLANS),
            route_plans: Cache::new(entries),
            registered: Cache::weighing(entries, CACHED_DOCUMENTS),
            trusted,
            routes,
            known,
            known_of,
            subjects_of,
            refused,
            classes,
            serial: 0,
            ids: DecisionIds::default(),
            config,
            schema,
            policy,
            keys,
            error_codes,
        }
        .checked()
    }

    /// Tries every route once: what is wrong with one shows at its first plan.
    fn checked(mut self) -> Result<Self, ConfigError> {
        let nothing = Decision {
            allow: true,
            denials: Vec::new(),
            admin: false,
            errors: ErrorDetail::Generic,
            introspection: false,
            low_entropy: Vec::new(),
            rules: BTreeMap::new(),
        };
        for index in 0..self.config.routes.len() {
            let Some(route) = self.config.routes.get(index) else {
                continue;
            };
            let name = route.name.clone();
            let table = RuleTable::new(&self.schema, &nothing, route.surface)?;
            let known = KnownDecision {
                serial: self.next_serial(),
                decision: nothing.clone(),
                table,
            };
            self.route_plan(index, &known, "")
                .map_err(|problem| ConfigError::Route {
                    route: name,
                    problem,
                })?;
        }
        Ok(self)
    }

    /// The kinds of data that masked values are counted by.
    pub fn classes(&self) -> &[Box<str>] {
        &self.classes
    }

    pub(super) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The plan of one object that stands in the place of a batch's answers.
    pub(super) fn refused(&self, decided: &KnownDecision) -> Arc<Plan> {
        let [generic, verbatim] = &self.refused;
        match decided.decision.errors {
            ErrorDetail::Generic => generic.clone(),
            ErrorDetail::Verbatim => verbatim.clone(),
        }
    }

    /// Which query a caller names by an id or hash.
    pub(super) fn persisted(&mut self, id: &str) -> Option<Arc<str>> {
        if let Some(text) = self.config.graphql.manifest.get(id) {
            return Some(text.as_str().into());
        }
        self.registered.get(id)
    }

    /// A caller sends a query and its hash, which is right.
    pub(super) fn register(&mut self, hash: &str, query: &str) {
        self.registered
            .insert_weighing(hash.into(), query.into(), query.len());
    }

    /// Whether the query is one of the manifest's.
    pub(super) fn is_trusted(&self, hash: &str) -> bool {
        self.trusted.contains(hash)
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
        let document = Document::parse(query, document_limits(&self.config))?;
        let hash = sha256(query.as_bytes());
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
        let table = RuleTable::new(&self.schema, &decision, input.surface)
            .map_err(|e| format!("the policy's rules: {e}"))?
            .knowing(self.known_by(input.route));
        let known = Arc::new(KnownDecision {
            serial: self.next_serial(),
            decision,
            table,
        });
        self.decisions.insert(key, known.clone());
        Ok(known)
    }

    /// What the settings say of names, at the GraphQL endpoint or on a route.
    fn known_by(&self, route: Option<&str>) -> Arc<Known> {
        let of = |name| self.config.routes.iter().position(|r| r.name == name);
        let of_route = route
            .and_then(of)
            .and_then(|index| self.known_of.get(index));
        of_route.unwrap_or(&self.known).clone()
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
        let envelope = envelope(decided.decision.errors, &self.error_codes);
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

    /// What a decision makes of a route.
    pub(super) fn route_plan(
        &mut self,
        index: usize,
        decided: &KnownDecision,
        tenant: &str,
    ) -> Result<Arc<KnownRoute>, String> {
        let key = (index, decided.serial);
        if let Some(known) = self.route_plans.get(&key) {
            return Ok(known);
        }
        let route = self
            .config
            .routes
            .get(index)
            .ok_or("there is no such route")?;
        let plan = mask::compile_route(
            &self.schema,
            route,
            &decided.table,
            self.keys.as_ref().map(|k| (k, tenant)),
            mask::Limits::default(),
        )?;
        let known = Arc::new(KnownRoute {
            plan: Arc::new(plan),
            path: self.open_path(index, decided),
        });
        self.route_plans.insert(key, known.clone());
        Ok(known)
    }

    /// What finds masked fields in arguments under a decision.
    pub(super) fn comparison<'a>(&'a self, decided: &'a KnownDecision) -> Comparison<'a> {
        Comparison::new(&self.schema, &decided.table)
    }

    /// The types that a route's parameters speak of.
    pub(super) fn subjects(&self, index: usize) -> &TypeSet {
        const NONE: &TypeSet = &TypeSet::EMPTY;
        self.subjects_of.get(index).unwrap_or(NONE)
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

fn document_limits(config: &MaskingConfig) -> graphql::Limits {
    graphql::Limits {
        tokens: config.limits.query_tokens,
        depth: config.limits.query_depth,
    }
}

fn envelope(errors: ErrorDetail, codes: &[Box<str>]) -> Envelope {
    match errors {
        ErrorDetail::Verbatim => Envelope::Verbatim,
        ErrorDetail::Generic => Envelope::Generic {
            codes: codes.to_vec(),
        },
    }
}
