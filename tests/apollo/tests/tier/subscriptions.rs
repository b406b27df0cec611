//! Subscriptions over server-sent events: each event is masked.

use apollo::{ANALYST, Ask, Caller, SUPPORT, Script, Stage};
use serde_json::{Value, json};

use crate::merge::merged;
use crate::support::each_sees_their_own;

fn streamed(query: &str) -> Ask {
    Ask::query(query).with("accept", "text/event-stream")
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_masked() {
    let stage = Stage::start(Script::Yoga).await;
    let ask = streamed(
        "subscription { personChanged { name x: email phone salary boss: manager { nationalId } } }",
    );
    let direct = each_sees_their_own(&stage, "a subscription", &ask).await;
    assert_eq!(direct.events().len(), 3, "{direct:?}");

    let people =
        Ask::query("{ people { name x: email phone salary boss: manager { nationalId } } }");
    for caller in Caller::ALL {
        let answer = stage.ask(caller, &ask).await;
        assert!(
            answer
                .header("content-type")
                .starts_with("text/event-stream"),
            "{answer:?}"
        );
        let people = stage.ask(caller, &people).await.json();
        let whole: Vec<Value> = answer
            .events()
            .iter()
            .map(|event| event["data"]["personChanged"].clone())
            .collect();
        assert_eq!(
            json!(whole),
            people["data"]["people"],
            "{}",
            caller.persona.name
        );
        assert!(answer.body.contains("event: complete"), "{answer:?}");
        assert!(answer.pieces > 1, "all of it came at once: {answer:?}");
    }
    queries_as_events(&stage).await;
    refused(&stage).await;
}

/// Yoga answers queries by events too, where these are asked for.
async fn queries_as_events(stage: &Stage) {
    let ask =
        streamed(r#"{ person(id: "p2") { name email ... @defer { salary manager { phone } } } }"#);
    let direct = each_sees_their_own(stage, "a query", &ask).await;
    assert!(
        direct
            .header("content-type")
            .starts_with("text/event-stream"),
        "{direct:?}"
    );
    let whole = Ask::query(r#"{ person(id: "p2") { name email salary manager { phone } } }"#);
    let answer = stage.ask(SUPPORT, &ask).await;
    let whole = stage.ask(SUPPORT, &whole).await.json();
    assert_eq!(merged(&answer.events()), whole["data"], "{answer:?}");
}

async fn refused(stage: &Stage) {
    for query in [
        "subscription { personChanged { emial } }",
        "subscription { personChange { email } }",
    ] {
        let answer = stage.ask(ANALYST, &streamed(query)).await;
        assert_eq!(answer.leaks(), [], "{answer:?}");
        assert!(!answer.body.contains("Did you mean"), "{answer:?}");
    }
}
