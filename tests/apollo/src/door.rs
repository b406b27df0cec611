//! The gateway: a control plane and an Envoy with both filters.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use bundle::Bundle;
use gateway::run::{Envoy, EnvoyOptions, free_ports};
use gateway::spec::{EndpointSpec, FilterSpec, JwtSpec, Variant, WasmSource, XdsSpec};
use gateway::{GatewaySpec, cluster_name};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use upstream::tokens::{AUDIENCE, ISSUER};
use xds::{Cache, Resource, Snapshot};

/// The region of the tenants that ask.
const REGION: &str = "eu";

/// How long an Envoy may take to start: it compiles the filters, and others do meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// The environment variable with the mask keys.
const KEYS_ENV: &str = "IG_MASK_KEYS";

/// A root key of 32 bytes, under the name `test`.
const KEYS: &str = "test:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY";

/// A running gateway. Dropping it kills it.
pub(crate) struct Door {
    /// Where clients are served.
    pub address: SocketAddr,
    access_log: PathBuf,
    control_plane: JoinHandle<()>,
    envoy: Envoy,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.control_plane.abort();
    }
}

/// The checkout's target directory.
pub(crate) fn target() -> PathBuf {
    checkout().join("target")
}

pub(crate) fn checkout() -> PathBuf {
    artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("a checkout")
}

/// What takes long and is the same for every gateway: the filters and Envoy.
fn parts() -> &'static (Vec<PathBuf>, PathBuf) {
    static PARTS: OnceLock<(Vec<PathBuf>, PathBuf)> = OnceLock::new();
    PARTS.get_or_init(|| {
        let filters = artifacts::build_filters(&checkout(), &["residency", "masking"])
            .unwrap_or_else(|error| panic!("{error}"));
        let envoy = gateway::locate::locate(&target(), |line| eprintln!("{line}"))
            .unwrap_or_else(|error| panic!("{error}"));
        (filters, envoy)
    })
}

fn filter(name: &str, wasm: &Path, configuration: String) -> FilterSpec {
    FilterSpec {
        name: name.to_owned(),
        wasm: WasmSource::Local {
            path: wasm.to_owned(),
        },
        vm_id: name.to_owned(),
        configuration,
        env_keys: Vec::new(),
        allow_on_headers_stop_iteration: false,
    }
}

impl Door {
    /// Starts a gateway before an upstream, with this schema and the repository's policies.
    pub async fn open(upstream: SocketAddr, schema: &str, jwks: String, directory: &Path) -> Self {
        let (wasm, binary) = tokio::task::spawn_blocking(parts)
            .await
            .expect("filters and Envoy");
        let [listen, admin, control] = free_ports()
            .expect("free ports")
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let spec = GatewaySpec {
            region: REGION.to_owned(),
            node_id: "gateway-apollo".to_owned(),
            node_cluster: "gateway".to_owned(),
            listen,
            admin,
            xds: XdsSpec {
                server: control.into(),
                variant: Variant::Delta,
                tls: None,
                others_secured: false,
            },
            api: None,
            paths: vec!["/graphql".to_owned()],
            routes: Vec::new(),
            endpoints: vec![EndpointSpec {
                address: upstream,
                priority: 0,
            }],
            agents: Vec::new(),
            probe_role: "probe".to_owned(),
            health_check: None,
            jwt: JwtSpec {
                issuer: ISSUER.to_owned(),
                audiences: vec![AUDIENCE.to_owned()],
                jwks,
                forward: false,
            },
            filters: filters(schema, wasm),
            access_log: directory.join("access.jsonl"),
            access_log_service: None,
            tracing: None,
            limits: Default::default(),
        };
        let control_plane = serve(control, &spec).await;
        let bootstrap = gateway::bootstrap(&spec).expect("a bootstrap");
        let mut options = EnvoyOptions::new(binary.clone(), bootstrap, directory.to_owned(), admin);
        options.concurrency = 1;
        options.ready_timeout = PATIENCE;
        options.access_log_flush = Duration::from_millis(50);
        options.env = vec![(KEYS_ENV.to_owned(), KEYS.to_owned())];
        let envoy = Envoy::start(&options)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            address: listen,
            access_log: spec.access_log,
            control_plane,
            envoy,
        }
    }

    /// The end of Envoy's log.
    pub fn log(&self) -> String {
        self.envoy.log_tail()
    }

    /// The access log so far, whole lines or not.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(&self.access_log).unwrap_or_default()
    }
}

fn filters(schema: &str, wasm: &[PathBuf]) -> Vec<FilterSpec> {
    let mut bundle = Bundle::read(&checkout().join("policies")).expect("the policies");
    schema.clone_into(&mut bundle.schema);
    let paths = ["/graphql".to_owned()];
    let clusters = [(REGION.to_owned(), cluster_name(REGION))];
    let json = |value: serde_json::Result<String>| value.expect("a configuration is JSON");
    let residency = json(serde_json::to_string(
        &bundle.residency(REGION, &clusters, &paths),
    ));
    let masking = json(serde_json::to_string(&bundle.masking(REGION, &paths)));
    vec![
        filter("residency", &wasm[0], residency),
        FilterSpec {
            env_keys: vec![KEYS_ENV.to_owned()],
            allow_on_headers_stop_iteration: true,
            ..filter("masking", &wasm[1], masking)
        },
    ]
}

/// Serves the gateway its configuration until the task is aborted.
async fn serve(address: SocketAddr, spec: &GatewaySpec) -> JoinHandle<()> {
    let cache = Cache::new(|node| Some(node.region.clone()));
    let resources = gateway::plan(spec)
        .expect("a plan")
        .into_iter()
        .map(|planned| Resource::new(planned.type_url, planned.name, planned.bytes));
    cache.set(REGION, Snapshot::new(resources).expect("a snapshot"));
    let listener = TcpListener::bind(address).await.expect("a free port");
    tokio::spawn(async move {
        let forever = std::future::pending::<()>();
        xds::run::serve(listener, cache, xds::Config::default(), forever)
            .await
            .expect("the control plane serves");
    })
}
