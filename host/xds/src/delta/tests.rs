use envoy_types::pb::google::rpc;

use super::*;
use crate::resource::Resource;
use crate::type_url::{CLUSTER, ENDPOINT, EXTENSION_CONFIG, LISTENER, ROUTE};

fn snapshot(resources: &[(&str, &str, &str)]) -> Arc<Snapshot> {
    let resources = resources
        .iter()
        .map(|(url, name, body)| Resource::new(*url, *name, body.as_bytes()));
    Arc::new(Snapshot::new(resources).unwrap())
}

fn version(body: &str) -> String {
    Resource::new("t", "n", body.as_bytes())
        .version()
        .to_owned()
}

#[derive(Default)]
pub(super) struct Client {
    pub stream: Delta,
    nonces: Vec<(String, String)>,
}

/// A response in short: the type's last word, the bodies, the removed names after a minus.
fn short(response: &DeltaDiscoveryResponse) -> String {
    let kind = response.type_url.rsplit('.').next().unwrap().to_owned();
    let bodies = response
        .resources
        .iter()
        .map(|r| String::from_utf8_lossy(&r.resource.clone().unwrap().value).into_owned());
    let removed = response.removed_resources.iter().map(|n| format!("-{n}"));
    let words: Vec<String> = std::iter::once(kind).chain(bodies).chain(removed).collect();
    words.join(" ")
}

impl Client {
    pub fn poll(&mut self) -> Vec<String> {
        let turn = self.stream.poll();
        turn.responses
            .into_iter()
            .map(|outgoing| {
                let response: DeltaDiscoveryResponse = outgoing.response.decode();
                self.nonces
                    .push((response.type_url.clone(), response.nonce.clone()));
                short(&response)
            })
            .collect()
    }

    pub fn send(&mut self, request: DeltaDiscoveryRequest) -> Vec<String> {
        self.stream.on_request(request, 1000).unwrap();
        self.poll()
    }

    pub fn change(&mut self, url: &str, add: &[&str], remove: &[&str]) -> Vec<String> {
        self.send(DeltaDiscoveryRequest {
            type_url: url.to_owned(),
            resource_names_subscribe: add.iter().map(|&n| n.to_owned()).collect(),
            resource_names_unsubscribe: remove.iter().map(|&n| n.to_owned()).collect(),
            ..Default::default()
        })
    }

    pub fn bring(&mut self, url: &str, names: &[&str], versions: &[(&str, &str)]) -> Vec<String> {
        self.send(DeltaDiscoveryRequest {
            type_url: url.to_owned(),
            resource_names_subscribe: names.iter().map(|&n| n.to_owned()).collect(),
            initial_resource_versions: versions
                .iter()
                .map(|(name, body)| ((*name).to_owned(), version(body)))
                .collect(),
            ..Default::default()
        })
    }

