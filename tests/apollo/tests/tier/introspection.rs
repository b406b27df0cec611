//! Introspection: this repository's policy allows it to all roles, and it exempts nothing.

use std::collections::BTreeSet;

use apollo::{ANALYST, Ask, Caller, Script, Stage};
use serde_json::Value;

use crate::support::each_sees_their_own;

/// The standard introspection query, as clients send it, less what only says how it looks.
const FULL: &str = include_str!("introspection.graphql");

/// `Type.field` of every field in an answer to an introspection query.
fn fields(answer: &Value) -> BTreeSet<String> {
    let types = answer["data"]["__schema"]["types"].as_array();
    types
        .into_iter()
        .flatten()
        .flat_map(|of| {
            let name = of["name"].as_str().unwrap_or_default().to_owned();
            let fields = of["fields"].as_array().cloned().unwrap_or_default();
            fields
                .into_iter()
                .map(move |field| format!("{name}.{}", field["name"].as_str().unwrap_or_default()))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_may_ask_for_the_schema_and_no_more() {
    let stage = Stage::start(Script::Apollo).await;
    let ask = Ask::query(FULL);
    let direct = stage.direct(&ask).await.json();
    assert!(fields(&direct).contains("Person.nationalId"), "{direct}");
    for caller in Caller::ALL {
        let answer = stage.ask(caller, &ask).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json(), direct, "{}", caller.persona.name);
    }
    it_exempts_nothing(&stage).await;
}

async fn it_exempts_nothing(stage: &Stage) {
    let mixed = Ask::query(
        r#"{ __schema { queryType { name } } __type(name: "Person") { name } __typename viewer { __typename email } }"#,
    );
    each_sees_their_own(stage, "introspection beside data", &mixed).await;
    // A field of data under the name of the meta-field is data.
    let disguised = Ask::query("{ __schema: viewer { types: email queryType: nationalId } }");
    let answer = stage.ask(ANALYST, &disguised).await;
    assert_eq!(answer.leaks(), [], "{answer:?}");
}
