//! Neo4j's HTTP interface through the guard.

use serde_json::json;
use stores::http::{Server, send};
use stores::sidecar::{Sidecar, Store};
use stores::{claims, sign, warranted};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_asks_its_own_database() {
    let server = Server::start(r#"{"data":{"fields":["x"],"values":[[1]]}}"#).await;
    let stores = ["graph", "graph-us"].map(|name| Store {
        name,
        config: json!({
            "kind": "neo4j", "name": name, "region": if name == "graph" { "eu" } else { "us" },
            "objects": [{"name": "{tenant}"}],
        }),
        address: server.address,
    });
    let sidecar = Sidecar::start(&stores, 10_000).await;
    let [own, far] = ["graph", "graph-us"].map(|name| sidecar.address(name));
    let acme = sign(&claims("acme", "eu"));
    let good = [
        ("host", "graph.test"),
        ("x-ig-context", acme.as_str()),
        ("x-ig-route", "store-graph-us"),
    ];

    let (status, body) = send(own, "POST /db/acme/query/v2", &good).await;
    assert_eq!(status, 202, "{body}\n{}", sidecar.envoy_log());
    assert!(body.contains(r#""values":[[1]]"#), "{body}");
    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    assert!(
        heads[0].starts_with("post /db/acme/query/v2 ") && !heads[0].contains("x-ig-"),
        "{}",
        heads[0]
    );
    let line = sidecar.logged("graph", "").await;
    assert_eq!(line["egress"]["operation"], "write");
    assert_eq!(line["egress"]["store"]["object"], "acme");

    let other = sign(&warranted("initech", &["read"]));
    for (address, line, token, status, code) in [
        (
            own,
            "POST /db/globex/query/v2",
            acme.as_str(),
            403,
            "OBJECT_FOREIGN",
        ),
        (
            own,
            "POST /db/system/tx/commit",
            &acme,
            403,
            "OBJECT_FOREIGN",
        ),
        (own, "GET /", &acme, 400, "NEO4J_UNSERVED"),
        (
            own,
            "POST /db/acme/../globex/tx",
            &acme,
            400,
            "NEO4J_UNSERVED",
        ),
        (own, "POST /db/acme/query/v2", "x", 401, "CONTEXT_MALFORMED"),
        (far, "POST /db/acme/query/v2", &acme, 403, "CROSS_REGION"),
        // Whether a statement reads is not known: a warrant to read is not enough.
        (
            far,
            "POST /db/initech/query/v2",
            &other,
            403,
            "CROSS_REGION",
        ),
    ] {
        let headers = [
            ("host", "graph.test"),
            ("x-ig-context", token),
            ("x-ig-route", "store-graph"),
        ];
        let (got, body) = send(address, line, &headers).await;
        assert_eq!(got, status, "{line}: {body}");
        assert!(
            body.contains(&format!(r#""code":"{code}""#)),
            "{line}: {body}"
        );
    }
    let (status, body) = send(own, "POST /db/acme/query/v2", &[("host", "graph.test")]).await;
    assert!(
        status == 401 && body.contains("CONTEXT_MISSING"),
        "{status} {body}"
    );
    assert_eq!(server.heads().len(), 1);

    let write = sign(&warranted("initech", &["write"]));
    let headers = [("host", "graph.test"), ("x-ig-context", write.as_str())];
    assert_eq!(
        send(far, "POST /db/initech/tx/commit", &headers).await.0,
        202
    );
    assert_eq!(
        sidecar.logged("graph-us", "").await["egress"]["warrant"],
        "wrt_test"
    );
    assert_eq!(sidecar.counts().await, [2, 6, 2]);
}
