//! `conductor serve` and a sidecar's Envoy: guards get their configuration, and every push of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::context::{ContextKeys, ContextToken};
use gateway::run::{Envoy, EnvoyOptions, free_ports};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// What a test waits for at most: Envoy compiles the guard, and others work meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

fn checkout() -> PathBuf {
    artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn token(tenant: &str, home: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = ContextToken {
        jti: "dec_0".to_owned(),
        tenant: tenant.to_owned(),
        home: home.to_owned(),
        region: "eu".to_owned(),
        iat: now,
        exp: now + 600,
        warrant: None,
    };
    claims
        .sign(&ContextKeys::parse(KEYS, "eu").unwrap())
        .unwrap()
}

/// A store that answers every request.
async fn store() -> SocketAddr {
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let answer =
                    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nbytes";
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

async fn get(address: SocketAddr, path: &str, token: Option<&str>) -> Option<String> {
    let token = token.map_or(String::new(), |t| format!("x-ig-context: {t}\r\n"));
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{token}\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut back = String::new();
    stream.read_to_string(&mut back).await.ok()?;
    Some(back)
}

async fn until(address: SocketAddr, path: &str, token: Option<&str>, words: &str) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = get(address, path, token).await.unwrap_or_default();
        if answer.contains(words) {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "no {words}, but {answer}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn serve(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_conductor"))
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A sidecar's Envoy before a store, and the conductor that configures it.
struct World {
    directory: tempfile::TempDir,
    api: SocketAddr,
    admin: SocketAddr,
    listen: SocketAddr,
    bootstrap: String,
}

impl World {
    /// Everything but the processes.
    async fn new() -> Self {
        let guard = tokio::task::spawn_blocking(|| {
            artifacts::build_filters(&checkout(), &["guard"])
                .unwrap()
                .remove(0)
        })
        .await
        .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        artifacts::copy_directory(&checkout().join("policies"), &at("policies")).unwrap();
        std::fs::write(at("jwks.json"), r#"{"keys":[{"kty":"EC"}]}"#).unwrap();
        let [xds, api, listen, admin, gateway, gateway_admin] = free_ports().unwrap();
        let store = store().await;
        // The gateway's filters are not run here: any filter will do.
        let text = format!(
            r#"
policies = "policies"
state = "state"
[filters]
residency = "{guard}"
masking = "{guard}"
guard = "{guard}"
[xds]
listen = "127.0.0.1:{xds}"
[api]
listen = "127.0.0.1:{api}"
[jwt]
issuer = "i"
audiences = ["a"]
jwks_file = "jwks.json"
[[gateways]]
region = "eu"
listen = "127.0.0.1:{gateway}"
admin = "127.0.0.1:{gateway_admin}"
endpoints = [{{ address = "{store}" }}]
access_log = "gateway.log"
[[sidecars]]
region = "eu"
admin = "127.0.0.1:{admin}"
access_log = "{log}"
[[sidecars.listeners]]
name = "objects"
kind = "s3"
listen = "127.0.0.1:{listen}"
endpoints = [{{ address = "{store}" }}]
hosts = ["127.0.0.1"]
buckets = [{{ name = "data-{{tenant}}" }}]
"#,
            guard = guard.display(),
            log = at("access.jsonl").display(),
        );
        std::fs::write(at("conductor.toml"), text).unwrap();
        let mut world = Self {
            directory,
            api: local(api),
            admin: local(admin),
            listen: local(listen),
            bootstrap: String::new(),
        };
        world.bootstrap = world.conductor(&["bootstrap", "--sidecar", "--region", "eu"]);
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a command says.
    fn conductor(&self, args: &[&str]) -> String {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(args)
            .arg("--config")
            .arg(self.at("conductor.toml"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn serve(&self) -> Child {
        serve(&self.at("conductor.toml"))
    }

    async fn envoy(&self, concurrency: u32) -> Envoy {
        let envoy = gateway::locate::locate(&checkout().join("target"), |_| ()).unwrap();
        let directory = self.directory.path().to_owned();
        let mut options = EnvoyOptions::new(envoy, self.bootstrap.clone(), directory, self.admin);
        options.concurrency = concurrency;
        options.ready_timeout = PATIENCE;
        options.env = vec![("IG_CONTEXT_KEYS".to_owned(), KEYS.to_owned())];
        Envoy::start(&options)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_is_served_its_guards_and_every_change_of_the_policies() {
    let world = World::new().await;
    let said = world.conductor(&["serve", "--check-config"]);
    assert!(said.contains("egress decisions for 1 sidecars"), "{said}");
    let _serving = world.serve();
    let _envoy = world.envoy(1).await;

    let acme = token("acme", "eu");
    let address = world.listen;
    until(address, "/data-acme/k", Some(&acme), "200 OK").await;
    until(address, "/data-acme/k", None, "CONTEXT_MISSING").await;
    until(
        address,
        "/data-acme/k",
        Some(&token("globex", "eu")),
        "OBJECT_FOREIGN",
    )
    .await;
    until(
        address,
        "/data-initech/k",
        Some(&token("initech", "us")),
        "CROSS_REGION",
    )
    .await;

    // A tenant in quarantine is out as soon as the push is there.
    let quarantine = world.at("policies").join("ig/quarantine");
    std::fs::create_dir_all(&quarantine).unwrap();
    let data = r#"{"acme": {"reason": "breach", "since": "2026-11-27T09:00:00Z"}}"#;
    std::fs::write(quarantine.join("data.json"), data).unwrap();
    until(address, "/data-acme/k", Some(&acme), "TENANT_QUARANTINED").await;
    // What guards could not work with is refused, and what was in force stays.
    let rules = world.at("policies").join("ig/egress.rego");
    let good = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(
        &rules,
        "package ig.egress\n\ndecision := {\"allow\": true}\n",
    )
    .unwrap();
    std::fs::remove_file(quarantine.join("data.json")).unwrap();
    until(
        world.api,
        "/api/policies",
        None,
        "can't guard the store `objects`",
    )
    .await;
    until(address, "/data-acme/k", Some(&acme), "TENANT_QUARANTINED").await;
    std::fs::write(&rules, good).unwrap();
    until(address, "/data-acme/k", Some(&acme), "200 OK").await;
}

/// A directory of many tenants.
fn directory() -> String {
    let tenant = |n: usize| format!(r#""tenant-{n:04}": {{"region": "eu", "risk": "low"}}"#);
    let tenants: Vec<String> = (0..2_000).map(tenant).collect();
    format!("{{{}}}", tenants.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_directory_what_changed_travels_and_is_in_force_on_every_worker() {
    let world = World::new().await;
    let tenants = world.at("policies/ig/tenants/data.json");
    std::fs::write(tenants, directory()).unwrap();
    let mut serving = world.serve();
    let mut envoy = world.envoy(2).await;
    let one = token("tenant-1000", "eu");
    let other = token("tenant-0999", "eu");
    let shut = |out: bool| {
        let data = match out {
            true => r#"{"tenant-1000": {"reason": "breach", "since": "2026-11-27T09:00:00Z"}}"#,
            false => "{}",
        };
        std::fs::write(world.at("policies/ig/quarantine/data.json"), data).unwrap();
    };
    // Each connection may be another worker's.
    let everywhere = async |words: &str| {
        let path = "/data-tenant-1000/k";
        until(world.listen, path, Some(&one), words).await;
        for _ in 0..20 {
            until(world.listen, path, Some(&one), words).await;
            let answer = get(world.listen, "/data-tenant-0999/k", Some(&other)).await;
            assert!(answer.unwrap().contains("200 OK"));
        }
    };
    let sent = async |envoy: &Envoy| {
        let dump = envoy.config_dump().await.unwrap().to_string();
        let patched = dump.contains(r#"{\"patch\":"#);
        (patched, dump.contains("tenant-0500"))
    };
    let (served, denied) = ("200 OK", "TENANT_QUARANTINED");
    everywhere(served).await;
    assert_eq!(sent(&envoy).await, (false, true), "at first the whole");
    for out in [true, false, true] {
        shut(out);
        everywhere(if out { denied } else { served }).await;
        assert_eq!(sent(&envoy).await, (true, false), "then what changed");
    }

    // A new Envoy has had nothing, and is sent the whole.
    drop(envoy);
    envoy = world.envoy(2).await;
    everywhere(denied).await;
    assert_eq!(sent(&envoy).await, (false, true));

    // A new conductor knows what was in force, and what its nodes come back with.
    serving.kill().await.unwrap();
    serving.wait().await.unwrap();
    let _serving = world.serve();
    shut(false);
    everywhere(served).await;
    let status = get(world.api, "/api/xds", None).await.unwrap();
    assert!(status.contains(r#""parked":[]"#), "{status}");
}
