//! `conductor decisions ingest` as a process that is killed, starved and locked out: in the end each decision
//! is stored once, and none is missing.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use store::{Filter, Page, Store, StoreConfig};

const PATIENCE: Duration = Duration::from_secs(120);

/// A directory with a configuration and a log.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("logs/access.log");
        std::fs::create_dir(directory.path().join("logs")).unwrap();
        let text = format!(
            r#"
policies = "policies"
state = "state"
[filters]
residency = "r.wasm"
masking = "m.wasm"
[jwt]
issuer = "i"
audiences = ["a"]
jwks_file = "jwks.json"
{more}
[[gateways]]
region = "eu"
listen = "127.0.0.1:10000"
admin = "127.0.0.1:9901"
endpoints = [{{ address = "127.0.0.1:1" }}]
access_log = {log:?}
"#
        );
        std::fs::write(directory.path().join("conductor.toml"), text).unwrap();
        Self { directory }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn ingest(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        command
            .args(["decisions", "ingest", "--config"])
            .arg(self.at("conductor.toml"))
            .args(args)
            .stdin(Stdio::null());
        command
    }

    fn spawn(&self) -> Child {
        let mut command = self.ingest(&[]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Reads to the end; the counters.
    fn once(&self) -> Output {
        self.ingest(&["--once", "--json"]).output().unwrap()
    }

    fn store(&self) -> StoreConfig {
        StoreConfig {
            url: Some(format!(
                "sqlite:{}",
                self.at("state/decisions.db").display()
            )),
            ..StoreConfig::default()
        }
    }
}

fn line(id: u64) -> String {
    let decision = json!({"decisionId": format!("dec_{id:032x}"), "outcome": "allowed",
        "tenant": "acme", "subject": "ann@acme.example", "revision": "r-1", "reason": "role!=admin",
        "counts": {"Person.email": 2}});
    let residency = json!({"decisionId": format!("dec_{:032x}", u128::from(id) << 64), "outcome":
        "allowed", "tenant": "acme", "revision": "r-1", "reason": "home"});
    json!({"decision": decision.to_string(), "residency": residency.to_string(), "duration_ms": 3,
        "response_code": 200, "node": "gateway-eu", "time": "2026-11-27T17:00:00.123Z",
        "user_agent": "x".repeat(200)})
    .to_string()
}

fn counted(output: &Output) -> Value {
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    told
}

/// The ids of all stored decisions; each is stored once, the key of the table sees to that.
fn stored(config: &StoreConfig) -> BTreeSet<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store::open_existing(config).await.unwrap();
        let page = Page {
            limit: 10_000_000,
            cursor: None,
        };
        let listed = store.list(&Filter::default(), page).await.unwrap();
        let ids: Vec<String> = listed
            .decisions
            .iter()
            .map(|d| {
                let line: Value = serde_json::from_str(d.line.get()).unwrap();
                let record: Value =
                    serde_json::from_str(line["decision"].as_str().unwrap()).unwrap();
                record["decisionId"].as_str().unwrap().to_owned()
            })
            .collect();
        let all = ids.len();
        let ids: BTreeSet<String> = ids.into_iter().collect();
        assert_eq!(ids.len(), all, "stored twice");
        store.close().await;
        ids
    })
}

fn assert_all(config: &StoreConfig, written: u64) {
    let ids = stored(config);
    let missing: Vec<u64> = (0..written)
        .filter(|id| !ids.contains(&format!("dec_{id:032x}")))
        .collect();
    assert!(
        missing.is_empty(),
        "{} missing, the first {:?}",
        missing.len(),
        missing.first()
    );
    assert_eq!(ids.len() as u64, written);
}

/// Writes lines in pieces that end anywhere, and rotates, until it is told to stop. Says how many.
fn write(directory: PathBuf, stop: Arc<AtomicBool>) -> u64 {
    let log = directory.join("access.log");
    let mut rotated = 0;
    let (mut id, mut next) = (0, 3_000);
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .unwrap();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..200 {
            let text = line(id) + "\n";
            let (head, tail) = text.as_bytes().split_at(usize::try_from(id % 311).unwrap());
            file.write_all(head).unwrap();
            file.write_all(tail).unwrap();
            id += 1;
        }
        // Every now and then another file; the old ones keep their names' order.
        if id >= next {
            rotated += 1;
            std::fs::rename(
                &log,
                directory.join(format!("access.log.{}", 1_000 - rotated)),
            )
            .unwrap();
            // The writer goes on in the old one for a moment.
            for _ in 0..50 {
                file.write_all((line(id) + "\n").as_bytes()).unwrap();
                id += 1;
            }
            file = File::options()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap();
            next += 3_000;
        }
    }
    id
}

