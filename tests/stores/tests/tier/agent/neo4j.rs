//! Sentinels in Neo4j, by HTTP.

use serde_json::{Value, json};
use stores::query::QueryApi;
use stores::sidecar::{Sidecar, Store};
use stores::{claims, sign};

use super::{RUN, Running, expect_refusals, line};

fn config(name: &str, address: std::net::SocketAddr, password: &str) -> Value {
    json!({
        "kind": "neo4j", "name": name, "address": address.to_string(),
        "database": "{tenant}", "user": "neo4j", "password_env": password,
        "region_names": {"eu-central-1": "eu", "us-east-1": "us"},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_are_written_read_and_deleted_by_statements() {
    let (eu, us) = tokio::join!(
        QueryApi::start("eu-central-1,primary"),
        QueryApi::start("us-east-1")
    );
    let stores = [("eu", &eu), ("us", &us)].map(|(region, server)| Store {
        name: region,
        config: json!({
            "kind": "neo4j", "name": region, "region": region, "objects": [{"name": "{tenant}"}],
        }),
        address: server.address,
    });
    let sidecar = Sidecar::start(&stores, 10_000).await;
    let [own, far] = ["eu", "us"].map(|name| sidecar.address(name));
    let listed = json!([
        config("own", own, "PASSWORD"),
        config("far", far, "PASSWORD"),
        config("locked", own, "OTHER"),
        config("direct", us.address, "PASSWORD"),
    ]);
    let environment = [("PASSWORD", "secret"), ("OTHER", "hunter2")];
    let agent = Running::start(listed, &environment).await;
    let acme = sign(&claims("acme", "eu"));

    for op in ["read", "write", "read", "delete", "read", "delete"] {
        agent.probe("own", op, "n-1", Some(&acme)).await;
        if op == "write" {
            let written = ["acme", "n-1", "acme"].map(str::to_owned).into();
            assert_eq!(eu.sentinels(), [written], "{}", sidecar.envoy_log());
        }
    }
    agent.probe("far", "write", "n-1", Some(&acme)).await;
    agent.probe("own", "write", "n-1", None).await;
    let told = agent.results(RUN).await;
    let lines: Vec<String> = told.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "read absent - eu-central-1,primary eu",
            "write done - eu-central-1,primary eu",
            "read found - eu-central-1,primary eu",
            "delete done - eu-central-1,primary eu",
            "read absent - eu-central-1,primary eu",
            "delete absent - eu-central-1,primary eu",
            "write refused CROSS_REGION - -",
            "write refused CONTEXT_MISSING - -",
        ],
        "{told:#?}"
    );
    expect_refusals(&agent, "own").await;
    assert!(eu.sentinels().is_empty() && us.sentinels().is_empty());

    // What the store refuses itself has none of the guard's codes.
    let outcome = agent
        .attempt("locked", "write", "n-1", "acme", Some(&acme))
        .await;
    assert_eq!(line(&outcome), "write refused - - -");
    let reason = outcome["reason"].as_str().unwrap();
    assert!(reason.contains("Security.Unauthorized"), "{reason}");
    // Without a guard another region's store is open, and says so.
    let outcome = agent.attempt("direct", "write", "n-1", "acme", None).await;
    assert_eq!(line(&outcome), "write done - us-east-1 us");
    agent.end().await;
}
