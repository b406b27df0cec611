//! What an upstream answers with a fault in force.

use std::io::Read;

use crate::client::{Answer, call, post};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use upstream::{Fault, REGION_HEADER, Region, Upstream, queries};

const SECRET: &str = "ada.lovelace@acme.eu.example";

async fn start() -> Upstream {
    Upstream::start(Region::Eu, "127.0.0.1:0".parse().expect("an address"))
        .await
        .expect("an upstream")
}

async fn with(fault: Fault) -> Answer {
    let upstream = start().await;
    upstream.set_fault(Some(fault));
    post(upstream.address(), "/graphql", queries::PLAIN.body())
        .send()
        .await
}

async fn sound() -> Answer {
    let upstream = start().await;
    post(upstream.address(), "/graphql", queries::PLAIN.body())
        .send()
        .await
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok()
}

#[tokio::test]
async fn broken_json_is_broken_in_each_way() {
    let whole = sound().await;
    assert!(is_json(&whole.body) && whole.text().contains(SECRET));

    let truncated = with(Fault::Truncated).await;
    assert!(!is_json(&truncated.body) && !truncated.broken);
    assert_eq!(truncated.body, whole.body[..whole.body.len() / 2]);

    let reset = with(Fault::Reset).await;
    assert!(reset.broken);

    let garbage = with(Fault::Garbage).await;
    assert!(!is_json(&garbage.body) && garbage.text().contains(SECRET));

    let after = with(Fault::BrokenAfterValue).await;
    assert!(!is_json(&after.body));
    assert!(after.text().contains(&format!("\"{SECRET}\",,")));

    let utf8 = with(Fault::BadUtf8).await;
    assert!(std::str::from_utf8(&utf8.body).is_err());
    assert!(utf8.text().contains(SECRET));
}

#[tokio::test]
async fn json_of_a_wrong_shape_is_still_json() {
    let typed = with(Fault::WrongType).await.json();
    assert_eq!(typed["data"]["viewer"]["email"], json!({"value": SECRET}));

    let unknown = with(Fault::UnknownKey).await.json();
    assert_eq!(unknown["data"]["viewer"]["leaked"], SECRET);

    let duplicate = with(Fault::DuplicateKey).await;
    assert!(is_json(&duplicate.body));
    assert!(
        duplicate
            .text()
            .contains(&format!("{{\"id\":\"{SECRET}\",\"id\":"))
    );

    let error = with(Fault::ErrorValues).await.json();
    assert_eq!(error["data"]["viewer"]["email"], SECRET);
    assert!(error["errors"][0]["message"].to_string().contains(SECRET));
    assert_eq!(error["errors"][0]["extensions"]["row"]["email"], SECRET);
}

#[tokio::test]
async fn what_surrounds_the_body_lies() {
    let html = with(Fault::Html500).await;
    assert_eq!(html.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        html.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(html.text().contains(SECRET));

    let gzip = with(Fault::Gzip).await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..])
        .read_to_end(&mut unpacked)
        .expect("gzip");
    assert_eq!(unpacked, sound().await.body);

    let forged = with(Fault::ForgedMaskHeader).await;
    assert_eq!(forged.header("x-ig-mask"), Some("none"));

    let lying = with(Fault::LyingContentType {
        content_type: "image/png".to_owned(),
    })
    .await;
    assert_eq!(lying.header("content-type"), Some("image/png"));
    assert!(is_json(&lying.body));
}

#[tokio::test]
async fn trailers_come_over_http2_and_over_http1_if_asked_for() {
    let upstream = start().await;
    upstream.set_fault(Some(Fault::Trailers));
    let plain = || post(upstream.address(), "/graphql", queries::PLAIN.body());
    for answer in [
        plain().over_http2().send().await,
        plain().with("te", "trailers").send().await,
    ] {
        assert!(is_json(&answer.body));
        let trailers = answer.trailers.expect("trailers");
        assert_eq!(trailers["x-upstream-trailer"], SECRET);
    }
}

#[tokio::test]
async fn slow_chunks_leave_one_by_one() {
    let whole = sound().await.body;
    for pause_ms in [0, 1] {
        let upstream = start().await;
        upstream.set_fault(Some(Fault::SlowChunks {
            bytes: 50,
            pause_ms,
        }));
        let body = queries::PLAIN.body();
        let mut stream = tokio::net::TcpStream::connect(upstream.address())
            .await
            .expect("a connection");
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).await.expect("read");
        let raw = String::from_utf8(raw).expect("text");
        let (_, framed) = raw.split_once("\r\n\r\n").expect("a head");
        let want: String = whole
            .chunks(50)
            .map(|chunk| {
                format!(
                    "{:X}\r\n{}\r\n",
                    chunk.len(),
                    String::from_utf8_lossy(chunk)
                )
            })
            .chain(["0\r\n\r\n".to_owned()])
            .collect();
        assert_eq!(framed, want);
    }
}

#[tokio::test]
async fn a_huge_response_is_good_json_of_at_least_its_size() {
    let upstream = start().await;
    upstream.set_fault(Some(Fault::Huge { megabytes: 3 }));
    let people = post(upstream.address(), "/graphql", queries::CONDITIONS.body())
        .send()
        .await;
    assert!((3 << 20..4 << 20).contains(&people.body.len()));
    let people = people.json();
    let rows = people["data"]["people"].as_array().expect("people");
    assert!(rows.len() > 10_000);
    assert_eq!(rows[0], rows[12]);
    assert_eq!(upstream.stats().bytes_served >> 20, 3);

    let no_array = json!({"query": "{ viewer { name } }"}).to_string();
    let viewer = post(upstream.address(), "/graphql", no_array).send().await;
    assert!(viewer.body.len() > 3 << 20);
    assert_eq!(viewer.json()["data"]["viewer"]["name"], "Ada Lovelace");
}

#[tokio::test]
async fn a_fault_leaks_what_the_callers_tenant_owns() {
    let upstream = start().await;
    upstream.set_fault(Some(Fault::Garbage));
    let answer = post(upstream.address(), "/graphql", queries::PLAIN.body())
        .with("x-ig-tenant", "globex")
        .send()
        .await;
    assert!(answer.text().contains("hanna.virtanen@globex.eu.example"));
}

#[tokio::test]
async fn another_process_sets_and_clears_every_fault() {
    let upstream = start().await;
    let address = upstream.address();
    let in_force = || async { call(Method::GET, address, "/__fault").send().await.json() };
    assert_eq!(in_force().await, Value::Null);
    for fault in Fault::examples() {
        let text = serde_json::to_string(&fault).expect("JSON");
        let set = post(address, "/__fault", text.clone()).send().await;
        assert_eq!(set.status, StatusCode::NO_CONTENT);
        assert_eq!(in_force().await.to_string().len(), text.len());
        assert_eq!(upstream.fault(), Some(fault));
        // Whatever the fault: the answer tells who gave it, or the connection breaks.
        let answer = post(address, "/graphql", queries::PLAIN.body())
            .send()
            .await;
        assert_eq!(answer.header(REGION_HEADER), Some("eu"));
    }
    let refused = post(address, "/__fault", r#"{"fault":"earthquake"}"#)
        .send()
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("earthquake"));

    let cleared = call(Method::DELETE, address, "/__fault").send().await;
    assert_eq!(cleared.status, StatusCode::NO_CONTENT);
    assert_eq!(upstream.fault(), None);
    let answer = post(address, "/graphql", queries::PLAIN.body())
        .send()
        .await;
    assert_eq!(answer.body, sound().await.body);
}
