//! PostgreSQL's protocol byte by byte.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use upstream::stores::Postgres;

use crate::free;

const TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

fn startup(version: u32, parameters: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + parameters.len()).expect("a short packet");
    [
        &length.to_be_bytes(),
        &version.to_be_bytes()[..],
        parameters,
    ]
    .concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(4 + body.len()).expect("a short message");
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

/// Everything that comes back until the server closes the connection, or has seen the client's end.
async fn heard(address: SocketAddr, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("open");
    stream.write_all(said).await.expect("it is read");
    stream.shutdown().await.expect("open still");
    let mut heard = Vec::new();
    // What was not read any more may reset the connection, after what was said.
    _ = stream.read_to_end(&mut heard).await;
    heard
}

/// The types of messages, each with the SQLSTATE of errors.
fn kinds(mut bytes: &[u8]) -> Vec<String> {
    let mut kinds = Vec::new();
    while let [kind, a, b, c, d, rest @ ..] = bytes {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
        let (body, rest) = rest.split_at(length);
        let fields = body.split(|b| *b == 0);
        let state = fields.filter_map(|field| field.strip_prefix(b"C"));
        let state: Vec<u8> = match kind {
            b'E' => state.flatten().copied().collect(),
            _ => Vec::new(),
        };
        kinds.push(format!(
            "{}{}",
            char::from(*kind),
            String::from_utf8_lossy(&state)
        ));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "{bytes:?} is no message");
    kinds
}

#[tokio::test]
async fn encryption_is_declined_once_each_and_a_startup_may_follow() {
    let store = Postgres::start("eu", free()).await.expect("a port");
    let hello = startup(3 << 16, b"user\0app\0\0");
    let back = heard(store.address(), &[&TLS, &GSS, &hello[..]].concat()).await;
    let answer = back.strip_prefix(b"NN").expect("two refusals");
    let kinds = kinds(answer);
    assert_eq!(kinds.first().map(String::as_str), Some("R"));
    assert_eq!(kinds[kinds.len() - 2..], ["K", "Z"]);
    assert_eq!(heard(store.address(), &[TLS, TLS].concat()).await, b"N");
}

#[tokio::test]
async fn a_newer_client_is_told_what_is_not_spoken() {
    let store = Postgres::start("eu", free()).await.expect("a port");
    let hello = startup(3 << 16 | 2, b"user\0app\0_pq_.x\0on\0\0");
    let back = heard(store.address(), &hello).await;
    let told = message(b'v', &[&[0, 3, 0, 0, 0, 0, 0, 1][..], b"_pq_.x\0"].concat());
    assert!(back.starts_with(&told), "{back:?}");
}

#[tokio::test]
async fn what_begins_no_session_is_closed_or_told_why() {
    let store = Postgres::start("eu", free()).await.expect("a port");
    for said in [
        &b""[..],
        b"\0\0",
        b"\0\0\0\x09\0\x03\0\0",
        b"\0\0\0\x07\0\x03\0\0",
        b"\x16\x03\x01\x02\0\x01\0\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x7f\xff\xff\xff\0\x03\0\0",
        b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02",
    ] {
        assert_eq!(heard(store.address(), said).await, b"", "{said:?}");
    }
    for (packet, state) in [
        (startup(2 << 16, b"user\0app\0\0"), "E0A000"),
        (startup(3 << 16, b"user\0app"), "E08P01"),
        (startup(3 << 16, b"database\0acme\0\0"), "E28000"),
        (
            startup(3 << 16, b"user\0app\0replication\0true\0\0"),
            "E0A000",
        ),
    ] {
        assert_eq!(kinds(&heard(store.address(), &packet).await), [state]);
    }
    assert_eq!(store.stats().connections, 12);
    assert_eq!(store.stats().requests, 0);
}

#[tokio::test]
async fn messages_that_are_none_end_a_session() {
    let store = Postgres::start("eu", free()).await.expect("a port");
    let hello = startup(3 << 16, b"user\0app\0\0");
    let query = message(b'Q', b"SELECT current_setting('cluster_name')\0");
    let prepared = [
        message(b'P', b"\0SELECT 1\0\0\0"),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        query.clone(),
        message(b'S', b""),
    ]
    .concat();
    for (said, want) in [
        (&b"Q\0\0\0\x03"[..], &["E08P01"][..]),
        (b"Q\x7f\xff\xff\xff", &["E08P01"]),
        (b"~\0\0\0\x04", &["E08P01"]),
        (b"Q\0\0\0\x20SELECT", &[]),
        (b"X\0\0\0\x04", &[]),
        (&message(b'Q', b"no end"), &["E08P01", "Z"]),
        (&message(b'Q', b"two\0ends\0"), &["E08P01", "Z"]),
        (&message(b'Q', b"\xff\0"), &["E22021", "Z"]),
        (&message(b'Q', b"\0"), &["I", "Z"]),
        (&message(b'Q', b"SELECT 1\0"), &["E0A000", "Z"]),
        (&message(b'F', b""), &["E0A000", "Z"]),
        (&message(b'H', b""), &[]),
        (&query, &["T", "D", "C", "Z"]),
        // After an error of an extended query a client is heard again from Sync on.
        (&prepared, &["E0A000", "Z"]),
        (
            &[&prepared[..], &query].concat(),
            &["E0A000", "Z", "T", "D", "C", "Z"],
        ),
    ] {
        let back = heard(store.address(), &[&hello[..], said].concat()).await;
        let kinds = kinds(&back);
        let ready = kinds.iter().position(|kind| kind == "Z").expect("ready");
        assert_eq!(&kinds[ready + 1..], want, "{said:?}");
    }
}
