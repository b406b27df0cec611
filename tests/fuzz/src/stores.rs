//! What clients send to stores, against independent readings of it: whatever a guard lets through, the
//! store behind it must understand as the guard did.

mod bolt;
mod connection;
mod http;
mod postgres;

pub use bolt::bolt;
pub use http::stores;
pub use postgres::postgres;

use std::sync::LazyLock;

use engine::context::{ContextKeys, ContextToken};
use engine::guard::Guard;
use serde_json::{Value, json};

/// When everything happens, in seconds since 1970.
const NOW: u64 = 1_030;

/// Bytes that a connection may send before it is let in: few, so that inputs are longer.
const OPENING_BYTES: usize = 1_000;

/// The longest name that PostgreSQL knows.
const LONGEST_NAME: usize = 63;

/// Tenants: two of which neither may open what is the other's, and two of which PostgreSQL could take
/// one for the other.
static TENANTS: LazyLock<[String; 4]> = LazyLock::new(|| {
    let long = "x".repeat(LONGEST_NAME);
    let longer = format!("{long}x");
    ["acme".to_owned(), "globex".to_owned(), long, longer]
});

/// A valid token of each tenant.
static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let keys = ContextKeys::parse(crate::setting::KEYS, "eu").expect("they are keys");
    let sign = |tenant: &String| {
        let token = ContextToken {
            jti: "dec_0".into(),
            tenant: tenant.clone(),
            home: "eu".into(),
            region: "eu".into(),
            iat: 1_000,
            exp: 1_060,
            warrant: None,
        };
        token.sign(&keys).expect("it can be written")
    };
    TENANTS.iter().map(sign).collect()
});

/// The guard of region `eu` before a store there, with the repository's own policy.
fn guard(store: Value) -> Guard {
    let mut all = json!({"name": "main", "region": "eu"});
    for (key, value) in store.as_object().expect("an object") {
        all[key] = value.clone();
    }
    let tenants: serde_json::Map<String, Value> = TENANTS
        .iter()
        .map(|tenant| (tenant.clone(), json!({"region": "eu"})))
        .collect();
    let config = json!({
        "revision": "r", "region": "eu", "store": all, "cluster": "store-main",
        "policy": {
            "modules": [{
                "path": "ig/egress.rego",
                "text": include_str!("../../../policies/ig/egress.rego"),
            }],
            "data": {"ig": {"regions": {"eu": {}}, "tenants": tenants}},
        },
        "limits": {"opening_bytes": OPENING_BYTES, "cache_entries": 64},
    });
    let keys = |_: &str| Some(crate::setting::KEYS.to_owned());
    Guard::configure(config.to_string().as_bytes(), keys).expect("it loads")
}

/// Whether a valid token of the tenant stands in the bytes.
fn has_token(bytes: &[u8], tenant: &str) -> bool {
    let known = TENANTS.iter().zip(&*TOKENS);
    known
        .filter(|(of, _)| *of == tenant)
        .any(|(_, token)| bytes.windows(token.len()).any(|w| w == token.as_bytes()))
}
