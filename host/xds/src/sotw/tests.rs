use envoy_types::pb::google::rpc;

use super::*;
use crate::type_url::{CLUSTER, ENDPOINT, EXTENSION_CONFIG, LISTENER, ROUTE};

fn snapshot(resources: &[(&str, &str, &str)]) -> Arc<Snapshot> {
    let resources = resources
        .iter()
        .map(|(url, name, body)| Resource::new(*url, *name, body.as_bytes()));
    Arc::new(Snapshot::new(resources).unwrap())
}

struct Client {
    stream: Sotw,
    nonces: BTreeMap<String, String>,
}

/// A response in short: the type's last word, and the bodies.
fn short(response: &DiscoveryResponse) -> String {
    let kind = response.type_url.rsplit('.').next().unwrap();
    let bodies: Vec<String> = response
        .resources
        .iter()
        .map(|any| String::from_utf8_lossy(&any.value).into_owned())
        .collect();
    format!("{kind} {}", bodies.join(" ")).trim_end().to_owned()
}

impl Client {
    fn new() -> Self {
        Self {
            stream: Sotw::default(),
            nonces: BTreeMap::new(),
        }
    }

    fn poll(&mut self) -> Vec<String> {
        self.stream
            .poll()
            .responses
            .into_iter()
            .map(|outgoing| {
                let response: DiscoveryResponse = outgoing.response.decode();
                self.nonces
                    .insert(response.type_url.clone(), response.nonce.clone());
                short(&response)
            })
            .collect()
    }

    fn request(
        &mut self,
        url: &str,
        nonce: &str,
        names: &[&str],
        error: Option<&str>,
    ) -> Vec<Answer> {
        self.stream
            .on_request(
                DiscoveryRequest {
                    type_url: url.to_owned(),
                    response_nonce: nonce.to_owned(),
                    resource_names: names.iter().map(|&n| n.to_owned()).collect(),
                    error_detail: error.map(|message| rpc::Status {
                        message: message.to_owned(),
                        ..Default::default()
                    }),
                    ..Default::default()
                },
                1000,
            )
            .unwrap()
    }

    fn subscribe(&mut self, url: &str, names: &[&str]) -> Vec<String> {
        let nonce = self.nonces.get(url).cloned().unwrap_or_default();
        self.request(url, &nonce, names, None);
        self.poll()
    }

    fn ack(&mut self, url: &str, names: &[&str]) -> Vec<String> {
        let nonce = self.nonces[url].clone();
        let answers = self.request(url, &nonce, names, None);
        assert!(matches!(answers[..], [Answer::Acked { .. }]), "{answers:?}");
        self.poll()
    }

    fn nack(&mut self, url: &str, names: &[&str]) -> Vec<String> {
        let nonce = self.nonces[url].clone();
        let answers = self.request(url, &nonce, names, Some("no good"));
        assert!(
            matches!(answers[..], [Answer::Nacked { .. }]),
            "{answers:?}"
        );
        self.poll()
    }

    fn push(&mut self, resources: &[(&str, &str, &str)]) -> Vec<String> {
        self.stream.on_snapshot(snapshot(resources));
        self.poll()
    }
}

#[test]
fn nothing_is_sent_before_there_is_a_snapshot() {
    let mut client = Client::new();
    assert!(client.subscribe(LISTENER, &[]).is_empty());
    assert_eq!(client.push(&[(LISTENER, "l", "l1")]), ["Listener l1"]);
}

#[test]
fn listeners_come_whole_and_only_when_they_change() {
    let mut client = Client::new();
    client.push(&[(LISTENER, "a", "a1"), (LISTENER, "b", "b1")]);
    assert_eq!(client.subscribe(LISTENER, &[]), ["Listener a1 b1"]);
    assert!(client.ack(LISTENER, &[]).is_empty());
    assert!(client.stream.is_settled());
    let unrelated = [
        (LISTENER, "a", "a1"),
        (LISTENER, "b", "b1"),
        (ROUTE, "r", "r1"),
    ];
    assert!(client.push(&unrelated).is_empty());
    assert_eq!(
        client.push(&[(LISTENER, "a", "a2"), (LISTENER, "b", "b1")]),
        ["Listener a2 b1"]
    );
    client.ack(LISTENER, &[]);
    assert_eq!(client.push(&[(LISTENER, "b", "b1")]), ["Listener b1"]);
    client.ack(LISTENER, &[]);
    assert_eq!(client.push(&[]), ["Listener"], "no listener is an answer");
}

