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
