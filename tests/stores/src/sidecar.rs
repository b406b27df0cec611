//! The sidecar: a control plane and an Envoy with a guard before each store.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bundle::Bundle;
use engine::guard::{GuardConfig, StoreConfig, StoreKind};
use gateway::Planned;
use gateway::egress::{self, EgressSpec, Protocol, SidecarSpec, store_cluster};
use gateway::run::{Envoy, EnvoyOptions, free_ports};
use gateway::spec::{EndpointSpec, FilterSpec, Variant, WasmSource, XdsSpec};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use xds::{Cache, Resource, Snapshot};

use crate::{KEYS, REGION, checkout, until};

/// How long an Envoy may take to start: it compiles the guards, and others work meanwhile.
const START: Duration = Duration::from_secs(180);

/// How long a line may take into the access log.
const LOGGED: Duration = Duration::from_secs(20);

/// A store that the sidecar shall know.
pub struct Store {
    /// The listener's name.
    pub name: &'static str,
    /// What it is, as in a guard's configuration.
    pub config: Value,
    /// Where it is.
    pub address: SocketAddr,
}

/// What is wrong with a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The guards are not served.
    Unconfigured,
    /// The guards' configurations can't be read.
    Misconfigured,
    /// The environment has no keys.
    NoKeys,
}

/// A running sidecar. Dropping it kills it.
pub struct Sidecar {
    spec: SidecarSpec,
    envoy: Envoy,
    cache: Cache,
    control_plane: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.control_plane.abort();
    }
}

/// What takes long and is the same for every sidecar: the guard and Envoy.
fn parts() -> &'static (PathBuf, PathBuf) {
    static PARTS: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    PARTS.get_or_init(|| {
        let guard = artifacts::build_filters(&checkout(), &["guard"])
            .unwrap_or_else(|error| panic!("{error}"))
            .remove(0);
        let target = checkout().join("target");
        let envoy = gateway::locate::locate(&target, |line| eprintln!("{line}"))
            .unwrap_or_else(|error| panic!("{error}"));
        (guard, envoy)
    })
}

/// A guard's configuration with the repository's policies.
fn guard(store: &Store, opening_ms: u64) -> (GuardConfig, StoreKind) {
    let bundle = Bundle::read(&checkout().join("policies")).expect("the policies");
    let config: StoreConfig =
        serde_json::from_value(store.config.clone()).expect("a store's configuration");
    let kind = config.kind;
    let mut guard = bundle.guard(REGION, config, &store_cluster(store.name));
    guard.limits.opening_ms = opening_ms;
    (guard, kind)
}

impl Sidecar {
    /// Starts a sidecar of region `eu`.
    ///
    /// # Panics
    /// A part can't be had; the message says which.
    pub async fn start(stores: &[Store], opening_ms: u64) -> Self {
        let sidecar = Self::launch(stores, opening_ms, Fault::None).await;
        sidecar.until_guarded().await;
        sidecar
    }

    /// Starts one with a fault, and waits until its listeners are open.
    ///
    /// # Panics
    /// A part can't be had; the message says which.
    pub async fn start_faulty(stores: &[Store], fault: Fault) -> Self {
        let sidecar = Self::launch(stores, 10_000, fault).await;
        for listener in &sidecar.spec.listeners {
            until("listener", async || {
                TcpStream::connect(listener.listen).await.ok()
            })
            .await;
        }
        if matches!(fault, Fault::Misconfigured | Fault::NoKeys) {
            // The listeners are open, and deny, before a guard is there: only then is it tried.
            until("a refused guard", async || {
                let groups = sidecar.cache.status().groups;
                groups
                    .get(REGION)
                    .filter(|g| !g.parked.is_empty())
                    .map(drop)
            })
            .await;
        }
        sidecar
    }

