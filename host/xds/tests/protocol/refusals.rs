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

/// A request that is no request at all ends its stream with a reason, and nothing else.
#[tokio::test]
async fn malformed_requests_end_their_stream_alone() {
    use envoy_types::pb::envoy::service::discovery::v3::ResourceLocator;
    let server = Server::start().await;
    server.set(&[(LISTENER, "l", "l1")]);
    let mut other = server.delta("other").await;
    other.subscribe(LISTENER, &[]).await;
    other.accept().await;

    let mut locators = server.delta("n1").await;
    locators
        .send(DeltaDiscoveryRequest {
            type_url: LISTENER.to_owned(),
            resource_locators_subscribe: vec![ResourceLocator::default()],
            ..Default::default()
        })
        .await;
    let status = refusal(&mut locators.responses).await;
    assert_eq!(status.code(), Code::Unimplemented, "{status}");

    let mut untyped = server.delta("n2").await;
    untyped.subscribe("", &["l"]).await;
    let status = refusal(&mut untyped.responses).await;
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains("type_url"), "{status}");

    server.set(&[(LISTENER, "l", "l2")]);
    assert_eq!(other.accept().await, "l2");
    assert_eq!(server.cache.status().streams.len(), 1);
}

/// A type of which nobody has heard is one without resources.
#[tokio::test]
async fn an_unknown_type_has_no_resources() {
    let server = Server::start().await;
    server.set(&[(LISTENER, "l", "l1")]);
    let unknown = "type.googleapis.com/envoy.config.nonsense.v3.Nonsense";
    let mut delta = server.delta("n1").await;
    delta.subscribe(unknown, &["x"]).await;
    assert_eq!(delta.accept().await, "-x");
    let mut sotw = server.sotw("n1").await;
    sotw.subscribe(unknown, "", &["x"]).await;
    silent(&mut sotw.responses).await;
}

/// Bytes that are no protobuf message, more of them than allowed, compressed ones, and calls that there are not.
#[tokio::test]
async fn what_is_no_request_is_refused() {
    let server = Server::with(Config {
        max_request_bytes: 1_000,
        ..Config::default()
    })
    .await;
    let path =
        |call: &str| format!("/envoy.service.discovery.v3.AggregatedDiscoveryService/{call}");
    let long = [&b"\0\0\x01\0\0"[..], &[0; 0x1_0000]].concat();
    for (call, body, want) in [
        // Prefix, then a field that says it is longer than the message.
        (
            "DeltaAggregatedResources",
            b"\0\0\0\0\x02\x12\x7f".to_vec(),
            Code::InvalidArgument,
        ),
        (
            "StreamAggregatedResources",
            b"\0\0\0\0\x01\xff".to_vec(),
            Code::InvalidArgument,
        ),
        ("DeltaAggregatedResources", long, Code::OutOfRange),
        (
            "DeltaAggregatedResources",
            b"\x01\0\0\0\x01\0".to_vec(),
            Code::Internal,
        ),
        ("FetchNothing", b"\0\0\0\0\0".to_vec(), Code::Unimplemented),
    ] {
        let code = raw(server.address, &path(call), body.clone()).await;
        assert_eq!(code, want, "{call}: {body:?}");
    }
    assert!(server.cache.status().streams.is_empty());
}

/// Sends bytes as the body of a call, and returns how it ends.
async fn raw(address: std::net::SocketAddr, path: &str, body: Vec<u8>) -> Code {
    use http_body_util::{BodyExt, Full};
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(bytes::Bytes::from(body)))
        .unwrap();
    let response = tokio::time::timeout(PATIENCE, sender.send_request(request))
        .await
        .expect("no answer")
        .unwrap();
    let (head, body) = response.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned();
    let of = |headers: &http::HeaderMap| headers.get("grpc-status").cloned();
    let code = of(&head.headers).or_else(|| of(&trailers?));
    Code::from_bytes(code.expect("no grpc-status").as_bytes())
}
