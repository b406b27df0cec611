//! An Envoy is killed (-9) under load: what it answered is in the store, or is counted as a gap.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::clients::{CLIENTS, Clients};
use crate::world::{PATIENCE, World, end};

/// How often it is killed.
const KILLS: usize = 3;

/// The gaps of a page of decisions, by reason.
fn gaps(page: &Value, why: &str) -> usize {
    let all = page["gaps"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter().filter(|g| g["why"] == why).count()
}

/// What is known of the gateway's process.
fn process(page: &Value) -> Option<Value> {
    let nodes = page["remembered"].as_array()?;
    let is = |n: &&Value| {
        n["node"]
            .as_str()
            .is_some_and(|n| n.starts_with("Envoy at "))
    };
    let status = nodes.iter().find(is)?["status"].as_str()?;
    serde_json::from_str(status).ok()
}

/// Kills it again and again; says what was answered, how often, and is not stored. Most comes `by` that source.
async fn killed(gateway: &str, by: &str) -> (Vec<String>, usize) {
    let world = World::new("", gateway).await;
    let conductor = world.serve(&[]);
    world.until("up", "/api/xds", |x| !x.is_null()).await;
    let mut envoy = world.envoy().await;
    let clients = Clients::start(&world, Duration::ZERO);
    for round in 1..=KILLS {
        clients.more(300).await;
        // It has to have been seen before it can be missed.
        let seen = |page: &Value| process(page).is_some() && gaps(page, "restarted") == round - 1;
        world.until("seen", "/api/decisions?limit=1", seen).await;
        envoy.kill().await.unwrap();
        envoy = world.envoy().await;
        clients.more(1).await;
        let counted = |page: &Value| gaps(page, "restarted") == round;
        world
            .until("counted", "/api/decisions?limit=1", counted)
            .await;
    }
    clients.more(100).await;
    let answered = clients.stop();

    // One that is taken out of service before it is ended takes nothing with it.
    world.admin("/healthcheck/fail").await;
    let before = |draining: bool| {
        move |page: &Value| process(page).is_some_and(|p| p["draining"] == draining)
    };
    world
        .until("draining", "/api/decisions?limit=1", before(true))
        .await;
    envoy.stop(PATIENCE).await.unwrap();
    let envoy = world.envoy().await;
    let page = world
        .until("anew", "/api/decisions?limit=1", before(false))
        .await;
    assert_eq!(gaps(&page, "restarted"), KILLS, "{page:#}");
    envoy.stop(PATIENCE).await.unwrap();
    end(conductor).await;

    // What is in the file and was not read yet.
    let read = world.run("decisions ingest --config conductor.toml --once --json");
    let told: Value = serde_json::from_slice(&read.stdout).unwrap();
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    for decision in world.stored().await {
        let line: Value = serde_json::from_str(decision.line.get()).unwrap();
        let name = line["user_agent"].as_str().unwrap().to_owned();
        *stored.entry(name).or_default() += 1;
    }
    let twice: Vec<_> = stored.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    // Torn lines, if there are any, are told; nothing else is wrong with what was read.
    let sources = told["sources"].as_array().unwrap();
    assert!(sources.iter().all(|s| s["malformed"] == 0), "{told:#}");
    let most = sources.iter().max_by_key(|s| s["stored"].as_u64()).unwrap();
    let most = most["source"].as_str().unwrap();
    assert!(most.starts_with(by), "{told:#}");
    let count = answered.len();
    let missing = answered.into_iter().filter(|a| !stored.contains_key(a));
    (missing.collect(), count)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_envoy_streamed_is_all_but_what_it_was_just_sending() {
    let (missing, answered) = killed("access_log_service = true", "grpc:").await;
    // A line is on its way before the same connection's next request is read.
    assert!(
        missing.len() <= KILLS * CLIENTS,
        "{} of {answered}: {missing:?}",
        missing.len()
    );
    eprintln!("{} of {answered} are missing", missing.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_envoy_did_not_write_is_counted() {
    let (missing, answered) = killed("", "/").await;
    // Each end is a gap; how much is missing depends on how busy the processors are.
    assert!(
        missing.len() < answered / 2,
        "{} of {answered}",
        missing.len()
    );
    eprintln!("{} of {answered} are missing", missing.len());
}