#[test]
fn routes_come_by_name_and_are_never_removed() {
    let mut client = Client::new();
    client.push(&[(ROUTE, "a", "a1"), (ROUTE, "b", "b1"), (ROUTE, "c", "c1")]);
    assert!(client.subscribe(ROUTE, &[]).is_empty(), "no wildcard here");
    assert_eq!(
        client.subscribe(ROUTE, &["a", "missing"]),
        ["RouteConfiguration a1"]
    );
    assert!(client.ack(ROUTE, &["a", "missing"]).is_empty());
    assert!(client.push(&[(ROUTE, "b", "b2")]).is_empty());
    let springs_up = client.push(&[(ROUTE, "a", "a1"), (ROUTE, "missing", "m1")]);
    assert_eq!(springs_up, ["RouteConfiguration a1 m1"]);
}

#[test]
fn a_new_name_is_owed_even_if_it_was_sent_before() {
    let mut client = Client::new();
    client.push(&[(ROUTE, "a", "a1"), (ROUTE, "b", "b1")]);
    client.subscribe(ROUTE, &["a", "b"]);
    client.ack(ROUTE, &["a", "b"]);
    assert!(client.subscribe(ROUTE, &["a"]).is_empty());
    assert_eq!(
        client.subscribe(ROUTE, &["a", "b"]),
        ["RouteConfiguration a1 b1"]
    );
}

#[test]
fn a_repeated_request_is_answered_again() {
    let mut client = Client::new();
    client.push(&[(ENDPOINT, "e", "e1")]);
    client.subscribe(ENDPOINT, &["e"]);
    assert!(client.ack(ENDPOINT, &["e"]).is_empty());
    assert_eq!(
        client.subscribe(ENDPOINT, &["e"]),
        ["ClusterLoadAssignment e1"]
    );
}

#[test]
fn a_stale_nonce_is_ignored_whole() {
    let mut client = Client::new();
    client.push(&[(ROUTE, "a", "a1"), (ROUTE, "b", "b1")]);
    client.subscribe(ROUTE, &["a"]);
    let old = client.nonces[ROUTE].clone();
    client.ack(ROUTE, &["a"]);
    client.push(&[(ROUTE, "a", "a2"), (ROUTE, "b", "b1")]);
    assert!(
        client
            .request(ROUTE, &old, &["a", "b"], Some("old"))
            .is_empty()
    );
    assert!(client.poll().is_empty());
    assert!(!client.stream.is_settled(), "the new response still waits");
    assert_eq!(client.ack(ROUTE, &["a", "b"]), ["RouteConfiguration a2 b1"]);
}

#[test]
fn a_refused_version_is_not_sent_again_until_it_changes() {
    let mut client = Client::new();
    client.push(&[(LISTENER, "l", "l1")]);
    client.subscribe(LISTENER, &[]);
    client.ack(LISTENER, &[]);
    assert_eq!(client.push(&[(LISTENER, "l", "bad")]), ["Listener bad"]);
    assert!(client.nack(LISTENER, &[]).is_empty());
    assert!(
        client
            .push(&[(LISTENER, "l", "bad"), (ROUTE, "r", "r")])
            .is_empty()
    );
    assert_eq!(client.push(&[(LISTENER, "l", "l1")]), ["Listener l1"]);
}

#[test]
fn the_error_alone_makes_a_nack() {
    let mut client = Client::new();
    client.push(&[(LISTENER, "l", "l1")]);
    client.subscribe(LISTENER, &[]);
    let nonce = client.nonces[LISTENER].clone();
    // The version is an old one, as it is when a new name of an unchanged type is refused.
    let answers = client.request(LISTENER, &nonce, &[], None);
    assert!(matches!(answers[..], [Answer::Acked { .. }]));
}

#[test]
fn explicit_and_legacy_wildcards() {
    let mut client = Client::new();
    client.push(&[(CLUSTER, "a", "a1"), (CLUSTER, "b", "b1")]);
    assert_eq!(client.subscribe(CLUSTER, &[]), ["Cluster a1 b1"]);
    client.ack(CLUSTER, &[]);
    assert_eq!(client.subscribe(CLUSTER, &["*", "a"]), ["Cluster a1 b1"]);
    client.ack(CLUSTER, &["*", "a"]);
    assert_eq!(client.subscribe(CLUSTER, &["a"]), ["Cluster a1"]);
    client.ack(CLUSTER, &["a"]);
    assert!(client.subscribe(CLUSTER, &[]).is_empty(), "none, not all");
    assert!(client.push(&[(CLUSTER, "a", "a2")]).is_empty());
}

