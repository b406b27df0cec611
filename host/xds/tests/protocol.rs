//! The protocol over loopback, by a raw gRPC client: both variants, against the protocol's text.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
};
use envoy_types::pb::google::rpc;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use xds::type_url::{CLUSTER, EXTENSION_CONFIG, LISTENER, ROUTE};
use xds::{Cache, Config, Event, Offered, Resource, Snapshot};

const PATIENCE: Duration = Duration::from_secs(10);

/// How long silence is listened to before it counts as such.
const SILENCE: Duration = Duration::from_millis(150);

struct Server {
    cache: Cache,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<Result<(), xds::ServeError>>,
}

impl Server {
    async fn start() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(config: Config) -> Self {
        let cache = Cache::new(|node| (node.cluster == "gateway").then(|| node.region.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(xds::run::serve(listener, cache.clone(), config, async {
            let _ = stopped.await;
        }));
        Self {
            cache,
            address,
            stop: Some(stop),
            served,
        }
    }

    fn set(&self, resources: &[(&str, &str, &str)]) -> Offered {
        let resources = resources
            .iter()
            .map(|(url, name, body)| Resource::new(*url, *name, body.as_bytes()));
        self.cache.set("eu", Snapshot::new(resources).unwrap())
    }

    async fn client(&self) -> AggregatedDiscoveryServiceClient<tonic::transport::Channel> {
        AggregatedDiscoveryServiceClient::connect(format!("http://{}", self.address))
            .await
            .unwrap()
    }

    async fn delta(&self, id: &str) -> Delta {
        let (requests, receiver) = mpsc::channel(16);
        let call = async {
            let mut client = self.client().await;
            client
                .delta_aggregated_resources(ReceiverStream::new(receiver))
                .await
        };
        Delta {
            responses: call.await.unwrap().into_inner(),
            requests,
            node: Some(node(id)),
        }
    }

    async fn sotw(&self, id: &str) -> Sotw {
        let (requests, receiver) = mpsc::channel(16);
        let mut client = self.client().await;
        let responses = client
            .stream_aggregated_resources(ReceiverStream::new(receiver))
            .await
            .unwrap()
            .into_inner();
        Sotw {
            responses,
            requests,
            node: Some(node(id)),
        }
    }
}

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        cluster: "gateway".to_owned(),
        locality: Some(Locality {
            region: "eu".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn error(message: &str) -> Option<rpc::Status> {
    Some(rpc::Status {
        message: message.to_owned(),
        ..Default::default()
    })
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

async fn next<T>(responses: &mut Streaming<T>) -> T {
    tokio::time::timeout(PATIENCE, responses.message())
        .await
        .expect("no response")
        .unwrap()
        .expect("the stream ended")
}

async fn refusal<T: std::fmt::Debug>(responses: &mut Streaming<T>) -> Status {
    tokio::time::timeout(PATIENCE, responses.message())
        .await
        .expect("no response")
        .unwrap_err()
}

async fn silent<T: std::fmt::Debug>(responses: &mut Streaming<T>) {
    let said = tokio::time::timeout(SILENCE, responses.message()).await;
    assert!(said.is_err(), "{said:?}");
}

async fn event<T>(
    events: &mut broadcast::Receiver<Event>,
    mut pick: impl FnMut(&Event) -> Option<T>,
) -> T {
    tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(picked) = pick(&events.recv().await.unwrap()) {
                return picked;
            }
        }
    })
    .await
    .expect("no such event")
}

struct Delta {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    node: Option<Node>,
}

impl Delta {
    async fn send(&mut self, request: DeltaDiscoveryRequest) {
        let node = self.node.take();
        self.requests
            .send(DeltaDiscoveryRequest { node, ..request })
            .await
            .unwrap();
    }

    async fn subscribe(&mut self, url: &str, names: &[&str]) {
        self.send(DeltaDiscoveryRequest {
            type_url: url.to_owned(),
            resource_names_subscribe: strings(names),
            ..Default::default()
        })
        .await;
    }

    async fn answer(&mut self, to: &DeltaDiscoveryResponse, error: Option<rpc::Status>) {
        self.send(DeltaDiscoveryRequest {
            type_url: to.type_url.clone(),
            response_nonce: to.nonce.clone(),
            error_detail: error,
            ..Default::default()
        })
        .await;
    }

    /// The next response: the bodies in it, and the names it removes after a minus.
    async fn next(&mut self) -> (DeltaDiscoveryResponse, String) {
        let response = next(&mut self.responses).await;
        let bodies = response
            .resources
            .iter()
            .map(|r| String::from_utf8(r.resource.clone().unwrap().value).unwrap());
        let removed = response
            .removed_resources
            .iter()
            .map(|name| format!("-{name}"));
        let words: Vec<String> = bodies.chain(removed).collect();
        let words = words.join(" ");
        (response, words)
    }

    async fn accept(&mut self) -> String {
        let (response, words) = self.next().await;
        self.answer(&response, None).await;
        words
    }

    async fn refuse(&mut self, reason: &str) -> String {
        let (response, words) = self.next().await;
        self.answer(&response, error(reason)).await;
        words
    }
}

struct Sotw {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
    node: Option<Node>,
}

impl Sotw {
    async fn send(&mut self, request: DiscoveryRequest) {
        let node = self.node.take();
        self.requests
            .send(DiscoveryRequest { node, ..request })
            .await
            .unwrap();
    }

    async fn subscribe(&mut self, url: &str, nonce: &str, names: &[&str]) {
        self.send(DiscoveryRequest {
            type_url: url.to_owned(),
            response_nonce: nonce.to_owned(),
            resource_names: strings(names),
            ..Default::default()
        })
        .await;
    }

    async fn answer(&mut self, to: &DiscoveryResponse, names: &[&str], error: Option<rpc::Status>) {
        self.send(DiscoveryRequest {
            type_url: to.type_url.clone(),
            version_info: to.version_info.clone(),
            response_nonce: to.nonce.clone(),
            resource_names: strings(names),
            error_detail: error,
            ..Default::default()
        })
        .await;
    }

    async fn next(&mut self) -> (DiscoveryResponse, String) {
        let response = next(&mut self.responses).await;
        let words: Vec<String> = response
            .resources
            .iter()
            .map(|any| String::from_utf8(any.value.clone()).unwrap())
            .collect();
        (response, words.join(" "))
    }

    async fn accept(&mut self, names: &[&str]) -> String {
        let (response, words) = self.next().await;
        self.answer(&response, names, None).await;
        words
    }
}

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

#[tokio::test]
async fn delta_refusal_rolls_back_and_parks_for_all() {
    let server = Server::start().await;
    let mut events = server.cache.subscribe();
    let good = [(LISTENER, "l", "good"), (EXTENSION_CONFIG, "f", "f1")];
    let bad = [(LISTENER, "l", "good"), (EXTENSION_CONFIG, "f", "bad")];
    server.set(&good);
    let mut clients = [server.delta("n1").await, server.delta("n2").await];
    for client in &mut clients {
        client.subscribe(LISTENER, &["*"]).await;
        assert_eq!(client.accept().await, "good");
        client.subscribe(EXTENSION_CONFIG, &["f"]).await;
        assert_eq!(client.accept().await, "f1");
    }
    event(&mut events, |e| {
        matches!(e, Event::Proven { .. }).then_some(())
    })
    .await;

    server.set(&bad);
    let [one, two] = &mut clients;
    assert_eq!(one.accept().await, "bad", "this one does not mind");
    event(&mut events, |e| {
        matches!(e, Event::Acked { node, .. } if node == "n1").then_some(())
    })
    .await;
    assert_eq!(two.refuse("no such module").await, "bad");
    let (from, to, reason) = event(&mut events, |e| match e {
        Event::RolledBack {
            from, to, error, ..
        } => Some((from.clone(), to.clone(), error.clone())),
        _ => None,
    })
    .await;
    assert_ne!(from, to);
    assert_eq!(reason, "no such module");
    for client in [one, two] {
        assert_eq!(client.accept().await, "f1", "the good one is served again");
    }

    // A node that comes later gets the good one; the bad one is not tried again.
    let mut later = server.delta("n3").await;
    later.subscribe(EXTENSION_CONFIG, &["f"]).await;
    assert_eq!(later.accept().await, "f1");
    assert_eq!(server.set(&bad), Offered::Parked);
    silent(&mut later.responses).await;

    let status = serde_json::to_value(server.cache.status()).unwrap();
    let group = &status["groups"]["eu"];
    assert_eq!(group["rolled_back"], true);
    assert_eq!(group["parked"][0]["node"], "n2");
    assert_eq!(group["parked"][0]["error"], "no such module");
    let refused = &status["streams"][1]["types"][EXTENSION_CONFIG];
    assert_eq!(refused["last_nack"]["error"], "no such module");
    assert_eq!(refused["last_nack"]["resources"][0], "f");

    // Something else in its place is.
    assert_eq!(
        server.set(&[(LISTENER, "l", "good"), (EXTENSION_CONFIG, "f", "f3")]),
        Offered::Serving
    );
    assert_eq!(later.accept().await, "f3");
}

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

#[tokio::test]
async fn sotw_refusal_rolls_back() {
    let server = Server::start().await;
    let mut events = server.cache.subscribe();
    server.set(&[(CLUSTER, "c", "c1"), (LISTENER, "l", "good")]);
    let mut client = server.sotw("n1").await;
    client.subscribe(CLUSTER, "", &[]).await;
    client.accept(&[]).await;
    client.subscribe(LISTENER, "", &[]).await;
    client.accept(&[]).await;
    event(&mut events, |e| {
        matches!(e, Event::Proven { .. }).then_some(())
    })
    .await;

    server.set(&[(CLUSTER, "c", "c2"), (LISTENER, "l", "bad")]);
    assert_eq!(client.accept(&[]).await, "c2", "clusters come first");
    let (response, words) = client.next().await;
    assert_eq!(words, "bad");
    client.answer(&response, &[], error("bad listener")).await;
    assert_eq!(
        client.accept(&[]).await,
        "c1",
        "the snapshot goes back whole"
    );
    assert_eq!(client.accept(&[]).await, "good");
    silent(&mut client.responses).await;
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_delays_nobody() {
    let server = Server::start().await;
    let big = "x".repeat(1 << 20);
    server.set(&[(LISTENER, "l", &big)]);
    let mut slow = server.delta("slow").await;
    for _ in 0..100 {
        slow.subscribe(LISTENER, &["l"]).await;
    }
    let mut quick = server.delta("quick").await;
    quick.subscribe(LISTENER, &[]).await;
    quick.accept().await;
    for round in 0..20 {
        let body = format!("{round}");
        server.set(&[(LISTENER, "l", &body)]);
        assert_eq!(quick.accept().await, body);
    }
    // The slow one finds the newest when it reads again.
    let newest = async {
        loop {
            let (response, words) = slow.next().await;
            slow.answer(&response, None).await;
            if words == "19" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, newest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams() {
    const STREAMS: usize = 1_000;
    let server = Server::start().await;
    let mut events = server.cache.subscribe();
    server.set(&[(LISTENER, "l", "0")]);
    let mut clients = Vec::new();
    for connection in 0..10 {
        let mut channel = server.client().await;
        for stream in 0..STREAMS / 10 {
            let (requests, receiver) = mpsc::channel(16);
            requests
                .send(DeltaDiscoveryRequest {
                    node: Some(node(&format!("n{connection}-{stream}"))),
                    type_url: LISTENER.to_owned(),
                    ..Default::default()
                })
                .await
                .unwrap();
            let responses = channel
                .delta_aggregated_resources(ReceiverStream::new(receiver))
                .await
                .unwrap()
                .into_inner();
            clients.push(Delta {
                requests,
                responses,
                node: None,
            });
        }
    }
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                while client.accept().await != "1" {}
                client
            })
        })
        .collect();
    let mut connected = 0;
    while connected < STREAMS {
        connected = server.cache.status().streams.len();
        tokio::task::yield_now().await;
    }
    let version = {
        server.set(&[(LISTENER, "l", "1")]);
        server.cache.served("eu").unwrap().version().to_owned()
    };
    let mut kept = Vec::new();
    for task in tasks {
        kept.push(task.await.unwrap());
    }
    let proven = async {
        while server
            .cache
            .last_good("eu")
            .is_none_or(|s| s.version() != version)
        {
            let _ = events.recv().await;
        }
    };
    tokio::time::timeout(PATIENCE, proven)
        .await
        .expect("not all have it");
}
