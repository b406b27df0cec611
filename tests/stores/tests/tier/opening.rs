//! How connections to PostgreSQL begin, and how they should not.

use std::time::{Duration, Instant};

use serde_json::json;
use stores::postgres::{Postgres, psql};
use stores::sidecar::{Sidecar, Store};
use stores::{PATIENCE, claims, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OPENING_MS: u64 = 1_500;

async fn started() -> (Postgres, Sidecar) {
    let store = Postgres::start([127, 0, 1, 1].into(), &["acme"]).await;
    let config = json!({"kind": "postgres", "name": "pg", "region": "eu", "objects": [{"name": "{tenant}"}]});
    let stores = [Store {
        name: "pg",
        config,
        address: store.address,
    }];
    let sidecar = Sidecar::start(&stores, OPENING_MS).await;
    (store, sidecar)
}

/// A StartupMessage.
fn startup(token: &str) -> Vec<u8> {
    let body = format!("user\0app\0database\0acme\0options\0-c ig.context={token}\0\0");
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &[0, 3, 0, 0], body.as_bytes()].concat()
}

/// Sends these pieces and gives all that comes back until the connection is closed.
async fn talk(sidecar: &Sidecar, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = TcpStream::connect(sidecar.address("pg")).await.unwrap();
    for piece in pieces {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut back = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut back)).await;
    // Closed in order, not reset.
    read.expect("the connection is closed")
        .expect("the connection is closed in order");
    back
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_declined_and_what_is_no_protocol_ends() {
    let (store, sidecar) = started().await;
    let before = store.connections();
    let address = sidecar.address("pg");
    let acme = sign(&claims("acme", "eu"));
    let with = |mode: &str, token: &str| {
        format!(
            "host={} port={} user=app dbname=acme sslmode={mode} gssencmode=disable options='-c ig.context={token}'",
            address.ip(),
            address.port()
        )
    };
    // psql's own default asks for encryption first: it is told how to come again.
    let (_, error) = psql(&with("prefer", &acme), "SELECT 1").await;
    assert!(
        error.contains("sslmode=disable") && error.contains("takes no encrypted"),
        "{error}"
    );
    // Who would be refused anyway is told why.
    let (_, error) = psql(&with("prefer", ""), "SELECT 1").await;
    assert!(error.contains("no context token"), "{error}");
    // Who insists on encryption is told by psql itself.
    let (_, error) = psql(&with("require", &acme), "SELECT 1").await;
    assert!(error.contains("does not support SSL"), "{error}");
    let (out, error) = psql(&with("allow", &acme), "SELECT 1").await;
    assert_eq!((out.as_str(), error.as_str()), ("1", ""));
    assert_eq!(store.connections(), before + 1);
    let line = sidecar.logged("pg", "ENCRYPTION_UNSERVED").await;
    assert_eq!(line["egress"]["outcome"], "denied");

    let tls = &b"\0\0\0\x08\x04\xd2\x16\x2f"[..];
    let gss = &b"\0\0\0\x08\x04\xd2\x16\x30"[..];
    let [_, _, malformed] = sidecar.counts().await;
    let cases: [(&[&[u8]], &[u8]); 6] = [
        (&[b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"], b""),
        (&[b"\x16\x03\x01\x02\0\x01\0"], b""),
        (&[b"\0\0\0\x07\0\x03\0"], b""),
        (&[&[tls, tls].concat()], b""),
        (&[&[gss, b"x"].concat()], b""),
        (&[b"\0\0\0\x10\0\x02\0\0user\0a\0\0"], b"C0A000"),
    ];
    let count = u64::try_from(cases.len()).unwrap();
    for (pieces, want) in cases {
        let started = Instant::now();
        let back = talk(&sidecar, pieces).await;
        assert!(started.elapsed() < Duration::from_secs(20), "{pieces:?}");
        match want {
            b"" => assert_eq!(back, b"", "{pieces:?}"),
            want => assert!(back.windows(want.len()).any(|w| w == want), "{back:?}"),
        }
    }
    assert_eq!(sidecar.counts().await[2], malformed + count);
    assert_eq!(store.connections(), before + 1);
    sidecar.logged("pg", "STARTUP_MALFORMED").await;
    sidecar.logged("pg", "VERSION_UNKNOWN").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_not_enough_is_closed_and_counted() {
    let (store, mut sidecar) = started().await;
    let before = store.connections();
    // Nothing, a part of a packet, and what follows a declined request for encryption.
    for pieces in [
        &[][..],
        &[&b"\0\0\0\x40\0\x03\0\0user\0"[..]],
        &[b"\0\0\0\x08\x04\xd2\x16\x2f"],
    ] {
        let [_, _, malformed] = sidecar.counts().await;
        let started = Instant::now();
        let back = talk(&sidecar, pieces).await;
        let took = started.elapsed();
        assert!(
            took >= Duration::from_millis(OPENING_MS),
            "closed after {took:?}"
        );
        assert_eq!(
            back,
            if pieces.first().is_some_and(|p| p.len() == 8) {
                &b"N"[..]
            } else {
                b""
            }
        );
        assert_eq!(sidecar.counts().await[2], malformed + 1, "{pieces:?}");
    }
    let line = sidecar.logged("pg", "OPENING_TIMEOUT").await;
    assert_eq!(line["egress"]["outcome"], "denied");
    // Who goes away in the middle of it is noted as well; who only looks whether there is a port is not.
    let [_, _, malformed] = sidecar.counts().await;
    drop(TcpStream::connect(sidecar.address("pg")).await.unwrap());
    let mut left = TcpStream::connect(sidecar.address("pg")).await.unwrap();
    left.write_all(b"\0\0\0\x40\0\x03").await.unwrap();
    drop(left);
    let line = sidecar.logged("pg", "OPENING_ABANDONED").await;
    assert_eq!(line["egress"]["outcome"], "incomplete");
    assert_eq!(sidecar.counts().await[2], malformed + 1);
    assert_eq!(store.connections(), before);
    // A push meanwhile changes nothing about it, and what was let in before goes on.
    let mut lasting = TcpStream::connect(sidecar.address("pg")).await.unwrap();
    lasting
        .write_all(&startup(&sign(&claims("acme", "eu"))))
        .await
        .unwrap();
    assert_eq!(lasting.read_u8().await.unwrap(), b'R');
    let mut half = TcpStream::connect(sidecar.address("pg")).await.unwrap();
    half.write_all(b"\0\0\0\x40\0\x03").await.unwrap();
    let [_, _, malformed] = sidecar.counts().await;
    sidecar.push("r-another").await;
    let mut back = Vec::new();
    let read = tokio::time::timeout(PATIENCE, half.read_to_end(&mut back)).await;
    read.expect("the half-open connection is closed").unwrap();
    assert_eq!((back, sidecar.counts().await[2]), (vec![], malformed + 1));
    lasting.write_all(b"X\0\0\0\x04").await.unwrap();
    let read = tokio::time::timeout(PATIENCE, lasting.read_to_end(&mut Vec::new())).await;
    read.expect("the store takes the client's leave").unwrap();
    assert_eq!(store.connections(), before + 1);
    // And the guard is still there.
    let address = sidecar.address("pg");
    let connection = format!(
        "host={} port={} user=app dbname=acme sslmode=disable gssencmode=disable options='-c ig.context={}'",
        address.ip(),
        address.port(),
        sign(&claims("acme", "eu"))
    );
    assert_eq!(psql(&connection, "SELECT 1").await.0, "1");
}
