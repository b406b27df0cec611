//! Batches: several requests in one, each masked by its own plan.

use apollo::{ANALYST, Ask, Caller, Script, Stage};
use serde_json::{Value, json};

use crate::support::each_sees_their_own;

/// The longest batch that a gateway accepts unless it is told otherwise.
const LONGEST: usize = 10;

/// One response key, three meanings: plans that are taken for one another would show.
fn requests() -> Vec<Value> {
    vec![
        json!({"query": "{ viewer { a: name b: email c: salary } }"}),
        json!({"query": "{ viewer { a: email b: salary c: name } }"}),
        json!({"query": "{ viewer { a: salary b: name c: email } }"}),
        json!({
            "query": "query Q($id: ID!) { person(id: $id) { nationalId phone } } query R { __typename }",
            "operationName": "Q",
            "variables": {"id": "p3"},
        }),
        json!({"query": r#"mutation { renameAsset(id: "a1", name: "x") { name owner { email } } }"#}),
        json!({"query": r#"{ person(id: "broken") { name } }"#}),
    ]
}

async fn batches(script: Script) {
    let stage = Stage::start(script).await;
    let ask = Ask::post(&Value::Array(requests()));
    let direct = stage.direct(&ask).await;
    assert_eq!(
        direct.json().as_array().map(Vec::len),
        Some(requests().len())
    );
    // The last one's error tells values that nobody but the admin sees there.
    let without = &requests()[..5];
    each_sees_their_own(&stage, "a batch", &Ask::post(&json!(without))).await;

    for caller in Caller::ALL {
        let answer = stage.ask(caller, &ask).await.json();
        for (position, request) in requests().iter().enumerate() {
            let alone = stage.ask(caller, &Ask::post(request)).await.json();
            let member = &answer[position];
            // A stack differs from run to run; an admin sees it.
            let stable = |value: &Value| match value.get("errors") {
                Some(errors) => errors[0]["path"].clone(),
                None => value["data"].clone(),
            };
            let name = caller.persona.name;
            assert_eq!(stable(member), stable(&alone), "{name}, request {position}");
        }
    }
    let answer = stage.ask(ANALYST, &ask).await;
    assert_eq!(answer.leaks(), [], "{answer:?}");

    let one = stage
        .ask(ANALYST, &Ask::post(&json!([{"query": "{ __typename }"}])))
        .await;
    assert_eq!(one.json(), json!([{"data": {"__typename": "Query"}}]));

    lengths(&stage).await;
    refused(&stage).await;
}

async fn lengths(stage: &Stage) {
    let of = |length| {
        Ask::post(&json!(vec![
            json!({"query": "{ viewer { name } }"});
            length
        ]))
    };
    let answer = stage.ask(ANALYST, &of(LONGEST)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json().as_array().map(Vec::len), Some(LONGEST));
    let before = stage.requests().await.len();
    for length in [0, LONGEST + 1] {
        let answer = stage.ask(ANALYST, &of(length)).await;
        assert!((400..500).contains(&answer.status), "{length}: {answer:?}");
    }
    assert_eq!(stage.requests().await.len(), before, "the server was asked");
}

/// One request that can't be served refuses them all: none may have had its effect.
async fn refused(stage: &Stage) {
    let before = stage.requests().await.len();
    let good = json!({"query": r#"mutation { renameAsset(id: "a1", name: "x") { name } }"#});
    for (what, bad) in [
        ("syntax", json!({"query": "{"})),
        ("no query", json!({})),
        ("a batch in a batch", json!([{"query": "{ __typename }"}])),
        ("no request", json!("{ __typename }")),
    ] {
        let answer = stage.ask(ANALYST, &Ask::post(&json!([good, bad]))).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
    }
    assert_eq!(stage.requests().await.len(), before, "the server was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_apollo_server() {
    batches(Script::Apollo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_yoga() {
    batches(Script::Yoga).await;
}
