//! State of the world.

use crate::support::*;

#[tokio::test]
async fn sotw_from_first_request_to_removal() {
    let server = Server::start().await;
    server.set(&[
        (LISTENER, "a", "a1"),
        (LISTENER, "b", "b1"),
        (ROUTE, "r", "r1"),
        (ROUTE, "s", "s1"),
    ]);
    let mut client = server.sotw("n1").await;
    client.subscribe(LISTENER, "", &[]).await;
    assert_eq!(client.accept(&[]).await, "a1 b1");
    client.subscribe(ROUTE, "", &["r"]).await;
    let (first, words) = client.next().await;
    assert_eq!(words, "r1");
    client.answer(&first, &["r"], None).await;
    client.subscribe(ROUTE, &first.nonce, &["r", "s"]).await;
    let (second, words) = client.next().await;
    assert_eq!(words, "r1 s1");
    // A request of before the second response: ignored, its refusal too.
    client.answer(&first, &["r"], error("late")).await;
    silent(&mut client.responses).await;
    client.answer(&second, &["r", "s"], None).await;
    server.set(&[
        (LISTENER, "b", "b1"),
        (ROUTE, "r", "r1"),
        (ROUTE, "s", "s1"),
    ]);
    assert_eq!(client.accept(&[]).await, "b1");
    let status = server.cache.status();
    assert!(status.streams[0].types[ROUTE].last_nack.is_none());
}
