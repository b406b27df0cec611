//! A conductor, an Envoy with the real filters, and what is behind it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use gateway::run::{Envoy, EnvoyOptions, free_ports};
use serde_json::Value;
use store::{Filter, Page, Store, StoreConfig, Stored};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use upstream::tokens::{AUDIENCE, ISSUER, Issuer};
use upstream::{Region, Upstream};

/// What a test waits for at most.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Keys of pseudonyms and of context tokens: 32 bytes.
const KEY: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

pub struct World {
    pub directory: tempfile::TempDir,
    pub issuer: Issuer,
    pub gateway: SocketAddr,
    admin: SocketAddr,
    api: SocketAddr,
    _upstream: Upstream,
}

impl World {
    /// With what stands in the configuration besides, and in the gateway's table.
    pub async fn new(more: &str, gateway: &str) -> Self {
        let checkout = checkout();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let root = checkout.clone();
        let build = move || artifacts::build_filters(&root, &["residency", "masking"]).unwrap();
        let filters = tokio::task::spawn_blocking(build).await.unwrap();
        artifacts::copy_directory(&checkout.join("policies"), &at("policies")).unwrap();
        let issuer = Issuer::generate();
        std::fs::write(at("jwks.json"), issuer.jwks()).unwrap();
        let upstream = Upstream::start(Region::Eu, (Ipv4Addr::LOCALHOST, 0).into())
            .await
            .unwrap();
        let [xds, api, logs, listen, admin] = free_ports().unwrap();
        let text = format!(
            r#"
policies = "policies"
state = "state"
[filters]
residency = {:?}
masking = {:?}
[xds]
listen = "127.0.0.1:{xds}"
[api]
listen = "127.0.0.1:{api}"
[decisions]
poll_ms = 20
grpc_listen = "127.0.0.1:{logs}"
[jwt]
issuer = "{ISSUER}"
audiences = ["{AUDIENCE}"]
jwks_file = "jwks.json"
{more}
[[gateways]]
region = "eu"
listen = "127.0.0.1:{listen}"
admin = "127.0.0.1:{admin}"
endpoints = [{{ address = "{}" }}]
access_log = {:?}
{gateway}
"#,
            filters[0],
            filters[1],
            upstream.address(),
            at("eu.log"),
        );
        std::fs::write(at("conductor.toml"), text).unwrap();
        Self {
            directory,
            issuer,
            gateway: local(listen),
            admin: local(admin),
            api: local(api),
            _upstream: upstream,
        }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command of the conductor's to its end.
    pub fn run(&self, line: &str) -> Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(line.split(' '))
            .current_dir(self.directory.path())
            .output()
            .unwrap()
    }

    /// Runs one that has to work, and returns what it says.
    pub fn does(&self, line: &str) -> String {
        let ran = self.run(line);
        let error = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(0), "{line}: {error}");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// Starts the conductor with this in its environment; its log is in `conductor.log`.
    pub fn serve(&self, environment: &[(&str, String)]) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.at("conductor.log"))
            .unwrap();
        Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(["serve", "--config", "conductor.toml"])
            .envs(environment.iter().map(|(k, v)| (k, v)))
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Starts the Envoy and waits until it has its configuration.
    pub async fn envoy(&self) -> Envoy {
        let bootstrap = self.does("bootstrap --config conductor.toml --region eu");
        let binary = gateway::locate::locate(&checkout().join("target"), |_| ()).unwrap();
        let work = self.at("envoy");
        std::fs::create_dir_all(&work).unwrap();
        let mut options = EnvoyOptions::new(binary, bootstrap, work, self.admin);
        options.ready_timeout = PATIENCE;
        options.env = ["IG_MASK_KEYS", "IG_CONTEXT_KEYS"]
            .map(|variable| (variable.to_owned(), KEY.to_owned()))
            .into();
        Envoy::start(&options).await.unwrap()
    }

    /// Tells the Envoy something by its administration port.
    pub async fn admin(&self, path: &str) {
        let ran = Command::new("bash")
            .arg("-c")
            .arg(format!(
                "exec 3<>/dev/tcp/127.0.0.1/{} && printf 'POST {path} HTTP/1.1\\r\\nhost: e\\r\\n\
                 content-length: 0\\r\\nconnection: close\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3",
                self.admin.port()
            ))
            .status()
            .await;
        assert!(ran.unwrap().success(), "{path}");
    }

    /// What a path of the conductor's HTTP port answers.
    pub async fn get(&self, path: &str) -> Option<Value> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.api).await.ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: c\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8_lossy(&answer);
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }

    /// Waits until what a path answers is so, and returns it.
    pub async fn until(&self, what: &str, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await.unwrap_or_default();
            if is(&answer) {
                return answer;
            }
            assert!(
                Instant::now() < deadline,
                "not {what}: {answer:#}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the conductor has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.at("conductor.log")).unwrap_or_default()
    }

    /// All decisions that are stored, read while nobody writes.
    pub async fn stored(&self) -> Vec<Stored> {
        let config = StoreConfig {
            url: Some(format!(
                "sqlite:{}",
                self.at("state/decisions.db").display()
            )),
            ..StoreConfig::default()
        };
        let store = Store::open_existing(&config).await.unwrap();
        let page = Page {
            limit: 10_000_000,
            cursor: None,
        };
        let listed = store.list(&Filter::default(), page).await.unwrap();
        store.close().await;
        listed.decisions
    }
}

pub fn checkout() -> PathBuf {
    artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Ends a conductor in order.
pub async fn end(mut conductor: Child) {
    let pid = conductor.id().unwrap().to_string();
    let told = Command::new("kill").arg(pid).status().await.unwrap();
    assert!(told.success());
    let status = tokio::time::timeout(PATIENCE, conductor.wait()).await;
    assert!(status.unwrap().unwrap().success());
}