    async fn launch(stores: &[Store], opening_ms: u64, fault: Fault) -> Self {
        let (wasm, binary) = tokio::task::spawn_blocking(parts)
            .await
            .expect("guard and Envoy");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let [admin, control] = free_ports().expect("free ports").map(local);
        let listeners = stores.iter().map(|store| {
            let [listen] = free_ports().expect("a free port").map(local);
            let (guard, kind) = guard(store, opening_ms);
            let name = format!("guard-{}", store.name);
            EgressSpec {
                name: store.name.to_owned(),
                protocol: if kind.is_http() {
                    Protocol::Http
                } else {
                    Protocol::Tcp
                },
                listen,
                store_region: guard.store.region.clone(),
                endpoints: vec![EndpointSpec {
                    address: store.address,
                    priority: 0,
                }],
                guard: FilterSpec {
                    vm_id: name.clone(),
                    name,
                    wasm: WasmSource::Local { path: wasm.clone() },
                    configuration: match fault {
                        Fault::Misconfigured => "{}".to_owned(),
                        _ => serde_json::to_string(&guard).expect("JSON"),
                    },
                    env_keys: vec![guard.keys_env],
                    allow_on_headers_stop_iteration: false,
                },
            }
        });
        let spec = SidecarSpec {
            region: REGION.to_owned(),
            node_id: "sidecar-eu".to_owned(),
            node_cluster: "sidecar".to_owned(),
            admin,
            xds: XdsSpec {
                server: control.into(),
                variant: Variant::Delta,
                tls: None,
                others_secured: false,
            },
            api: None,
            other_regions: vec!["us".to_owned()],
            listeners: listeners.collect(),
            access_log: directory.path().join("access.jsonl"),
            access_log_service: None,
            limits: Default::default(),
        };
        let mut planned = egress::plan(&spec).expect("a plan");
        if fault == Fault::Unconfigured {
            planned.retain(|p| !p.type_url.ends_with("TypedExtensionConfig"));
        }
        let cache = Cache::new(|node| Some(node.region.clone()));
        offer(&cache, planned);
        let control_plane = serve(control, cache.clone()).await;
        let bootstrap = gateway::sidecar_bootstrap(&spec).expect("a bootstrap");
        let work = directory.path().to_owned();
        let mut options = EnvoyOptions::new(binary.clone(), bootstrap, work, admin);
        options.concurrency = 1;
        options.ready_timeout = START;
        options.access_log_flush = Duration::from_millis(50);
        if fault != Fault::NoKeys {
            options.env = vec![("IG_CONTEXT_KEYS".to_owned(), KEYS.to_owned())];
        }
        let envoy = Envoy::start(&options)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            spec,
            envoy,
            cache,
            control_plane,
            _directory: directory,
        }
    }

    /// Waits until each listener has its guard.
    async fn until_guarded(&self) {
        let count = u64::try_from(self.spec.listeners.len()).expect("few listeners");
        until("guards", async || {
            (self.reloads().await >= count).then_some(())
        })
        .await;
    }

    /// Pushes guards of another revision, and waits until they are in force.
    ///
    /// # Panics
    /// They are not accepted.
    pub async fn push(&mut self, revision: &str) {
        let before = self.reloads().await;
        for listener in &mut self.spec.listeners {
            let mut guard: GuardConfig =
                serde_json::from_str(&listener.guard.configuration).expect("a configuration");
            revision.clone_into(&mut guard.revision);
            listener.guard.configuration = serde_json::to_string(&guard).expect("JSON");
        }
        offer(&self.cache, egress::plan(&self.spec).expect("a plan"));
        let count = u64::try_from(self.spec.listeners.len()).expect("few listeners");
        until("push", async || {
            (self.reloads().await >= before + count).then_some(())
        })
        .await;
    }

    /// How many configurations of guards were accepted.
    async fn reloads(&self) -> u64 {
        let stats = self.envoy.stats().await.unwrap_or_default();
        let ours = |name: &str| {
            name.starts_with("extension_config_discovery.") && name.ends_with(".config_reload")
        };
        stats.iter().filter(|(n, _)| ours(n)).map(|(_, v)| v).sum()
    }

    /// Where a listener is.
    ///
    /// # Panics
    /// There is none of the name.
    pub fn address(&self, name: &str) -> SocketAddr {
        let listener = self.spec.listeners.iter().find(|l| l.name == name);
        listener.expect("a listener of the name").listen
    }

    /// A counter or gauge.
    ///
    /// # Panics
    /// Envoy does not answer.
    pub async fn stat(&self, name: &str) -> u64 {
        let stats = self.envoy.stats().await.expect("Envoy's statistics");
        stats.get(name).copied().unwrap_or(0)
    }

    /// The guards' counters of what clients do: allowed, denied, malformed.
    pub async fn counts(&self) -> [u64; 3] {
        let stat = async |name: &str| self.stat(&format!("wasmcustom.ig.guard.{name}")).await;
        [
            stat("allowed").await,
            stat("denied").await,
            stat("malformed").await,
        ]
    }

    /// The lines of the access log so far.
    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.spec.access_log).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok());
        lines
            .map(|mut line| {
                // The record is a text in the line.
                if let Some(record) = line["egress"].as_str() {
                    line["egress"] = serde_json::from_str(record).unwrap_or(Value::Null);
                }
                line
            })
            .collect()
    }

    /// Waits for a line of the access log whose record has this code (empty: none), and gives the last.
    pub async fn logged(&self, listener: &str, code: &str) -> Value {
        let fits = |line: &&Value| {
            line["listener"] == listener
                && line["egress"]["decisionId"].is_string()
                && line["egress"]["code"].as_str().unwrap_or("") == code
        };
        let what = format!("line of {listener} with code `{code}`");
        let find = async || self.log().iter().rfind(fits).cloned();
        match tokio::time::timeout(LOGGED, until(&what, find)).await {
            Ok(line) => line,
            Err(_) => panic!("no {what} in {:#?}\n{}", self.log(), self.envoy_log()),
        }
    }

    /// The end of Envoy's log.
    pub fn envoy_log(&self) -> String {
        self.envoy.log_tail()
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn offer(cache: &Cache, planned: Vec<Planned>) {
    let resources = planned
        .into_iter()
        .map(|planned| Resource::new(planned.type_url, planned.name, planned.bytes));
    cache.set(REGION, Snapshot::new(resources).expect("a snapshot"));
}

/// Serves the sidecar its configuration until the task is aborted.
async fn serve(address: SocketAddr, cache: Cache) -> JoinHandle<()> {
    let listener = TcpListener::bind(address).await.expect("a free port");
    tokio::spawn(async move {
        let forever = std::future::pending::<()>();
        xds::run::serve(listener, cache, xds::Config::default(), forever)
            .await
            .expect("the control plane serves");
    })
}