#[test]
fn what_is_referred_to_comes_first_and_clusters_go_last() {
    let mut client = Client::new();
    client.push(&[
        (CLUSTER, "old", "old1"),
        (LISTENER, "l", "l1"),
        (ROUTE, "r", "to-old"),
        (EXTENSION_CONFIG, "f", "f1"),
    ]);
    for (url, names) in [
        (EXTENSION_CONFIG, vec!["f"]),
        (ROUTE, vec!["r"]),
        (LISTENER, vec![]),
        (CLUSTER, vec![]),
    ] {
        client.subscribe(url, &names);
        client.ack(url, &names);
    }
    let first = client.push(&[
        (CLUSTER, "new", "new1"),
        (LISTENER, "l", "l2"),
        (ROUTE, "r", "to-new"),
        (EXTENSION_CONFIG, "f", "f2"),
    ]);
    assert_eq!(
        first,
        [
            "Cluster new1 old1",
            "Listener l2",
            "RouteConfiguration to-new",
            "TypedExtensionConfig f2"
        ]
    );
    assert!(client.ack(CLUSTER, &[]).is_empty());
    assert!(client.ack(LISTENER, &[]).is_empty());
    assert!(client.ack(EXTENSION_CONFIG, &["f"]).is_empty());
    assert_eq!(client.ack(ROUTE, &["r"]), ["Cluster new1"]);
    client.ack(CLUSTER, &[]);
    assert!(client.stream.is_settled());
}

#[test]
fn a_refused_cluster_does_not_come_back_as_a_retiring_one() {
    let mut client = Client::new();
    client.push(&[(CLUSTER, "a", "a1")]);
    client.subscribe(CLUSTER, &[]);
    client.ack(CLUSTER, &[]);
    client.push(&[(CLUSTER, "a", "a1"), (CLUSTER, "bad", "bad")]);
    client.nack(CLUSTER, &[]);
    assert_eq!(client.push(&[(CLUSTER, "a", "a1")]), ["Cluster a1"]);
}

#[test]
fn the_latest_snapshot_wins_while_an_answer_is_awaited() {
    let mut client = Client::new();
    client.push(&[(LISTENER, "l", "l1")]);
    client.subscribe(LISTENER, &[]);
    assert!(client.push(&[(LISTENER, "l", "l2")]).is_empty());
    assert!(client.push(&[(LISTENER, "l", "l3")]).is_empty());
    assert_eq!(client.ack(LISTENER, &[]), ["Listener l3"]);
}

#[test]
fn malformed_requests_are_refused() {
    let mut stream = Sotw::default();
    let no_type = DiscoveryRequest::default();
    assert_eq!(stream.on_request(no_type, 10), Err(ProtocolError::NoType));
    let greedy = DiscoveryRequest {
        type_url: ROUTE.to_owned(),
        resource_names: (0..20).map(|n| n.to_string()).collect(),
        ..Default::default()
    };
    assert_eq!(
        stream.on_request(greedy, 10),
        Err(ProtocolError::TooManyNames { limit: 10 })
    );
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
    let mut client = Client::new();
    offer(&mut client, "1");
    client.subscribe(CLUSTER, &[]);
    client.ack(CLUSTER, &[]);
    client.subscribe(ENDPOINT, &["a", "b"]);
    client.ack(ENDPOINT, &["a", "b"]);
    let sent = offer(&mut client, "2");
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[1], "ClusterLoadAssignment a b");
}

#[test]
fn a_filter_whose_code_is_being_fetched_is_sent_again() {
    use crate::fetching::tests::{ERROR, filter};
    let offer = |client: &mut Client, sha256: &str| {
        let snapshot = Snapshot::new([filter("masking", sha256, true)]).unwrap();
        client.stream.on_snapshot(Arc::new(snapshot));
        client.poll().len()
    };
    let nack = |client: &mut Client| {
        let nonce = client.nonces[EXTENSION_CONFIG].clone();
        let answers = client.request(EXTENSION_CONFIG, &nonce, &["masking"], Some(ERROR));
        assert!(client.poll().is_empty());
        matches!(answers[..], [Answer::Nacked { .. }])
    };
    let mut client = Client::new();
    offer(&mut client, "1");
    assert_eq!(client.subscribe(EXTENSION_CONFIG, &["masking"]).len(), 1);
    assert!(!nack(&mut client));
    assert!(client.stream.waiting().is_some() && !client.stream.is_settled());
    client.stream.again();
    assert_eq!(client.poll().len(), 1);
    client.ack(EXTENSION_CONFIG, &["masking"]);
    assert!(client.stream.waiting().is_none() && client.stream.is_settled());
    assert_eq!(offer(&mut client, "2"), 1);
    let mut sent = 1;
    while !nack(&mut client) {
        client.stream.again();
        assert_eq!(client.poll().len(), 1);
        sent += 1;
    }
    assert_eq!(sent, 11);
    client.stream.again();
    assert!(client.poll().is_empty() && client.stream.is_settled());
}
