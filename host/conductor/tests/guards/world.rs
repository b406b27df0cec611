//! A conductor with a release train, a sidecar's Envoy, its stores, and who asks them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::context::{ContextKeys, ContextToken};
use gateway::run::{Envoy, EnvoyOptions, free_ports};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// What a test waits for at most: Envoy compiles the guards, and others work meanwhile.
const PATIENCE: Duration = Duration::from_secs(180);

const NODE: &str = "sidecar-eu-1";

const RELEASE: &str = r#"
[release]
dir = "train"
keys = "keys"
bundle_keys = "bundle-keys"
plan = "plan.toml"
look_s = 1
"#;

const PLAN: &str = "[[steps]]\nnodes = [\"sidecar-eu-1\"]\nhold_s = 3\ngive_up_s = 600\n";

fn checkout() -> PathBuf {
    artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A context token as the gateway of `eu` makes it.
pub fn token(tenant: &str, home: &str) -> String {
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
        exp: now + 3_600,
        warrant: None,
    };
    claims
        .sign(&ContextKeys::parse(KEYS, "eu").unwrap())
        .unwrap()
}

/// A store that answers every request, and ends every connection.
fn store() -> SocketAddr {
    let listener = std::net::TcpListener::bind(local(0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
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

/// The files, and where everything listens.
pub struct World {
    directory: tempfile::TempDir,
    api: SocketAddr,
    admin: SocketAddr,
    objects: SocketAddr,
    main: SocketAddr,
}

/// A process that ends with the test.
pub struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    /// Writes policies, keys and configuration: what is released is in force.
    pub fn new() -> Self {
        Self::with(RELEASE)
    }

    /// The same, but what is in the policy directory is in force.
    pub fn of_directory() -> Self {
        Self::with("")
    }

    fn with(release: &str) -> Self {
        let guard = artifacts::build_filters(&checkout(), &["guard"])
            .unwrap()
            .remove(0);
        let directory = tempfile::tempdir().unwrap();
        let [xds, api, logs, admin, objects, main, gateway, gateway_admin] = free_ports().unwrap();
        let world = Self {
            directory,
            api: local(api),
            admin: local(admin),
            objects: local(objects),
            main: local(main),
        };
        artifacts::copy_directory(&checkout().join("policies"), &world.at("policies")).unwrap();
        // The gateway is not run: any filter will do.
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
[decisions]
grpc_listen = "127.0.0.1:{logs}"
{release}
[[gateways]]
region = "eu"
listen = "127.0.0.1:{gateway}"
admin = "127.0.0.1:{gateway_admin}"
endpoints = [{{ address = "{store}" }}]
access_log = "/nowhere/gateway.log"
[[sidecars]]
region = "eu"
admin = "127.0.0.1:{admin}"
access_log = "{log}"
access_log_service = true
[[sidecars.listeners]]
name = "objects"
kind = "s3"
listen = "127.0.0.1:{objects}"
endpoints = [{{ address = "{store}" }}]
hosts = ["127.0.0.1"]
buckets = [{{ name = "data-{{tenant}}" }}]
[[sidecars.listeners]]
name = "main"
kind = "postgres"
listen = "127.0.0.1:{main}"
endpoints = [{{ address = "{store}" }}]
"#,
            guard = guard.display(),
            log = world.at("access.jsonl").display(),
            store = store(),
        );
        for (name, text) in [
            ("conductor.toml", text.as_str()),
            ("plan.toml", PLAN),
            ("jwks.json", r#"{"keys":[{"kty":"EC"}]}"#),
        ] {
            std::fs::write(world.at(name), text).unwrap();
        }
        for (name, folder) in [("ann", "keys"), ("bob", "keys"), ("ci", "bundle-keys")] {
            std::fs::create_dir_all(world.at(folder)).unwrap();
            let (key, public) = (format!("{name}.pem"), format!("{folder}/{name}.pub"));
            let curve = "ec_paramgen_curve:P-256";
            world.openssl(&[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                curve,
                "-out",
                &key,
            ]);
            world.openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]);
        }
        world
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut command = Command::new("openssl");
        let ran = command.args(arguments).current_dir(self.directory.path());
        let ran = ran.output().expect("openssl is there");
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        command
            .args(line.split(' '))
            .current_dir(self.directory.path());
        command
    }

    /// Runs a command that has to work, and returns what it says.
    pub fn does(&self, line: &str) -> String {
        let ran = self.command(line).output().expect("the conductor starts");
        let errors = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(0), "{line}: {errors}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Runs a command that has to be refused, and returns why.
    pub fn refuses(&self, line: &str) -> String {
        let ran = self.command(line).output().expect("the conductor starts");
        let errors = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{line}: {errors}");
        errors.into_owned()
    }

    /// Sends what is in the policies on its way, as the release of this number.
    pub fn release(&self, number: u64, extra: &[&str]) {
        let by = |name: &str| format!("--config conductor.toml --by {name} --key {name}.pem");
        let bundle = format!("{number}.tar.gz");
        self.does(&format!(
            "bundle build policies -o {bundle} --signing-key ci.pem --keyid ci"
        ));
        let mut line = format!("bundle release {bundle} {}", by("ann"));
        for word in extra {
            line = format!("{line} {word}");
        }
        self.does(&line);
        self.does(&format!("bundle approve {number} {}", by("bob")));
        self.does(&format!("bundle promote {number} {}", by("ann")));
    }

    /// How the train stands.
    pub fn train(&self) -> Value {
        let said = self.does("bundle status --config conductor.toml --json");
        serde_json::from_str(&said).unwrap()
    }

    pub fn serve(&self) -> Running {
        let mut command = self.command("serve --config conductor.toml");
        let log = std::fs::File::create(self.at("conductor.log")).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Running(command.spawn().unwrap())
    }

    pub async fn sidecar(&self, concurrency: u32) -> Envoy {
        let line =
            format!("bootstrap --sidecar --region eu --node-id {NODE} --config conductor.toml");
        let bootstrap = self.does(&line);
        let envoy = gateway::locate::locate(&checkout().join("target"), |_| ()).unwrap();
        let work = self.at("envoy");
        std::fs::create_dir_all(&work).unwrap();
        let mut options = EnvoyOptions::new(envoy, bootstrap, work, self.admin);
        options.concurrency = concurrency;
        options.ready_timeout = PATIENCE;
        options.access_log_flush = Duration::from_millis(50);
        options.env = vec![("IG_CONTEXT_KEYS".to_owned(), KEYS.to_owned())];
        let started = Envoy::start(&options).await;
        started.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Tries until there is something.
    pub async fn eventually<T>(&self, what: &str, attempt: impl AsyncFn() -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            let log = || std::fs::read_to_string(self.at("conductor.log")).unwrap_or_default();
            assert!(
                tokio::time::Instant::now() < deadline,
                "not in time: {what}\n{}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a request to the bucket store is answered.
    pub async fn get(&self, path: &str, token: Option<&str>) -> String {
        get(self.objects, path, token).await.unwrap_or_default()
    }

    /// Asks until the answer has these words.
    pub async fn until(&self, path: &str, token: Option<&str>, words: &str) {
        let has = async || self.get(path, token).await.contains(words).then_some(());
        self.eventually(&format!("{words} at {path}"), has).await;
    }

    /// Sends this to the database, and waits for the connection's end.
    pub async fn connect(&self, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.main).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut back = Vec::new();
        // It may be closed in any way.
        let _ = stream.read_to_end(&mut back).await;
    }

    /// What the conductor's API answers.
    pub async fn api(&self, path: &str) -> Value {
        let ask = async || {
            let answer = get(self.api, path, None).await?;
            let (_, body) = answer.split_once("\r\n\r\n")?;
            serde_json::from_str(body).ok()
        };
        self.eventually(path, ask).await
    }

    /// The tallies of the last hour.
    pub async fn tallies(&self) -> Vec<Value> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis();
        let path = format!(
            "/api/decisions/tally?since={}&until={}",
            now - 3_600_000,
            now + 60_000
        );
        self.api(&path).await.as_array().unwrap().clone()
    }

    /// The guards' stored decisions, once they are so and all that the file holds is among them; and their
    /// ids, none of which is there twice.
    pub async fn settled(&self, so: impl Fn(&[Value]) -> bool) -> (BTreeSet<String>, Vec<Value>) {
        self.eventually("stored decisions", async || {
            let answer = self.api("/api/decisions?kind=guard&limit=1000").await;
            let decisions = answer["decisions"].as_array().unwrap().clone();
            let ids: Vec<String> = decisions
                .iter()
                .filter_map(|d| id(d["line"]["egress"].as_str()?))
                .collect();
            let unique: BTreeSet<String> = ids.iter().cloned().collect();
            assert_eq!(unique.len(), ids.len(), "stored twice");
            let sources = answer["sources"].as_array().unwrap();
            // Both ways have told them.
            let told =
                |s: &Value| s["stored"].as_u64().unwrap() + s["duplicates"].as_u64().unwrap();
            let all = decisions.len() as u64;
            let both = sources.len() == 2 && sources.iter().all(|s| told(s) == all);
            (both && unique == self.logged() && so(&decisions)).then_some((unique, decisions))
        })
        .await
    }

    /// The ids in the sidecar's log file.
    pub fn logged(&self) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.at("access.jsonl")).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .filter_map(|line| id(line["egress"].as_str()?))
            .collect()
    }
}

fn id(record: &str) -> Option<String> {
    let record: Value = serde_json::from_str(record).ok()?;
    Some(record["decisionId"].as_str()?.to_owned())
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
