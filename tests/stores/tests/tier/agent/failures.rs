//! What is no outcome, and what is one without a store's word.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stores::http::{send, send_body};
use stores::postgres::Postgres;
use stores::sidecar::{Fault, Sidecar, Store};
use stores::{claims, sign, until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{RUN, Running, line};

fn listed(address: std::net::SocketAddr, prefix: &str) -> [Value; 3] {
    let address = address.to_string();
    [
        json!({
            "kind": "postgres", "name": format!("{prefix}-postgres"), "address": address,
            "database": "{tenant}", "user": "app",
        }),
        json!({
            "kind": "s3", "name": format!("{prefix}-s3"), "address": address,
            "bucket": "data-{tenant}",
        }),
        json!({
            "kind": "neo4j", "name": format!("{prefix}-neo4j"), "address": address,
            "database": "{tenant}",
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_no_refusal() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = [&silent, &gone].map(|l| l.local_addr().unwrap());
    drop(gone);
    let stores = [listed(at[0], "silent"), listed(at[1], "gone")].concat();
    let config = json!({"limit_ms": 300, "stores": stores});
    let agent = Running::start_with(config, &[]).await;
    let acme = sign(&claims("acme", "eu"));
    for kind in ["postgres", "s3", "neo4j"] {
        for (store, says) in [("silent", "within 300 ms"), ("gone", "onnection refused")] {
            let start = Instant::now();
            let store = format!("{store}-{kind}");
            let outcome = agent
                .attempt(&store, "read", "n", "acme", Some(&acme))
                .await;
            assert_eq!(line(&outcome), "read failed - - -", "{outcome}");
            let reason = outcome["reason"].as_str().unwrap();
            assert!(reason.contains(says), "{store}: {reason}");
            assert!(start.elapsed() < Duration::from_secs(10), "{store}");
        }
    }
    // What is begun is done and told, even if who asked is gone.
    agent.expect().await;
    let mut asks = tokio::net::TcpStream::connect(agent.public).await.unwrap();
    let text = format!(
        "POST /ig/probe?run={RUN}&store=silent-s3&op=write&nonce=n HTTP/1.1\r\nhost: h\r\n\r\n"
    );
    asks.write_all(text.as_bytes()).await.unwrap();
    // The three connections of before, and this one.
    for _ in 0..4 {
        silent.accept().await.unwrap();
    }
    drop(asks);
    let told = until("an outcome", async || agent.results(RUN).await.pop()).await;
    assert_eq!(line(&told), "write failed - - -");
    // It ends even while somebody keeps a request open.
    let _open = tokio::net::TcpStream::connect(agent.control).await.unwrap();
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_no_refusal_but_a_user_is() {
    let server = Postgres::start([127, 0, 1, 3].into(), &["acme"]).await;
    let address = server.address.to_string();
    let config = |name: &str, database: &str, user: &str| {
        json!({
            "kind": "postgres", "name": name, "address": address,
            "database": database, "user": user,
        })
    };
    let agent = Running::start(
        json!([
            config("good", "{tenant}", "app"),
            config("lost", "lost", "app"),
            config("stranger", "{tenant}", "{tenant}"),
        ]),
        &[],
    )
    .await;
    let attempt = async |store: &str, op: &str| agent.attempt(store, op, "n", "acme", None).await;
    let outcome = attempt("lost", "read").await;
    assert_eq!(line(&outcome), "read failed - - -");
    assert!(outcome["reason"].as_str().unwrap().contains("3D000"));
    // The store's own refusal, without a guard's code.
    let outcome = attempt("stranger", "read").await;
    assert_eq!(line(&outcome), "read refused - - -");
    // A store that has no name is no store of any region.
    let outcome = attempt("good", "write").await;
    assert_eq!(line(&outcome), "write done - - -");
    let reason = outcome["reason"].as_str().unwrap();
    assert!(reason.contains("does not say who it is"), "{reason}");
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_without_keys_gives_no_refusal_in_so_many_words() {
    let address = "127.0.0.1:9".parse().unwrap();
    let store = |name: &'static str, config: Value| Store {
        name,
        config,
        address,
    };
    let stores = [
        store(
            "p",
            json!({"kind": "postgres", "name": "p", "region": "eu"}),
        ),
        store(
            "s",
            json!({"kind": "s3", "name": "s", "region": "eu", "hosts": ["127.0.0.1"]}),
        ),
        store("n", json!({"kind": "neo4j", "name": "n", "region": "eu"})),
    ];
    let sidecar = Sidecar::start_faulty(&stores, Fault::NoKeys).await;
    let [p, _, _] = listed(sidecar.address("p"), "p");
    let [_, s, _] = listed(sidecar.address("s"), "s");
    let [_, _, n] = listed(sidecar.address("n"), "n");
    let agent = Running::start(json!([p, s, n]), &[]).await;
    let acme = sign(&claims("acme", "eu"));
    for store in ["p-postgres", "s-s3", "n-neo4j"] {
        let outcome = agent
            .attempt(store, "write", "n", "acme", Some(&acme))
            .await;
        assert_eq!(line(&outcome), "write failed - - -", "{outcome}");
    }
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_told_as_a_problem() {
    let stores = json!(listed("127.0.0.1:9".parse().unwrap(), "gone"));
    let agent = Running::start(stores, &[]).await;
    let good = format!("run={RUN}&store=gone-s3&op=read&nonce=n");
    for (query, says) in [
        (String::new(), "no `run`"),
        (good.replace("gone-s3", "other"), "no store of this name"),
        (good.replace("read", "look"), "none of write"),
        (format!("{good}&tenant=globex"), "something else"),
    ] {
        let line = format!("POST /ig/probe?{query}");
        agent.expect().await;
        let (status, body) = send(agent.public, &line, &[("host", "api.test")]).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &problem["code"]), (400, &json!("PROBE_MALFORMED")));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{query}: {detail}");
    }
    let line = format!("POST /ig/probe?{good}");
    let twice = [("host", "h"), ("x-ig-context", "a"), ("x-ig-context", "b")];
    agent.expect().await;
    assert_eq!(send(agent.public, &line, &twice).await.0, 400);
    // What nobody has announced is not done, nor what was announced once a second time.
    let (status, body) = send(agent.public, &line, &[("host", "h")]).await;
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("PROBE_UNEXPECTED"))
    );
    assert_eq!(
        send(agent.public, &line.replace("POST", "GET"), &[("host", "h")])
            .await
            .0,
        405
    );
    // Nothing of this came to anything.
    assert!(agent.results(RUN).await.is_empty());

    let host = [("host", "agent")];
    for body in [
        "",
        "{}",
        r#"{"store":"other","op":"read","nonce":"n","context":null,"tenant":"acme"}"#,
    ] {
        let (status, answer) = send_body(agent.control, "POST /attempt", &host, body).await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
    assert_eq!(send(agent.control, "GET /results/1", &host).await.0, 400);
    assert_eq!(send(agent.control, "GET /healthz", &host).await.0, 200);
    // What is the prober's is not to be had outside, nor the other way round.
    for (address, line) in [
        (agent.public, format!("GET /results/{RUN}")),
        (agent.public, "POST /attempt".to_owned()),
        (agent.control, line),
    ] {
        assert_eq!(send(address, &line, &host).await.0, 404, "{line}");
    }
    agent.end().await;
}
