//! Many clients, and slow ones.

use tokio_stream::wrappers::ReceiverStream;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_delays_nobody() {
    let server = Server::start().await;
    let big = "x".repeat(1 << 20);
    server.set(&[(LISTENER, "l", &big)]);
    let mut slow = server.delta("slow").await;
    for _ in 0..100 {
        slow.subscribe(LISTENER, &["l"]).await;
    }
    let mut quick = server.delta("quick").await;
    quick.subscribe(LISTENER, &[]).await;
    quick.accept().await;
    for round in 0..20 {
        let body = format!("{round}");
        server.set(&[(LISTENER, "l", &body)]);
        assert_eq!(quick.accept().await, body);
    }
    // The slow one finds the newest when it reads again.
    let newest = async {
        loop {
            let (response, words) = slow.next().await;
            slow.answer(&response, None).await;
            if words == "19" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, newest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams() {
    const STREAMS: usize = 1_000;
    let server = Server::start().await;
    let mut events = server.cache.subscribe();
    server.set(&[(LISTENER, "l", "0")]);
    let mut clients = Vec::new();
    for connection in 0..10 {
        let mut channel = server.client().await;
        for stream in 0..STREAMS / 10 {
            let (requests, receiver) = mpsc::channel(16);
            requests
                .send(DeltaDiscoveryRequest {
                    node: Some(node(&format!("n{connection}-{stream}"))),
                    type_url: LISTENER.to_owned(),
                    ..Default::default()
                })
                .await
                .unwrap();
            let responses = channel
                .delta_aggregated_resources(ReceiverStream::new(receiver))
                .await
                .unwrap()
                .into_inner();
            clients.push(Delta {
                requests,
                responses,
                node: None,
            });
        }
    }
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                while client.accept().await != "1" {}
                client
            })
        })
        .collect();
    let mut connected = 0;
    while connected < STREAMS {
        connected = server.cache.status().streams.len();
        tokio::task::yield_now().await;
    }
    let version = {
        server.set(&[(LISTENER, "l", "1")]);
        server.cache.served("eu").unwrap().version().to_owned()
    };
    let mut kept = Vec::new();
    for task in tasks {
        kept.push(task.await.unwrap());
    }
    let proven = async {
        while server
            .cache
            .last_good("eu")
            .is_none_or(|s| s.version() != version)
        {
            let _ = events.recv().await;
        }
    };
    tokio::time::timeout(PATIENCE, proven)
        .await
        .expect("not all have it");
}

/// Bytes of this process's memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = pages.split(' ').nth(1).unwrap();
    pages.parse::<usize>().unwrap() * 4096
}

/// Opens streams on a few connections, each with this first request.
async fn open(server: &Server, streams: usize, first: &DeltaDiscoveryRequest) -> Vec<Delta> {
    let mut clients = Vec::new();
    for connection in 0..10 {
        let mut channel = server.client().await;
        for stream in 0..streams / 10 {
            let (requests, receiver) = mpsc::channel(16);
            let node = Some(node(&format!("n{connection}-{stream}")));
            let first = DeltaDiscoveryRequest {
                node,
                ..first.clone()
            };
            requests.send(first).await.unwrap();
            let responses = channel
                .delta_aggregated_resources(ReceiverStream::new(receiver))
                .await
                .unwrap()
                .into_inner();
            clients.push(Delta {
                requests,
                responses,
                node: None,
            });
        }
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_that_reconnect_at_once_are_sent_what_they_lack_alone() {
    const STREAMS: usize = 1_000;
    let server = Server::start().await;
    server.set(&[(LISTENER, "l", "1"), (LISTENER, "m", "1")]);
    let first = DeltaDiscoveryRequest {
        type_url: LISTENER.to_owned(),
        ..Default::default()
    };
    let mut clients = open(&server, STREAMS, &first).await;
    for client in &mut clients {
        assert_eq!(client.accept().await, "1 1");
    }
    server.settled().await;
    let has = |name: &str| {
        let resource = Resource::new(LISTENER, name, *b"1");
        (name.to_owned(), resource.version().to_owned())
    };
    drop(clients);
    server.set(&[(LISTENER, "l", "1"), (LISTENER, "m", "2")]);
    let again = DeltaDiscoveryRequest {
        initial_resource_versions: [has("l"), has("m")].into(),
        ..first
    };
    let mut clients = open(&server, STREAMS, &again).await;
    for client in &mut clients {
        assert_eq!(client.accept().await, "2");
    }
    let gone = async {
        while server.cache.status().streams.len() != STREAMS {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(PATIENCE, gone).await;
    gone.expect("streams of before are there still");
    server.settled().await;
    let version = server.cache.served("eu").unwrap().version().to_owned();
    assert_eq!(server.cache.last_good("eu").unwrap().version(), version);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_thousand_have_not_read_is_in_memory_once() {
    const STREAMS: usize = 1_000;
    const BODY: usize = 4 << 20;
    let server = Server::start().await;
    server.set(&[(LISTENER, "l", &"x".repeat(BODY))]);
    let before = resident();
    let first = DeltaDiscoveryRequest {
        type_url: LISTENER.to_owned(),
        ..Default::default()
    };
    let clients = open(&server, STREAMS, &first).await;
    let sent = async {
        let sent =
            |s: &xds::StreamStatus| s.types.get(LISTENER).is_some_and(|t| t.pending.is_some());
        while server
            .cache
            .status()
            .streams
            .iter()
            .filter(|s| sent(s))
            .count()
            < STREAMS
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, sent)
        .await
        .expect("not sent");
    let grown = resident().saturating_sub(before);
    assert!(grown < STREAMS * BODY / 4, "{} MB", grown >> 20);
    drop(clients);
}
