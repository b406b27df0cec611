//! The official Neo4j driver through the guard, against a server of Bolt of our own.

use serde_json::{Value, json};
use stores::bolt::{Graph, Handshake};
use stores::python::run;
use stores::sidecar::{Sidecar, Store};
use stores::{claims, sign, until, warranted};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HELLO: u8 = 0x01;
const GOODBYE: u8 = 0x02;
const RUN: u8 = 0x10;

async fn ask(sidecar: &Sidecar, listener: &str, call: Value) -> Value {
    let uri = format!("bolt://{}", sidecar.address(listener));
    run("graph.py", &json!({"uri": uri, "calls": [call]}))
        .await
        .remove(0)
}

/// In which versions: one that the server tells, before and since LOGON, and a manifest.
const HANDSHAKES: [(&str, &str, Handshake); 3] = [
    ("graph-44", "graph-44-us", Handshake::Version(4, 4)),
    ("graph-54", "graph-54-us", Handshake::Version(5, 4)),
    ("graph-58", "graph-58-us", Handshake::Manifest(5, 8)),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_gets_in_with_a_token_of_its_region() {
    let mut graphs = Vec::new();
    let mut stores = Vec::new();
    for (own, far, handshake) in HANDSHAKES {
        for (name, region) in [(own, "eu"), (far, "us")] {
            let graph = Graph::start(handshake).await;
            stores.push(Store {
                name,
                config: json!({"kind": "bolt", "name": name, "region": region}),
                address: graph.address,
            });
            graphs.push(graph);
        }
    }
    let sidecar = Sidecar::start(&stores, 10_000).await;
    let agent = |token: &str| format!("test/1 ig.context={token}");
    let acme = sign(&claims("acme", "eu"));
    let initech = sign(&claims("initech", "us"));
    let warranted = sign(&warranted("initech", &["read", "write", "delete"]));
    for ((own, far, handshake), graphs) in HANDSHAKES.into_iter().zip(graphs.chunks(2)) {
        let answer = ask(&sidecar, own, json!({"agent": agent(&acme)})).await;
        assert_eq!(
            answer,
            json!({"ok": true, "x": 1}),
            "{handshake:?}\n{}",
            sidecar.envoy_log()
        );
        let line = sidecar.logged(own, "").await;
        assert_eq!(
            (&line["egress"]["tenant"], &line["egress"]["outcome"]),
            (&json!("acme"), &json!("allowed"))
        );
        assert!(graphs[0].seen()[0].contains(&RUN));
        let answer = ask(&sidecar, far, json!({"agent": agent(&warranted)})).await;
        assert_eq!(answer["ok"], true, "{handshake:?}: {answer}");

        let before = [graphs[0].seen().len(), graphs[1].seen().len()];
        for (listener, token, kind, code) in [
            (own, "", "AuthError", "CONTEXT_MALFORMED"),
            (own, &initech[..], "Forbidden", "CROSS_REGION"),
            (far, &acme, "Forbidden", "CROSS_REGION"),
        ] {
            let call = match token {
                "" => json!({"agent": "test/1 ig.context=x"}),
                token => json!({"agent": agent(token)}),
            };
            let answer = ask(&sidecar, listener, call).await;
            assert_eq!(answer["kind"], kind, "{handshake:?} {listener}: {answer}");
            let message = answer["message"].as_str().unwrap_or_default();
            assert!(
                message.contains(code) && message.contains("decision dec_"),
                "{answer}"
            );
            let line = sidecar.logged(listener, code).await;
            assert_eq!(line["egress"]["outcome"], "denied");
        }
        // The stores have seen the handshake, and goodbye.
        for (graph, before) in graphs.iter().zip(before) {
            for seen in &graph.seen()[before..] {
                assert_eq!(seen, &[GOODBYE], "{handshake:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logon_may_bring_the_token() {
    let graphs = [
        Graph::start(Handshake::Version(5, 4)).await,
        Graph::start(Handshake::Manifest(5, 8)).await,
    ];
    let stores = [("graph-54", &graphs[0]), ("graph-58", &graphs[1])].map(|(name, graph)| Store {
        name,
        config: json!({"kind": "bolt", "name": name, "region": "eu"}),
        address: graph.address,
    });
    let sidecar = Sidecar::start(&stores, 1_500).await;
    let acme = sign(&claims("acme", "eu"));
    for (name, graph) in ["graph-54", "graph-58"].into_iter().zip(&graphs) {
        let answer = ask(&sidecar, name, json!({"parameter": acme})).await;
        assert_eq!(
            answer,
            json!({"ok": true, "x": 1}),
            "{}",
            sidecar.envoy_log()
        );
        assert_eq!(graph.seen()[0].first(), Some(&HELLO));
        let answer = ask(&sidecar, name, json!({})).await;
        assert_eq!(answer["kind"], "AuthError", "{answer}");
        assert!(!graph.seen()[1].contains(&RUN));
        sidecar.logged(name, "CONTEXT_MISSING").await;
    }

    // What is no Bolt, and who says nothing after the handshake.
    let [_, _, malformed] = sidecar.counts().await;
    let handshake = b"\x60\x60\xb0\x17\0\0\x04\x05\0\0\0\0\0\0\0\0\0\0\0\0";
    for (bytes, want) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], &b""[..]),
        (handshake, b"\0\0\x04\x05"),
    ] {
        let mut stream = TcpStream::connect(sidecar.address("graph-54"))
            .await
            .unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut back = Vec::new();
        stream
            .read_to_end(&mut back)
            .await
            .expect("it is closed in order");
        assert_eq!(back, want);
    }
    until("counts", async || {
        (sidecar.counts().await[2] == malformed + 2).then_some(())
    })
    .await;
    sidecar.logged("graph-54", "BOLT_MALFORMED").await;
    sidecar.logged("graph-54", "OPENING_TIMEOUT").await;
}
