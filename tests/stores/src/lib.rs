//! Real stores behind the guards of a real Envoy.
//!
//! Each test starts the stores that it needs, a region a loopback address, and a sidecar of region `eu`
//! in front of them; then the stores' own clients try to get in. What can't be had (PostgreSQL's
//! server, Python's packages, Envoy) fails the test with a message that says how to get it.

pub mod bolt;
#[path = "../../../host/conductor/src/ingest/convert.rs"]
pub mod convert;
pub mod http;
pub mod postgres;
pub mod python;
pub mod query;
pub mod sidecar;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::context::{ContextKeys, ContextToken, WarrantUse};

/// The region of the sidecar.
pub const REGION: &str = "eu";

/// A root key of 32 bytes, under the name `test`.
pub const KEYS: &str = "test:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY";

/// What a test waits for at most: others may use the processor.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The repository.
///
/// # Panics
/// The tests run outside of it.
pub fn checkout() -> PathBuf {
    artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("a checkout")
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock after 1970").as_secs()
}

/// The claims of a context token of region `eu`.
pub fn claims(tenant: &str, home: &str) -> ContextToken {
    ContextToken {
        jti: "dec_gateway".to_owned(),
        tenant: tenant.to_owned(),
        home: home.to_owned(),
        region: REGION.to_owned(),
        iat: now(),
        exp: now() + 600,
        warrant: None,
    }
}

/// The same under a warrant for these operations on data of region `us`.
pub fn warranted(tenant: &str, operations: &[&str]) -> ContextToken {
    ContextToken {
        warrant: Some(WarrantUse {
            id: "wrt_test".to_owned(),
            src: "us".to_owned(),
            dst: REGION.to_owned(),
            operations: operations.iter().map(|o| (*o).to_owned()).collect(),
            authority: "us-court".to_owned(),
            case: "C-1".to_owned(),
        }),
        ..claims(tenant, "us")
    }
}

/// A token, signed as the gateway of region `eu` does.
///
/// # Panics
/// The keys are malformed.
pub fn sign(claims: &ContextToken) -> String {
    let keys = ContextKeys::parse(KEYS, REGION).expect("good keys");
    claims.sign(&keys).expect("a token")
}

/// Asks again until there is an answer.
///
/// # Panics
/// There is none in time.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "no {what} in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
