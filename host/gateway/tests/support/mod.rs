//! A control plane, a gateway and an upstream of the test's own, on a real Envoy.
#![allow(dead_code, reason = "each test crate uses some of it")]

pub mod code;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::run::{Envoy, EnvoyOptions, free_ports};
use gateway::spec::{EndpointSpec, FilterSpec, JwtSpec, RouteSpec, Variant, WasmSource, XdsSpec};
use gateway::{GatewaySpec, Planned};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;
use xds::{Cache, Event, Resource, Snapshot};

/// What a test waits for at most.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane with one gateway, which is started by [`World::start`].
pub struct World {
    pub cache: Cache,
    pub events: broadcast::Receiver<Event>,
    pub spec: GatewaySpec,
    pub dir: tempfile::TempDir,
    pub upstream_requests: Arc<AtomicUsize>,
    key: SigningKey,
    xds: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// A response, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: String,
}

impl World {
    pub async fn new(variant: Variant, filters: Vec<FilterSpec>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let [listen, admin, xds_address] = free_ports().unwrap().map(local);

        let (cache, events) = new_cache();
        let listener = TcpListener::bind(xds_address).await.unwrap();
        let xds = serve_xds(listener, &cache);

        let upstream_requests = Arc::new(AtomicUsize::new(0));
        let upstream = upstream(Arc::clone(&upstream_requests)).await;
        let spec = GatewaySpec {
            region: "eu".to_owned(),
            node_id: "gateway-eu-1".to_owned(),
            node_cluster: "gateway".to_owned(),
            listen,
            admin,
            xds: XdsSpec {
                server: xds_address.into(),
                variant,
                tls: None,
                others_secured: false,
            },
            api: None,
            paths: vec!["/graphql".to_owned()],
            routes: vec![
                route("people", "/v1/people"),
                route("person", "/v1/people/{id}"),
            ],
            endpoints: vec![EndpointSpec {
                address: upstream,
                priority: 0,
            }],
            agents: Vec::new(),
            probe_role: "probe".to_owned(),
            health_check: None,
            jwt: JwtSpec {
                issuer: "https://issuer.test".to_owned(),
                audiences: vec!["graphql".to_owned()],
                jwks: jwks(&key),
                forward: false,
            },
            filters,
            access_log: dir.path().join("access.jsonl"),
            access_log_service: None,
            tracing: None,
            limits: Default::default(),
        };
        Self {
            cache,
            events,
            spec,
            dir,
            upstream_requests,
            key,
            xds: Some(xds),
        }
    }

    /// Ends the control plane and waits until it is gone.
    pub async fn stop_xds(&mut self) {
        let (stop, served) = self.xds.take().unwrap();
        drop(stop);
        served.await.unwrap();
    }

    /// Starts another control plane in its place, which knows nothing of before.
    pub async fn start_xds(&mut self) {
        let server = &self.spec.xds.server;
        let listener = TcpListener::bind((server.host.as_str(), server.port))
            .await
            .unwrap();
        (self.cache, self.events) = new_cache();
        self.xds = Some(serve_xds(listener, &self.cache));
    }

    /// Starts the gateway's Envoy and waits until it is ready.
    pub async fn start(&self) -> Envoy {
        Envoy::start(&self.options()).await.unwrap()
    }

    pub fn options(&self) -> EnvoyOptions {
        let bootstrap = gateway::bootstrap(&self.spec).unwrap();
        let work_dir = self.dir.path().to_owned();
        let mut options = EnvoyOptions::new(envoy(), bootstrap, work_dir, self.spec.admin);
        options.concurrency = 1;
        options
    }

    /// The gateway's resources.
    pub fn planned(&self) -> Vec<Planned> {
        gateway::plan(&self.spec).unwrap()
    }

    /// Offers the gateway's resources, less the filters that are not named.
    pub fn offer(&self, filters: &[&str]) -> xds::Offered {
        let planned = self.planned().into_iter().filter(|p| {
            !p.type_url.ends_with("TypedExtensionConfig") || filters.contains(&p.name.as_str())
        });
        self.offer_planned(planned)
    }

    pub fn offer_all(&self) -> xds::Offered {
        self.offer_planned(self.planned())
    }

    pub fn offer_planned(&self, planned: impl IntoIterator<Item = Planned>) -> xds::Offered {
        let resources = planned
            .into_iter()
            .map(|p| Resource::new(p.type_url, p.name, p.bytes));
        self.cache.set("eu", Snapshot::new(resources).unwrap())
    }

