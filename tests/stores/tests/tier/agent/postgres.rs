//! Sentinels in PostgreSQL.

use serde_json::{Value, json};
use stores::postgres::{Postgres, psql};
use stores::sidecar::{Sidecar, Store};
use stores::{claims, sign, until, warranted};

use super::{RUN, Running, expect_refusals, line};

fn store(name: &'static str, region: &str, server: &Postgres) -> Store {
    Store {
        name,
        config: json!({
            "kind": "postgres", "name": name, "region": region,
            "objects": [{"name": "{tenant}"}], "users": [{"name": "app"}],
        }),
        address: server.address,
    }
}

fn config(name: &str, address: std::net::SocketAddr, password: &str) -> Value {
    json!({
        "kind": "postgres", "name": name, "address": address.to_string(),
        "database": "{tenant}", "user": "app", "password_env": password,
        "region_names": {"eu-central-1": "eu", "us-east-1": "us"},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_are_written_read_and_deleted_in_the_tenants_own_region() {
    let (eu, us) = tokio::join!(
        Postgres::start_as("eu-central-1", [127, 0, 1, 2].into(), &["acme", "globex"]),
        Postgres::start_as("us-east-1", [127, 0, 2, 2].into(), &["acme"]),
    );
    let sidecar = Sidecar::start(&[store("eu", "eu", &eu), store("us", "us", &us)], 10_000).await;
    let [to_eu, to_us] = ["eu", "us"].map(|name| sidecar.address(name));
    let listed = json!([
        config("eu", to_eu, "RIGHT"),
        config("us", to_us, "RIGHT"),
        config("wrong", to_eu, "WRONG"),
    ]);
    let environment = [("RIGHT", "correct horse"), ("WRONG", "battery staple")];
    let agent = Running::start(listed, &environment).await;
    let acme = sign(&claims("acme", "eu"));

    // Through the gateway: the token says whose database it is.
    for op in ["read", "write", "read", "delete", "read", "delete"] {
        agent.probe("eu", op, "n-1", Some(&acme)).await;
        let held = psql(
            &format!(
                "host={} port={} user=owner dbname=acme",
                eu.address.ip(),
                eu.address.port()
            ),
            "SELECT nonce, tenant FROM ig_sentinel",
        )
        .await;
        if op == "write" {
            assert_eq!(held.0, "n-1|acme", "{}", sidecar.envoy_log());
        } else if op == "delete" {
            assert_eq!(held, (String::new(), String::new()));
        }
    }
    agent.probe("us", "write", "n-1", Some(&acme)).await;
    agent.probe("eu", "write", "n-1", None).await;
    let told = agent.results(RUN).await;
    let lines: Vec<String> = told.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "read absent - eu-central-1 eu",
            "write done - eu-central-1 eu",
            "read found - eu-central-1 eu",
            "delete done - eu-central-1 eu",
            "read absent - eu-central-1 eu",
            "delete absent - eu-central-1 eu",
            "write refused CROSS_REGION - -",
            "write refused CONTEXT_MISSING - -",
        ]
    );
    assert!(told.iter().all(|o| o["kind"] == "postgres"), "{told:?}");
    assert_eq!(
        (&told[0]["store"], &told[6]["store"]),
        (&json!("eu"), &json!("us"))
    );
    let reason = told[6]["reason"].as_str().unwrap();
    assert!(
        reason.contains("another region") && reason.contains(", decision dec_"),
        "{reason}"
    );
    assert!(agent.results(&RUN.replace('0', "f")).await.is_empty());

    // By the prober itself. Neither store notices a refusal.
    let before = [eu.connections(), us.connections()];
    expect_refusals(&agent, "eu").await;
    let globex = agent
        .attempt("eu", "read", "n-1", "globex", Some(&acme))
        .await;
    assert_eq!(line(&globex), "read refused OBJECT_FOREIGN - -");
    assert_eq!(before, [eu.connections(), us.connections()]);

    // All at once, where no table is yet.
    let globex = sign(&claims("globex", "eu"));
    let writes = ["a", "b", "c", "d", "e", "f"];
    let [a, b, c, d, e, f] =
        writes.map(|n| agent.attempt("eu", "write", n, "globex", Some(&globex)));
    let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
    for outcome in [a, b, c, d, e, f] {
        assert_eq!(line(&outcome), "write done - eu-central-1 eu", "{outcome}");
    }

    // With a warrant the other region's store is open, and says what it is.
    let strong = sign(&warranted("acme", &["read", "write", "delete"]));
    for (op, want) in [
        ("write", "write done - us-east-1 us"),
        ("read", "read found - us-east-1 us"),
        ("delete", "delete done - us-east-1 us"),
    ] {
        let outcome = agent.attempt("us", op, "n-2", "acme", Some(&strong)).await;
        assert_eq!(line(&outcome), want, "{outcome}");
    }

    // As long as a token can be, it gets through whole; longer, it is the guard that says no.
    let mut long = warranted("acme", &["read"]);
    long.home = "eu".to_owned();
    let size = sign(&long).len();
    let grow = |by: usize| {
        let mut long = long.clone();
        if let Some(warrant) = &mut long.warrant {
            warrant.case = "x".repeat(by);
        }
        sign(&long)
    };
    let longest = grow((4096 - size) / 4 * 3);
    assert!((4080..=4096).contains(&longest.len()), "{}", longest.len());
    let outcome = agent
        .attempt("eu", "write", "n-3", "acme", Some(&longest))
        .await;
    assert_eq!(line(&outcome), "write done - eu-central-1 eu", "{outcome}");
    let longer = grow(5_700);
    assert!((7_900..8_192).contains(&longer.len()), "{}", longer.len());
    let outcome = agent
        .attempt("eu", "read", "n-3", "acme", Some(&longer))
        .await;
    assert_eq!(
        line(&outcome),
        "read refused CONTEXT_MALFORMED - -",
        "{outcome}"
    );

    // Another tenant's sentinel under the same nonce would be told.
    let sql = "UPDATE ig_sentinel SET tenant = 'globex'";
    let direct = format!(
        "host={} port={} user=owner dbname=acme",
        eu.address.ip(),
        eu.address.port()
    );
    assert_eq!(psql(&direct, sql).await.1, "");
    let outcome = agent
        .attempt("eu", "read", "n-3", "acme", Some(&acme))
        .await;
    assert_eq!(line(&outcome), "read foreign - eu-central-1 eu");
    // It is written once.
    let outcome = agent
        .attempt("eu", "write", "n-3", "acme", Some(&acme))
        .await;
    assert_eq!(line(&outcome), "write failed - - -");
    assert!(
        outcome["reason"].as_str().unwrap().contains("23505"),
        "{outcome}"
    );

    // From now on the server wants a password (SCRAM), to which the guard is no hindrance.
    let sql = "ALTER ROLE app PASSWORD 'correct horse'";
    assert_eq!(psql(&direct, sql).await.1, "");
    let (file, _) = psql(&direct, "SHOW hba_file").await;
    let sql = format!(
        "COPY (VALUES ('host all app all scram-sha-256'), ('host all all all trust')) TO '{file}'"
    );
    assert_eq!(psql(&direct, &sql).await.1, "");
    assert_eq!(psql(&direct, "SELECT pg_reload_conf()").await.0, "t");
    let wrong = until("a server that asks for passwords", async || {
        let outcome = agent
            .attempt("wrong", "read", "n-3", "acme", Some(&acme))
            .await;
        (outcome["result"] == "refused").then_some(outcome)
    })
    .await;
    assert_eq!(line(&wrong), "read refused - - -");
    let reason = wrong["reason"].as_str().unwrap();
    assert!(
        reason.contains("28P01") && !reason.contains("battery"),
        "{reason}"
    );
    let outcome = agent
        .attempt("eu", "read", "n-3", "acme", Some(&acme))
        .await;
    assert_eq!(
        line(&outcome),
        "read foreign - eu-central-1 eu",
        "{outcome}"
    );
    let sql = "UPDATE ig_sentinel SET tenant = 'acme'";
    assert_eq!(psql(&direct, sql).await.1, "");
    let outcome = agent
        .attempt("eu", "read", "n-3", "acme", Some(&acme))
        .await;
    assert_eq!(line(&outcome), "read found - eu-central-1 eu", "{outcome}");
    agent.end().await;
}
