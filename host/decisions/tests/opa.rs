//! What an OPA sends, over a socket.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Extension;
use decisions::{Batch, Checkpoint, MaskPolicy, Sender, Sink, SinkError};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Default)]
struct Kept {
    batches: Arc<Mutex<Vec<Batch>>>,
    statuses: Arc<Mutex<Vec<(String, String)>>>,
    full: Arc<Mutex<bool>>,
    refused: Arc<Mutex<Vec<(String, String)>>>,
}

impl Sink for Kept {
    async fn checkpoints(&self, _: &str) -> Result<Vec<Checkpoint>, SinkError> {
        Ok(Vec::new())
    }

    async fn commit(&self, batch: Batch) -> Result<(), SinkError> {
        if *self.full.lock().unwrap() {
            return Err("the disk is full".into());
        }
        self.batches.lock().unwrap().push(batch);
        Ok(())
    }

    async fn node_status(&self, node: &str, _: i64, status: &str) -> Result<(), SinkError> {
        let mut statuses = self.statuses.lock().unwrap();
        statuses.push((node.to_owned(), status.to_owned()));
        Ok(())
    }

    fn trouble(&self, _: &str, _: Option<&str>) {}

    fn refused(&self, sender: &str, why: &str) {
        let mut refused = self.refused.lock().unwrap();
        refused.push((sender.to_owned(), why.to_owned()));
    }
}

async fn serve(mask: Option<MaskPolicy>) -> (std::net::SocketAddr, Kept) {
    serve_to(mask, Sender::Believed).await
}

async fn serve_to(mask: Option<MaskPolicy>, sender: Sender) -> (std::net::SocketAddr, Kept) {
    let kept = Kept::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = decisions::router(kept.clone(), mask).layer(Extension(sender));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, kept)
}

async fn post(
    address: std::net::SocketAddr,
    path: &str,
    encoding: &str,
    body: &[u8],
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: opa\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {encoding}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Who refuses may not read to the end.
    let _ = stream.write_all(body).await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
    (status.unwrap_or_default(), answer)
}

const GZIP: &str = "content-encoding: gzip\r\n";

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

fn event(id: &str) -> Value {
    json!({"decision_id": id, "timestamp": "2026-11-27T17:00:00.5Z", "labels": {"id": "opa-1",
        "version": "1.0.0"}, "bundles": {"main": {"revision": "r-7"}}, "path": "http/authz/allow",
        "input": {"tenant": "acme", "password": "hunter2"}, "result": true})
}

#[tokio::test]
async fn events_are_stored_before_they_are_answered() {
    let (address, kept) = serve(None).await;
    let events = json!([event("a"), event("b"), {"labels": {"id": "opa-1"}}]).to_string();
    for path in ["/logs", "/logs/partition/of/it"] {
        let (status, answer) = post(address, path, GZIP, &gzip(events.as_bytes())).await;
        assert_eq!(status, 200, "{answer}");
        let batch = kept.batches.lock().unwrap().pop().unwrap();
        assert_eq!(batch.source, "opa:opa-1");
        let ids: Vec<&str> = batch.records.iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!((batch.lines, batch.malformed, batch.gaps.len()), (3, 1, 1));
    }
    let (status, _) = post(address, "/logs", "", events.as_bytes()).await;
    assert_eq!(status, 200);
    *kept.full.lock().unwrap() = true;
    let (status, _) = post(address, "/logs", GZIP, &gzip(events.as_bytes())).await;
    assert_eq!(status, 503, "an OPA sends it again");
}

#[tokio::test]
async fn a_mask_policy_masks_events() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mask.rego");
    let mask = "package system.log\nmask contains \"/input/password\"\n\
                drop if input.decision_id == \"b\"\n";
    std::fs::write(&file, mask).unwrap();
    let (address, kept) = serve(Some(MaskPolicy::load(&file).unwrap())).await;
    let events = json!([event("a"), event("b")]).to_string();
    assert_eq!(post(address, "/logs", "", events.as_bytes()).await.0, 200);
    let batch = kept.batches.lock().unwrap().pop().unwrap();
    assert_eq!((batch.records.len(), batch.dropped), (1, 1));
    let line: Value = batch.records[0].line.parse().unwrap();
    assert_eq!(line["erased"], json!(["/input/password"]));
    assert_eq!(line["input"], json!({"tenant": "acme"}));
}

