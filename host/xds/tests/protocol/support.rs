//! A server with a cache, and raw gRPC clients of both variants.

use std::net::SocketAddr;
use std::time::Duration;

pub use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
pub use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
};
pub use envoy_types::pb::google::rpc;
use tokio::net::TcpListener;
pub use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
pub use tonic::{Code, Status, Streaming};
pub use xds::type_url::{CLUSTER, ENDPOINT, EXTENSION_CONFIG, LISTENER, ROUTE};
pub use xds::{Cache, Config, Event, Offered, Resource, Snapshot};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long silence is listened to before it counts as such.
pub const SILENCE: Duration = Duration::from_millis(150);

pub struct Server {
    pub cache: Cache,
    pub address: SocketAddr,
    pub stop: Option<oneshot::Sender<()>>,
    pub served: tokio::task::JoinHandle<Result<(), xds::ServeError>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        let cache = Cache::new(|node| (node.cluster == "gateway").then(|| node.region.clone()));
        Self::of(cache, config).await
    }

    pub async fn of(cache: Cache, config: Config) -> Self {
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

    /// Waits until all streams have answered all that they are to have.
    pub async fn settled(&self) {
        let all = async {
            while !self.cache.status().streams.iter().all(|s| s.settled) {
                tokio::task::yield_now().await;
            }
        };
        let settled = tokio::time::timeout(PATIENCE, all).await;
        settled.unwrap_or_else(|_| panic!("{:#?}", self.cache.status()));
    }

    pub fn set(&self, resources: &[(&str, &str, &str)]) -> Offered {
        let resources = resources.iter().map(resource);
        self.cache.set("eu", Snapshot::new(resources).unwrap())
    }

    pub async fn client(&self) -> AggregatedDiscoveryServiceClient<tonic::transport::Channel> {
        AggregatedDiscoveryServiceClient::connect(format!("http://{}", self.address))
            .await
            .unwrap()
    }

    pub async fn delta(&self, id: &str) -> Delta {
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

    pub async fn sotw(&self, id: &str) -> Sotw {
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

/// A resource whose body is text.
pub fn resource((url, name, body): &(&str, &str, &str)) -> Resource {
    Resource::new(*url, *name, body.as_bytes())
}

pub fn node(id: &str) -> Node {
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

pub fn error(message: &str) -> Option<rpc::Status> {
    Some(rpc::Status {
        message: message.to_owned(),
        ..Default::default()
    })
}

pub fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

pub async fn next<T>(responses: &mut Streaming<T>) -> T {
    tokio::time::timeout(PATIENCE, responses.message())
        .await
        .expect("no response")
        .unwrap()
        .expect("the stream ended")
}

pub async fn refusal<T: std::fmt::Debug>(responses: &mut Streaming<T>) -> Status {
    tokio::time::timeout(PATIENCE, responses.message())
        .await
        .expect("no response")
        .unwrap_err()
}

pub async fn silent<T: std::fmt::Debug>(responses: &mut Streaming<T>) {
    let said = tokio::time::timeout(SILENCE, responses.message()).await;
    assert!(said.is_err(), "{said:?}");
}

pub async fn event<T>(
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

pub struct Delta {
    pub requests: mpsc::Sender<DeltaDiscoveryRequest>,
    pub responses: Streaming<DeltaDiscoveryResponse>,
    pub node: Option<Node>,
}

impl Delta {
    pub async fn send(&mut self, request: DeltaDiscoveryRequest) {
        let node = self.node.take();
        self.requests
            .send(DeltaDiscoveryRequest { node, ..request })
            .await
            .unwrap();
    }

    pub async fn subscribe(&mut self, url: &str, names: &[&str]) {
        self.send(DeltaDiscoveryRequest {
            type_url: url.to_owned(),
            resource_names_subscribe: strings(names),
            ..Default::default()
        })
        .await;
    }

    pub async fn answer(&mut self, to: &DeltaDiscoveryResponse, error: Option<rpc::Status>) {
        self.send(DeltaDiscoveryRequest {
            type_url: to.type_url.clone(),
            response_nonce: to.nonce.clone(),
            error_detail: error,
            ..Default::default()
        })
        .await;
    }

    /// The next response: the bodies in it, and the names it removes after a minus.
    pub async fn next(&mut self) -> (DeltaDiscoveryResponse, String) {
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

    pub async fn accept(&mut self) -> String {
        let (response, words) = self.next().await;
        self.answer(&response, None).await;
        words
    }

    pub async fn refuse(&mut self, reason: &str) -> String {
        let (response, words) = self.next().await;
        self.answer(&response, error(reason)).await;
        words
    }
}

pub struct Sotw {
    pub requests: mpsc::Sender<DiscoveryRequest>,
    pub responses: Streaming<DiscoveryResponse>,
    pub node: Option<Node>,
}

impl Sotw {
    pub async fn send(&mut self, request: DiscoveryRequest) {
        let node = self.node.take();
        self.requests
            .send(DiscoveryRequest { node, ..request })
            .await
            .unwrap();
    }

    pub async fn subscribe(&mut self, url: &str, nonce: &str, names: &[&str]) {
        self.send(DiscoveryRequest {
            type_url: url.to_owned(),
            response_nonce: nonce.to_owned(),
            resource_names: strings(names),
            ..Default::default()
        })
        .await;
    }

    pub async fn answer(
        &mut self,
        to: &DiscoveryResponse,
        names: &[&str],
        error: Option<rpc::Status>,
    ) {
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

    pub async fn next(&mut self) -> (DiscoveryResponse, String) {
        let response = next(&mut self.responses).await;
        let words: Vec<String> = response
            .resources
            .iter()
            .map(|any| String::from_utf8(any.value.clone()).unwrap())
            .collect();
        (response, words.join(" "))
    }

    pub async fn accept(&mut self, names: &[&str]) -> String {
        let (response, words) = self.next().await;
        self.answer(&response, names, None).await;
        words
    }
}
