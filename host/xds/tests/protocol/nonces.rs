//! Requests and responses: nonces, ACK and NACK, and the node. The words are those of Envoy's
//! `xds_protocol.rst`.

use std::collections::BTreeSet;

use crate::support::*;

/// "All server responses will contain a nonce"; each is another, so that each answer finds its response.
#[tokio::test]
async fn all_responses_contain_a_nonce_of_their_own() {
    let server = Server::start().await;
    server.set(&[(CLUSTER, "c", "c1"), (LISTENER, "l", "l1")]);
    let mut nonces = BTreeSet::new();
    let mut delta = server.delta("n1").await;
    for url in [CLUSTER, LISTENER] {
        delta.subscribe(url, &[]).await;
        let (response, _) = delta.next().await;
        delta.answer(&response, None).await;
        nonces.insert(response.nonce);
    }
    server.set(&[(CLUSTER, "c", "c2"), (LISTENER, "l", "l2")]);
    for _ in 0..2 {
        let (response, _) = delta.next().await;
        delta.answer(&response, None).await;
        nonces.insert(response.nonce);
    }
    assert!(nonces.len() == 4 && !nonces.contains(""), "{nonces:?}");
}

/// "The management server should not send a DiscoveryResponse for any DiscoveryRequest that has a stale
/// nonce."
#[tokio::test]
async fn sotw_a_request_with_a_stale_nonce_is_not_answered() {
    let server = Server::start().await;
    server.set(&[(ROUTE, "r", "r1"), (ROUTE, "s", "s1")]);
    let mut client = server.sotw("n1").await;
    client.subscribe(ROUTE, "", &["r"]).await;
    let (first, _) = client.next().await;
    client.answer(&first, &["r"], None).await;
    server.set(&[(ROUTE, "r", "r2"), (ROUTE, "s", "s1")]);
    let (second, words) = client.next().await;
    assert_eq!(words, "r2");
    client.subscribe(ROUTE, &first.nonce, &["r", "s"]).await;
    client.answer(&first, &["r"], error("late")).await;
    silent(&mut client.responses).await;
    client.answer(&second, &["r"], None).await;
    client.subscribe(ROUTE, &second.nonce, &["r", "s"]).await;
    assert_eq!(client.accept(&["r", "s"]).await, "r2 s1");
    let status = server.cache.status();
    assert!(status.streams[0].types[ROUTE].last_nack.is_none());
}

/// "The server must honor changes to the subscription state even if the nonce is stale. The nonce […] should
/// *not* be used to reject stale requests."
#[tokio::test]
async fn delta_subscriptions_change_whatever_the_nonce_is() {
    let server = Server::start().await;
    server.set(&[(ROUTE, "r", "r1"), (ROUTE, "s", "s1"), (ROUTE, "t", "t1")]);
    let mut client = server.delta("n1").await;
    client.subscribe(ROUTE, &["r"]).await;
    let (first, _) = client.next().await;
    client.answer(&first, None).await;
    for (nonce, name, want) in [(first.nonce.as_str(), "s", "s1"), ("of nobody", "t", "t1")] {
        client
            .send(DeltaDiscoveryRequest {
                type_url: ROUTE.to_owned(),
                response_nonce: nonce.to_owned(),
                resource_names_subscribe: strings(&[name]),
                ..Default::default()
            })
            .await;
        assert_eq!(client.accept().await, want);
    }
    // A refusal of what was answered already refuses nothing.
    client.answer(&first, error("too late")).await;
    server.set(&[(ROUTE, "r", "r2"), (ROUTE, "s", "s1"), (ROUTE, "t", "t1")]);
    assert_eq!(client.accept().await, "r2");
    let status = server.cache.status();
    assert!(status.streams[0].types[ROUTE].last_nack.is_none());
}

/// "The nonce is valid only in the context of an individual xDS stream; it does not survive stream restarts."
#[tokio::test]
async fn a_nonce_of_an_earlier_stream_means_nothing() {
    let server = Server::start().await;
    server.set(&[(LISTENER, "l", "l1")]);
    let mut before = server.sotw("n1").await;
    before.subscribe(LISTENER, "", &[]).await;
    let (old, _) = before.next().await;
    drop(before);
    let mut client = server.sotw("n1").await;
    client.answer(&old, &[], error("of before")).await;
    assert_eq!(client.accept(&[]).await, "l1", "it is a first request");
    let status = server.cache.status();
    let refused = |s: &xds::StreamStatus| s.types.values().any(|t| t.last_nack.is_some());
    assert!(!status.streams.iter().any(refused));
}

