//! Who sees what of an Apollo Server's answers, whatever the operation looks like.

use apollo::{ADMIN, ANALYST, AUDITOR, Ask, SUPPORT, Script, Stage};
use serde_json::json;
use upstream::queries;

use crate::support::{coordinates, each_sees_their_own};

/// Operations, by what they try.
const OPERATIONS: [(&str, &str); 8] = [
    (
        "aliases",
        "{ viewer { id: email name: nationalId __typename: phone a: salary b: birthDate } }",
    ),
    (
        "a union with __typename",
        r#"{ search(text: "") { __typename ... on Asset { x: email } ... on Person { name x: email } ... on Vendor { x: website y: phone } } }"#,
    ),
    (
        "an interface",
        "{ contacts { email phone ... on Person { salary nationalId } ... on Vendor { account { email } } } }",
    ),
    (
        "fragments in fragments",
        "{ people { ...A } } fragment A on Person { ...B manager { ...B } } fragment B on Contact { email ...C } fragment C on Contact { phone ... on Person { salary } }",
    ),
    (
        "an interface of the schema's own",
        r#"{ node(id: "p1") { id ... on Contact { email } ... on Person { birthDate } } }"#,
    ),
    (
        "a connection",
        "{ assets(first: 2) { edges { cursor node { email location { latitude longitude } owner { phone } } } nodes { custodians { salary } } } }",
    ),
    (
        "an export",
        "{ exportAssets(format: CSV) { body rows { email owner { email } } } }",
    ),
    (
        "a mutation",
        r#"mutation { renameAsset(id: "a1", name: "x") { name email owner { email salary } } }"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_sees_their_own() {
    let stage = Stage::start(Script::Apollo).await;
    the_server_shows_every_canary(&stage).await;
    one_response_key_of_several_types(&stage).await;
    for (what, query) in OPERATIONS {
        each_sees_their_own(&stage, what, &Ask::query(query)).await;
    }
    // The operations of the demo, too.
    for query in queries::ALL {
        let variables = json!({"id": "a1", "name": "x", "withContact": true});
        let ask = Ask::post(&json!({"query": query.document, "variables": variables}));
        if !stage.direct(&ask).await.leaks().is_empty() {
            each_sees_their_own(&stage, query.name, &ask).await;
        }
    }
    // Nothing of it is in the log either.
    for canary in apollo::canaries() {
        assert!(!canary.is_in(&stage.access_log()), "{canary:?} is logged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_and_what_stands_in_the_place_of_the_rest() {
    let stage = Stage::start(Script::Apollo).await;
    let ask = Ask::query("{ viewer { name email phone salary nationalId birthDate } }");
    let direct = stage.direct(&ask).await.json();
    let ada = &direct["data"]["viewer"];

    let answer = stage.ask(ANALYST, &ask).await;
    let viewer = &answer.json()["data"]["viewer"];
    let email = viewer["email"].as_str().unwrap_or_default();
    assert!(email.starts_with("h:test:"), "{viewer}");
    assert_eq!(
        *viewer,
        json!({
            "name": "Ada Lovelace", "email": email, "phone": "****17",
            "salary": null, "nationalId": "[REDACTED]", "birthDate": null,
        })
    );
    assert!(answer.header("x-ig-mask").is_empty());
    // The same value has the same pseudonym, wherever it stands.
    let elsewhere = Ask::query(r#"{ a: person(id: "p1") { email } b: people { email } }"#);
    let elsewhere = stage.ask(ANALYST, &elsewhere).await.json();
    assert_eq!(elsewhere["data"]["a"]["email"], email);
    assert_eq!(elsewhere["data"]["b"][0]["email"], email);

    let answer = stage.ask(SUPPORT, &ask).await.json();
    let viewer = &answer["data"]["viewer"];
    assert_eq!(viewer["email"], ada["email"]);
    assert_eq!(viewer["phone"], ada["phone"]);
    assert_eq!(viewer["salary"], json!(null));

    let answer = stage.ask(AUDITOR, &ask).await.json();
    assert_eq!(answer["data"]["viewer"]["salary"], ada["salary"]);

    let answer = stage.ask(ADMIN, &ask).await;
    assert_eq!(answer.json(), direct);
    assert!(!answer.header("x-ig-mask").is_empty());
}

/// Fields of several types under one response key: the strictest rule counts, until `__typename` tells
/// them apart.
async fn one_response_key_of_several_types(stage: &Stage) {
    let selections =
        "... on Asset { x: email } ... on Person { x: nationalId } ... on Vendor { x: phone }";
    let untold = Ask::query(&format!(r#"{{ search(text: "") {{ {selections} }} }}"#));
    for caller in [ANALYST, SUPPORT, AUDITOR] {
        let answer = stage.ask(caller, &untold).await.json();
        for found in answer["data"]["search"].as_array().expect("a list") {
            assert_eq!(found["x"], "[REDACTED]", "{}", caller.persona.name);
        }
    }
    let told = Ask::query(&format!(
        r#"{{ search(text: "") {{ __typename {selections} }} }}"#
    ));
    each_sees_their_own(stage, "told by __typename", &told).await;
    assert_eq!(
        stage.ask(ADMIN, &untold).await.json(),
        stage.direct(&untold).await.json()
    );
}

/// The positive control of the others: every masked field has canaries, and the server shows them.
async fn the_server_shows_every_canary(stage: &Stage) {
    let ask = Ask::query(
        "{ people { email phone salary nationalId birthDate } vendors { email phone } \
         assets { nodes { email location { latitude longitude } } } exportAssets(format: JSON) { body } }",
    );
    let direct = each_sees_their_own(stage, "everything", &ask).await;
    assert_eq!(direct.leaks(), apollo::canaries());
    assert_eq!(coordinates(&direct.leaks()).len(), 11);
}
