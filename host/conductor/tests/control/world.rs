//! A conductor with gateways of two regions, whose filters do nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gateway::run::{Envoy, EnvoyOptions, free_ports};
use peer::testing::{Authority, write};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

/// What a test waits for at most.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct World {
    pub directory: tempfile::TempDir,
    pub xds: u16,
    pub api: u16,
    /// For what a test's own settings open.
    pub spare: [u16; 6],
    pub relay: Relay,
    gateways: [(&'static str, u16, u16); 2],
    /// What stands in the configuration's table `[xds]` besides its port.
    pub settings: String,
    /// What stands in the table of each gateway, with `REGION` for its name.
    pub gateway_settings: String,
    /// What stands in the table `[filters]` besides the modules.
    pub filter_settings: String,
    /// Further tables.
    pub more: String,
    /// What the conductor finds in its environment.
    pub environment: Vec<(&'static str, &'static str)>,
}

/// Between the gateways and the conductor: what can be cut without an end of either.
pub struct Relay {
    pub port: u16,
    cut: Arc<Notify>,
}

impl Relay {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(local(0)).await.unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            cut: Arc::default(),
        };
        let cut = Arc::clone(&relay.cut);
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let cut = Arc::clone(&cut);
                tokio::spawn(async move {
                    let Ok(mut to) = TcpStream::connect(local(port)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut from, &mut to) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        relay
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub fn checkout() -> PathBuf {
    artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A public key that is one: that of RFC 7517, appendix A.1.
const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// A filter that takes any configuration and lets everything pass.
pub const FILTER: &str = r#"(module
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 4096))
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get $size))))
  (func (export "_initialize"))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1))"#;

