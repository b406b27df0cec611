//! The audit of GraphQL over HTTP: the gateway gets the verdicts of the server behind it.

use std::collections::BTreeMap;

use apollo::{ADMIN, Script, Stage};
use serde::Deserialize;

/// What the audit says of one of its points.
#[derive(Debug, Deserialize)]
struct Verdict {
    name: String,
    /// `ok`, `notice`, `warn` or `error`.
    status: String,
    reason: Option<String>,
}

/// Both audits, by audit id.
#[derive(Debug, Deserialize)]
struct Audits {
    direct: BTreeMap<String, Verdict>,
    gateway: BTreeMap<String, Verdict>,
}

async fn audits(script: Script) -> Audits {
    let stage = Stage::start(script).await;
    let output = apollo::run("audit.mjs", &stage.urls(), &stage.token(ADMIN)).await;
    let output = output.unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_str(&output).expect("verdicts")
}

async fn same_verdicts(script: Script) {
    let audits = audits(script).await;
    assert!(audits.direct.len() > 50, "{} audits", audits.direct.len());
    assert_eq!(audits.direct.len(), audits.gateway.len());
    let different: Vec<String> = audits
        .direct
        .iter()
        .filter_map(|(id, direct)| {
            let gateway = audits.gateway.get(id)?;
            let reason = gateway.reason.as_deref().unwrap_or("-");
            (direct.status != gateway.status).then(|| {
                format!(
                    "{id} {}: {} of the server, {} of the gateway ({reason})",
                    direct.name, direct.status, gateway.status
                )
            })
        })
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn apollo_server_gets_the_same_verdicts_through_the_gateway() {
    same_verdicts(Script::ApolloOpenToForms).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yoga_gets_the_same_verdicts_through_the_gateway() {
    same_verdicts(Script::Yoga).await;
}
