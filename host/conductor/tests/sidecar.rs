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

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_is_served_its_guards_and_every_change_of_the_policies() {
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
    let conductor = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(args)
            .arg("--config")
            .arg(at("conductor.toml"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let said = conductor(&["serve", "--check-config"]);
    assert!(said.contains("egress decisions for 1 sidecars"), "{said}");
    let bootstrap = conductor(&["bootstrap", "--sidecar", "--region", "eu"]);
    let _serving = serve(&at("conductor.toml"));

    let envoy = gateway::locate::locate(&checkout().join("target"), |_| ()).unwrap();
    let mut options =
        EnvoyOptions::new(envoy, bootstrap, directory.path().to_owned(), local(admin));
    options.concurrency = 1;
    options.ready_timeout = PATIENCE;
    options.env = vec![("IG_CONTEXT_KEYS".to_owned(), KEYS.to_owned())];
    let _envoy = Envoy::start(&options)
        .await
        .unwrap_or_else(|error| panic!("{error}"));

    let acme = token("acme", "eu");
    let address = local(listen);
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
    let quarantine = at("policies").join("ig/quarantine");
    std::fs::create_dir_all(&quarantine).unwrap();
    let data = r#"{"acme": {"reason": "breach", "since": "2026-11-27T09:00:00Z"}}"#;
    std::fs::write(quarantine.join("data.json"), data).unwrap();
    until(address, "/data-acme/k", Some(&acme), "TENANT_QUARANTINED").await;
    // What guards could not work with is refused, and what was in force stays.
    let rules = at("policies").join("ig/egress.rego");
    let good = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(
        &rules,
        "package ig.egress\n\ndecision := {\"allow\": true}\n",
    )
    .unwrap();
    std::fs::remove_file(quarantine.join("data.json")).unwrap();
    until(
        local(api),
        "/api/policies",
        None,
        "can't guard the store `objects`",
    )
    .await;
    until(address, "/data-acme/k", Some(&acme), "TENANT_QUARANTINED").await;
    std::fs::write(&rules, good).unwrap();
    until(address, "/data-acme/k", Some(&acme), "200 OK").await;
}