impl World {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        artifacts::copy_directory(&checkout().join("policies"), &at("policies")).unwrap();
        std::fs::write(at("jwks.json"), JWKS).unwrap();
        std::fs::write(at("filter.wasm"), wat::parse_str(FILTER).unwrap()).unwrap();
        let [xds, api, eu, eu_admin, us, us_admin, a, b, c, d, e, f] = free_ports().unwrap();
        Self {
            relay: Relay::to(xds).await,
            directory,
            xds,
            api,
            spare: [a, b, c, d, e, f],
            gateways: [("eu", eu, eu_admin), ("us", us, us_admin)],
            settings: String::new(),
            gateway_settings: String::new(),
            filter_settings: String::new(),
            more: String::new(),
            environment: Vec::new(),
        }
    }

    /// The port on which a region's gateway serves.
    pub fn gateway(&self, region: &str) -> u16 {
        let gateway = self.gateways.iter().find(|(r, ..)| *r == region);
        gateway.unwrap().1
    }

    /// The administration port of a region's gateway.
    pub fn admin(&self, region: &str) -> u16 {
        let gateway = self.gateways.iter().find(|(r, ..)| *r == region);
        gateway.unwrap().2
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Asks nodes for certificates of this authority; the conductor's own is of the other.
    pub fn with_identities(&mut self, nodes: &Authority, conductor: &Authority) {
        let server = conductor.server(&["127.0.0.1"]);
        server.write(self.directory.path(), "conductor");
        write(&self.at("nodes.pem"), &nodes.pem());
        self.settings = r#"
[xds.tls]
certificate = "conductor.pem"
key = "conductor.key"
client_ca = "nodes.pem"
trust_domain = "example.org"
"#
        .to_owned();
        let at = self.directory.path().display();
        for region in ["eu", "us"] {
            let directory = self.at(&format!("node-{region}"));
            std::fs::create_dir_all(&directory).unwrap();
            let id = format!("spiffe://example.org/region/{region}/gateway/gateway-{region}");
            nodes.node(&id).write(&directory, "node");
            write(&directory.join("ca.pem"), &conductor.pem());
        }
        self.gateway_settings = format!(
            r#"identity = {{ certificate = "{at}/node-REGION/node.pem", key = "{at}/node-REGION/node.key", ca = "{at}/node-REGION/ca.pem" }}"#
        );
    }

    pub fn write_config(&self) {
        let mut text = format!(
            r#"
policies = "policies"
state = "state"
[filters]
residency = "filter.wasm"
masking = "filter.wasm"
{}
[api]
listen = "127.0.0.1:{}"
[jwt]
issuer = "i"
audiences = ["a"]
jwks_file = "jwks.json"
[advertise]
xds = {{ host = "127.0.0.1", port = {} }}
[xds]
listen = "127.0.0.1:{}"
{}
"#,
            self.filter_settings, self.api, self.relay.port, self.xds, self.settings
        );
        text += &self.more;
        for (region, listen, admin) in self.gateways {
            text += &format!(
                r#"
[[gateways]]
region = "{region}"
listen = "127.0.0.1:{listen}"
admin = "127.0.0.1:{admin}"
endpoints = [{{ address = "127.0.0.1:9" }}]
access_log = "{}"
{}
"#,
                self.at(&format!("{region}.jsonl")).display(),
                self.gateway_settings.replace("REGION", region),
            );
        }
        std::fs::write(self.at("conductor.toml"), text).unwrap();
    }

    /// Runs a command of the conductor's to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(args)
            .current_dir(self.directory.path())
            .output()
            .unwrap()
    }

    /// Starts the conductor; its log is in `conductor.log`.
    pub fn serve(&self) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.at("conductor.log"))
            .unwrap();
        Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(["serve", "--config", "conductor.toml"])
            .current_dir(self.directory.path())
            .envs(self.environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Starts the Envoy of a region with a bootstrap that the conductor writes into this directory.
    pub fn envoy(&self, region: &str, directory: &str) -> Envoy {
        self.envoy_with(region, directory, |bootstrap| bootstrap)
    }

    /// The same, with something changed in the bootstrap.
    pub fn envoy_with(
        &self,
        region: &str,
        directory: &str,
        change: impl FnOnce(String) -> String,
    ) -> Envoy {
        self.start(&["--region", region], directory, self.admin(region), change)
    }

    /// Starts the sidecar of a region, whose administration port is this.
    pub fn sidecar(&self, region: &str, directory: &str, admin: u16) -> Envoy {
        let which = ["--sidecar", "--region", region];
        self.start(&which, directory, admin, |bootstrap| bootstrap)
    }

    fn start(
        &self,
        which: &[&str],
        directory: &str,
        admin: u16,
        change: impl FnOnce(String) -> String,
    ) -> Envoy {
        let common = [
            "bootstrap",
            "--config",
            "conductor.toml",
            "--output",
            directory,
        ];
        let written = self.run(&[&common, which].concat());
        assert!(written.status.success(), "{}", error(&written));
        let bootstrap = self.at(directory).join("bootstrap.yaml");
        let bootstrap = change(std::fs::read_to_string(bootstrap).unwrap());
        let binary = gateway::locate::locate(&checkout().join("target"), |_| ()).unwrap();
        let work = self.at(&format!("{directory}/work"));
        std::fs::create_dir_all(&work).unwrap();
        let mut options = EnvoyOptions::new(binary, bootstrap, work, local(admin));
        options.concurrency = 1;
        Envoy::spawn(&options).unwrap()
    }

    /// What a path of the conductor's HTTP port answers.
    pub async fn get(&self, path: &str) -> Option<String> {
        self.get_at(self.api, path).await
    }

    /// What a path of a port answers.
    pub async fn get_at(&self, port: u16, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(local(port)).await.ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: c\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8_lossy(&answer);
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some(body.to_owned())
    }

    pub async fn status(&self) -> Value {
        let body = self.get("/api/xds").await.unwrap_or_default();
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// Waits until the status is so, and returns it.
    pub async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if is(&status) {
                return status;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "not {what}: {status:#}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a figure of `/metrics` is at least so.
    pub async fn until_figure(&self, name: &str, least: u64) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let page = self.get("/metrics").await.unwrap_or_default();
            let value = page
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            if value.is_some_and(|value| value >= least) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{name} is {value:?}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A figure of `/metrics`; 0 if it is not there.
    pub async fn figure(&self, name: &str) -> u64 {
        let page = self.get("/metrics").await.unwrap_or_default();
        let value = page.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Waits until something is so.
    pub async fn until_so(&self, what: &str, is: impl AsyncFn() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is().await {
            assert!(
                tokio::time::Instant::now() < deadline,
                "not {what}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.at("conductor.log")).unwrap_or_default()
    }
}

pub fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a node has all that its group is served, and nobody of the group minds.
pub fn settled(status: &Value, node: &str) -> bool {
    let is = |stream: &Value| {
        let group = &status["groups"][stream["group"].as_str().unwrap_or_default()];
        let version = &group["served"]["version"];
        stream["node"] == node
            && stream["settled"] == true
            && stream["has"]["version"] == *version
            && group["last_good"]["version"] == *version
    };
    status["streams"]
        .as_array()
        .is_some_and(|s| s.iter().any(is))
}
