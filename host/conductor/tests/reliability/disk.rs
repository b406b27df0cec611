//! The disk with the state and the store gets full, or fails, while the conductor serves: gateways go on, get
//! what is new, and in the end each decision is stored once.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway::run::Envoy;
use serde_json::{Value, json};
use xds::keep::Keep;

use crate::clients::Clients;
use crate::mounted::Disk;
use crate::world::{PATIENCE, World, end};

fn firing(alerts: &Value, name: &str) -> Option<String> {
    let all = alerts.as_array()?;
    let is = |a: &&Value| a["status"] == "firing" && a["alert"]["name"] == name;
    let found = all.iter().find(is)?;
    Some(found["alert"]["description"].as_str()?.to_owned())
}

/// Changes the policies, and waits until the gateway has what came of it.
async fn changed(world: &World, reason: &str) {
    let version = |xds: &Value| {
        let group = &xds["groups"]["eu"];
        let all = group["served"]["version"] == group["last_good"]["version"];
        all.then(|| group["served"]["version"].clone())
    };
    let before = world
        .until("settled", "/api/xds", |x| {
            version(x).is_some_and(|v| v.is_string())
        })
        .await;
    let before = version(&before);
    let folder = world.at("policies/ig/quarantine");
    std::fs::create_dir_all(&folder).unwrap();
    let data = json!({"hooli": {"reason": reason}}).to_string();
    std::fs::write(folder.join("data.json"), data).unwrap();
    world
        .until("what is new", "/api/xds", |x| {
            version(x).is_some_and(|v| v.is_string()) && version(x) != before
        })
        .await;
}

/// Nothing can be written: decisions wait, and the rest goes on.
async fn without_a_disk(world: &World, clients: &Clients, reason: &str, why: &[&str]) {
    let said = |name: &'static str| {
        let why: Vec<String> = why.iter().map(|w| (*w).to_owned()).collect();
        move |alerts: &Value| {
            firing(alerts, name).is_some_and(|d| why.iter().any(|w| d.contains(w.as_str())))
        }
    };
    clients.more(50).await;
    let not_stored = said("DecisionsNotStored");
    world.until("told", "/api/alerts", not_stored).await;
    changed(world, reason).await;
    let not_kept = said("LastGoodNotKept");
    world.until("told", "/api/alerts", not_kept).await;
    clients.more(50).await;
}

/// All that was answered is stored, once; what was last accepted is kept.
async fn all_is_there(
    world: &World,
    envoy: Envoy,
    clients: Clients,
    conductor: tokio::process::Child,
) {
    let quiet = |alerts: &Value| {
        alerts.is_array()
            && firing(alerts, "DecisionsNotStored").is_none()
            && firing(alerts, "LastGoodNotKept").is_none()
    };
    world.until("over", "/api/alerts", quiet).await;
    changed(world, "another").await;
    let answered = clients.stop();
    let xds = world.get("/api/xds").await.unwrap();
    let version = xds["groups"]["eu"]["last_good"]["version"].clone();
    envoy.stop(PATIENCE).await.unwrap();
    end(conductor).await;
    let kept = Keep::new(world.at("state/xds")).read();
    let of = |group: &str| kept.snapshots.iter().find(|(name, _)| name == group);
    let (_, eu) = of("eu").unwrap_or_else(|| panic!("nothing is kept: {kept:?}"));
    assert_eq!(version, eu.version(), "{}", world.log());
    let read = world.run("decisions ingest --config conductor.toml --once --json");
    assert_eq!(read.status.code(), Some(0), "{read:?}");
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    for decision in world.stored().await {
        let line: Value = serde_json::from_str(decision.line.get()).unwrap();
        let name = line["user_agent"].as_str().unwrap().to_owned();
        *stored.entry(name).or_default() += 1;
    }
    assert!(
        stored.values().all(|n| *n == 1),
        "something is stored twice"
    );
    let missing: Vec<&String> = answered
        .iter()
        .filter(|a| !stored.contains_key(*a))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {}",
        missing.len(),
        answered.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_nobody_and_loses_nothing() {
    let world = World::new("", "").await;
    let Some(disk) = Disk::small(&world.at("state"), 16 * 1024) else {
        return;
    };
    let mut conductor = world.serve(&[]);
    world.until("up", "/api/xds", |x| !x.is_null()).await;
    let envoy = world.envoy().await;
    let clients = Clients::start(&world, Duration::from_millis(50));
    clients.more(50).await;
    changed(&world, "one").await;
    disk.fill();
    let full = ["full", "No space left", "os error 28"];
    without_a_disk(&world, &clients, "two", &full).await;
    // Nor does one that begins then.
    conductor.kill().await.unwrap();
    let conductor = world.serve(&[]);
    without_a_disk(&world, &clients, "three", &full).await;
    disk.clear();
    all_is_there(&world, envoy, clients, conductor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_gets_read_only_stops_nobody_and_loses_nothing() {
    let world = World::new("", "").await;
    let Some(disk) = Disk::failing(&world.at("state"), 32 * 1024) else {
        return;
    };
    let mut conductor = world.serve(&[]);
    world.until("up", "/api/xds", |x| !x.is_null()).await;
    let envoy = world.envoy().await;
    let clients = Clients::start(&world, Duration::from_millis(50));
    clients.more(50).await;
    changed(&world, "one").await;
    disk.fail();
    let read_only = ["readonly", "Read-only", "read-only", "disk I/O error"];
    without_a_disk(&world, &clients, "two", &read_only).await;
    conductor.kill().await.unwrap();
    let mut conductor = world.serve(&[]);
    without_a_disk(&world, &clients, "three", &read_only).await;
    conductor.kill().await.unwrap();
    disk.mend();
    let conductor = world.serve(&[]);
    all_is_there(&world, envoy, clients, conductor).await;
}
