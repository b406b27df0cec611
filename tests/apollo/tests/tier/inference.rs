//! Arguments that compare masked fields: what a caller must not see, it must not guess either.

use apollo::{ADMIN, ANALYST, AUDITOR, Ask, Script, Stage};
use serde_json::json;

const BY_VARIABLE: &str =
    "query ($filter: PersonFilter!) { peopleWhere(filter: $filter) { name } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_field_in_an_argument_is_refused() {
    let stage = Stage::start(Script::Yoga).await;
    let literal = Ask::query("{ peopleWhere(filter: { salary: 731904417 }) { name } }");
    let variable = Ask::post(&json!({
        "query": BY_VARIABLE, "variables": {"filter": {"salary": 731_904_417}},
    }));
    let inner = Ask::post(&json!({
        "query": "query ($salary: Int) { peopleWhere(filter: { name: \"x\", salary: $salary }) { name } }",
        "variables": {"salary": 731_904_417},
    }));
    // The server tells by the number of its answers.
    let found = json!({"data": {"peopleWhere": [{"name": "Ada Lovelace"}]}});
    assert_eq!(stage.direct(&literal).await.json(), found);

    let before = stage.requests().await.len();
    for ask in [&literal, &variable, &inner] {
        let answer = stage.ask(ANALYST, ask).await;
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    assert_eq!(stage.requests().await.len(), before, "the server was asked");

    // Who sees the field may ask for it.
    for caller in [ADMIN, AUDITOR] {
        for ask in [&literal, &variable] {
            assert_eq!(stage.ask(caller, ask).await.json(), found);
        }
    }
    // What is not masked may be compared by anybody.
    let open = Ask::query(r#"{ peopleWhere(filter: { name: "Ada Lovelace" }) { name } }"#);
    assert_eq!(stage.ask(ANALYST, &open).await.json(), found);
    let open = json!({"query": BY_VARIABLE, "variables": {"filter": {"name": "Ada Lovelace"}}});
    assert_eq!(stage.ask(ANALYST, &Ask::post(&open)).await.json(), found);
}
