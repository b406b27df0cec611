//! Neo4j by HTTP.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use upstream::stores::Graph;

use crate::{
    client::{Answer, call, post},
    free,
};

pub const CREATE: &str = "CREATE (s:IgSentinel {nonce: $nonce, tenant: $tenant})";
const TENANT: &str = "MATCH (s:IgSentinel {nonce: $nonce}) RETURN s.tenant";
const DELETE: &str = "MATCH (s:IgSentinel {nonce: $nonce}) DELETE s";
const REGION: &str = "CALL dbms.listConfig('initial.server.tags') YIELD value RETURN value";

pub async fn ask(store: &Graph, database: &str, statement: &str, parameters: Value) -> Answer {
    let body = json!({"statement": statement, "parameters": parameters});
    let path = format!("/db/{database}/query/v2");
    post(store.address(), &path, body.to_string()).send().await
}

fn table(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let mut answer = answer.json();
    assert_eq!(answer["bookmarks"], json!([]));
    answer["data"].take()
}

fn code(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let text = |name: &str| answer.json()["errors"][0][name].as_str().map(str::to_owned);
    assert!(text("message").is_some(), "{}", answer.text());
    text("code").expect("a code")
}

#[tokio::test]
async fn what_was_changed_is_counted_for_who_asks() {
    let store = Graph::start("us", free()).await.expect("a port");
    let counters = async |statement: &str| {
        let body = json!({
            "statement": statement, "parameters": {"nonce": "n1", "tenant": "acme"},
            "includeCounters": true,
        });
        let path = "/db/acme/query/v2";
        let answer = post(store.address(), path, body.to_string()).send().await;
        answer.json()["counters"].take()
    };
    for (statement, made, deleted) in [
        (CREATE, 1, 0),
        (CREATE, 1, 0),
        (TENANT, 0, 0),
        (DELETE, 0, 2),
        (DELETE, 0, 0),
    ] {
        let counted = counters(statement).await;
        assert_eq!(counted["nodesCreated"], made, "{statement}");
        assert_eq!(counted["nodesDeleted"], deleted, "{statement}");
        assert_eq!(
            counted["containsUpdates"],
            made + deleted > 0,
            "{statement}"
        );
    }
}

#[tokio::test]
async fn every_statement_does_what_it_says() {
    let store = Graph::start("us", free()).await.expect("a port");
    let nothing = json!({"fields": [], "values": []});
    let n1 = json!({"nonce": "n1", "tenant": "acme"});
    let created = ask(&store, "acme", CREATE, n1.clone()).await;
    assert_eq!(table(&created), nothing);
    let tenant = |rows: Value| json!({"fields": ["s.tenant"], "values": rows});
    for (database, statement, rows) in [
        ("acme", TENANT, json!([["acme"]])),
        (
            "ACME",
            "match (s :IgSentinel{nonce:$nonce})\nreturn s.tenant;",
            json!([["acme"]]),
        ),
        ("globex", TENANT, json!([])),
    ] {
        let found = ask(&store, database, statement, n1.clone()).await;
        assert_eq!(table(&found), tenant(rows), "{database}");
    }
    // Nothing says that a nonce is there once.
    ask(&store, "acme", CREATE, n1.clone()).await;
    let found = ask(&store, "acme", TENANT, n1.clone()).await;
    assert_eq!(table(&found), tenant(json!([["acme"], ["acme"]])));
    assert_eq!((store.sentinels("n1"), store.sentinels("acme")), (2, 2));
    for _ in 0..2 {
        assert_eq!(
            table(&ask(&store, "acme", DELETE, n1.clone()).await),
            nothing
        );
        assert!(!store.holds("n1"));
    }
    let region = ask(&store, "neo4j", REGION, json!({})).await;
    assert_eq!(
        table(&region),
        json!({"fields": ["value"], "values": [["us"]]})
    );
    assert_eq!(store.stats().requests, 9);
}

#[tokio::test]
async fn what_is_not_known_is_refused() {
    let store = Graph::start("us", free()).await.expect("a port");
    let n1 = json!({"nonce": "n1", "tenant": "acme"});
    for statement in [
        "",
        "MATCH (n) RETURN n",
        "MATCH (n) DETACH DELETE n",
        "CREATE (s:igsentinel {nonce: $nonce, tenant: $tenant})",
        "CALL dbms.listConfig('server.directories.data') YIELD value RETURN value",
        "USE globex MATCH (s:IgSentinel {nonce: $nonce}) RETURN s.tenant",
        "MATCH (s:IgSentinel {nonce: 'n1'}) RETURN s.tenant",
    ] {
        let answer = ask(&store, "acme", statement, n1.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{statement}");
        assert_eq!(code(&answer), "Neo.ClientError.Statement.SyntaxError");
    }
    for (parameters, want) in [
        (json!({"nonce": "n1"}), "Statement.ParameterMissing"),
        (json!({"nonce": "n1", "tenant": 7}), "Statement.TypeError"),
        (json!({"nonce": null, "tenant": "t"}), "Statement.TypeError"),
    ] {
        let answer = ask(&store, "acme", CREATE, parameters).await;
        assert_eq!(code(&answer), format!("Neo.ClientError.{want}"));
    }
    for (database, want) in [
        ("a%20b", "Database.DatabaseNotFound"),
        ("a%FFb", "Database.DatabaseNotFound"),
        (&"a".repeat(64), "Database.DatabaseNotFound"),
    ] {
        let answer = ask(&store, database, CREATE, n1.clone()).await;
        assert_eq!(code(&answer), format!("Neo.ClientError.{want}"));
    }
    let long = json!({"statement": CREATE, "more": "x".repeat(1 << 20)}).to_string();
    for body in ["", "{]", "[]", "{\"parameters\": {}}", &long] {
        let answer = post(store.address(), "/db/acme/query/v2", body.to_owned());
        let answer = answer.send().await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(code(&answer), "Neo.ClientError.Request.Invalid");
    }
    for (method, path, status) in [
        (
            Method::GET,
            "/db/acme/query/v2",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (Method::POST, "/db/acme/query/v2/tx", StatusCode::NOT_FOUND),
        (Method::POST, "/db/acme/tx/commit", StatusCode::NOT_FOUND),
        (Method::GET, "/", StatusCode::NOT_FOUND),
    ] {
        let answer = call(method, store.address(), path).send().await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(code(&answer), "Neo.ClientError.Request.Invalid");
    }
    assert_eq!(store.sentinels("n1"), 0, "nothing of this was kept");
    assert_eq!(store.stats().requests, 22);
}
