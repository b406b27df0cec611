//! What the cases are run with.

use super::CaseError;
use super::case::Case;
use crate::Bundle;

/// The root key of the cases' pseudonyms: the bytes 0 to 31. It protects nothing.
pub const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The variable that holds it.
pub const KEYS_VARIABLE: &str = "IG_MASK_KEYS";
/// The root key of the cases' context tokens. It protects nothing.
pub const CONTEXT_KEYS: &str = "c1:ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-P0A";
/// The variable that holds it.
pub const CONTEXT_KEYS_VARIABLE: &str = "IG_CONTEXT_KEYS";
/// The masked paths.
pub const GRAPHQL_PATHS: [&str; 1] = ["/graphql"];
/// The clusters that every gateway knows, by region. There is none for `apac`: a gateway without a
/// way into a region is a case too.
pub const CLUSTERS: [(&str, &str); 2] = [("eu", "assets-eu"), ("us", "assets-us")];

/// What the filters of one gateway are made of: its region, and what a case changes of the policies.
#[must_use]
pub fn gateway(case: &Case) -> String {
    format!("{} {:?}", case.input.gateway_region, case.input.patch())
}

/// The policies of a case.
///
/// # Errors
/// What the case changes of the settings makes them none.
pub fn patched(bundle: &Bundle, case: &Case) -> Result<Bundle, CaseError> {
    let patched = bundle.patched(&case.input.patch());
    patched.map_err(|error| CaseError::Patch {
        case: case.name.clone(),
        error: Box::new(error),
    })
}

/// The masking filter's configuration, as JSON.
#[must_use]
pub fn masking_config(bundle: &Bundle, region: &str) -> Vec<u8> {
    let config = bundle.masking(region, &GRAPHQL_PATHS.map(str::to_owned));
    serde_json::to_vec(&config).unwrap_or_default()
}

/// The residency filter's configuration, as JSON.
#[must_use]
pub fn residency_config(bundle: &Bundle, region: &str) -> Vec<u8> {
    let clusters = CLUSTERS.map(|(region, cluster)| (region.to_owned(), cluster.to_owned()));
    let config = bundle.residency(region, &clusters, &GRAPHQL_PATHS.map(str::to_owned));
    serde_json::to_vec(&config).unwrap_or_default()
}
