//! S3 by HTTP.

use std::net::SocketAddr;

use hyper::{Method, StatusCode};
use upstream::stores::Objects;

use crate::{
    client::{Answer, Call, call},
    free,
};

/// A PUT with content.
pub fn put(address: SocketAddr, path: &str, content: impl Into<hyper::body::Bytes>) -> Call {
    call(Method::PUT, address, path).carrying(content)
}

async fn send(method: Method, address: SocketAddr, path: &str) -> Answer {
    call(method, address, path).send().await
}

/// The texts of an element.
fn texts<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&open).skip(1);
    parts
        .map(|part| part.split(&close).next().expect("a text"))
        .collect()
}

fn code(answer: &Answer) -> (u16, String) {
    let xml = answer.text();
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    assert!(xml.starts_with("<?xml"), "{xml}");
    (answer.status.as_u16(), texts(&xml, "Code").concat())
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let store = Objects::start("eu", free()).await.expect("a port");
    let address = store.address();
    let made = put(address, "/acme/sentinels/n%201", "acme")
        .with("content-type", "text/plain")
        .with("x-amz-meta-tenant", "acme")
        .send()
        .await;
    assert_eq!((made.status, made.body.len()), (StatusCode::OK, 0));
    let etag = made.header("etag").expect("a tag").to_owned();
    assert_eq!(etag.len(), 34);
    for method in [Method::GET, Method::HEAD] {
        let got = send(method.clone(), address, "/acme/sentinels/n%201?x-id=x").await;
        assert_eq!(got.status, StatusCode::OK);
        let content = if method == Method::GET { "acme" } else { "" };
        assert_eq!(got.text(), content);
        for (name, value) in [
            ("content-length", "4"),
            ("content-type", "text/plain"),
            ("x-amz-meta-tenant", "acme"),
            ("etag", &etag),
        ] {
            assert_eq!(got.header(name), Some(value), "{method}");
        }
        assert!(
            got.header("last-modified")
                .expect("a date")
                .ends_with(" GMT")
        );
    }
    assert!(store.holds("n 1") && store.holds("acme") && !store.holds("n%201"));
    put(address, "/acme/sentinels/n%201", "other").send().await;
    let got = send(
        Method::GET,
        address,
        "/acme/sentinels/n 1".replace(' ', "%20").as_str(),
    )
    .await;
    assert_eq!(got.text(), "other");
    assert_eq!(store.sentinels("acme"), 0);
    for _ in 0..2 {
        let gone = send(Method::DELETE, address, "/acme/sentinels/n%201").await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
    }
    assert!(!store.holds("n 1"));
    let none = send(Method::GET, address, "/acme/sentinels/n%201").await;
    assert_eq!(code(&none), (404, "NoSuchKey".into()));
}

#[tokio::test]
async fn buckets_are_apart_and_the_first_put_makes_them() {
    let store = Objects::start("eu", free()).await.expect("a port");
    let address = store.address();
    for (method, path) in [
        (Method::GET, "/acme/k"),
        (Method::DELETE, "/acme/k"),
        (Method::GET, "/acme?location"),
        (Method::GET, "/acme?list-type=2"),
    ] {
        let none = send(method, address, path).await;
        assert_eq!(code(&none), (404, "NoSuchBucket".into()), "{path}");
    }
    assert_eq!(
        send(Method::HEAD, address, "/acme").await.status,
        StatusCode::NOT_FOUND
    );
    put(address, "/acme/k", "a").send().await;
    put(address, "/globex/k", "b").send().await;
    assert_eq!(send(Method::GET, address, "/acme/k").await.text(), "a");
    assert_eq!(send(Method::GET, address, "/globex/k").await.text(), "b");
    assert_eq!(store.sentinels("k"), 2);
    assert_eq!(
        put(address, "/empty", "").send().await.status,
        StatusCode::OK
    );
    let head = send(Method::HEAD, address, "/empty").await;
    assert_eq!(head.header("x-amz-bucket-region"), Some("eu"));
    let place = send(Method::GET, address, "/acme?location").await.text();
    let region = "2006-03-01/\">eu</LocationConstraint>";
    assert!(place.ends_with(region), "{place}");
}

