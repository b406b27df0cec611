//! Automatic persisted queries: the gateway keeps them, and the server never sees a hash.

use apollo::{ADMIN, ANALYST, Ask, SUPPORT, Script, Stage};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::each_sees_their_own;

fn extensions(query: &str) -> Value {
    let hash: String = Sha256::digest(query)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
}

fn hash_alone(query: &str) -> Ask {
    Ask::post(&json!({"extensions": extensions(query)}))
}

fn registration(query: &str) -> Ask {
    Ask::post(&json!({"query": query, "extensions": extensions(query)}))
}

/// Every request that has reached the server had its whole query and no hash.
async fn the_server_saw_no_hash(stage: &Stage) {
    for request in stage.requests().await {
        let text = request.to_string();
        assert!(!text.contains("persistedQuery"), "{text}");
        assert!(!text.contains("sha256Hash"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_works_once_its_query_was_sent_and_is_masked() {
    let stage = Stage::start(Script::Apollo).await;
    let query = "query Kept { viewer { name email salary } }";

    let before = stage.requests().await.len();
    let answer = stage.ask(ANALYST, &hash_alone(query)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.message(), "PersistedQueryNotFound");
    assert_eq!(answer.code(), "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(stage.requests().await.len(), before, "the server was asked");

    let plain = stage.ask(ANALYST, &Ask::query(query)).await.json();
    let answer = stage.ask(ANALYST, &registration(query)).await;
    assert_eq!(answer.json(), plain, "{answer:?}");
    let answer = stage.ask(ANALYST, &hash_alone(query)).await;
    assert_eq!(answer.json(), plain, "{answer:?}");
    assert_eq!(answer.leaks(), [], "{answer:?}");

    // The query is shared, what it shows is not.
    let support = stage.ask(SUPPORT, &hash_alone(query)).await.json();
    assert_eq!(support, stage.ask(SUPPORT, &Ask::query(query)).await.json());
    let admin = stage.ask(ADMIN, &hash_alone(query)).await.json();
    assert_eq!(admin, stage.direct(&Ask::query(query)).await.json());

    variables_and_names(&stage).await;
    by_get(&stage).await;
    the_server_saw_no_hash(&stage).await;
    what_is_refused(&stage).await;
    what_the_server_keeps_is_not_for_the_gateway(&stage).await;
}

async fn variables_and_names(stage: &Stage) {
    let query = "query A($id: ID!) { person(id: $id) { email } } query B { viewer { phone } }";
    let body = |variables: Value, text: Option<&str>| {
        let mut body = json!({
            "operationName": "A", "variables": variables, "extensions": extensions(query),
        });
        if let Some(text) = text {
            body["query"] = text.into();
        }
        Ask::post(&body)
    };
    stage
        .ask(SUPPORT, &body(json!({"id": "p1"}), Some(query)))
        .await;
    let answer = stage.ask(SUPPORT, &body(json!({"id": "p2"}), None)).await;
    let plain = Ask::query(r#"{ person(id: "p2") { email } }"#);
    assert_eq!(
        answer.json(),
        stage.direct(&plain).await.json(),
        "{answer:?}"
    );
}

async fn by_get(stage: &Stage) {
    let query = "query Got { viewer { phone nationalId } }";
    let hash = extensions(query).to_string();
    let alone = Ask::get_with(&[("extensions", &hash)]).preflighted();
    let whole = Ask::get_with(&[("query", query), ("extensions", &hash)]).preflighted();
    let answer = stage.ask(ANALYST, &alone).await;
    assert_eq!(answer.message(), "PersistedQueryNotFound", "{answer:?}");
    let plain = stage.ask(ANALYST, &Ask::query(query)).await.json();
    assert_eq!(stage.ask(ANALYST, &whole).await.json(), plain);
    assert_eq!(stage.ask(ANALYST, &alone).await.json(), plain);
}

async fn what_is_refused(stage: &Stage) {
    let before = stage.requests().await.len();
    let [query, other] = ["{ viewer { email } }", "{ viewer { nationalId } }"];
    let mismatch = json!({"query": query, "extensions": extensions(other)});
    let mut version = extensions(query);
    version["persistedQuery"]["version"] = 2.into();
    let mut short = extensions(query);
    short["persistedQuery"]["sha256Hash"] = "abc".into();
    for (what, body) in [
        ("another query's hash", mismatch),
        (
            "another version",
            json!({"query": query, "extensions": version}),
        ),
        (
            "no hash of SHA-256",
            json!({"query": query, "extensions": short}),
        ),
    ] {
        let answer = stage.ask(ANALYST, &Ask::post(&body)).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
    }
    let answer = stage.ask(ANALYST, &hash_alone(other)).await;
    assert_eq!(
        answer.message(),
        "PersistedQueryNotFound",
        "a mismatch registered"
    );
    assert_eq!(stage.requests().await.len(), before, "the server was asked");
}

async fn what_the_server_keeps_is_not_for_the_gateway(stage: &Stage) {
    let query = "query Elsewhere { viewer { email } }";
    let registered = stage.direct(&registration(query)).await;
    assert_eq!(
        stage.direct(&hash_alone(query)).await.json(),
        registered.json()
    );
    let answer = stage.ask(ANALYST, &hash_alone(query)).await;
    assert_eq!(answer.message(), "PersistedQueryNotFound", "{answer:?}");
    each_sees_their_own(stage, "registered at both", &registration(query)).await;
}
