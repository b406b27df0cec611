//! A directory of many tenants, and the filters that read it, with this repository's policies.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bundle::Bundle;
use engine::context::{ContextKeys, ContextToken};
use engine::policy::PolicySource;
use serde_json::{Map, Value, json};

use crate::variants::UPSTREAM;

/// Tenants of the directory, beside the one of the requests.
pub const COUNT: usize = 10_000;

/// The tenant of the requests.
pub const TENANT: &str = "acme";

/// The cluster of the store.
pub const STORE: &str = "store-orders";

/// The variable that the filters read the keys of context tokens from, and its value.
pub const CONTEXT_KEYS: (&str, &str) = (
    "IG_CONTEXT_KEYS",
    "c1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
);

/// Seconds that a token is good for: longer than the benchmark takes.
const LIFETIME_S: u64 = 24 * 3600;

const REGION: &str = "eu";

/// Configurations with the same directory.
pub struct Configurations {
    /// Of the residency filter.
    pub residency: String,
    /// Of a guard before a PostgreSQL store whose databases are tenants.
    pub guard: String,
}

/// The name of a tenant.
pub fn tenant(number: usize) -> String {
    format!("tenant-{number:05}")
}

/// Writes the configurations.
///
/// # Errors
/// This repository's policies can't be read.
pub fn configurations(checkout: &Path) -> anyhow::Result<Configurations> {
    let bundle = Bundle::read(&checkout.join("policies")).context("reading the policies")?;
    let clusters = [(REGION.to_owned(), UPSTREAM.to_owned())];
    let mut residency = bundle.residency(REGION, &clusters, &["/graphql".to_owned()]);
    enter(&mut residency.policy)?;
    let store = json!({
        "kind": "postgres", "name": "orders", "region": REGION,
        "objects": [{"name": "{tenant}"}], "users": [{"name": "app"}],
    });
    let mut guard = bundle.guard(REGION, serde_json::from_value(store)?, STORE);
    enter(&mut guard.policy)?;
    Ok(Configurations {
        residency: serde_json::to_string(&residency)?,
        guard: serde_json::to_string(&guard)?,
    })
}

/// Puts the directory in the place of the policy's own.
fn enter(policy: &mut PolicySource) -> anyhow::Result<()> {
    let home = json!({"region": REGION, "risk": "low"});
    let mut tenants: Map<String, Value> = (0..COUNT)
        .map(|number| (tenant(number), home.clone()))
        .collect();
    tenants.insert(TENANT.to_owned(), home);
    let data = policy.data.get_mut("ig").and_then(Value::as_object_mut);
    let data = data.context("the policies have no data under `ig`")?;
    data.insert("tenants".to_owned(), tenants.into());
    Ok(())
}

/// A valid context token of a tenant.
///
/// # Errors
/// The keys or the clock are none.
pub fn token(tenant: &str) -> anyhow::Result<String> {
    let keys = ContextKeys::parse(CONTEXT_KEYS.1, REGION)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let token = ContextToken {
        jti: "dec_bench".into(),
        tenant: tenant.into(),
        home: REGION.into(),
        region: REGION.into(),
        iat: now,
        exp: now + LIFETIME_S,
        warrant: None,
    };
    token.sign(&keys).context("a token can't be signed")
}