    pub fn answer(&mut self, url: &str, error: Option<&str>) -> Vec<String> {
        let at = self.nonces.iter().position(|(u, _)| u == url).unwrap();
        let (_, nonce) = self.nonces.remove(at);
        self.send(DeltaDiscoveryRequest {
            type_url: url.to_owned(),
            response_nonce: nonce,
            error_detail: error.map(|message| rpc::Status {
                message: message.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    fn ack(&mut self, url: &str) -> Vec<String> {
        self.answer(url, None)
    }

    fn push(&mut self, resources: &[(&str, &str, &str)]) -> Vec<String> {
        self.stream.on_snapshot(snapshot(resources));
        self.poll()
    }
}

#[test]
fn a_wildcard_gets_all_then_only_changes_and_removals() {
    let mut client = Client::default();
    client.push(&[(LISTENER, "a", "a1"), (LISTENER, "b", "b1")]);
    assert_eq!(client.change(LISTENER, &[], &[]), ["Listener a1 b1"]);
    assert!(client.ack(LISTENER).is_empty());
    assert_eq!(
        client.push(&[(LISTENER, "a", "a2"), (LISTENER, "c", "c1")]),
        ["Listener a2 c1 -b"]
    );
    assert!(client.ack(LISTENER).is_empty());
    assert!(client.stream.is_settled());
}

#[test]
fn an_empty_wildcard_is_greeted_once() {
    let mut client = Client::default();
    client.push(&[(ROUTE, "r", "r1")]);
    assert_eq!(client.change(LISTENER, &[], &[]), ["Listener"]);
    assert!(client.ack(LISTENER).is_empty());
    assert!(client.push(&[(ROUTE, "r", "r2")]).is_empty());
}

#[test]
fn a_named_resource_or_its_absence_is_answered() {
    let mut client = Client::default();
    client.push(&[(ROUTE, "a", "a1")]);
    assert_eq!(
        client.change(ROUTE, &["a", "missing"], &[]),
        ["RouteConfiguration a1 -missing"]
    );
    client.ack(ROUTE);
    assert_eq!(
        client.push(&[(ROUTE, "a", "a1"), (ROUTE, "missing", "m1")]),
        ["RouteConfiguration m1"]
    );
}

#[test]
fn subscribing_again_sends_again() {
    let mut client = Client::default();
    client.push(&[(ENDPOINT, "e", "e1")]);
    client.change(ENDPOINT, &["e"], &[]);
    client.ack(ENDPOINT);
    assert_eq!(
        client.change(ENDPOINT, &["e"], &[]),
        ["ClusterLoadAssignment e1"]
    );
    client.ack(ENDPOINT);
    assert!(client.change(ENDPOINT, &[], &["e"]).is_empty());
    assert!(client.push(&[(ENDPOINT, "e", "e2")]).is_empty());
    assert_eq!(
        client.change(ENDPOINT, &["e"], &[]),
        ["ClusterLoadAssignment e2"]
    );
}

#[test]
fn subscriptions_count_even_with_a_stale_nonce() {
    let mut client = Client::default();
    client.push(&[(ROUTE, "a", "a1"), (ROUTE, "b", "b1")]);
    client.change(ROUTE, &["a"], &[]);
    let sent = client.send(DeltaDiscoveryRequest {
        type_url: ROUTE.to_owned(),
        response_nonce: "of another age".to_owned(),
        error_detail: Some(rpc::Status::default()),
        resource_names_subscribe: vec!["b".to_owned()],
        ..Default::default()
    });
    assert_eq!(sent, ["RouteConfiguration b1"]);
    assert!(
        !client.stream.is_settled(),
        "the stale NACK answered nothing"
    );
}

#[test]
fn what_the_client_brought_is_compared() {
    let mut client = Client::default();
    client.push(&[(CLUSTER, "same", "s1"), (CLUSTER, "changed", "c2")]);
    let sent = client.bring(
        CLUSTER,
        &[],
        &[("same", "s1"), ("changed", "c1"), ("gone", "g1")],
    );
    assert_eq!(sent, ["Cluster c2"], "removal waits for the rest");
    assert_eq!(client.ack(CLUSTER), ["Cluster -gone"]);

    let mut named = Client::default();
    named.push(&[(ROUTE, "same", "s1")]);
    assert_eq!(
        named.bring(ROUTE, &["same", "gone"], &[("same", "s1"), ("gone", "g1")]),
        ["RouteConfiguration -gone"]
    );
}

#[test]
fn what_the_client_brought_unchanged_counts_as_held() {
    let mut client = Client::default();
    client.push(&[(CLUSTER, "same", "s1")]);
    client
        .stream
        .on_request(
            DeltaDiscoveryRequest {
                type_url: CLUSTER.to_owned(),
                initial_resource_versions: [("same".to_owned(), version("s1"))].into(),
                ..Default::default()
            },
            10,
        )
        .unwrap();
    let turn = client.stream.poll();
    assert!(turn.responses.is_empty());
    assert!(
        matches!(&turn.answers[..], [Answer::Held { resources, .. }] if resources[0].name() == "same")
    );
}

#[test]
fn wildcard_and_names_together() {
    let mut client = Client::default();
    client.push(&[(CLUSTER, "a", "a1"), (CLUSTER, "b", "b1")]);
    client.change(CLUSTER, &[], &[]);
    client.ack(CLUSTER);
    assert_eq!(client.change(CLUSTER, &["a"], &[]), ["Cluster a1"]);
    client.ack(CLUSTER);
    assert_eq!(
        client.push(&[(CLUSTER, "a", "a1"), (CLUSTER, "b", "b2")]),
        ["Cluster b2"],
        "naming one adds to the wildcard"
    );
    client.ack(CLUSTER);
    assert_eq!(
        client.change(CLUSTER, &[], &["a"]),
        ["Cluster a1"],
        "still in the wildcard: said so"
    );
    client.ack(CLUSTER);
    client.change(CLUSTER, &["a"], &["*"]);
    client.ack(CLUSTER);
    assert!(
        client
            .push(&[(CLUSTER, "a", "a1"), (CLUSTER, "b", "b3")])
            .is_empty()
    );
    client.change(CLUSTER, &[], &["a"]);
    assert!(client.push(&[(CLUSTER, "a", "a2")]).is_empty());
    assert_eq!(client.change(CLUSTER, &["*"], &[]), ["Cluster a2"]);
}

#[test]
fn a_refused_version_is_parked_and_another_one_is_sent() {
    let mut client = Client::default();
    client.push(&[(LISTENER, "l", "l1"), (LISTENER, "m", "m1")]);
    client.change(LISTENER, &[], &[]);
    client.ack(LISTENER);
    assert_eq!(
        client.push(&[(LISTENER, "l", "bad"), (LISTENER, "m", "m1")]),
        ["Listener bad"]
    );
    assert!(client.answer(LISTENER, Some("no good")).is_empty());
    assert_eq!(
        client.push(&[(LISTENER, "l", "bad"), (LISTENER, "m", "m2")]),
        ["Listener m2"]
    );
    client.ack(LISTENER);
    assert_eq!(
        client.push(&[(LISTENER, "l", "l1"), (LISTENER, "m", "m2")]),
        ["Listener l1"],
        "what it has of l is unknown: the good one is sent again"
    );
}

#[test]
fn what_was_refused_with_a_bad_one_is_asked_of_without_it() {
    let mut client = Client::default();
    client.push(&[
        (LISTENER, "l", "bad"),
        (LISTENER, "m", "m1"),
        (LISTENER, "n", "worse"),
    ]);
    client.change(LISTENER, &[], &[]);
    let lacks = |client: &Client| client.stream.subscriptions().iter().any(|s| s.lacks);
    assert!(client.answer(LISTENER, Some("l is no good")).is_empty());
    assert!(lacks(&client));
    let mended = [
        (LISTENER, "l", "l1"),
        (LISTENER, "m", "m1"),
        (LISTENER, "n", "worse"),
    ];
    assert_eq!(client.push(&mended), ["Listener l1"]);
    assert_eq!(client.answer(LISTENER, None), ["Listener m1 worse"]);
    // Once: what is refused without it is at fault itself.
    assert!(client.answer(LISTENER, Some("n is no good")).is_empty());
    assert!(client.push(&mended).is_empty());
    let n1 = [mended[0], mended[1], (LISTENER, "n", "n1")];
    assert_eq!(client.push(&n1), ["Listener n1"]);
    assert_eq!(client.answer(LISTENER, None), ["Listener m1"]);
    assert!(client.answer(LISTENER, None).is_empty());
    assert!(!lacks(&client));
}

#[test]
fn a_refused_new_resource_is_taken_back() {
    let mut client = Client::default();
    client.push(&[(LISTENER, "l", "l1")]);
    client.change(LISTENER, &[], &[]);
    client.ack(LISTENER);
    client.push(&[(LISTENER, "l", "l1"), (LISTENER, "bad", "bad")]);
    client.answer(LISTENER, Some("no good"));
    assert_eq!(client.push(&[(LISTENER, "l", "l1")]), ["Listener -bad"]);
}

#[test]
fn a_filter_is_never_removed() {
    let mut client = Client::default();
    client.push(&[(EXTENSION_CONFIG, "f", "f1")]);
    assert_eq!(
        client.change(EXTENSION_CONFIG, &["f", "missing"], &[]),
        ["TypedExtensionConfig f1"]
    );
    client.ack(EXTENSION_CONFIG);
    assert!(client.push(&[]).is_empty());
    assert_eq!(
        client.push(&[(EXTENSION_CONFIG, "f", "f2")]),
        ["TypedExtensionConfig f2"]
    );
}

#[test]
fn what_is_referred_to_comes_first_and_clusters_go_last() {
    let mut client = Client::default();
    client.push(&[
        (CLUSTER, "old", "old1"),
        (ENDPOINT, "old", "e1"),
        (LISTENER, "l", "l1"),
        (ROUTE, "r", "to-old"),
    ]);
    for (url, names) in [
        (ROUTE, vec!["r"]),
        (LISTENER, vec![]),
        (ENDPOINT, vec!["old"]),
        (CLUSTER, vec![]),
    ] {
        client.change(url, &names, &[]);
        client.ack(url);
    }
    let first = client.push(&[
        (CLUSTER, "new", "new1"),
        (LISTENER, "l", "l2"),
        (ROUTE, "r", "to-new"),
    ]);
    assert_eq!(
        first,
        ["Cluster new1", "Listener l2", "RouteConfiguration to-new"]
    );
    assert!(client.ack(CLUSTER).is_empty());
    assert!(client.ack(LISTENER).is_empty());
    assert_eq!(
        client.ack(ROUTE),
        ["Cluster -old", "ClusterLoadAssignment -old"]
    );
}

#[test]
fn a_client_that_never_answers_is_cut_off() {
    let mut stream = Delta::default();
    stream.on_snapshot(snapshot(&[(ROUTE, "a", "a1")]));
    let again = || DeltaDiscoveryRequest {
        type_url: ROUTE.to_owned(),
        resource_names_subscribe: vec!["a".to_owned()],
        ..Default::default()
    };
    let error = (0..1000)
        .find_map(|_| {
            let result = stream.on_request(again(), 10);
            stream.poll();
            result.err()
        })
        .unwrap();
    assert!(matches!(error, ProtocolError::TooManyUnanswered { .. }));
}

#[test]
fn the_endpoints_of_a_changed_cluster_are_sent_again() {
    use envoy_types::pb::envoy::config::cluster::v3 as pb;
    use prost::Message;
    let cluster = |name: &str, alt: &str| {
        let message = pb::Cluster {
            name: name.to_owned(),
            alt_stat_name: alt.to_owned(),
            cluster_discovery_type: Some(pb::cluster::ClusterDiscoveryType::Type(
                pb::cluster::DiscoveryType::Eds as i32,
            )),
            ..Default::default()
        };
        Resource::new(CLUSTER, name, message.encode_to_vec())
    };
    let endpoints = |name: &str| Resource::new(ENDPOINT, name, name.as_bytes());
    let offer = |client: &mut Client, alt: &str| {
        let all = [
            cluster("a", alt),
            cluster("b", ""),
            endpoints("a"),
            endpoints("b"),
        ];
        client
            .stream
            .on_snapshot(Arc::new(Snapshot::new(all).unwrap()));
        client.poll()
    };
    let mut client = Client::default();
    offer(&mut client, "1");
    client.change(CLUSTER, &[], &[]);
    client.ack(CLUSTER);
    client.change(ENDPOINT, &["a", "b"], &[]);
    client.ack(ENDPOINT);
    let sent = offer(&mut client, "2");
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[1], "ClusterLoadAssignment a");
}

#[test]
fn a_filter_whose_code_is_being_fetched_is_sent_again() {
    use crate::fetching::tests::{ERROR, filter};
    let offer = |client: &mut Client, sha256: &str| {
        let snapshot = Snapshot::new([filter("masking", sha256, true)]).unwrap();
        client.stream.on_snapshot(Arc::new(snapshot));
        client.poll().len()
    };
    let mut client = Client::default();
    offer(&mut client, "1");
    assert_eq!(client.change(EXTENSION_CONFIG, &["masking"], &[]).len(), 1);
    // Not again of itself, and nothing is settled meanwhile; then again, and it is taken.
    assert!(client.answer(EXTENSION_CONFIG, Some(ERROR)).is_empty());
    assert!(client.stream.waiting().is_some() && !client.stream.is_settled());
    client.stream.again();
    assert_eq!(client.poll().len(), 1);
    client.ack(EXTENSION_CONFIG);
    assert!(client.stream.waiting().is_none() && client.stream.is_settled());
    // Another version does not wait.
    assert_eq!(offer(&mut client, "2"), 1);
    client.answer(EXTENSION_CONFIG, Some(ERROR));
    assert_eq!(offer(&mut client, "3"), 1);
    // In the end the refusal is believed.
    let mut sent = 1;
    while client.answer(EXTENSION_CONFIG, Some(ERROR)).is_empty()
        && client.stream.waiting().is_some()
    {
        client.stream.again();
        assert_eq!(client.poll().len(), 1);
        sent += 1;
    }
    assert_eq!(sent, 11);
    client.stream.again();
    assert!(client.poll().is_empty() && client.stream.is_settled());
}