#[tokio::test]
async fn a_status_is_kept() {
    let (address, kept) = serve(None).await;
    let status =
        json!({"labels": {"id": "opa-2"}, "bundles": {"main": {"active_revision": "r-7"}}});
    let sent = post(
        address,
        "/status/x",
        GZIP,
        &gzip(status.to_string().as_bytes()),
    )
    .await;
    assert_eq!(sent.0, 200, "{}", sent.1);
    let (node, text) = kept.statuses.lock().unwrap().pop().unwrap();
    assert_eq!(node, "opa-2");
    assert!(text.contains("active_revision"));
}

#[tokio::test]
async fn what_a_node_sends_is_its_own() {
    let id = "spiffe://x/region/eu/opa/opa-eu";
    let node = Sender::Node {
        id: id.into(),
        region: "eu".into(),
        role: "opa".into(),
        node: "opa-eu".into(),
    };
    let (address, kept) = serve_to(None, node).await;
    // The label `id` is one that an OPA makes up.
    let own = json!([event("a")]).to_string();
    assert_eq!(post(address, "/logs", "", own.as_bytes()).await.0, 200);
    let batch = kept.batches.lock().unwrap().pop().unwrap();
    assert_eq!(batch.source, "opa:opa-eu");
    assert_eq!(batch.records[0].node, "opa-eu");
    let status = json!({"labels": {"id": "opa-1", "region": "eu", "node": "opa-eu"}}).to_string();
    assert_eq!(post(address, "/status", "", status.as_bytes()).await.0, 200);
    assert_eq!(kept.statuses.lock().unwrap().pop().unwrap().0, "opa-eu");

    for (name, value) in [
        ("region", json!("us")),
        ("node", json!("gateway-us")),
        ("node", json!(7)),
    ] {
        let mut foreign = event("b");
        foreign["labels"][name] = value;
        let status = json!({"labels": foreign["labels"]}).to_string();
        let events = json!([event("c"), foreign]).to_string();
        for (path, body) in [("/logs", events), ("/status", status)] {
            let (code, answer) = post(address, path, "", body.as_bytes()).await;
            assert_eq!(code, 403, "{answer}");
            let (sender, why) = kept.refused.lock().unwrap().pop().unwrap();
            assert_eq!(sender, id);
            assert!(why.contains(name), "{why}");
        }
    }
    assert!(kept.batches.lock().unwrap().is_empty());
    assert!(kept.statuses.lock().unwrap().is_empty());

    let nobody = Sender::Nobody {
        reason: "it names no node".into(),
    };
    let (address, kept) = serve_to(None, nobody).await;
    // Nor is what it sends looked at.
    for body in [own.as_bytes(), b"[]", b"no JSON"] {
        assert_eq!(post(address, "/logs", "", body).await.0, 403);
    }
    assert_eq!(post(address, "/status", "", b"no JSON").await.0, 403);
    assert_eq!(kept.refused.lock().unwrap().len(), 4);
    assert!(kept.batches.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_upload_is_refused() {
    let (address, kept) = serve(None).await;
    let bomb = gzip(&vec![b' '; 65 << 20]);
    for (path, encoding, body, status) in [
        ("/logs", "", &b"{}"[..], 400),
        ("/logs", "", b"[1", 400),
        ("/logs", GZIP, b"no gzip", 400),
        ("/logs", "content-encoding: br\r\n", b"[]", 415),
        ("/logs", GZIP, &bomb, 413),
        ("/logs", "", &vec![b' '; 17 << 20], 413),
        ("/status", "", b"[]", 400),
        ("/other", "", b"[]", 404),
    ] {
        let (seen, answer) = post(address, path, encoding, body).await;
        // A body that is too large may be cut off before the answer is read.
        assert!(
            seen == status || (status == 413 && seen == 0),
            "{path}: {answer}"
        );
    }
    assert!(kept.batches.lock().unwrap().is_empty());
}
