//! A federated graph: Apollo Gateway over two subgraphs, masked as one.

use apollo::{ANALYST, Ask, Caller, Script, Stage};
use serde_json::{Value, json};

use crate::support::each_sees_their_own;

const ASSET_AND_OWNER: &str = r#"
    query Federated($id: ID!) {
      asset(id: $id) {
        name
        email
        location { city latitude longitude }
        owner { ...Reach boss: manager { ...Reach salary } }
      }
      me: viewer { nationalId ...Reach }
    }
    fragment Reach on Person { name mail: email call: phone }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_sees_their_own_of_both_subgraphs() {
    let stage = Stage::start(Script::Federation).await;
    errors_of_a_subgraph_tell_nothing(&stage).await;
    what_the_supergraph_does_not_have_is_an_error_of_its_own(&stage).await;
    let ask = Ask::post(&json!({"query": ASSET_AND_OWNER, "variables": {"id": "a2"}}));
    let direct = each_sees_their_own(&stage, "an asset and its owner", &ask).await;
    let boss = &direct.json()["data"]["asset"]["owner"]["boss"];
    assert_eq!(
        boss["name"], "Ada Lovelace",
        "the manager is of the other subgraph"
    );

    let answer = stage.ask(ANALYST, &ask).await.json();
    assert_eq!(
        answer["data"]["asset"]["owner"]["boss"]["salary"],
        Value::Null
    );
    assert_eq!(answer["data"]["asset"]["location"]["city"], "Cambridge");
    // A person's pseudonym is the same by every road.
    let asset = &answer["data"]["asset"];
    assert_eq!(asset["owner"]["boss"]["mail"], answer["data"]["me"]["mail"]);
}

async fn errors_of_a_subgraph_tell_nothing(stage: &Stage) {
    let ask = Ask::query(r#"{ asset(id: "a1") { name custodians { name email } } }"#);
    let direct = stage.direct(&ask).await;
    assert!(direct.body.contains("cannot serve"), "{direct:?}");
    assert!(direct.body.contains("NI-ada"), "{direct:?}");
    let answer = stage.ask(ANALYST, &ask).await;
    assert_eq!(answer.status, direct.status);
    assert_eq!(answer.leaks(), [], "{answer:?}");
    for told in ["cannot serve", "stacktrace", "serviceName", "people"] {
        assert!(!answer.body.contains(told), "it tells {told}: {answer:?}");
    }
    assert!(answer.json()["errors"].is_array(), "{answer:?}");
    assert_eq!(
        answer.json()["errors"][0]["extensions"]["code"],
        "NOT_FOUND"
    );
}

async fn what_the_supergraph_does_not_have_is_an_error_of_its_own(stage: &Stage) {
    // In the repository's schema, and in neither subgraph; and the gateway's own field, in no schema.
    for query in [
        "{ vendors { email } }",
        "{ _entities { __typename } }",
        "{ _service { sdl } }",
    ] {
        for caller in Caller::ALL {
            let answer = stage.ask(caller, &Ask::query(query)).await;
            assert!(answer.status >= 400, "{query}: {answer:?}");
            assert_eq!(answer.leaks(), [], "{query}: {answer:?}");
        }
    }
}
