//! The audit of GraphQL over HTTP: the gateway gets the verdicts of the server behind it.

use std::collections::BTreeMap;

use apollo::{ADMIN, Script, Stage};
use serde::Deserialize;

/// Differs while the gateway refuses GET.
const AWAITED: [&str; 0] = [];

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

/// The audits whose verdicts differ are exactly these.
async fn differ(script: Script, expected: &[&str]) {
    let audits = audits(script).await;
    assert!(audits.direct.len() > 50, "{} audits", audits.direct.len());
    assert_eq!(audits.direct.len(), audits.gateway.len());
    let different: BTreeMap<&str, String> = audits
        .direct
        .iter()
        .filter_map(|(id, direct)| {
            let gateway = audits.gateway.get(id)?;
            let reason = gateway.reason.as_deref().unwrap_or("-");
            let told = format!(
                "{}: {} of the server, {} of the gateway ({reason})",
                direct.name, direct.status, gateway.status
            );
            (direct.status != gateway.status).then_some((id.as_str(), told))
        })
        .collect();
    let ids: Vec<&str> = different.keys().copied().collect();
    assert_eq!(ids, expected, "{different:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apollo_server_gets_the_same_verdicts_through_the_gateway() {
    differ(Script::ApolloOpenToForms, &AWAITED).await;
}

/// Of a document that it can't parse, the gateway says so itself, by 400 like Apollo Server; Yoga says
/// it by 200 to who accepts `application/json`.
#[tokio::test(flavor = "multi_thread")]
async fn yoga_gets_the_same_verdicts_but_for_documents_that_the_gateway_refuses() {
    let mut expected = [&AWAITED[..], &["572B", "FDE2"]].concat();
    expected.sort_unstable();
    differ(Script::Yoga, &expected).await;
}