#[test]
fn killed_at_any_moment_no_decision_is_lost_or_stored_twice() {
    let world = World::new("");
    let stop = Arc::new(AtomicBool::new(false));
    let (directory, told) = (world.at("logs"), stop.clone());
    let writer = std::thread::spawn(move || write(directory, told));
    let random = RandomState::new();
    let mut killed_early = 0;
    for round in 0..12u64 {
        let mut child = world.spawn();
        // Not to wait for something, but to be anywhere in its work.
        std::thread::sleep(Duration::from_millis(50 + random.hash_one(round) % 400));
        killed_early += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    assert_eq!(killed_early, 12, "each was killed, none had ended");
    let output = world.once();
    let told = counted(&output);
    assert_eq!(told["gaps"], json!([]));
    assert_eq!(output.status.code(), Some(0));
    let source = &told["sources"][0];
    // What was counted is what was stored: a killed batch counts nothing.
    assert_eq!(source["stored"], json!(written), "{source}");
    assert_eq!(source["malformed"], json!(0));
    assert_all(&world.store(), written);
    let again = counted(&world.once());
    assert_eq!(again["sources"], told["sources"], "nothing is read twice");
}

/// Runs a command with a limit of the size of files that it writes (`RLIMIT_FSIZE`), in KiB.
fn limited(world: &World, kib: u64) -> Output {
    let program = env!("CARGO_BIN_EXE_conductor");
    Command::new("bash")
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; ulimit -f {kib}; exec {program} decisions ingest --config {} --once --json",
            world.at("conductor.toml").display()
        ))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_full_disk_loses_nothing() {
    let world = World::new("");
    let lines: String = (0..20_000).map(|id| line(id) + "\n").collect();
    std::fs::write(world.at("logs/access.log"), lines).unwrap();
    let full = limited(&world, 4_096);
    let said = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(2), "{said}");
    assert!(said.contains("can't store decisions"), "{said}");
    let output = world.once();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(counted(&output)["sources"][0]["stored"], json!(20_000));
    assert_all(&world.store(), 20_000);
}

#[test]
fn a_store_that_cannot_be_written_is_told_and_nothing_is_lost() {
    let world = World::new("");
    std::fs::write(world.at("logs/access.log"), line(0) + "\n").unwrap();
    assert_eq!(world.once().status.code(), Some(0));
    // What root may write nobody can lock it out of by rights: the file becomes a directory.
    let (db, aside) = (world.at("state/decisions.db"), world.at("aside.db"));
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(world.at(&format!("state/decisions.db{end}")));
    }
    std::fs::rename(&db, &aside).unwrap();
    std::fs::create_dir(&db).unwrap();
    append(&world.at("logs/access.log"), &line(1));
    let output = world.once();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("can't open the store") && said.contains("decisions.db"),
        "{said}"
    );
    std::fs::remove_dir(&db).unwrap();
    std::fs::rename(&aside, &db).unwrap();
    let output = world.once();
    assert_eq!(output.status.code(), Some(0));
    assert_all(&world.store(), 2);
}

fn append(path: &Path, line: &str) {
    let mut file = File::options()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn what_cannot_be_read_is_told_once() {
    let world = World::new("");
    let log = world.at("logs/access.log");
    let torn: String = line(9).chars().take(100).collect();
    std::fs::write(&log, format!("{torn}{}\nGET / 200\n{{}}\n", line(0))).unwrap();
    let output = world.once();
    assert_eq!(output.status.code(), Some(1));
    let told = counted(&output);
    let why: Vec<&str> = told["gaps"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|g| g["why"].as_str())
        .collect();
    assert_eq!(why, ["malformed", "torn"]);
    assert_all(&world.store(), 1);
    let again = world.once();
    assert_eq!(again.status.code(), Some(0), "known gaps are no news");
}

#[test]
fn a_mask_policy_decides_what_is_kept() {
    let world = World::new("[decisions]\nmask = \"mask.rego\"");
    let mask = "package system.log\nmask contains \"/input/decision/subject\"\n";
    std::fs::write(world.at("mask.rego"), mask).unwrap();
    std::fs::write(world.at("logs/access.log"), line(0) + "\n").unwrap();
    assert_eq!(world.once().status.code(), Some(0));
    let kept = std::fs::read(world.at("state/decisions.db")).unwrap();
    assert!(memchr::memmem::find(&kept, b"ann@acme.example").is_none());
    assert_all(&world.store(), 1);
    // One that fails keeps nothing of the input; one that can't be read is an error.
    std::fs::write(world.at("mask.rego"), "package system.log\nmask := 7\n").unwrap();
    append(&world.at("logs/access.log"), &line(1));
    let told = counted(&world.once());
    assert_eq!(told["sources"][0]["mask_failures"], json!(1));
    std::fs::write(world.at("mask.rego"), "packag").unwrap();
    let output = world.once();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("mask.rego"));
}

