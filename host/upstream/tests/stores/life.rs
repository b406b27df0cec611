//! Starting, stopping, and what is counted.

use hyper::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use upstream::{
    Error,
    stores::{Data, Postgres, StoreStats, Stores},
};

use crate::{client::call, free, graph, objects::put, postgres};

/// A sentinel in each store.
async fn fill(stores: &Stores, nonce: &str) {
    let client = postgres::connect(stores.postgres.address(), "acme").await;
    postgres::ask(&client, postgres::TABLE).await;
    let insert = format!("INSERT INTO ig_sentinel (nonce, tenant) VALUES ('{nonce}', 'acme')");
    postgres::ask(&client, &insert).await;
    let path = format!("/acme/{nonce}");
    put(stores.objects.address(), &path, "acme").send().await;
    let parameters = json!({"nonce": nonce, "tenant": "acme"});
    graph::ask(&stores.graph, "acme", graph::CREATE, parameters).await;
}

#[tokio::test]
async fn a_store_starts_again_on_its_port_with_or_without_its_data() {
    let mut eu = Stores::start("eu").await.expect("ports");
    assert_eq!(eu.postgres.region(), "eu");
    fill(&eu, "n1").await;
    assert_eq!((eu.sentinels("n1"), eu.sentinels("acme")), (3, 3));
    for data in [Data::Kept, Data::Lost] {
        let addresses = [
            eu.postgres.address(),
            eu.objects.address(),
            eu.graph.address(),
        ];
        eu.postgres.kill().await;
        eu.objects.kill().await;
        eu.graph.kill().await;
        eu.graph.kill().await;
        for address in addresses {
            assert!(TcpStream::connect(address).await.is_err());
        }
        assert!(eu.holds("n1"), "a killed store keeps what it had");
        eu.postgres.restart(data).await.expect("its port");
        eu.objects.restart(data).await.expect("its port");
        eu.graph.restart(data).await.expect("its port");
        let again = [
            eu.postgres.address(),
            eu.objects.address(),
            eu.graph.address(),
        ];
        assert_eq!(again, addresses);
        let left = if data == Data::Kept { 3 } else { 0 };
        assert_eq!(eu.sentinels("n1"), left);
    }
    fill(&eu, "n1").await;
    assert_eq!(eu.sentinels("n1"), 3);
    // It need not have been killed.
    eu.objects.restart(Data::Lost).await.expect("its port");
    assert_eq!(eu.sentinels("n1"), 2);
    eu.shutdown().await;
}

#[tokio::test]
async fn a_killed_store_closes_its_sessions_and_a_taken_port_is_an_error() {
    let mut store = Postgres::start("eu", free()).await.expect("a port");
    let address = store.address();
    let taken = Postgres::start("us", address).await;
    assert!(matches!(taken, Err(Error::Listen { .. })));
    let client = postgres::connect(address, "acme").await;
    // Neither of these will say what they want.
    let mut silent = TcpStream::connect(address).await.expect("open");
    let mut half = TcpStream::connect(address).await.expect("open");
    half.write_all(b"\0\0\0\x20\0\x03").await.expect("open");
    store.kill().await;
    let mut heard = Vec::new();
    for stream in [&mut silent, &mut half] {
        _ = stream.read_to_end(&mut heard).await;
    }
    assert!(heard.is_empty());
    assert!(client.simple_query(postgres::TABLE).await.is_err());
    let other = Postgres::start("us", address).await.expect("it is free");
    let again = store.restart(Data::Kept).await;
    assert!(matches!(again, Err(Error::Listen { .. })));
    other.shutdown().await;
    store.restart(Data::Kept).await.expect("it is free again");
    postgres::connect(address, "acme").await;
}

#[tokio::test]
async fn half_a_request_is_not_kept() {
    let mut eu = Stores::start("eu").await.expect("ports");
    let put = "PUT /acme/n1 HTTP/1.1\r\nhost: s3\r\ncontent-length: 10\r\n\r\nacme";
    let post = "POST /db/acme/query/v2 HTTP/1.1\r\nhost: graph\r\ncontent-length: 99\r\n\r\n{";
    for (address, half) in [(eu.objects.address(), put), (eu.graph.address(), post)] {
        for said in [half, "GET", "no HTTP\r\n\r\n", "\0\0\0\x08\x04\x02"] {
            let mut stream = TcpStream::connect(address).await.expect("open");
            stream.write_all(said.as_bytes()).await.expect("open");
            stream.shutdown().await.expect("open still");
            let mut heard = Vec::new();
            _ = stream.read_to_end(&mut heard).await;
            let heard = String::from_utf8_lossy(&heard);
            assert!(
                heard.is_empty() || heard.starts_with("HTTP/1.1 400 "),
                "{heard}"
            );
        }
    }
    // Nor does one that waits for its rest hold up the end. It is begun when it is told to go on.
    let begun = put.replacen("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n", 1);
    let objects = eu.objects.address();
    let mut waiting = TcpStream::connect(objects).await.expect("open");
    waiting.write_all(begun.as_bytes()).await.expect("open");
    let mut told = [0; 12];
    waiting.read_exact(&mut told).await.expect("an answer");
    assert_eq!(&told, b"HTTP/1.1 100");
    eu.objects.kill().await;
    _ = waiting.read_to_end(&mut Vec::new()).await;
    assert!(!eu.holds("n1"));
    assert_eq!(
        eu.objects.stats().connections + eu.graph.stats().connections,
        9
    );
}

#[tokio::test]
async fn everything_is_counted() {
    let eu = Stores::start("eu").await.expect("ports");
    assert_eq!(eu.stats(), StoreStats::default());
    fill(&eu, "n1").await;
    let all = [eu.postgres.stats(), eu.objects.stats(), eu.graph.stats()];
    for (stats, requests) in all.iter().zip([2, 1, 1]) {
        assert_eq!((stats.connections, stats.requests), (1, requests));
        assert!(
            stats.bytes_received > 50 && stats.bytes_served > 50,
            "{stats:?}"
        );
    }
    let sum = eu.stats();
    assert_eq!((sum.connections, sum.requests), (3, 4));
    let served: u64 = all.iter().map(|stats| stats.bytes_served).sum();
    assert_eq!(sum.bytes_served, served);
    let told = serde_json::to_value(sum).expect("JSON");
    assert_eq!(told["bytes_received"], json!(sum.bytes_received));
    // A name in a path alone is seen as well.
    let before = eu.objects.stats();
    let path = format!("/acme/{}", "k".repeat(500));
    call(Method::GET, eu.objects.address(), &path).send().await;
    let after = eu.objects.stats();
    assert!(after.bytes_received > before.bytes_received + 500);
}
