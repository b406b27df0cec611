//! The incremental variant.

use crate::support::*;

#[tokio::test]
async fn delta_from_first_request_to_removal() {
    let server = Server::start().await;
    server.set(&[
        (LISTENER, "a", "a1"),
        (LISTENER, "b", "b1"),
        (ROUTE, "r", "r1"),
    ]);
    let mut client = server.delta("n1").await;
    client.subscribe(LISTENER, &[]).await;
    assert_eq!(client.accept().await, "a1 b1");
    client.subscribe(ROUTE, &["r", "none"]).await;
    assert_eq!(client.accept().await, "r1 -none");
    server.set(&[(LISTENER, "a", "a2"), (ROUTE, "r", "r1")]);
    assert_eq!(client.accept().await, "a2 -b");
    client.subscribe(ROUTE, &["r"]).await;
    assert_eq!(client.accept().await, "r1", "subscribed again: sent again");
    client
        .send(DeltaDiscoveryRequest {
            type_url: ROUTE.to_owned(),
            resource_names_unsubscribe: strings(&["r"]),
            ..Default::default()
        })
        .await;
    while server.cache.status().streams[0].types[ROUTE].subscribed != Some(1) {
        tokio::task::yield_now().await;
    }
    server.set(&[(LISTENER, "a", "a2"), (ROUTE, "r", "r2")]);
    silent(&mut client.responses).await;
}

#[tokio::test]
async fn delta_compares_what_a_client_brings() {
    let server = Server::start().await;
    server.set(&[(LISTENER, "same", "s1"), (LISTENER, "changed", "c2")]);
    let versions = [("same", "s1"), ("changed", "c1"), ("gone", "g1")];
    let mut client = server.delta("n1").await;
    client
        .send(DeltaDiscoveryRequest {
            type_url: LISTENER.to_owned(),
            initial_resource_versions: versions
                .map(|(name, body)| {
                    let resource = Resource::new(LISTENER, name, body.as_bytes());
                    (name.to_owned(), resource.version().to_owned())
                })
                .into(),
            ..Default::default()
        })
        .await;
    assert_eq!(client.accept().await, "c2 -gone");
}
