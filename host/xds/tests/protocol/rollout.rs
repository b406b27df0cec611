//! Refusals, and the way back.

use std::time::Duration;

use crate::support::*;

#[tokio::test]
async fn delta_refusal_rolls_back_and_parks_for_all() {
    let server = Server::start().await;
    let mut events = server.cache.subscribe();
    let good = [(LISTENER, "l", "good"), (EXTENSION_CONFIG, "f", "f1")];
    let bad = [(LISTENER, "l", "good"), (EXTENSION_CONFIG, "f", "bad")];
    server.set(&good);
    let mut clients = [server.delta("n1").await, server.delta("n2").await];
    for client in &mut clients {
        client.subscribe(LISTENER, &["*"]).await;
        assert_eq!(client.accept().await, "good");
        client.subscribe(EXTENSION_CONFIG, &["f"]).await;
        assert_eq!(client.accept().await, "f1");
    }
    event(&mut events, |e| {
        matches!(e, Event::Proven { .. }).then_some(())
    })
    .await;

    server.set(&bad);
    let [one, two] = &mut clients;
    assert_eq!(one.accept().await, "bad", "this one does not mind");
    event(&mut events, |e| {
        matches!(e, Event::Acked { node, .. } if node == "n1").then_some(())
    })
    .await;
    assert_eq!(two.refuse("no such module").await, "bad");
    let (from, to, reason) = event(&mut events, |e| match e {
        Event::RolledBack {
            from, to, error, ..
        } => Some((from.clone(), to.clone(), error.clone())),
        _ => None,
    })
    .await;
    assert_ne!(from, to);
    assert_eq!(reason, "no such module");
    for client in [one, two] {
        assert_eq!(client.accept().await, "f1", "the good one is served again");
    }

    // A node that comes later gets the good one; the bad one is not tried again.
    let mut later = server.delta("n3").await;
    later.subscribe(EXTENSION_CONFIG, &["f"]).await;
    assert_eq!(later.accept().await, "f1");
    assert_eq!(server.set(&bad), Offered::Parked);
    silent(&mut later.responses).await;

    let status = serde_json::to_value(server.cache.status()).unwrap();
    let group = &status["groups"]["eu"];
    assert_eq!(group["rolled_back"], true);
    assert_eq!(group["parked"][0]["node"], "n2");
    assert_eq!(group["parked"][0]["error"], "no such module");
    let refused = &status["streams"][1]["types"][EXTENSION_CONFIG];
    assert_eq!(refused["last_nack"]["error"], "no such module");
    assert_eq!(refused["last_nack"]["resources"][0], "f");
    assert_eq!(refused["refused"], false, "it accepted another since");

    // Something else in its place is.
    assert_eq!(
        server.set(&[(LISTENER, "l", "good"), (EXTENSION_CONFIG, "f", "f3")]),
        Offered::Serving
    );
    assert_eq!(later.accept().await, "f3");
}

#[tokio::test]
async fn sotw_refusal_rolls_back() {
    let server = Server::start().await;
    let mut events = server.cache.subscribe();
    server.set(&[(CLUSTER, "c", "c1"), (LISTENER, "l", "good")]);
    let mut client = server.sotw("n1").await;
    client.subscribe(CLUSTER, "", &[]).await;
    client.accept(&[]).await;
    client.subscribe(LISTENER, "", &[]).await;
    client.accept(&[]).await;
    event(&mut events, |e| {
        matches!(e, Event::Proven { .. }).then_some(())
    })
    .await;

    server.set(&[(CLUSTER, "c", "c2"), (LISTENER, "l", "bad")]);
    assert_eq!(client.accept(&[]).await, "c2", "clusters come first");
    let (response, words) = client.next().await;
    assert_eq!(words, "bad");
    client.answer(&response, &[], error("bad listener")).await;
    assert_eq!(
        client.accept(&[]).await,
        "c1",
        "the snapshot goes back whole"
    );
    assert_eq!(client.accept(&[]).await, "good");
    silent(&mut client.responses).await;
}

/// One that can't bind the port, say, of what works everywhere else.
#[tokio::test]
async fn who_alone_refuses_what_is_proven_has_not_got_it() {
    let server = Server::start().await;
    let mut events = server.cache.subscribe();
    server.set(&[(LISTENER, "l", "good")]);
    let mut first = server.delta("n1").await;
    first.subscribe(LISTENER, &["*"]).await;
    assert_eq!(first.accept().await, "good");
    event(&mut events, |e| {
        matches!(e, Event::Proven { .. }).then_some(())
    })
    .await;
    let mut second = server.delta("n2").await;
    second.subscribe(LISTENER, &["*"]).await;
    assert_eq!(second.refuse("cannot bind").await, "good");
    event(&mut events, |e| {
        matches!(e, Event::Nacked { .. }).then_some(())
    })
    .await;
    let has_all = |node: &str| {
        let status = server.cache.status();
        let stream = status.streams.iter().find(|s| s.node == node).unwrap();
        (stream.has_all(), stream.has.is_some())
    };
    assert_eq!(has_all("n1"), (true, true));
    assert_eq!(has_all("n2"), (false, false));

    // Another of the type does not make up for it.
    server.set(&[(LISTENER, "l", "good"), (LISTENER, "m", "more")]);
    for client in [&mut first, &mut second] {
        assert_eq!(client.accept().await, "more");
    }
    tokio::time::timeout(Duration::from_secs(60), async {
        while !server.cache.status().streams.iter().all(|s| s.settled) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("all is answered");
    assert_eq!(has_all("n2"), (false, false));
}