#[test]
fn explain_shows_a_stored_decision_with_its_rules() {
    let world = World::new("");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::write(world.at("logs/access.log"), line(7) + "\n").unwrap();
    assert_eq!(world.once().status.code(), Some(0));
    let explain = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_conductor"))
            .arg("explain")
            .args(args)
            .current_dir(&repository)
            .output()
            .unwrap()
    };
    let config = world.at("conductor.toml");
    let config = config.to_str().unwrap();
    let id = format!("dec_{:032x}", 7);
    let output = explain(&[&id, "--config", config]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("ann@acme.example of acme") && text.contains("role!=admin"),
        "{text}"
    );
    assert!(text.contains("not in the store"), "{text}");
    let output = explain(&[&id, "--config", config, "--policies", "policies"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("said by ig/masking.rego line")
            && text.contains("else := object.union(masked(field)"),
        "{text}"
    );
    assert!(text.contains("its rules may be others"), "{text}");
    // The same from a bundle.
    let archive = world.at("bundle.tar.gz");
    let key = world.at("key.pem");
    let made = Command::new("openssl")
        .args("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out".split(' '))
        .arg(&key)
        .output()
        .expect("this test needs openssl");
    assert!(made.status.success());
    let built = Command::new(env!("CARGO_BIN_EXE_conductor"))
        .args(["bundle", "build", "policies", "-o"])
        .arg(&archive)
        .arg("--signing-key")
        .arg(&key)
        .current_dir(&repository)
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let archive = archive.to_str().unwrap();
    let output = explain(&[&id, "--config", config, "--policies", archive]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("said by ig/masking.rego line"), "{text}");
    let url = world.store().url.unwrap();
    // The other filter's id finds it too.
    let beside = format!("dec_{:032x}", 7u128 << 64);
    let output = explain(&[&beside, "--store", &url, "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["decision"]["subject"], "ann@acme.example");
    for (args, code, says) in [
        (vec!["dec_none", "--config", config], 1, ""),
        (vec![&*id], 2, "--config FILE or --store URL"),
        (vec![&*id, "--store", "mysql://x"], 2, "mysql"),
        (
            vec![&*id, "--store", "sqlite:/none/such.db"],
            2,
            "/none/such.db",
        ),
        (
            vec![&*id, "--config", config, "--query", "{ x }"],
            2,
            "cannot be used with",
        ),
    ] {
        let output = explain(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(says),
            "{args:?}"
        );
    }
}

#[test]
fn a_running_ingest_ends_when_it_is_told_to() {
    let world = World::new("");
    append(&world.at("logs/access.log"), &line(0));
    let mut child = world.spawn();
    let begun = Instant::now();
    while !world.at("state/decisions.db").exists() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    // It may not listen for signals yet.
    let status = loop {
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(50));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE);
    };
    assert!(status.code().is_none_or(|code| code == 0), "{status}");
}

