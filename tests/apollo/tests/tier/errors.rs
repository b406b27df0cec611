//! What servers say of failed requests is not for callers: they echo values, and name fields.

use apollo::{ADMIN, ANALYST, AUDITOR, Answer, Ask, SUPPORT, Script, Stage};
use serde_json::{Value, json};

/// Errors keep where they happened and a well-known code, and nothing else of the server's.
fn is_generic(what: &str, answer: &Answer) {
    assert_eq!(answer.leaks(), [], "{what}: {answer:?}");
    let json = answer.json();
    let errors = json["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("{what}: {answer:?}"));
    assert!(!errors.is_empty(), "{what}: {answer:?}");
    assert!(json.get("extensions").is_none(), "{what}: {answer:?}");
    for error in errors {
        for key in error.as_object().expect("an error is an object").keys() {
            let known = ["message", "locations", "path", "extensions"];
            assert!(known.contains(&key.as_str()), "{what}: {error}");
        }
        if let Some(extensions) = error.get("extensions").and_then(Value::as_object) {
            assert!(
                extensions.keys().all(|key| key == "code"),
                "{what}: {error}"
            );
        }
    }
    for told in ["Did you mean", "stacktrace", "node_modules", "cannot serve"] {
        assert!(
            !answer.body.contains(told),
            "{what} tells {told:?}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_apollo_server() {
    let stage = Stage::start(Script::Apollo).await;
    // There is something to hide.
    let direct = stage.direct(&Ask::query("{ viewer { emial } }")).await;
    assert!(direct.body.contains("Did you mean"), "{direct:?}");
    assert!(direct.body.contains("stacktrace"), "{direct:?}");
    of_resolvers(&stage).await;
    of_refused_requests(&stage).await;
    what_the_gateway_refuses_does_not_reach_the_server(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_yoga() {
    let stage = Stage::start(Script::Yoga).await;
    of_resolvers(&stage).await;
    of_refused_requests(&stage).await;
}

/// Errors of resolvers are generic and keep their place.
async fn of_resolvers(stage: &Stage) {
    let ask = Ask::query(
        r#"{ a: asset(id: "broken") { name } b: person(id: "broken") { email } viewer { name email } }"#,
    );
    let direct = stage.direct(&ask).await;
    assert!(direct.body.contains("cannot serve"), "{direct:?}");
    assert!(direct.body.contains("NI-ada"), "{direct:?}");

    for caller in [ANALYST, SUPPORT, AUDITOR] {
        let mut answer = stage.ask(caller, &ask).await;
        assert_eq!(answer.status, direct.status);
        let json = answer.json();
        assert_eq!(json["data"]["a"], Value::Null);
        assert_eq!(json["data"]["viewer"]["name"], "Ada Lovelace");
        let errors = json["errors"].as_array().expect("errors");
        let of = |key: &str| {
            let found = errors.iter().find(|error| error["path"] == json!([key]));
            found.unwrap_or_else(|| panic!("no error at {key}: {answer:?}"))
        };
        assert_eq!(of("a")["extensions"]["code"], "NOT_FOUND");
        let unknown = of("b").pointer("/extensions/code");
        assert!(unknown.is_none_or(Value::is_null), "{answer:?}");
        if caller.persona.name == SUPPORT.persona.name {
            // It sees the viewer's e-mail, at its place and nowhere else.
            let email = json["data"]["viewer"]["email"].as_str().expect("an e-mail");
            assert_eq!(answer.body.matches(email).count(), 1);
            answer.body = answer.body.replace(email, "");
        }
        is_generic("resolvers", &answer);
    }
    let answer = stage.ask(ADMIN, &ask).await;
    assert_eq!(
        answer.json()["errors"][0]["message"],
        direct.json()["errors"][0]["message"]
    );
}

/// What a server says of a request that it refuses tells nothing of the schema.
async fn of_refused_requests(stage: &Stage) {
    let variable = json!({
        "query": "query ($filter: AssetFilter) { assets(filter: $filter) { totalCount } }",
        "variables": {"filter": {"statu": "ACTIVE", "minValue": "ada-q7vk2mzx@canary.example"}},
    });
    let unknown_enum = json!({
        "query": "query ($format: ExportFormat!) { exportAssets(format: $format) { body } }",
        "variables": {"format": "CS"},
    });
    for (what, body) in [
        ("a field", json!({"query": "{ viewer { emial } }"})),
        ("a root field", json!({"query": "{ viewr { name } }"})),
        (
            "an argument",
            json!({"query": "{ person(idd: 1) { name } }"}),
        ),
        (
            "a type",
            json!({"query": "{ search(text: \"\") { ... on Persn { name } } }"}),
        ),
        (
            "a leaf with a selection",
            json!({"query": "{ viewer { email { x } } }"}),
        ),
        (
            "a missing argument",
            json!({"query": "{ person { name } }"}),
        ),
        ("a variable", variable),
        ("an enum value", unknown_enum),
    ] {
        let ask = Ask::post(&body).with("accept", "application/graphql-response+json");
        let direct = stage.direct(&ask).await;
        assert!(direct.json()["errors"].is_array(), "{what}: {direct:?}");
        let answer = stage.ask(ANALYST, &ask).await;
        assert!(answer.status >= 400, "{what}: {answer:?}");
        is_generic(what, &answer);
        assert!(
            answer.json().get("data").is_none_or(Value::is_null),
            "{what}: {answer:?}"
        );
    }
}

async fn what_the_gateway_refuses_does_not_reach_the_server(stage: &Stage) {
    let before = stage.requests().await.len();
    for (what, status, ask) in [
        ("syntax", 400, Ask::query("{")),
        (
            "no operation of that name",
            400,
            Ask::post(&json!({
                "query": "query A { viewer { name } } query B { viewer { email } }", "operationName": "C",
            })),
        ),
        (
            "no name",
            400,
            Ask::post(&json!({
                "query": "query A { viewer { name } } query B { viewer { email } }",
            })),
        ),
        (
            "an unknown member",
            400,
            Ask::post(&json!({"query": "{ __typename }", "id": "x"})),
        ),
        (
            "a websocket",
            403,
            Ask::query("{ __typename }")
                .with("upgrade", "websocket")
                .with("connection", "upgrade"),
        ),
    ] {
        let answer = stage.ask(ANALYST, &ask).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    assert_eq!(stage.requests().await.len(), before);
}