#[tokio::test]
async fn keys_are_listed_by_prefix_and_page() {
    let store = Objects::start("eu", free()).await.expect("a port");
    let address = store.address();
    for key in ["b/2", "a/1", "b/1", "c%26%3C", "b/3"] {
        put(address, &format!("/acme/{key}"), "x").send().await;
    }
    let list = async |query: &str| {
        let path = format!("/acme?list-type=2{query}");
        let xml = send(Method::GET, address, &path).await.text();
        let keys: Vec<String> = texts(&xml, "Key").into_iter().map(str::to_owned).collect();
        let next = texts(&xml, "NextContinuationToken").concat();
        assert_eq!(
            texts(&xml, "IsTruncated"),
            [(!next.is_empty()).to_string()],
            "{xml}"
        );
        assert_eq!(texts(&xml, "KeyCount"), [keys.len().to_string()]);
        (keys, next)
    };
    let all = list("").await;
    assert_eq!(all.0, ["a/1", "b/1", "b/2", "b/3", "c&amp;&lt;"]);
    let (first, next) = list("&prefix=b%2F&max-keys=2").await;
    assert_eq!(
        (first, next.as_str()),
        (vec!["b/1".into(), "b/2".into()], "b/2")
    );
    let (second, next) = list("&prefix=b%2F&max-keys=2&continuation-token=b%2F2").await;
    assert_eq!((second, next.as_str()), (vec!["b/3".into()], ""));
    assert_eq!(list("&prefix=zz").await.0.len(), 0);
    assert_eq!(list("&max-keys=0&encoding-type=url").await.0.len(), 0);
}

#[tokio::test]
async fn what_is_not_known_is_refused_in_xml() {
    let store = Objects::start("eu", free()).await.expect("a port");
    let address = store.address();
    put(address, "/acme/k", "x").send().await;
    for (method, path, want) in [
        (Method::GET, "/", "NotImplemented"),
        (Method::POST, "/acme/k", "NotImplemented"),
        (Method::POST, "/acme?delete", "NotImplemented"),
        (Method::DELETE, "/acme", "NotImplemented"),
        (Method::GET, "/acme", "NotImplemented"),
        (Method::GET, "/acme?policy", "NotImplemented"),
        (
            Method::GET,
            "/acme?list-type=2&delimiter=%2F",
            "NotImplemented",
        ),
        (
            Method::GET,
            "/acme?list-type=2&max-keys=x",
            "InvalidArgument",
        ),
        (Method::GET, "/acme/k?versionId=1", "NotImplemented"),
        (Method::PUT, "/acme/k?tagging", "NotImplemented"),
        (Method::PUT, "/ac%20me/k", "InvalidBucketName"),
        (Method::PUT, "/acme/k%00", "InvalidArgument"),
        (Method::PUT, "/acme/k%FF", "InvalidURI"),
    ] {
        let answer = send(method, address, path).await;
        assert_eq!(code(&answer).1, want, "{path}");
    }
    let long = send(Method::PUT, address, &format!("/acme/{}", "k".repeat(1025))).await;
    assert_eq!(code(&long), (400, "KeyTooLongError".into()));
    for (name, value) in [
        ("x-amz-copy-source", "/globex/k"),
        ("if-none-match", "*"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("content-encoding", "aws-chunked"),
    ] {
        let answer = put(address, "/acme/new", "x")
            .with(name, value)
            .send()
            .await;
        assert_eq!(code(&answer), (501, "NotImplemented".into()), "{name}");
    }
    assert_eq!(store.sentinels("x"), 1, "nothing of this was kept");
    assert_eq!(store.stats().requests, 19);
}

#[tokio::test]
async fn an_object_may_have_a_mebibyte_and_a_full_store_says_so() {
    let store = Objects::start("eu", free()).await.expect("a port");
    let address = store.address();
    let longest = "x".repeat(1 << 20);
    let put_it = async |n: u32| {
        put(address, &format!("/acme/{n}"), longest.clone())
            .send()
            .await
    };
    for n in 0..63 {
        assert_eq!(put_it(n).await.status, StatusCode::OK);
    }
    assert_eq!(code(&put_it(63).await), (503, "ServiceUnavailable".into()));
    send(Method::DELETE, address, "/acme/7").await;
    assert_eq!(put_it(63).await.status, StatusCode::OK);
    let over = put(address, "/acme/over", longest.clone() + "x")
        .send()
        .await;
    assert_eq!(code(&over), (400, "EntityTooLarge".into()));
}
