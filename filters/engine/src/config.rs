//! The filters' configurations: what the conductor pushes and a filter loads.

use serde::{Deserialize, Serialize};

use crate::mask::KeyError;
use crate::policy::{PolicyError, PolicySource};
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
    /// Response headers of the upstream that pass beside the usual ones.
    #[serde(default)]
    pub response_headers: Vec<String>,
    /// Bounds.
    #[serde(default)]
    pub limits: MaskingLimits,
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
    pub clusters: std::collections::BTreeMap<String, String>,
    /// Paths on which a refusal is a GraphQL error; elsewhere it is a problem document.
    pub graphql_paths: Vec<String>,
    /// Where the verified claims are.
    #[serde(default = "default_claims")]
    pub claims: Vec<String>,
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

fn default_cache_entries() -> usize {
    4096
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
    /// The mask keys are malformed.
    #[error("the mask keys in the environment can't be used: {0}")]
    Keys(#[from] KeyError),
    /// The policy data classifies a field that the schema does not have.
    #[error("policy data `ig.fields`: {0}")]
    Field(#[from] UnknownCoordinate),
    /// A setting that must not be empty is.
    #[error("the filter configuration has an empty `{0}`")]
    Empty(&'static str),
}
