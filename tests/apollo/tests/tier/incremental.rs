//! `@defer` and `@stream`: each part is masked for its place.

use apollo::{ANALYST, Ask, Caller, Script, Stage};
use serde_json::{Value, json};

use crate::merge::merged;
use crate::support::each_sees_their_own;

/// A server, and what a client accepts of it.
const FORMATS: [(Script, &str); 3] = [
    (Script::Yoga, "multipart/mixed"),
    (
        Script::ApolloIncremental,
        "multipart/mixed; deferSpec=20220824, application/json",
    ),
    (
        Script::ApolloIncremental,
        "multipart/mixed; incrementalSpec=v0.2, application/json",
    ),
];

/// Operations, by what they try. Less their directives, they have the same result at once.
const OPERATIONS: [(&str, &str); 6] = [
    (
        "a deferred fragment",
        r#"{ person(id: "p2") { name ... @defer(label: "later") { email salary manager { name phone } } } }"#,
    ),
    (
        "a named fragment under an alias",
        r#"{ a: person(id: "p3") { ...Rest @defer } } fragment Rest on Person { x: email boss: manager { x: nationalId } }"#,
    ),
    (
        "fragments in fragments",
        r#"{ ... @defer { viewer { name ... @defer { birthDate assets { nodes { email location { latitude } } } } } } }"#,
    ),
    (
        "members of a list",
        "{ people { name ... @defer { email manager { phone } } } }",
    ),
    (
        "a streamed list",
        "{ people @stream(initialCount: 1) { name email salary } }",
    ),
    (
        "a streamed list of a union",
        r#"{ search(text: "") @stream(initialCount: 2) { __typename ... on Person { email } ... on Vendor { phone } ... on Asset { email } } }"#,
    ),
];

/// The operation without `@defer` and `@stream`.
fn at_once(query: &str) -> String {
    let plain = query
        .replace(r#"@defer(label: "later")"#, "")
        .replace("@defer", "");
    ["1", "2"].iter().fold(plain, |plain, count| {
        plain.replace(&format!("@stream(initialCount: {count})"), "")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_masked_like_the_whole() {
    for (script, accept) in FORMATS {
        let stage = Stage::start(script).await;
        for (what, query) in OPERATIONS {
            let what = format!("{what}, {accept}");
            let ask = Ask::query(query).with("accept", accept);
            let direct = each_sees_their_own(&stage, &what, &ask).await;
            let mime = direct.header("content-type");
            assert!(mime.starts_with("multipart/mixed"), "{what}: {direct:?}");
            assert!(direct.parts().len() > 1, "{what}: {direct:?}");
            for caller in Caller::ALL {
                let answer = stage.ask(caller, &ask).await;
                assert_eq!(answer.header("content-type"), mime, "{what}: {answer:?}");
                let whole = stage.ask(caller, &Ask::query(&at_once(query))).await.json();
                assert!(whole["data"].is_object(), "{what}: {whole}");
                let name = caller.persona.name;
                assert_eq!(
                    merged(&answer.parts()),
                    whole["data"],
                    "{what}, {name}: {answer:?}"
                );
            }
        }
        errors_of_a_part(&stage, accept).await;
        parts_pass_as_they_come(&stage, accept).await;
    }
}

async fn errors_of_a_part(stage: &Stage, accept: &str) {
    let ask = Ask::query(r#"{ viewer { name } ... @defer { a: asset(id: "broken") { name } } }"#)
        .with("accept", accept);
    let direct = stage.direct(&ask).await;
    assert!(direct.body.contains("cannot serve"), "{direct:?}");
    let answer = stage.ask(ANALYST, &ask).await;
    assert_eq!(answer.leaks(), [], "{answer:?}");
    for told in ["cannot serve", "stacktrace"] {
        assert!(!answer.body.contains(told), "{answer:?}");
    }
    assert!(answer.complete, "{answer:?}");
    assert_eq!(
        merged(&answer.parts()),
        json!({"viewer": {"name": "Ada Lovelace"}, "a": Value::Null})
    );
}

/// What is there goes on while the rest is awaited.
async fn parts_pass_as_they_come(stage: &Stage, accept: &str) {
    let ask = Ask::query(
        r#"{ viewer { name } ... @defer { p: person(id: "p3") { manager { name } } } }"#,
    );
    let answer = stage.ask(ANALYST, &ask.with("accept", accept)).await;
    assert!(answer.pieces > 1, "all of it came at once: {answer:?}");
}
