//! The filters' configurations: what the conductor pushes and a filter loads.

mod headers;
pub(crate) mod refusals;
pub mod strict;

pub use headers::response_header;
pub(crate) use refusals::{check_refusals, section};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::context;
use crate::filter::TagError;
use crate::graphql::GraphqlError;
use crate::keys::KeyError;
use crate::policy::{PolicyError, PolicySource, Surface};
use crate::schema::{SchemaError, UnknownCoordinate};

/// The configuration of the masking filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskingConfig {
    /// Names the policy, schema and settings together; it stands in every decision.
    pub revision: String,
    /// The gateway's region.
    pub region: String,
    /// Modules and data with the package `ig.masking`.
    pub policy: PolicySource,
    /// The upstream's schema, as SDL.
    pub schema: String,
    /// Paths (without query string) that serve GraphQL. Any other path is refused.
    pub graphql_paths: Vec<String>,
    /// What of GraphQL over HTTP is served beside one operation by POST.
    #[serde(default)]
    pub graphql: GraphqlConfig,
    /// Routes that are no GraphQL.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
    /// Whether the revision masks, or only says what it would do.
    #[serde(default)]
    pub mode: Mode,
    /// `x-ig-` headers that an earlier filter of the gateway sets: they stay, all others go.
    #[serde(default)]
    pub trusted_headers: Vec<String>,
    /// Where the verified claims are.
    #[serde(default = "default_claims")]
    pub claims: Vec<String>,
    /// The environment variable that holds the mask keys.
    #[serde(default = "default_keys_env")]
    pub keys_env: String,
    /// Error codes of the upstream that callers may see.
    #[serde(default = "default_error_codes")]
    pub error_codes: Vec<String>,
    /// Response headers of the upstream that pass beside the usual ones; see [`response_header`].
    #[serde(default)]
    pub response_headers: Vec<String>,
    /// Bounds.
    #[serde(default)]
    pub limits: MaskingLimits,
}

/// What a policy directory says beside its rules, in `masking.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskingSettings {
    /// As [`MaskingConfig::mode`].
    pub mode: Mode,
    /// As [`MaskingConfig::graphql`].
    pub graphql: GraphqlConfig,
    /// As [`MaskingConfig::routes`].
    pub routes: Vec<RouteConfig>,
}

/// Operations that a batch may hold at the most, whatever is configured.
pub const MOST_BATCHED: usize = 1000;

/// What of GraphQL over HTTP is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphqlConfig {
    /// Whether queries may come by GET.
    pub get: bool,
    /// Operations that one request may hold in an array, up to [`MOST_BATCHED`]; 0 refuses arrays.
    pub batch: usize,
    /// Whether callers may register queries by their hash (automatic persisted queries).
    pub automatic_persisted: bool,
    /// Whether only the operations of the manifest are served.
    pub persisted_only: bool,
    /// Operations that callers may name: id → document.
    pub manifest: BTreeMap<String, String>,
    /// What arguments compare whose names don't tell: `Type.field.argument` → `Type.field`s.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub compared: Map<String, Value>,
}

impl Default for GraphqlConfig {
    fn default() -> Self {
        Self {
            get: true,
            batch: 10,
            automatic_persisted: true,
            persisted_only: false,
            manifest: BTreeMap::new(),
            compared: Map::new(),
        }
    }
}

/// Whether a revision masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What is decided is done.
    #[default]
    Enforce,
    /// What is decided is written to the decision log, and nothing is changed or refused.
    Shadow,
}

/// A route that is no GraphQL, and what its answers are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name, for policy and decision log.
    pub name: String,
    /// The path, without query string: `{name}` stands for one segment that is not empty.
    pub path: String,
    /// The methods that are served.
    #[serde(default = "default_methods")]
    pub methods: Vec<String>,
    /// Whether it is an export.
    #[serde(default = "default_surface")]
    pub surface: Surface,
    /// How answers are written.
    #[serde(default)]
    pub format: Format,
    /// The schema's type that the answer's objects or rows are of.
    #[serde(rename = "type")]
    pub of: String,
    /// For JSON: where the objects stand in the document, as members joined by `/`, arrays not
    /// counted. Empty: the document is one object or an array of them.
    #[serde(default)]
    pub at: String,
    /// For JSON: other members on the way there that pass, in the same notation.
    #[serde(default)]
    pub pass: Vec<String>,
    /// Members or columns with another name than their field's: name → `Type.field`.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// What parameters compare whose names don't tell: name → `Type.field`s; under `:body` what the
    /// request's body compares.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub compared: Map<String, Value>,
}

/// How a route's answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As the answer's content type says: one of the others, or the answer is withheld.
    #[default]
    Auto,
    /// A JSON document.
    Json,
    /// A JSON document a line.
    Ndjson,
    /// Comma-separated values with a header row (RFC 4180).
    Csv,
}

fn default_methods() -> Vec<String> {
    vec!["GET".into()]
}

fn default_surface() -> Surface {
    Surface::Rest
}

