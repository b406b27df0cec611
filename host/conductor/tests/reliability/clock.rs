//! The conductor's clock jumps by days, ahead and back, while a release is under way. By Debian's `faketime`:
//! `just reliability`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::Clients;
use crate::train::{self, RELEASE, is, promote, until};
use crate::world::{PATIENCE, World, end};

const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// As long as this takes at least, by whatever clock.
const HOLD_S: u64 = 4;

const PLAN: &str = r#"
[[steps]]
nodes = ["gateway-eu"]
hold_s = 4
min_requests = 30
give_up_s = 3600
[[steps]]
nodes = ["gateway-eu"]
hold_s = 4
min_requests = 30
give_up_s = 3600
# It masks more, and is meant to; how long gateways take is not what is looked at here.
[thresholds]
added_p95_ms = 5000.0
tightened = 1000.0
"#;

/// What turns the conductor's clock, and nothing else of it: time passes as ever.
fn environment(world: &World) -> Vec<(&'static str, String)> {
    let library = LIBRARIES.into_iter().find(|l| Path::new(l).exists());
    let library = library.expect("this test needs Debian's `faketime`");
    let file = world.at("clock").display().to_string();
    vec![
        ("LD_PRELOAD", library.to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("CONDUCTOR_LOG", "info,conductor::release=debug".to_owned()),
    ]
}

/// Sets the clock to so many days from now.
fn set(world: &World, days: i64) {
    std::fs::write(world.at("clock.new"), format!("{days:+}d\n")).unwrap();
    std::fs::rename(world.at("clock.new"), world.at("clock")).unwrap();
}

/// Waits until the conductor has looked at the release a few times more, and did not find enough.
async fn waited(world: &World) {
    let looks = || world.log().matches(" of 30 requests seen").count();
    let (before, deadline) = (looks(), tokio::time::Instant::now() + PATIENCE);
    while looks() < before + 3 {
        assert!(tokio::time::Instant::now() < deadline, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn steps(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|r| is(r, "step", 2)).collect()
}

/// What a step was ended by: it lasted, and was seen.
fn sound(evidence: &Value) {
    let elapsed = evidence["elapsed_s"].as_u64().unwrap();
    assert!((HOLD_S..3_600).contains(&elapsed), "{evidence:#}");
    let requests = evidence["canary"]["requests"].as_u64().unwrap();
    assert!(requests >= 30, "{evidence:#}");
    assert!(evidence["baseline"]["requests"].as_u64().unwrap() > 0);
}

/// A line as a gateway writes it whose clock is days ahead as well.
fn line_of(days: i64) -> String {
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    let decision = json!({"decisionId": format!("dec_{days:032x}"), "outcome": "allowed", "tenant": "acme",
        "revision": "r-1", "reason": "a test", "counts": {}});
    json!({"decision": decision.to_string(), "residency": null, "response_code": 200, "node": "gateway-far",
        "user_agent": "far", "time": format!("{time:.3}")})
    .to_string()
}

#[ignore = "needs Debian's faketime: `just reliability`"]
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_promotes_nothing_deletes_nothing_and_loses_nothing() {
    let world = World::new(&format!("[store]\nretain_days = 1\n{RELEASE}"), "").await;
    train::prepare(&world, PLAN);
    promote(&world, 1, "conductor.toml");
    set(&world, 0);
    let environment = environment(&world);
    let mut conductor = world.serve(&environment);
    until(&world, "stable", |r| {
        r.iter().any(|r| is(r, "completed", 1))
    })
    .await;
    let envoy = world.envoy().await;
    let clients = Clients::start(&world, Duration::from_millis(20));
    clients.more(100).await;
    let mut answered = clients.stop();

    let fields = world.at("policies/ig/fields/data.json");
    let mut data: Value = serde_json::from_slice(&std::fs::read(&fields).unwrap()).unwrap();
    data["Contact.phone"] = json!({"class": "contact", "strategy": "redact"});
    std::fs::write(&fields, data.to_string()).unwrap();
    promote(&world, 2, "conductor.toml");
    until(&world, "at the first step", |r| steps(r).len() == 1).await;
    // A day ahead: neither has it been tried so long, nor has it been waited for so long.
    set(&world, 1);
    waited(&world).await;
    // Nobody asks: there is nothing to judge it by.
    assert_eq!(steps(&train::records(&world)).len(), 1);
    let clients = Clients::start(&world, Duration::from_millis(20));
    let records = until(&world, "at the second step", |r| steps(r).len() == 2).await;
    answered.extend(clients.stop());
    sound(&steps(&records)[1]["evidence"]);
    // Two days back.
    set(&world, -1);
    waited(&world).await;
    assert_eq!(train::records(&world).len(), records.len());
    let clients = Clients::start(&world, Duration::from_millis(20));
    let done = |r: &[Value]| {
        is(r.last().unwrap(), "completed", 2) || is(r.last().unwrap(), "withdrawn", 2)
    };
    let records = until(&world, "decided", done).await;
    let last = records.last().unwrap();
    assert!(is(last, "completed", 2), "{last:#}");
    sound(&last["evidence"]);
    let times: Vec<u64> = records
        .iter()
        .map(|r| r["at_unix_ms"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    clients.more(20).await;
    answered.extend(clients.stop());

    // Clocks that are days ahead when a conductor begins, and decisions that seem to be of then: what is
    // kept for a day is not old by that.
    conductor.kill().await.unwrap();
    let mut log = std::fs::File::options()
        .append(true)
        .open(world.at("eu.log"))
        .unwrap();
    log.write_all((line_of(5) + "\n").as_bytes()).unwrap();
    let read = world.run("decisions ingest --config conductor.toml --once");
    assert_eq!(read.status.code(), Some(0), "{read:?}");
    set(&world, 5);
    let conductor = world.serve(&environment);
    let noticed = |alerts: &Value| alerts.to_string().contains("ClockJumped");
    world.until("noticed", "/api/alerts", noticed).await;
    envoy.stop(PATIENCE).await.unwrap();
    end(conductor).await;

    let read = world.run("decisions ingest --config conductor.toml --once");
    assert_eq!(read.status.code(), Some(0), "{read:?}");
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    for decision in world.stored().await {
        let line: Value = serde_json::from_str(decision.line.get()).unwrap();
        let name = line["user_agent"].as_str().unwrap().to_owned();
        *stored.entry(name).or_default() += 1;
    }
    // Clients begin anew to count.
    let mut wanted: BTreeMap<String, usize> = BTreeMap::from([("far".to_owned(), 1)]);
    for name in answered {
        *wanted.entry(name).or_default() += 1;
    }
    // What was asked and not answered whole is stored too.
    for (name, times) in wanted {
        let stored = stored.get(&name).copied().unwrap_or_default();
        assert!(stored >= times, "{name}: {stored} of {times}");
    }
    world.does("bundle status --config conductor.toml");
}