/// "The preferred mechanism for a server to detect a NACK is to look for the presence of the error_detail
/// field", whatever version the request names.
#[tokio::test]
async fn error_detail_alone_makes_a_nack() {
    let server = Server::start().await;
    server.set(&[(LISTENER, "l", "l1")]);
    let mut events = server.cache.subscribe();
    let mut client = server.sotw("n1").await;
    client.subscribe(LISTENER, "", &[]).await;
    let (response, _) = client.next().await;
    let request = DiscoveryRequest {
        type_url: LISTENER.to_owned(),
        version_info: "of before".to_owned(),
        response_nonce: response.nonce,
        ..Default::default()
    };
    client.send(request).await;
    event(&mut events, |e| {
        assert!(!matches!(e, Event::Nacked { .. }), "{e:?}");
        matches!(e, Event::Acked { .. }).then_some(())
    })
    .await;
    server.set(&[(LISTENER, "l", "l2")]);
    let (response, _) = client.next().await;
    // The refused version, and an error without a word.
    client.answer(&response, &[], error("")).await;
    event(&mut events, |e| {
        matches!(e, Event::Nacked { .. }).then_some(())
    })
    .await;
}

/// "After a NACK, an API update may succeed at a new version"; what was refused is not sent again.
#[tokio::test]
async fn a_refused_version_is_not_repeated_and_a_new_one_is_sent() {
    let server = Server::start().await;
    server.set(&[(ROUTE, "r", "bad")]);
    let mut events = server.cache.subscribe();
    let mut delta = server.delta("n1").await;
    delta.subscribe(ROUTE, &["r"]).await;
    assert_eq!(delta.refuse("no").await, "bad");
    event(&mut events, |e| {
        matches!(e, Event::Nacked { .. }).then_some(())
    })
    .await;
    assert_eq!(delta.accept().await, "-r", "nothing to go back to");
    assert_eq!(server.set(&[(ROUTE, "r", "bad")]), Offered::Parked);
    silent(&mut delta.responses).await;
    server.set(&[(ROUTE, "r", "good")]);
    assert_eq!(delta.accept().await, "good");
}

/// "Each resource type is treated as a separate logical stream within the aggregated stream": one that is not
/// answered does not hold up another.
#[tokio::test]
async fn types_do_not_wait_for_each_other() {
    let server = Server::start().await;
    let at = |route, filter| [(ROUTE, "r", route), (EXTENSION_CONFIG, "f", filter)];
    server.set(&at("r1", "f1"));
    let mut delta = server.delta("n1").await;
    let mut sotw = server.sotw("n2").await;
    delta.subscribe(ROUTE, &["r"]).await;
    sotw.subscribe(ROUTE, "", &["r"]).await;
    let (_, route) = delta.next().await;
    let (_, same) = sotw.next().await;
    assert_eq!(
        (route.as_str(), same.as_str()),
        ("r1", "r1"),
        "not answered"
    );
    delta.subscribe(EXTENSION_CONFIG, &["f"]).await;
    sotw.subscribe(EXTENSION_CONFIG, "", &["f"]).await;
    assert_eq!(delta.accept().await, "f1");
    assert_eq!(sotw.accept(&["f"]).await, "f1");
    server.set(&at("r1", "f2"));
    assert_eq!(delta.accept().await, "f2");
    assert_eq!(sotw.accept(&["f"]).await, "f2");
}

/// "The management server should only send updates […] when the resources […] have changed": versions are of
/// each type.
#[tokio::test]
async fn a_type_that_did_not_change_is_not_sent() {
    let server = Server::start().await;
    server.set(&[(CLUSTER, "c", "c1"), (LISTENER, "l", "l1")]);
    let mut client = server.sotw("n1").await;
    client.subscribe(CLUSTER, "", &[]).await;
    let (cluster, _) = client.next().await;
    client.answer(&cluster, &[], None).await;
    client.subscribe(LISTENER, "", &[]).await;
    client.accept(&[]).await;
    server.set(&[(CLUSTER, "c", "c1"), (LISTENER, "l", "l2")]);
    let (response, words) = client.next().await;
    assert_eq!(words, "l2");
    assert_ne!(response.version_info, cluster.version_info);
    client.answer(&response, &[], None).await;
    silent(&mut client.responses).await;
}

/// "Only the first request on a stream is guaranteed to carry the node identifier. […] The node identifier
/// should always be identical if present more than once on the stream."
#[tokio::test]
async fn the_node_is_that_of_the_first_request() {
    let server = Server::start().await;
    server.set(&[(LISTENER, "l", "l1"), (ROUTE, "r", "r1")]);
    let mut client = server.delta("n1").await;
    client.subscribe(LISTENER, &[]).await;
    client.accept().await;
    for again in [None, Some(node("n1")), Some(Node::default())] {
        client.node = again;
        client.subscribe(ROUTE, &["r"]).await;
        assert_eq!(client.accept().await, "r1");
    }
    let mut moved = node("n1");
    moved.locality.get_or_insert_default().region = "us".to_owned();
    for other in [node("n2"), moved] {
        let mut client = server.delta("n1").await;
        client.subscribe(LISTENER, &[]).await;
        client.accept().await;
        client.node = Some(other);
        client.subscribe(ROUTE, &["r"]).await;
        let status = refusal(&mut client.responses).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("n1"), "{status}");
    }
}
