//! Who and what is refused, and the end of the server.

use crate::support::*;

#[tokio::test]
async fn strangers_and_nonsense_are_refused() {
    let server = Server::start().await;
    server.set(&[(LISTENER, "l", "l1")]);

    let mut stranger = server.delta("n1").await;
    stranger.node.as_mut().unwrap().cluster = "unknown".to_owned();
    stranger.subscribe(LISTENER, &[]).await;
    let status = refusal(&mut stranger.responses).await;
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("n1"), "{status}");

    for nobody in [None, Some(node(""))] {
        let mut client = server.sotw("").await;
        client.node = nobody;
        client.subscribe(LISTENER, "", &[]).await;
        let status = refusal(&mut client.responses).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }

    let mut untyped = server.sotw("n2").await;
    untyped.subscribe("", "", &[]).await;
    let status = refusal(&mut untyped.responses).await;
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");

    assert!(server.cache.status().streams.is_empty());
}

#[tokio::test]
async fn limits_hold() {
    let server = Server::with(Config {
        max_streams: 1,
        max_names: 10,
        ..Config::default()
    })
    .await;
    server.set(&[(ROUTE, "r", "r1")]);
    let mut first = server.delta("n1").await;
    first.subscribe(ROUTE, &["r"]).await;
    first.accept().await;
    let mut second = server.delta("n2").await;
    second.subscribe(ROUTE, &["r"]).await;
    let status = refusal(&mut second.responses).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    first.subscribe(ROUTE, &many).await;
    let status = refusal(&mut first.responses).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn the_end_of_the_server_ends_its_streams() {
    let mut server = Server::start().await;
    server.set(&[(LISTENER, "l", "l1")]);
    let mut client = server.delta("n1").await;
    client.subscribe(LISTENER, &[]).await;
    client.accept().await;
    server.stop.take().unwrap().send(()).unwrap();
    let status = refusal(&mut client.responses).await;
    assert_eq!(status.code(), Code::Unavailable);
    drop(client);
    tokio::time::timeout(PATIENCE, server.served)
        .await
        .expect("still serving")
        .unwrap()
        .unwrap();
}
