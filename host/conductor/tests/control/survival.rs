//! The conductor is killed, its policies break, its disk lies: gateways keep what they accepted.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::world::{FILTER, PATIENCE, World, error, settled};

/// The version that a group last accepted whole.
fn good(status: &Value, group: &str) -> Option<String> {
    let good = &status["groups"][group]["last_good"];
    good["version"].as_str().map(str::to_owned)
}

fn break_policies(world: &World) -> String {
    let rules = world.at("policies/ig/residency.rego");
    let good = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, "package ig.residency\n\nnonsense").unwrap();
    good
}

/// The version that a file of a group's last good snapshot holds, once it does.
async fn kept(world: &World, group: &str, version: &str) {
    let path = world.at(&format!("state/xds/{group}.lkg"));
    world
        .until("kept", |_| holds(&path, version.as_bytes()))
        .await;
}

fn holds(path: &Path, what: &[u8]) -> bool {
    let file = std::fs::read(path).unwrap_or_default();
    file.windows(what.len()).any(|w| w == what)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conductor_that_is_killed_and_finds_broken_policies_serves_the_last_good() {
    let world = World::new().await;
    world.write_config();
    let mut serving = world.serve();
    let envoy = world.envoy("eu", "eu");
    let status = world
        .until("configured", |s| settled(s, "gateway-eu"))
        .await;
    let first = good(&status, "eu").unwrap();
    kept(&world, "eu", &first).await;

    // A change is accepted, and is the last good one from then on.
    let roles = world.at("policies/ig/quarantine");
    std::fs::create_dir_all(&roles).unwrap();
    let data = r#"{"acme": {"reason": "breach", "since": "2026-11-27T09:00:00Z"}}"#;
    std::fs::write(roles.join("data.json"), data).unwrap();
    let status = world
        .until("accepted", |s| good(s, "eu").is_some_and(|v| v != first))
        .await;
    let second = good(&status, "eu").unwrap();
    kept(&world, "eu", &second).await;
    let label = status["groups"]["eu"]["last_good"]["label"].clone();

    serving.start_kill().unwrap();
    serving.wait().await.unwrap();
    drop(envoy);
    let rules = break_policies(&world);
    let checked = world.run(&["serve", "--config", "conductor.toml", "--check-config"]);
    assert_eq!(checked.status.code(), Some(2), "{checked:?}");

    // What comes up is configured all the same, with the newest that was accepted.
    let _serving = world.serve();
    let _envoy = world.envoy("eu", "eu-anew");
    let status = world
        .until("configured anew", |s| settled(s, "gateway-eu"))
        .await;
    assert_eq!(good(&status, "eu"), Some(second.clone()));
    let stream = &status["streams"][0];
    assert_eq!(stream["has"]["version"], second.as_str());
    assert_eq!(stream["has"]["label"], label);
    let code = std::fs::read_dir(world.at("state/filters")).unwrap();
    let code = code.map(|file| file.unwrap().file_name().into_string().unwrap());
    for file in code {
        let (_, hash) = file.split_once('-').unwrap();
        let code = world.get(&format!("/filters/{hash}")).await.unwrap();
        assert!(code.starts_with("\0asm"), "{hash}: {code}");
    }
    let alerts = world.get("/api/alerts").await.unwrap();
    assert!(alerts.contains("PoliciesRefused"), "{alerts}");
    let policies = world.get("/api/policies").await.unwrap();
    assert!(policies.contains("residency.rego"), "{policies}");

    // The policies are mended: back to normal, and to the same version, for they say the same.
    std::fs::write(world.at("policies/ig/residency.rego"), rules).unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mended = async || {
        let policies = world.get("/api/policies").await.unwrap_or_default();
        policies.contains("\"refused\":null")
    };
    while !mended().await {
        assert!(tokio::time::Instant::now() < deadline, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = world.until("settled", |s| settled(s, "gateway-eu")).await;
    assert_eq!(good(&status, "eu"), Some(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_last_good_broken_policies_are_the_end_and_a_broken_file_is_none() {
    let world = World::new().await;
    world.write_config();
    break_policies(&world);
    let ended = world.run(&["serve", "--config", "conductor.toml"]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    std::fs::create_dir_all(world.at("state/xds")).unwrap();
    std::fs::write(world.at("state/xds/eu.lkg"), "xds-lkg 1\nabc\ndef").unwrap();
    let ended = world.run(&["serve", "--config", "conductor.toml"]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &error(&ended);
    assert!(
        said.contains("eu.lkg") && said.contains("left aside"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_cannot_be_written_is_told_of_and_changes_nothing_else() {
    let world = World::new().await;
    world.write_config();
    // In the place of the directory there is a file.
    std::fs::create_dir_all(world.at("state")).unwrap();
    std::fs::write(world.at("state/xds"), "").unwrap();
    let _serving = world.serve();
    let _envoy = world.envoy("eu", "eu");
    world
        .until("configured", |s| settled(s, "gateway-eu"))
        .await;
    world
        .until_figure("maestro_alerts_firing{alertname=\"LastGoodNotKept\"}", 1)
        .await;
    // It is tried again.
    std::fs::remove_file(world.at("state/xds")).unwrap();
    let status = world.status().await;
    kept(&world, "eu", &good(&status, "eu").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_not_offered_again_by_a_conductor_that_was_killed() {
    let world = World::new().await;
    world.write_config();
    let mut serving = world.serve();
    let _envoy = world.envoy("eu", "eu");
    let status = world
        .until("configured", |s| settled(s, "gateway-eu"))
        .await;
    let first = good(&status, "eu").unwrap();
    kept(&world, "eu", &first).await;

    // A filter that takes no configuration.
    let configure = "(func (export \"proxy_on_configure\") (param i32 i32) (result i32) i32.const ";
    let refusing = FILTER.replace(&format!("{configure}1)"), &format!("{configure}0)"));
    assert_ne!(refusing, FILTER);
    let module = wat::parse_str(refusing).unwrap();
    let replace = |module: &[u8]| {
        let draft = world.at("filter.draft");
        std::fs::write(&draft, module).unwrap();
        std::fs::rename(&draft, world.at("filter.wasm")).unwrap();
    };
    replace(&module);
    let parked = |s: &Value| {
        s["groups"]["eu"]["rolled_back"] == true
            && s["streams"][0]["settled"] == true
            && s["groups"]["eu"]["parked"][0]["node"] == "gateway-eu"
    };
    let status = world.until("parked", parked).await;
    let refused = status["groups"]["eu"]["offered"]["version"].clone();
    let file = world.at("state/xds/eu.parked");
    world.until("kept", |_| holds(&file, b"gateway-eu")).await;
    let nacks = || {
        world
            .log()
            .matches("refused: Unable to create Wasm")
            .count()
    };
    assert_eq!(nacks(), 1);

    serving.start_kill().unwrap();
    serving.wait().await.unwrap();
    let mut serving = world.serve();
    let status = world
        .until("parked still", |s| {
            parked(s) && s["streams"].as_array().is_some_and(|s| s.len() == 1)
        })
        .await;
    let group = &status["groups"]["eu"];
    assert_eq!(group["offered"]["version"], refused, "the same is offered");
    assert_eq!(group["served"]["version"], first.as_str());
    assert!(
        status["streams"][0]["types"]
            .as_object()
            .is_some_and(|types| { types.values().all(|of_type| of_type["last_nack"].is_null()) })
    );
    assert_eq!(nacks(), 1, "and nobody was asked to take it");

    // Who wants it tried again takes the file away.
    std::fs::remove_file(&file).unwrap();
    world
        .until("refused once more", |s| parked(s) && nacks() == 2)
        .await;
    world.until("kept", |_| holds(&file, b"gateway-eu")).await;

    // Another content is offered at once, also after a restart, and the file goes.
    serving.start_kill().unwrap();
    serving.wait().await.unwrap();
    replace(&wat::parse_str(FILTER.replace("4096", "8192")).unwrap());
    let _serving = world.serve();
    let mended = |s: &Value| settled(s, "gateway-eu") && good(s, "eu").is_some_and(|v| v != first);
    world.until("mended", mended).await;
    world.until("forgotten", |_| !file.exists()).await;
}
