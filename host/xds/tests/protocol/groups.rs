//! Nodes that are moved from group to group while they are connected.

use std::sync::{Arc, RwLock, RwLockReadGuard};

use tokio_stream::StreamExt;
use xds::{Node, Regrouped, Removed};

use crate::support::*;

/// A server on which nodes of this list are in `canary`, those that it has with a minus nowhere, and
/// others in `eu`.
async fn canaries() -> (Server, Arc<RwLock<Vec<String>>>) {
    let list = Arc::new(RwLock::new(Vec::new()));
    let listed = Arc::clone(&list);
    let cache = Cache::new(move |node: &Node| {
        let list: RwLockReadGuard<'_, Vec<String>> = listed.read().unwrap();
        if list.contains(&format!("-{}", node.id)) {
            return None;
        }
        let canary = list.contains(&node.id);
        Some(if canary { "canary" } else { "eu" }.to_owned())
    });
    (Server::of(cache, Config::default()).await, list)
}

fn snapshot(resources: &[(&str, &str, &str)]) -> Snapshot {
    Snapshot::new(resources.iter().map(resource)).unwrap()
}

const STABLE: [(&str, &str, &str); 3] = [
    (CLUSTER, "c", "c1"),
    (LISTENER, "l", "stable"),
    (ROUTE, "r", "r1"),
];
const CANARY: [(&str, &str, &str); 3] = [
    (CLUSTER, "c", "c1"),
    (LISTENER, "l", "canary"),
    (ROUTE, "r", "r1"),
];

/// A client that has all of `STABLE`.
async fn settled(server: &Server, id: &str) -> Delta {
    let mut client = server.delta(id).await;
    for (url, names, want) in [
        (CLUSTER, &[][..], "c1"),
        (LISTENER, &[][..], "stable"),
        (ROUTE, &["r"][..], "r1"),
    ] {
        client.subscribe(url, names).await;
        assert_eq!(client.accept().await, want);
    }
    client
}