    /// Waits for an event.
    pub async fn event<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let wait = async {
            loop {
                if let Some(picked) = pick(self.events.recv().await.unwrap()) {
                    return picked;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(picked) => picked,
            Err(_) => panic!("no such event; status: {:#?}", self.cache.status()),
        }
    }

    /// Waits until all that is served was accepted by all.
    pub async fn proven(&mut self) {
        let served = self.cache.served("eu").unwrap().version().to_owned();
        if self
            .cache
            .last_good("eu")
            .is_some_and(|s| s.version() == served)
        {
            return;
        }
        self.event(|event| match event {
            Event::Proven { version, .. } if version == served => Some(()),
            _ => None,
        })
        .await;
    }

    /// A token with these claims besides the issuer's own.
    pub fn token(&self, claims: serde_json::Value) -> String {
        let mut all = serde_json::json!({
            "iss": "https://issuer.test", "aud": "graphql", "sub": "alice", "exp": 4_000_000_000_u64,
        });
        for (key, value) in claims.as_object().unwrap() {
            all[key] = value.clone();
        }
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"JWT","kid":"k1"}"#);
        let body = URL_SAFE_NO_PAD.encode(all.to_string());
        let signature: Signature = self.key.sign(format!("{head}.{body}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        format!("{head}.{body}.{signature}")
    }

    /// Sends a request with a good token and these headers.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let bearer = format!("Bearer {}", self.token(serde_json::json!({})));
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.raw(path, &all).await
    }

    /// Sends a request with these headers only.
    pub async fn raw(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let stream = TcpStream::connect(self.spec.listen).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().uri(path).header("host", "gateway.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// Asks until the answer has this status: for what takes Envoy a moment.
    pub async fn until(&self, status: u16) -> Reply {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let reply = self.get("/graphql", &[]).await;
            if reply.status == status {
                return reply;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "still {reply:?} instead of {status}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks until something is over: each answer has this status. Returns how many there were.
    pub async fn stays(&self, status: u16, over: impl Future<Output = ()>) -> usize {
        let mut over = std::pin::pin!(over);
        let mut asked = 0;
        loop {
            let reply = self.get("/graphql", &[]).await;
            assert_eq!(reply.status, status, "{reply:?}");
            asked += 1;
            tokio::select! {
                () = &mut over => return asked,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    pub fn upstream_count(&self) -> usize {
        self.upstream_requests.load(Ordering::SeqCst)
    }
}

fn new_cache() -> (Cache, broadcast::Receiver<Event>) {
    let cache = Cache::new(|node| (node.cluster == "gateway").then(|| node.region.clone()));
    let events = cache.subscribe();
    (cache, events)
}

fn serve_xds(listener: TcpListener, cache: &Cache) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = xds::run::serve(listener, cache.clone(), xds::Config::default(), async {
        let _ = stopped.await;
    });
    let served = tokio::spawn(async move { serve.await.unwrap() });
    (stop, served)
}

/// Both variants of the protocol.
pub const BOTH: [Variant; 2] = [Variant::Delta, Variant::Sotw];

/// Whether an event is the acceptance of this kind of resource.
pub fn acked(event: &Event, kind: &str) -> Option<()> {
    matches!(event, Event::Acked { type_url, .. } if type_url.ends_with(kind)).then_some(())
}

/// Waits until a counter or gauge has this value.
pub async fn stat_is(envoy: &Envoy, name: &str, want: u64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    loop {
        let stats = envoy.stats().await.unwrap();
        let value = stats.get(name).copied().unwrap_or(0);
        if value == want {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{name}: {value}, not {want}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The Envoy to test on; it is fetched if there is none.
pub fn envoy() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    gateway::locate::locate(target, |line| eprintln!("{line}")).unwrap()
}

/// A route of short answers.
pub fn route(name: &str, path: &str) -> RouteSpec {
    RouteSpec {
        name: name.to_owned(),
        path: path.to_owned(),
        streams: false,
    }
}

/// A filter whose code is in a local file.
pub fn filter(name: &str, path: &Path, configuration: &str) -> FilterSpec {
    FilterSpec {
        name: name.to_owned(),
        wasm: WasmSource::Local {
            path: path.to_owned(),
        },
        vm_id: name.to_owned(),
        configuration: configuration.to_owned(),
        env_keys: Vec::new(),
        allow_on_headers_stop_iteration: false,
    }
}

fn jwks(key: &SigningKey) -> String {
    let point = key.verifying_key().to_sec1_point(false);
    let coordinate = |bytes: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(bytes.unwrap());
    serde_json::json!({"keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1",
        "x": coordinate(point.x()), "y": coordinate(point.y()),
    }]})
    .to_string()
}

/// A server that takes connections and never answers.
pub async fn silence() -> SocketAddr {
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

/// A server of files that are in memory; anything else is 404.
pub async fn files(files: Vec<(&'static str, Vec<u8>)>) -> SocketAddr {
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let files = Arc::new(files);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let files = Arc::clone(&files);
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let file = files.iter().find(|(path, _)| *path == request.uri().path());
                    let response = Response::builder()
                        .status(if file.is_some() { 200 } else { 404 })
                        .body(Full::new(Bytes::from(
                            file.map(|(_, body)| body.clone()).unwrap_or_default(),
                        )));
                    async move { response }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// An upstream that answers with the headers it saw.
async fn upstream(count: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    count.fetch_add(1, Ordering::SeqCst);
                    let seen: serde_json::Map<String, serde_json::Value> = request
                        .headers()
                        .iter()
                        .map(|(name, value)| {
                            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                            (name.to_string(), value.into())
                        })
                        .collect();
                    let body = serde_json::Value::Object(seen).to_string();
                    async move { Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(body)))) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}
