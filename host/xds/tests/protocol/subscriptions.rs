//! What a client asks for: names, wildcards, and what it has already. The words are those of Envoy's
//! `xds_protocol.rst`.

use crate::support::*;

const THREE: [(&str, &str, &str); 3] = [
    (LISTENER, "a", "a1"),
    (LISTENER, "b", "b1"),
    (LISTENER, "c", "c1"),
];

fn changed(body: &str) -> [(&'static str, &'static str, &str); 3] {
    [
        (LISTENER, "a", body),
        (LISTENER, "b", body),
        (LISTENER, "c", body),
    ]
}

async fn unsubscribe(client: &mut Delta, url: &str, names: &[&str]) {
    client
        .send(DeltaDiscoveryRequest {
            type_url: url.to_owned(),
            resource_names_unsubscribe: strings(names),
            ..Default::default()
        })
        .await;
}

/// The example of the text: nothing, then `*` and a name, then the name, then nothing.
#[tokio::test]
async fn sotw_wildcards_end_when_names_are_named() {
    let server = Server::start().await;
    server.set(&THREE);
    let mut client = server.sotw("n1").await;
    client.subscribe(LISTENER, "", &[]).await;
    let (all, words) = client.next().await;
    assert_eq!(words, "a1 b1 c1", "nothing named: all");
    client.answer(&all, &["*", "a"], None).await;
    let (all, words) = client.next().await;
    assert_eq!(words, "a1 b1 c1", "`*` goes on, and `a` is newly requested");
    client.answer(&all, &["a"], None).await;
    let (one, words) = client.next().await;
    assert_eq!(words, "a1", "without `*` only what is named");
    client.answer(&one, &[], None).await;
    server.set(&changed("x"));
    silent(&mut client.responses).await;
    // And none is the same as the first request, but no wildcard any more.
    client.subscribe(LISTENER, &one.nonce, &[]).await;
    silent(&mut client.responses).await;
    client.subscribe(LISTENER, &one.nonce, &["*"]).await;
    assert_eq!(client.accept(&["*"]).await, "x x x");
}

/// The example of the text: nothing, then a name besides, then less `*`, then less the name.
#[tokio::test]
async fn delta_wildcards_end_when_they_are_unsubscribed() {
    let server = Server::start().await;
    server.set(&THREE);
    let mut client = server.delta("n1").await;
    client.subscribe(LISTENER, &[]).await;
    assert_eq!(client.accept().await, "a1 b1 c1");
    client.subscribe(LISTENER, &["a"]).await;
    assert_eq!(client.accept().await, "a1", "subscribed to: sent");
    server.set(&changed("x"));
    assert_eq!(client.accept().await, "x x x", "the wildcard goes on");
    unsubscribe(&mut client, LISTENER, &["*"]).await;
    server.set(&changed("y"));
    let words = client.accept().await;
    // Whichever came first at the server, the request or the snapshot.
    if words == "y y y" {
        server.set(&changed("z"));
        assert_eq!(client.accept().await, "z");
    } else {
        assert_eq!(words, "y");
    }
    unsubscribe(&mut client, LISTENER, &["a"]).await;
    subscribed(&server, LISTENER, Some(0)).await;
    server.set(&changed("w"));
    silent(&mut client.responses).await;
}

