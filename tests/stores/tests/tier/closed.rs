//! What is not in order lets nothing through.

use serde_json::json;
use stores::http::{Server, send};
use stores::sidecar::{Fault, Sidecar, Store};
use stores::{claims, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Whatever an open door would let through.
async fn try_both(sidecar: &Sidecar) -> (u16, Vec<u8>) {
    let token = sign(&claims("acme", "eu"));
    let headers = [
        ("host", "graph.test"),
        ("x-ig-context", token.as_str()),
        ("x-ig-route", "store-graph"),
    ];
    let (status, _) = send(sidecar.address("graph"), "POST /db/acme/query/v2", &headers).await;
    let mut stream = TcpStream::connect(sidecar.address("pg")).await.unwrap();
    let cancel = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02";
    let _ = stream.write_all(cancel).await;
    let mut back = Vec::new();
    // It may be closed in any way.
    let _ = stream.read_to_end(&mut back).await;
    (status, back)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_guard_in_working_order_nothing_passes() {
    let server = Server::start("{}").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stores = || {
        [
            Store {
                name: "graph",
                config: json!({"kind": "neo4j", "name": "graph", "region": "eu"}),
                address: server.address,
            },
            Store {
                name: "pg",
                config: json!({"kind": "postgres", "name": "pg", "region": "eu"}),
                address: listener.local_addr().unwrap(),
            },
        ]
    };
    for (fault, want) in [
        // There is no configuration for the guards.
        (Fault::Unconfigured, 403),
        // Their configuration is none: refused, and what stood there before stays, denying.
        (Fault::Misconfigured, 403),
        // Envoy's environment has no keys.
        (Fault::NoKeys, 403),
    ] {
        let sidecar = Sidecar::start_faulty(&stores(), fault).await;
        let (status, back) = try_both(&sidecar).await;
        assert_eq!(status, want, "{fault:?}");
        assert_eq!(back, b"", "{fault:?}");
        assert!(server.heads().is_empty(), "{fault:?}");
        let came = tokio::time::timeout(std::time::Duration::from_millis(200), listener.accept());
        assert!(came.await.is_err(), "{fault:?}: the store was reached");
        // The log shows that no guard decided, and that something was refused all the same.
        stores::until("lines without a guard", async || {
            let log = sidecar.log();
            let of = |name: &str| log.iter().find(|l| l["listener"] == name).cloned();
            let (graph, pg) = (of("graph")?, of("pg")?);
            assert!(
                graph["egress"].is_null() && pg["egress"].is_null(),
                "{log:?}"
            );
            assert_eq!(graph["response_code"], 403, "{log:?}");
            let ended = pg["termination"].as_str().unwrap_or("-");
            assert!(ended.starts_with("rbac_access_denied"), "{log:?}");
            assert_eq!(pg["node"], "sidecar-eu", "{log:?}");
            Some(())
        })
        .await;
    }
    // The same with guards in order: the way is there.
    let sidecar = Sidecar::start(&stores(), 10_000).await;
    let (sent, accepted) = tokio::join!(
        async {
            let token = sign(&claims("acme", "eu"));
            let headers = [("host", "graph.test"), ("x-ig-context", token.as_str())];
            let sent = send(sidecar.address("graph"), "POST /db/acme/query/v2", &headers).await;
            let mut stream = TcpStream::connect(sidecar.address("pg")).await.unwrap();
            let cancel = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02";
            stream.write_all(cancel).await.unwrap();
            (sent.0, stream)
        },
        async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = [0; 16];
            stream.read_exact(&mut got).await.unwrap();
            got
        }
    );
    assert_eq!(sent.0, 202);
    assert_eq!(&accepted[4..8], b"\x04\xd2\x16\x2e");
}
