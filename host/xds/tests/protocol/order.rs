//! The order of things: make before break, and warming. The words are those of Envoy's `xds_protocol.rst`.

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use prost::Message;

use crate::support::*;

/// A cluster whose endpoints come by EDS; `mark` makes it another.
fn eds_cluster(name: &str, mark: u32) -> Resource {
    let eds = cluster::cluster::DiscoveryType::Eds as i32;
    let cluster = cluster::Cluster {
        name: name.to_owned(),
        alt_stat_name: mark.to_string(),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(eds)),
        ..Default::default()
    };
    Resource::new(CLUSTER, name, cluster.encode_to_vec())
}

fn kinds(response: &str) -> &str {
    response.rsplit('.').next().unwrap_or_default()
}

/// What a new configuration leads away from: cluster `old` and the route to it, to `new`.
fn world(name: &str) -> Vec<Resource> {
    vec![
        eds_cluster(name, 0),
        Resource::new(ENDPOINT, name, format!("endpoints of {name}")),
        Resource::new(LISTENER, "l", format!("to {name}")),
        Resource::new(ROUTE, "r", format!("to {name}")),
    ]
}

/// "CDS updates (if any) must always be pushed first. EDS updates (if any) must arrive after CDS updates for the
/// respective clusters. LDS updates must arrive after corresponding CDS/EDS updates. RDS updates […] must arrive
/// after CDS/EDS/LDS updates. […] Stale CDS clusters and related EDS endpoints […] can then be removed."
#[tokio::test]
async fn delta_makes_before_it_breaks() {
    let server = Server::start().await;
    server.cache.set("eu", Snapshot::new(world("old")).unwrap());
    let mut client = server.delta("n1").await;
    // Asked for in another order than they are to come in.
    for (url, names) in [
        (CLUSTER, &[][..]),
        (ROUTE, &["r"]),
        (LISTENER, &[]),
        (ENDPOINT, &["old", "new"]),
    ] {
        client.subscribe(url, names).await;
        let (response, _) = next_of(&mut client).await;
        client.answer(&response, None).await;
    }
    server.cache.set("eu", Snapshot::new(world("new")).unwrap());
    let mut answers = Vec::new();
    for want in [
        "Cluster",
        "ClusterLoadAssignment",
        "Listener",
        "RouteConfiguration",
    ] {
        let (response, _) = next_of(&mut client).await;
        assert_eq!(kinds(&response.type_url), want);
        assert!(response.removed_resources.is_empty(), "{response:?}");
        answers.push(response);
    }
    // Nothing is taken away while anything is unanswered.
    let last = answers.pop().unwrap();
    for response in &answers {
        client.answer(response, None).await;
    }
    silent(&mut client.responses).await;
    client.answer(&last, None).await;
    for want in ["Cluster", "ClusterLoadAssignment"] {
        let (response, _) = next_of(&mut client).await;
        assert_eq!(kinds(&response.type_url), want);
        assert_eq!(response.removed_resources, ["old"]);
        client.answer(&response, None).await;
    }
}

async fn next_of(client: &mut Delta) -> (DeltaDiscoveryResponse, usize) {
    let response = next(&mut client.responses).await;
    let count = response.resources.len();
    (response, count)
}

/// The same in state of the world, where a cluster goes by not being in the next response.
#[tokio::test]
async fn sotw_makes_before_it_breaks() {
    let server = Server::start().await;
    server.cache.set("eu", Snapshot::new(world("old")).unwrap());
    let mut client = server.sotw("n1").await;
    let asked = [
        (CLUSTER, &[][..]),
        (ENDPOINT, &["old", "new"]),
        (LISTENER, &[]),
        (ROUTE, &["r"]),
    ];
    for (url, names) in asked {
        client.subscribe(url, "", names).await;
        let response = next(&mut client.responses).await;
        client.answer(&response, names, None).await;
    }
    server.cache.set("eu", Snapshot::new(world("new")).unwrap());
    let mut last = None;
    for (url, names) in asked {
        let response = next(&mut client.responses).await;
        assert_eq!(response.type_url, url);
        if url == CLUSTER {
            assert_eq!(response.resources.len(), 2, "the old one beside the new");
        }
        if url == ROUTE {
            last = Some(response);
        } else {
            client.answer(&response, names, None).await;
        }
    }
    silent(&mut client.responses).await;
    client.answer(&last.unwrap(), &["r"], None).await;
    let response = next(&mut client.responses).await;
    assert_eq!(
        (response.type_url.as_str(), response.resources.len()),
        (CLUSTER, 1)
    );
}

/// "Warming of Cluster is completed only when a new ClusterLoadAssignment response is supplied by management
/// server even though there is no change in endpoints."
#[tokio::test]
async fn endpoints_follow_a_cluster_that_changed() {
    let server = Server::start().await;
    let at = |mark| {
        Snapshot::new([
            eds_cluster("c", mark),
            Resource::new(ENDPOINT, "c", *b"endpoints"),
        ])
        .unwrap()
    };
    server.cache.set("eu", at(1));
    let mut delta = server.delta("n1").await;
    let mut sotw = server.sotw("n2").await;
    for (url, names) in [(CLUSTER, &[][..]), (ENDPOINT, &["c"])] {
        delta.subscribe(url, names).await;
        let response = next(&mut delta.responses).await;
        delta.answer(&response, None).await;
        sotw.subscribe(url, "", names).await;
        let response = next(&mut sotw.responses).await;
        sotw.answer(&response, names, None).await;
    }
    server.cache.set("eu", at(2));
    for (url, names) in [(CLUSTER, &[][..]), (ENDPOINT, &["c"])] {
        let response = next(&mut delta.responses).await;
        assert_eq!(
            (response.type_url.as_str(), response.resources.len()),
            (url, 1)
        );
        delta.answer(&response, None).await;
        let response = next(&mut sotw.responses).await;
        assert_eq!(
            (response.type_url.as_str(), response.resources.len()),
            (url, 1)
        );
        sotw.answer(&response, names, None).await;
    }
    silent(&mut delta.responses).await;
}

/// Of this server's own: a filter's configuration is replaced, never taken away, for a filter without one
/// would be no filter (envoyproxy/envoy#32823).
#[tokio::test]
async fn a_filters_configuration_is_never_taken_away() {
    let server = Server::start().await;
    server.set(&[(EXTENSION_CONFIG, "f", "f1"), (ROUTE, "r", "r1")]);
    let mut client = server.delta("n1").await;
    client.subscribe(EXTENSION_CONFIG, &["f"]).await;
    assert_eq!(client.accept().await, "f1");
    client.subscribe(ROUTE, &["r"]).await;
    assert_eq!(client.accept().await, "r1");
    server.set(&[]);
    assert_eq!(client.accept().await, "-r");
    silent(&mut client.responses).await;
    server.set(&[(EXTENSION_CONFIG, "f", "f2")]);
    assert_eq!(client.accept().await, "f2");
}