/// Bounds on requests and responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskingLimits {
    /// Bytes of a request body.
    pub request_bytes: usize,
    /// Tokens of a GraphQL document.
    pub query_tokens: usize,
    /// Nested selections, lists and objects of a GraphQL document.
    pub query_depth: usize,
    /// Nested arrays and objects of a response.
    pub response_depth: usize,
    /// Bytes of one part of a response that comes in parts (an event, a part of a multipart body,
    /// a row): a part is held until it is whole.
    pub part_bytes: usize,
    /// How many times longer than its compressed form a response may be, its first MiB aside.
    pub decoded_ratio: u32,
    /// Entries of each cache: documents, decisions, plans.
    pub cache_entries: usize,
}

impl Default for MaskingLimits {
    fn default() -> Self {
        Self {
            request_bytes: 262_144,
            query_tokens: 10_000,
            query_depth: 64,
            response_depth: 128,
            part_bytes: 1 << 20,
            decoded_ratio: 100,
            cache_entries: 1024,
        }
    }
}

/// The configuration of the residency filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidencyConfig {
    /// Names the policy and settings together; it stands in every decision.
    pub revision: String,
    /// The gateway's region.
    pub region: String,
    /// Modules and data with the package `ig.residency`.
    pub policy: PolicySource,
    /// The clusters that this gateway may use, by region.
    pub clusters: BTreeMap<String, String>,
    /// Paths on which a refusal is a GraphQL error; elsewhere it is a problem document.
    pub graphql_paths: Vec<String>,
    /// Where the verified claims are.
    #[serde(default = "default_claims")]
    pub claims: Vec<String>,
    /// The environment variable that holds the keys of context tokens.
    #[serde(default = "default_context_keys_env")]
    pub keys_env: String,
    /// How long a context token is good for, in seconds.
    #[serde(default = "default_token_lifetime")]
    pub token_lifetime_s: u64,
    /// Whether the region of the data is left where spans find it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trace: bool,
    /// Entries of the decision cache.
    #[serde(default = "default_cache_entries")]
    pub cache_entries: usize,
}

/// The property path under which `jwt_authn` leaves the token's payload.
pub fn default_claims() -> Vec<String> {
    [
        "metadata",
        "filter_metadata",
        "envoy.filters.http.jwt_authn",
        "payload",
    ]
    .map(str::to_owned)
    .into()
}

fn default_keys_env() -> String {
    "IG_MASK_KEYS".into()
}

pub(crate) fn default_context_keys_env() -> String {
    "IG_CONTEXT_KEYS".into()
}

fn default_token_lifetime() -> u64 {
    context::LIFETIME_S
}

/// Entries of the residency filter's decision cache: two generations, each of which holds a directory
/// of 10,000 tenants and more.
pub fn default_cache_entries() -> usize {
    32_768
}

/// The codes that GraphQL servers use for errors that clients handle.
pub fn default_error_codes() -> Vec<String> {
    [
        "BAD_USER_INPUT",
        "FORBIDDEN",
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "INTERNAL_SERVER_ERROR",
        "NOT_FOUND",
        "OPERATION_RESOLUTION_FAILURE",
        "UNAUTHENTICATED",
        "UPSTREAM_UNAVAILABLE",
    ]
    .map(str::to_owned)
    .into()
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, an unknown member, a missing member.
    #[error("the filter configuration can't be read: {0}")]
    Form(#[from] serde_json::Error),
    /// The schema is broken.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The policy is broken.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The keys are malformed.
    #[error("the keys in the environment can't be used: {0}")]
    Keys(#[from] KeyError),
    /// The policy data classifies a field that the schema does not have.
    #[error("policy data `ig.fields`: {0}")]
    Field(#[from] UnknownCoordinate),
    /// A tag of the schema is not explained by the policy data.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// The policy data that the filter itself reads is not what it must be.
    #[error(transparent)]
    Data(#[from] DataFault),
    /// A route contradicts the schema or itself.
    #[error("route `{route}`: {problem}")]
    Route {
        /// The route's name.
        route: String,
        /// What is wrong.
        problem: String,
    },
    /// The list of what arguments compare contradicts the schema.
    #[error("`graphql.compared`: {0}")]
    Compared(String),
    /// A document of the manifest is no GraphQL.
    #[error("persisted query `{id}`: {problem}")]
    Persisted {
        /// Its id.
        id: String,
        /// What is wrong.
        problem: GraphqlError,
    },
    /// A response header is named that can't pass.
    #[error("response header `{name}`: {problem}")]
    ResponseHeader {
        /// What is named.
        name: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// Batches could be so large that one request would be too many.
    #[error("`graphql.batch` is {0}, which is too many: use {MOST_BATCHED} or less")]
    Batch(usize),
    /// A setting that must not be empty is.
    #[error("the filter configuration has an empty `{0}`")]
    Empty(&'static str),
}

/// What is wrong with the policy data, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy data {at}: {problem}")]
pub struct DataFault {
    /// Section and key, as one writes them in Rego: `ig.authorities["eu-dpa"].keys[0]`.
    pub at: String,
    /// What is wrong there. It holds no value.
    pub problem: &'static str,
}

impl DataFault {
    /// A fault at a place.
    pub(crate) fn new(at: String, problem: &'static str) -> Self {
        Self { at, problem }
    }
}
