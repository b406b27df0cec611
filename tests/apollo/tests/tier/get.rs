//! GraphQL over GET: masked like POST, for queries only.

use apollo::{ADMIN, ANALYST, Ask, Script, Stage};
use serde_json::json;

use crate::support::each_sees_their_own;

const PERSON: &str = "query One($id: ID!) { person(id: $id) { name email salary } }
    query Other { viewer { nationalId } }";

fn person() -> Ask {
    Ask::get_with(&[
        ("query", PERSON),
        ("operationName", "One"),
        ("variables", r#"{"id":"p2"}"#),
        ("extensions", "{}"),
    ])
    .preflighted()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_by_get_are_masked_like_those_by_post() {
    let stage = Stage::start(Script::Apollo).await;
    let direct = each_sees_their_own(&stage, "GET", &person()).await;
    let post = Ask::post(&json!({
        "query": PERSON, "operationName": "One", "variables": {"id": "p2"},
    }));
    assert_eq!(direct.json(), stage.direct(&post).await.json());
    for caller in [ANALYST, ADMIN] {
        let [by_get, by_post] = [person(), post.clone()];
        let by_get = stage.ask(caller, &by_get).await;
        assert_eq!(by_get.json(), stage.ask(caller, &by_post).await.json());
        assert_eq!(by_get.header("cache-control"), "private, no-store");
    }

    // As HTML forms and `URLSearchParams` encode it: a blank is a plus.
    let form = Ask::get("/graphql?query=query+Q+%7B+viewer+%7B+email+%7D+%7D&operationName=Q");
    each_sees_their_own(&stage, "form encoding", &form.preflighted()).await;

    the_server_still_refuses_what_a_form_can_send(&stage).await;
    what_is_refused(&stage).await;
}

async fn the_server_still_refuses_what_a_form_can_send(stage: &Stage) {
    let forged = Ask::get_with(&[("query", "{ viewer { email } }")]);
    let direct = stage.direct(&forged).await;
    assert_eq!(direct.status, 400, "{direct:?}");
    let answer = stage.ask(ANALYST, &forged).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(!answer.body.contains("CSRF"), "{answer:?}");
}

async fn what_is_refused(stage: &Stage) {
    let before = stage.requests().await.len();
    let rename = r#"mutation { renameAsset(id: "a1", name: "x") { name } }"#;
    let both = format!("query Q {{ __typename }} {rename}").replace("mutation", "mutation M");
    for (what, status, ask) in [
        ("a mutation", 405, Ask::get_with(&[("query", rename)])),
        (
            "a mutation by its name",
            405,
            Ask::get_with(&[("query", &both), ("operationName", "M")]),
        ),
        (
            "two queries",
            400,
            Ask::get_with(&[
                ("query", "{ __typename }"),
                ("query", "{ viewer { email } }"),
            ]),
        ),
        (
            "the same parameter in another spelling",
            400,
            Ask::get("/graphql?query=%7B__typename%7D&%71uery=%7Bviewer%7Bemail%7D%7D"),
        ),
        ("no query", 400, Ask::get("/graphql")),
        ("an empty query", 400, Ask::get("/graphql?query=")),
        (
            "variables that are no object",
            400,
            Ask::get_with(&[("query", "{ __typename }"), ("variables", "[1]")]),
        ),
        (
            "bad percent-encoding",
            400,
            Ask::get("/graphql?query=%7B__typename%7"),
        ),
        (
            "bytes that are not UTF-8",
            400,
            Ask::get("/graphql?query=%7B__typename%7D%ff"),
        ),
        (
            "a query in the URL of a POST",
            400,
            Ask::query("{ __typename }").at("/graphql?query=%7Bviewer%7Bemail%7D%7D"),
        ),
    ] {
        let answer = stage.ask(ANALYST, &ask.preflighted()).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert!(answer.json()["errors"].is_array(), "{what}: {answer:?}");
    }
    assert_eq!(stage.requests().await.len(), before, "the server was asked");
}