/// Waits until the server has seen so many names.
async fn subscribed(server: &Server, url: &str, names: Option<usize>) {
    let seen = async {
        let of = || server.cache.status().streams[0].types.get(url)?.subscribed;
        while of() != names {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("unseen");
}

/// "(Legacy behavior) the request must have no resources in both resource_names_subscribe and
/// resource_names_unsubscribe."
#[tokio::test]
async fn delta_a_first_request_that_only_unsubscribes_is_no_wildcard() {
    let server = Server::start().await;
    server.set(&THREE);
    let mut client = server.delta("n1").await;
    unsubscribe(&mut client, LISTENER, &["a"]).await;
    silent(&mut client.responses).await;
}

/// Wildcards are "for Listener and Cluster resource types".
#[tokio::test]
async fn other_types_have_no_wildcard() {
    let server = Server::start().await;
    server.set(&[(ROUTE, "r", "r1")]);
    let mut delta = server.delta("n1").await;
    delta.subscribe(ROUTE, &[]).await;
    delta.subscribe(ROUTE, &["*"]).await;
    silent(&mut delta.responses).await;
    let mut sotw = server.sotw("n1").await;
    sotw.subscribe(ROUTE, "", &[]).await;
    sotw.subscribe(ROUTE, "", &["*"]).await;
    silent(&mut sotw.responses).await;
}

/// "When a client has a wildcard subscription *and* a subscription to another specific resource name […] the
/// server must send a response that includes the specific resource."
#[tokio::test]
async fn delta_a_name_unsubscribed_under_a_wildcard_is_answered() {
    let server = Server::start().await;
    server.set(&THREE);
    let mut client = server.delta("n1").await;
    client.subscribe(LISTENER, &["*", "a", "none"]).await;
    assert_eq!(client.accept().await, "a1 b1 c1 -none");
    unsubscribe(&mut client, LISTENER, &["a"]).await;
    assert_eq!(client.accept().await, "a1", "it is in the wildcard");
    unsubscribe(&mut client, LISTENER, &["none"]).await;
    assert_eq!(client.accept().await, "-none", "it is not");
}

/// "A resource_names_unsubscribe field may contain superfluous resource names […]: the server can simply ignore
/// these"; and "a server does not need to send any response if a request does nothing except unsubscribe".
#[tokio::test]
async fn delta_unsubscribing_is_not_answered_and_may_be_superfluous() {
    let server = Server::start().await;
    server.set(&[(ROUTE, "r", "r1")]);
    let mut client = server.delta("n1").await;
    client.subscribe(ROUTE, &["r"]).await;
    client.accept().await;
    unsubscribe(&mut client, ROUTE, &["r", "never", "*"]).await;
    unsubscribe(&mut client, ROUTE, &["r"]).await;
    silent(&mut client.responses).await;
    client.subscribe(ROUTE, &["r"]).await;
    assert_eq!(client.accept().await, "r1");
}

/// "The server *must* still provide those resources in the response; […] the client may have \"forgotten\"
/// those"; once, though it is named twice: "clients should NACK responses that contain multiple instances of
/// the same resource name".
#[tokio::test]
async fn delta_what_is_subscribed_again_is_sent_again_once() {
    let server = Server::start().await;
    server.set(&[(ROUTE, "r", "r1"), (ROUTE, "s", "s1")]);
    let mut client = server.delta("n1").await;
    client.subscribe(ROUTE, &["r", "s", "r"]).await;
    assert_eq!(client.accept().await, "r1 s1");
    client.subscribe(ROUTE, &["r", "r"]).await;
    assert_eq!(client.accept().await, "r1");
}

/// "When a resource subscribed to by a client does not exist, the server will send a DeltaDiscoveryResponse
/// message that contains that resource's name in the removed_resources field"; "if one of those resources
/// springs into existence later, the server must send an update".
#[tokio::test]
async fn what_does_not_exist_yet_is_sent_when_it_does() {
    let server = Server::start().await;
    server.set(&[(ROUTE, "r", "r1")]);
    let mut delta = server.delta("n1").await;
    delta.subscribe(ROUTE, &["later"]).await;
    assert_eq!(delta.accept().await, "-later");
    let mut sotw = server.sotw("n2").await;
    sotw.subscribe(ROUTE, "", &["later"]).await;
    silent(&mut sotw.responses).await;
    server.set(&[(ROUTE, "r", "r1"), (ROUTE, "later", "l1")]);
    assert_eq!(delta.accept().await, "l1");
    assert_eq!(sotw.accept(&["later"]).await, "l1");
}

/// "The server must resend any newly requested resources, even if it previously sent those resources without
/// having been asked for them and the resources have not changed since that time."
#[tokio::test]
async fn sotw_what_is_newly_requested_is_sent_though_it_was_before() {
    let server = Server::start().await;
    server.set(&[(ROUTE, "r", "r1"), (ROUTE, "s", "s1")]);
    let mut client = server.sotw("n1").await;
    client.subscribe(ROUTE, "", &["r", "s"]).await;
    let (both, _) = client.next().await;
    client.answer(&both, &["r"], None).await;
    silent(&mut client.responses).await;
    client.subscribe(ROUTE, &both.nonce, &["r", "s"]).await;
    let (again, words) = client.next().await;
    assert!(words.contains("s1"), "{words}");
    // "If the list of resource names becomes empty, that means that the client is no longer interested".
    client.answer(&again, &[], None).await;
    server.set(&[(ROUTE, "r", "r2"), (ROUTE, "s", "s2")]);
    silent(&mut client.responses).await;
}

/// "The reconnecting client must provide the server with all resource names it is interested in", and tells
/// "its known resources to avoid resending them".
#[tokio::test]
async fn delta_what_a_client_brings_is_not_sent_again() {
    let server = Server::start().await;
    server.set(&[
        (ROUTE, "same", "s1"),
        (ROUTE, "new", "n1"),
        (ROUTE, "c", "c2"),
    ]);
    let version = |name: &str, body: &str| {
        let resource = Resource::new(ROUTE, name, body.as_bytes());
        (name.to_owned(), resource.version().to_owned())
    };
    let brought = [("same", "s1"), ("c", "c1"), ("gone", "g1"), ("left", "l1")];
    let mut client = server.delta("n1").await;
    client
        .send(DeltaDiscoveryRequest {
            type_url: ROUTE.to_owned(),
            // It does not ask for `left` any more.
            resource_names_subscribe: strings(&["same", "new", "c", "gone"]),
            initial_resource_versions: brought.map(|(name, body)| version(name, body)).into(),
            ..Default::default()
        })
        .await;
    assert_eq!(client.accept().await, "c2 n1 -gone");
    // It counts as accepted: all of the snapshot is proven.
    let good = async {
        while server.cache.last_good("eu").is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, good)
        .await
        .expect("unproven");
    // Versions that come later than the first request mean nothing.
    client
        .send(DeltaDiscoveryRequest {
            type_url: ROUTE.to_owned(),
            initial_resource_versions: [version("same", "s0")].into(),
            ..Default::default()
        })
        .await;
    silent(&mut client.responses).await;
}

/// "The server signals the client that a resource should be deleted via the removed_resources field"; in state
/// of the world "a response containing no resources means to delete all resources of that type", and of other
/// types "the API provides no mechanism".
#[tokio::test]
async fn what_is_gone_is_removed_as_the_variant_can() {
    let server = Server::start().await;
    server.set(&[
        (LISTENER, "a", "a1"),
        (LISTENER, "b", "b1"),
        (ROUTE, "r", "r1"),
    ]);
    let mut delta = server.delta("n1").await;
    let mut sotw = server.sotw("n2").await;
    delta.subscribe(LISTENER, &[]).await;
    assert_eq!(delta.accept().await, "a1 b1");
    delta.subscribe(ROUTE, &["r"]).await;
    assert_eq!(delta.accept().await, "r1");
    sotw.subscribe(LISTENER, "", &[]).await;
    assert_eq!(sotw.accept(&[]).await, "a1 b1");
    sotw.subscribe(ROUTE, "", &["r"]).await;
    assert_eq!(sotw.accept(&["r"]).await, "r1");
    server.set(&[(LISTENER, "a", "a1"), (ROUTE, "r", "r1")]);
    assert_eq!(delta.accept().await, "-b");
    assert_eq!(sotw.accept(&[]).await, "a1", "all of them that are left");
    server.settled().await;
    server.set(&[]);
    assert_eq!(delta.accept().await, "-a");
    assert_eq!(delta.accept().await, "-r");
    assert_eq!(sotw.accept(&[]).await, "", "none is left");
    silent(&mut sotw.responses).await;
}