async fn good(server: &Server, group: &str, version: &str) {
    let wait = async {
        let is = |s: Arc<Snapshot>| s.version() == version;
        while !server.cache.last_good(group).is_some_and(is) {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{group} is not proven: {:#?}", server.cache.status()));
}

#[tokio::test]
async fn a_moved_node_is_sent_the_difference_on_the_same_stream() {
    let (server, list) = canaries().await;
    let mut events = server.cache.subscribe();
    server.cache.set("eu", snapshot(&STABLE));
    server.cache.set("canary", snapshot(&CANARY));
    let mut one = settled(&server, "n1").await;
    let mut two = settled(&server, "n2").await;
    good(&server, "eu", snapshot(&STABLE).version()).await;
    assert_eq!(server.cache.regroup(), Regrouped::default());

    list.write().unwrap().push("n1".to_owned());
    let moved = Regrouped {
        moved: 1,
        dismissed: 0,
    };
    assert_eq!(server.cache.regroup(), moved);
    let (from, to) = event(&mut events, |e| match e {
        Event::Moved { node, from, to } if node == "n1" => Some((from.clone(), to.clone())),
        _ => None,
    })
    .await;
    assert_eq!((from.as_str(), to.as_str()), ("eu", "canary"));
    assert!(server.cache.last_good("canary").is_none(), "not answered");
    assert_eq!(one.accept().await, "canary");
    // What it had already counts in the new group.
    good(&server, "canary", snapshot(&CANARY).version()).await;

    // And back.
    list.write().unwrap().clear();
    assert_eq!(server.cache.regroup(), moved);
    assert_eq!(one.accept().await, "stable");
    silent(&mut two.responses).await;
    let status = server.cache.status();
    assert_eq!(status.groups["eu"].streams, 2);
    assert_eq!(status.groups["canary"].streams, 0);
}

#[tokio::test]
async fn a_moved_node_is_sent_the_difference_in_state_of_the_world_too() {
    let (server, list) = canaries().await;
    server.cache.set("eu", snapshot(&STABLE));
    server.cache.set("canary", snapshot(&CANARY));
    let mut client = server.sotw("n1").await;
    client.subscribe(CLUSTER, "", &[]).await;
    assert_eq!(client.accept(&[]).await, "c1");
    client.subscribe(LISTENER, "", &[]).await;
    assert_eq!(client.accept(&[]).await, "stable");
    client.subscribe(ROUTE, "", &["r"]).await;
    assert_eq!(client.accept(&["r"]).await, "r1");
    good(&server, "eu", snapshot(&STABLE).version()).await;
    list.write().unwrap().push("n1".to_owned());
    server.cache.regroup();
    assert_eq!(client.accept(&[]).await, "canary");
    good(&server, "canary", snapshot(&CANARY).version()).await;
}

#[tokio::test]
async fn a_node_that_leaves_neither_blocks_nor_proves_its_old_group() {
    let (server, list) = canaries().await;
    server.cache.set("eu", snapshot(&STABLE));
    server.cache.set("canary", snapshot(&CANARY));
    let mut one = settled(&server, "n1").await;
    let mut two = settled(&server, "n2").await;
    good(&server, "eu", snapshot(&STABLE).version()).await;
    let next = [
        (CLUSTER, "c", "c1"),
        (LISTENER, "l", "next"),
        (ROUTE, "r", "r1"),
    ];
    server.cache.set("eu", snapshot(&next));
    let (asked, words) = one.next().await;
    assert_eq!(words, "next");
    let (other, words) = two.next().await;
    assert_eq!(words, "next");
    // It is moved before it answers: its answer comes when it is another group's.
    list.write().unwrap().push("n1".to_owned());
    assert_eq!(server.cache.regroup().moved, 1);
    one.answer(&asked, None).await;
    assert_eq!(one.accept().await, "canary");
    good(&server, "canary", snapshot(&CANARY).version()).await;
    let eu = server.cache.last_good("eu").unwrap();
    assert_eq!(eu.version(), snapshot(&STABLE).version(), "n2 said nothing");
    two.answer(&other, None).await;
    good(&server, "eu", snapshot(&next).version()).await;
}

#[tokio::test]
async fn a_refusal_of_what_was_sent_before_the_move_parks_it_in_the_old_group() {
    let (server, list) = canaries().await;
    let mut events = server.cache.subscribe();
    server.cache.set("eu", snapshot(&STABLE));
    server.cache.set("canary", snapshot(&STABLE));
    let mut one = settled(&server, "n1").await;
    let _two = settled(&server, "n2").await;
    good(&server, "eu", snapshot(&STABLE).version()).await;
    list.write().unwrap().push("n1".to_owned());
    server.cache.regroup();
    good(&server, "canary", snapshot(&STABLE).version()).await;
    server.cache.set("canary", snapshot(&CANARY));
    let (asked, words) = one.next().await;
    assert_eq!(words, "canary");
    list.write().unwrap().clear();
    server.cache.regroup();
    one.answer(&asked, error("no such filter")).await;
    let (group, reason) = event(&mut events, |e| match e {
        Event::Nacked { group, error, .. } => Some((group.clone(), error.clone())),
        _ => None,
    })
    .await;
    assert_eq!(
        (group.as_str(), reason.as_str()),
        ("canary", "no such filter")
    );
    assert_eq!(one.accept().await, "stable");
    let status = server.cache.status();
    assert!(status.groups["canary"].rolled_back);
    assert!(status.groups["eu"].parked.is_empty());
    assert_eq!(
        server.cache.set("canary", snapshot(&CANARY)),
        Offered::Parked
    );
}

#[tokio::test]
async fn a_node_that_no_group_wants_has_its_stream_ended() {
    let (server, list) = canaries().await;
    server.cache.set("eu", snapshot(&STABLE));
    let mut one = settled(&server, "n1").await;
    let _two = settled(&server, "n2").await;
    list.write().unwrap().push("-n1".to_owned());
    let done = server.cache.regroup();
    assert_eq!((done.moved, done.dismissed), (0, 1));
    let status = refusal(&mut one.responses).await;
    assert_eq!(status.code(), Code::PermissionDenied);
    // It is out of the group at once.
    assert_eq!(server.cache.status().groups["eu"].streams, 1);
    let mut again = server.delta("n1").await;
    again.subscribe(LISTENER, &[]).await;
    let status = refusal(&mut again.responses).await;
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_node_that_does_not_read_is_dismissed_all_the_same() {
    let (server, list) = canaries().await;
    let big = "x".repeat(1 << 20);
    server.cache.set("eu", snapshot(&[(LISTENER, "l", &big)]));
    let slow = server.delta("n1").await;
    let request = DeltaDiscoveryRequest {
        node: Some(node("n1")),
        type_url: LISTENER.to_owned(),
        resource_names_subscribe: strings(&["l"]),
        ..Default::default()
    };
    for _ in 0..16 {
        slow.requests.send(request.clone()).await.unwrap();
    }
    let gone = async {
        while server.cache.status().streams.is_empty() {
            tokio::task::yield_now().await;
        }
        list.write().unwrap().push("-n1".to_owned());
        assert_eq!(server.cache.regroup().dismissed, 1);
        while !server.cache.status().streams.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    drop(slow.responses.collect::<Vec<_>>().await);
}

#[tokio::test]
async fn a_group_is_removed_when_nobody_is_in_it() {
    let (server, list) = canaries().await;
    server.cache.set("eu", snapshot(&STABLE));
    server.cache.set("canary", snapshot(&STABLE));
    list.write().unwrap().push("n1".to_owned());
    let client = settled(&server, "n1").await;
    good(&server, "canary", snapshot(&STABLE).version()).await;
    assert_eq!(
        server.cache.remove("canary", true),
        Removed::InUse { streams: 1 }
    );
    list.write().unwrap().clear();
    server.cache.regroup();
    assert_eq!(server.cache.remove("canary", true), Removed::Retired);
    assert!(server.cache.served("canary").is_none());
    assert!(server.cache.last_good("canary").is_some());
    assert_eq!(server.cache.remove("canary", false), Removed::Gone);
    assert!(!server.cache.status().groups.contains_key("canary"));
    assert_eq!(server.cache.remove("canary", false), Removed::Gone);
    drop(client);
}
