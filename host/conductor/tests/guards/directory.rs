//! Guards by the policy directory: every change of it is in force at once.

use gateway::run::Envoy;

use crate::world::{World, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_is_served_its_guards_and_every_change_of_the_policies() {
    let world = World::of_directory();
    let said = world.does("serve --check-config --config conductor.toml");
    assert!(said.contains("egress decisions for 1 sidecars"), "{said}");
    let _serving = world.serve();
    let _envoy = world.sidecar(1).await;

    let acme = token("acme", "eu");
    world.until("/data-acme/k", Some(&acme), "200 OK").await;
    world.until("/data-acme/k", None, "CONTEXT_MISSING").await;
    world
        .until(
            "/data-acme/k",
            Some(&token("globex", "eu")),
            "OBJECT_FOREIGN",
        )
        .await;
    world
        .until(
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
    world
        .until("/data-acme/k", Some(&acme), "TENANT_QUARANTINED")
        .await;
    // What guards could not work with is refused, and what was in force stays.
    let rules = world.at("policies").join("ig/egress.rego");
    let good = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(
        &rules,
        "package ig.egress\n\ndecision := {\"allow\": true}\n",
    )
    .unwrap();
    std::fs::remove_file(quarantine.join("data.json")).unwrap();
    let why = "can't guard the store `objects`";
    world
        .eventually(why, async || {
            let state = world.api("/api/policies").await.to_string();
            state.contains(why).then_some(())
        })
        .await;
    world
        .until("/data-acme/k", Some(&acme), "TENANT_QUARANTINED")
        .await;
    std::fs::write(&rules, good).unwrap();
    world.until("/data-acme/k", Some(&acme), "200 OK").await;
}

/// A directory of many tenants.
fn directory() -> String {
    let tenant = |n: usize| format!(r#""tenant-{n:04}": {{"region": "eu", "risk": "low"}}"#);
    let tenants: Vec<String> = (0..2_000).map(tenant).collect();
    format!("{{{}}}", tenants.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_directory_what_changed_travels_and_is_in_force_on_every_worker() {
    let world = World::of_directory();
    let tenants = world.at("policies/ig/tenants/data.json");
    std::fs::write(tenants, directory()).unwrap();
    let serving = world.serve();
    let mut envoy = world.sidecar(2).await;
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
        world.until(path, Some(&one), words).await;
        for _ in 0..20 {
            world.until(path, Some(&one), words).await;
            let answer = world.get("/data-tenant-0999/k", Some(&other)).await;
            assert!(answer.contains("200 OK"));
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
    envoy = world.sidecar(2).await;
    everywhere(denied).await;
    assert_eq!(sent(&envoy).await, (false, true));

    // A new conductor knows what was in force, and what its nodes come back with.
    drop(serving);
    let _serving = world.serve();
    shut(false);
    everywhere(served).await;
    let status = world.api("/api/xds").await;
    let parked = &status["groups"]["sidecar/eu"]["parked"];
    assert_eq!(parked.as_array().map(Vec::len), Some(0), "{status}");
}