/// The conductor as a service, with a filter that is some filter, and the repository's policies.
struct Served {
    child: Child,
    api: u16,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start(world: &World, store: &str) -> Self {
        let repository = artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let filter = artifacts::build_filters(&repository, &["guard"])
            .unwrap()
            .remove(0);
        artifacts::copy_directory(&repository.join("policies"), &world.at("policies")).unwrap();
        std::fs::write(world.at("jwks.json"), r#"{"keys":[{"kty":"EC"}]}"#).unwrap();
        let [xds, api] = gateway::run::free_ports().unwrap();
        let file = world.at("conductor.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let filter = filter.display().to_string();
        let text = text
            .replace("r.wasm", &filter)
            .replace("m.wasm", &filter)
            .replace(
                "[jwt]",
                &format!(
                    "[xds]\nlisten = \"127.0.0.1:{xds}\"\n[api]\nlisten = \"127.0.0.1:{api}\"\n\
                 [store]\nurl = {store:?}\n[decisions]\npoll_ms = 20\n[jwt]"
                ),
            );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, api }
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        use std::io::Read;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.api)).ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, body.to_owned()))
    }

    /// Asks until the answer is as wanted.
    fn until(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let answer = self.get(path);
            match answer {
                Some((status, body)) if wanted(status, &body) => return body,
                other => assert!(begun.elapsed() < PATIENCE, "{path}: {other:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_service_without_a_store_serves_and_stores_what_it_missed() {
    let world = World::new("");
    // Where the store should be is a file: nobody can make a directory of it.
    std::fs::write(world.at("place"), "").unwrap();
    append(&world.at("logs/access.log"), &line(0));
    let url = format!("sqlite:{}", world.at("place/decisions.db").display());
    let served = Served::start(&world, &url);
    served.until("/healthz", |status, _| status == 200);
    let alerts = served.until("/api/alerts", |_, body| body.contains("DecisionsNotStored"));
    assert!(
        alerts.contains("place/decisions.db") && alerts.contains("access.log"),
        "{alerts}"
    );
    served.until("/api/decisions", |status, body| {
        status == 503 && body.contains("can't open")
    });
    served.until("/metrics", |_, body| {
        body.contains("maestro_decisions_not_stored{source=")
    });
    append(&world.at("logs/access.log"), &line(1));
    std::fs::remove_file(world.at("place")).unwrap();
    std::fs::create_dir(world.at("place")).unwrap();
    served.until("/metrics", |_, body| {
        let stored = |line: &str| {
            line.starts_with("maestro_decisions_stored_total{") && line.ends_with(" 2")
        };
        body.lines().any(stored)
    });
    served.until("/api/alerts", |_, body| {
        let alerts: Value = serde_json::from_str(body).unwrap();
        let firing =
            |a: &Value| a["status"] == "firing" && a["alert"]["name"] == "DecisionsNotStored";
        !alerts.as_array().unwrap().iter().any(firing)
    });
    let listed = served.until("/api/decisions?tenant=acme&limit=1", |status, _| {
        status == 200
    });
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["decisions"].as_array().map(Vec::len), Some(1));
    let next = listed["next"].as_str().unwrap();
    let more = served.until(&format!("/api/decisions?cursor={next}"), |status, _| {
        status == 200
    });
    let more: Value = serde_json::from_str(&more).unwrap();
    assert_eq!(more["decisions"].as_array().map(Vec::len), Some(1));
    assert!(more["next"].is_null());
    let one = served.until(&format!("/api/decisions/dec_{:032x}", 1), |status, _| {
        status == 200
    });
    assert!(one.contains("ann@acme.example"));
    for (path, status) in [
        ("/api/decisions/dec_none", 404),
        ("/api/decisions?cursor=x", 400),
        ("/api/decisions?tenants=x", 400),
        ("/api/decisions/tally?since=0", 400),
    ] {
        assert_eq!(served.get(path).unwrap().0, status, "{path}");
    }
    let tally = served.until(
        "/api/decisions/tally?since=0&until=9000000000000",
        |s, _| s == 200,
    );
    let tally: Value = serde_json::from_str(&tally).unwrap();
    assert_eq!(
        (&tally[0]["requests"], &tally[0]["masked"]),
        (&json!(2), &json!(4))
    );
    // A gap is an alert, and the policies that are served are kept.
    append(&world.at("logs/access.log"), "no JSON");
    let alerts = served.until("/api/alerts", |_, body| body.contains("DecisionsLost"));
    assert!(alerts.contains("malformed"), "{alerts}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let policies: Value = serde_json::from_str(&served.get("/api/policies").unwrap().1).unwrap();
    let revision = policies["revision"].as_str().unwrap();
    let kept = runtime.block_on(async {
        let config = StoreConfig {
            url: Some(url),
            ..StoreConfig::default()
        };
        let store = Store::open_existing(&config).await.unwrap();
        // It is tried again once a second.
        let begun = Instant::now();
        loop {
            if let Some(kept) = store.revision(revision).await.unwrap() {
                return kept;
            }
            assert!(begun.elapsed() < PATIENCE, "the policies are not kept");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(kept.contains("package ig.masking"));
}
