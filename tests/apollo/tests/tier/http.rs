//! What the audit does not ask: requests that are odd as HTTP or JSON, at the server and the gateway.

use apollo::{ADMIN, Ask, Script, Stage};

const QUERY: &str = r#"{"query":"{ __typename }"}"#;

fn json(body: &str) -> Ask {
    Ask::text(body).with("content-type", "application/json")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_is_as_strict_as_the_server_or_stricter() {
    let stage = Stage::start(Script::ApolloOpenToForms).await;
    let typed = |of: &str| Ask::text(QUERY).with("content-type", of);
    // What is asked, the server's status, the gateway's.
    let rows = [
        ("plain", json(QUERY), 200, 200),
        ("no content type", Ask::text(QUERY), 400, 415),
        ("text", typed("text/plain"), 400, 415),
        (
            "a form",
            typed("application/x-www-form-urlencoded"),
            400,
            415,
        ),
        ("utf-8", typed("application/json; charset=utf-8"), 200, 200),
        (
            "UTF-8",
            typed("application/json;charset=\"UTF-8\""),
            200,
            200,
        ),
        (
            "latin-1",
            typed("application/json; charset=iso-8859-1"),
            415,
            415,
        ),
        ("graphql+json", typed("application/graphql+json"), 400, 415),
        (
            "graphql",
            Ask::text("{ __typename }").with("content-type", "application/graphql"),
            400,
            415,
        ),
        ("a parameter", typed("application/json; v=1"), 200, 415),
        ("nothing", json(""), 400, 400),
        ("blanks", json("  \n"), 400, 400),
        ("broken JSON", json(r#"{"query":"#), 400, 400),
        ("a text", json(r#""query""#), 400, 400),
        ("null", json("null"), 400, 400),
        ("an empty object", json("{}"), 400, 400),
        (
            "a byte order mark",
            json(&format!("\u{feff}{QUERY}")),
            200,
            400,
        ),
        (
            "more after the end",
            json(&format!("{QUERY}{QUERY}")),
            400,
            400,
        ),
        ("blanks around", json(&format!("\n {QUERY} \n")), 200, 200),
        (
            "an unknown member",
            json(r#"{"query":"{ __typename }","id":"x"}"#),
            200,
            400,
        ),
        (
            "a member twice",
            json(r#"{"query":"{ a }","query":"{ __typename }"}"#),
            200,
            400,
        ),
        ("no query", json(r#"{"query":""}"#), 400, 400),
        ("null query", json(r#"{"query":null}"#), 400, 400),
        (
            "null all else",
            json(
                r#"{"query":"{ __typename }","variables":null,"operationName":null,"extensions":null}"#,
            ),
            200,
            200,
        ),
        (
            "empty name",
            json(r#"{"query":"{ __typename }","operationName":""}"#),
            400,
            400,
        ),
        (
            "unknown accept",
            json(QUERY).with("accept", "text/html"),
            406,
            406,
        ),
        (
            "accept by weight",
            json(QUERY).with(
                "accept",
                "application/json;q=0.5, application/graphql-response+json",
            ),
            200,
            200,
        ),
        ("PUT", json(QUERY).by("PUT"), 405, 405),
        ("DELETE", json(QUERY).by("DELETE"), 405, 405),
        ("PATCH", json(QUERY).by("PATCH"), 405, 405),
        ("OPTIONS", Ask::get("/graphql").by("OPTIONS"), 204, 405),
        (
            "no encoding",
            json(QUERY).with("content-encoding", "identity"),
            200,
            200,
        ),
        (
            "gzip that is none",
            json(QUERY).with("content-encoding", "gzip"),
            400,
            415,
        ),
    ];
    for (what, ask, server, gateway) in rows {
        let direct = stage.direct(&ask).await;
        let answer = stage.ask(ADMIN, &ask).await;
        assert_eq!(direct.status, server, "{what}, the server: {direct:?}");
        assert_eq!(answer.status, gateway, "{what}, the gateway: {answer:?}");
        assert!(
            gateway >= 400 || gateway == server,
            "{what}: the gateway adds an answer"
        );
        if gateway >= 400 {
            // Never the server's own page about it.
            assert!(
                answer
                    .header("content-type")
                    .starts_with("application/json"),
                "{what}: {answer:?}"
            );
            assert!(answer.json()["errors"].is_array(), "{what}: {answer:?}");
        }
    }
}
