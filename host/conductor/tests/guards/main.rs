//! What guards decide: stored once, told, counted, and judged, with `conductor serve` and a sidecar's Envoy.

mod directory;
mod world;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use world::{World, token};

/// What a client sends to have a query of PostgreSQL cancelled: it needs no tenant.
const CANCEL: &[u8] = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02";

/// A stored decision's record.
fn record(stored: &Value) -> Value {
    let line = &stored["line"]["egress"];
    serde_json::from_str(line.as_str().unwrap_or("null")).unwrap()
}

#[tokio::test]
async fn a_log_that_nobody_receives_is_not_streamed() {
    let world = World::new();
    let config = std::fs::read_to_string(world.at("conductor.toml")).unwrap();
    let receives = config
        .lines()
        .filter(|line| !line.starts_with("grpc_listen"));
    let without: Vec<&str> = receives.collect();
    std::fs::write(world.at("without.toml"), without.join("\n")).unwrap();
    let said = world.refuses("serve --check-config --config without.toml");
    assert!(
        said.contains(
            "the sidecar of region `eu`: `access_log_service` needs `decisions.grpc_listen`"
        ),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_decisions_are_stored_once_told_and_judged() {
    let world = World::new();
    world.release(1, &[]);
    let _conductor = world.serve();
    let _sidecar = world.sidecar(1).await;
    let acme = token("acme", "eu");
    world.until("/data-acme/k", Some(&acme), "200 OK").await;
    world.until("/data-acme/k", None, "CONTEXT_MISSING").await;
    let us = token("initech", "us");
    world
        .until("/data-initech/k", Some(&us), "CROSS_REGION")
        .await;
    world.connect(CANCEL).await;
    world.connect(b"\0\0\0\x08\0\0\0\0").await;

    // All of it, from the file and from the stream: each once.
    let (ids, decisions) = world
        .settled(|of| {
            let has = |store: &str, outcome: &str, code: Option<&str>| {
                of.iter().any(|d| {
                    d["store"] == store
                        && d["outcome"] == outcome
                        && record(d)["code"].as_str() == code
                })
            };
            has("objects", "allowed", None)
                && has("objects", "denied", Some("CONTEXT_MISSING"))
                && has("objects", "denied", Some("CROSS_REGION"))
                && has("main", "allowed", None)
                && of
                    .iter()
                    .any(|d| d["store"] == "main" && d["outcome"] == "denied")
        })
        .await;
    assert_eq!(ids, world.logged(), "those of the file, each once");
    let crossing = decisions
        .iter()
        .find(|d| record(d)["code"] == "CROSS_REGION")
        .unwrap();
    for (member, want) in [
        ("kind", json!("guard")),
        ("node", json!("sidecar-eu-1")),
        ("tenant", json!("initech")),
        ("store_region", json!("eu")),
        ("response_code", json!(403)),
    ] {
        assert_eq!(crossing[member], want, "{member}");
    }
    let revision = crossing["revision"].as_str().unwrap();
    assert!(revision.ends_with("+1"), "{revision}");
    // Nothing is missing, and what came by both ways was told as known.
    let answer = world.api("/api/decisions?kind=guard&limit=1").await;
    assert_eq!(answer["gaps"], json!([]));
    let sources = answer["sources"].as_array().unwrap();
    let sum = |member: &str| -> u64 { sources.iter().filter_map(|s| s[member].as_u64()).sum() };
    assert_eq!(sum("malformed"), 0, "{sources:?}");
    assert!(sources.len() == 2 && sum("duplicates") > 0, "{sources:?}");
    for (query, all) in [
        ("kind=gateway", false),
        ("kind=guard&store=main&outcome=allowed", true),
        ("kind=guard&store=none", false),
    ] {
        let answer = world.api(&format!("/api/decisions?{query}")).await;
        let found = answer["decisions"].as_array().unwrap();
        assert_eq!(!found.is_empty(), all, "{query}");
    }

    // Told with the rule of that revision.
    let id = record(crossing)["decisionId"].as_str().unwrap().to_owned();
    let told = world.does(&format!("explain {id} --config conductor.toml"));
    for words in [
        "node       sidecar-eu-1".to_owned(),
        format!("guard      {id}"),
        "caller     of initech, whose data is in us".to_owned(),
        "context    dec_0, the gateway's decision".to_owned(),
        "store      read objects (s3), `data-initech`, eu -> eu".to_owned(),
        "(CROSS_REGION)".to_owned(),
        "outcome    denied, 403".to_owned(),
        "is said by ig/egress.rego line".to_owned(),
        "(rules from store)".to_owned(),
    ] {
        assert!(told.contains(&words), "{words}: {told}");
    }
    let told = world.does(&format!("explain {id} --config conductor.toml --json"));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["kind"], &told["egress"]["code"]),
        (&json!("guard"), &json!("CROSS_REGION"))
    );

    // A release whose guards let nobody through: its sidecar shows it, and it goes back by itself.
    let rules = world.at("policies/ig/egress.rego");
    let good = std::fs::read_to_string(&rules).unwrap();
    let closed = "refusals contains {\"code\": \"CLOSED\", \"reason\": \"stores are closed\"}";
    std::fs::write(&rules, format!("{good}\n{closed}\n")).unwrap();
    for _ in 0..20 {
        let answer = world.get("/data-acme/k", Some(&acme)).await;
        assert!(answer.contains("200 OK"), "{answer}");
    }
    world.release(2, &["--loosens", "ig.egress"]);
    let withdrawn = world
        .eventually("release 2 is taken back", async || {
            let _ = world.get("/data-acme/k", Some(&acme)).await;
            let release = world.train()["releases"]["2"].clone();
            (release["standing"] == "withdrawn").then_some(release)
        })
        .await;
    let reasons = withdrawn["reasons"].to_string();
    assert!(
        reasons.contains("requests to stores were denied by guards"),
        "{reasons}"
    );
    let seen = &withdrawn["evidence"]["guards"]["canary"];
    assert!(seen["denied"].as_u64() >= Some(3), "{withdrawn}");
    assert_eq!(seen["asked"], seen["denied"], "{withdrawn}");
    world.until("/data-acme/k", Some(&acme), "200 OK").await;
    let shown = world.does("bundle status --config conductor.toml 2");
    assert!(shown.contains("requests to stores, "), "{shown}");

    // Counted by release and apart from gateways.
    let tallies = world.tallies().await;
    let kinds: BTreeSet<&str> = tallies.iter().filter_map(|t| t["kind"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["guard"]));
    let of = |release: &str, member: &str| -> u64 {
        let of = tallies
            .iter()
            .filter(|t| t["revision"].as_str().is_some_and(|r| r.ends_with(release)));
        of.filter_map(|t| t[member].as_u64()).sum()
    };
    assert!(
        of("+2", "denied") >= 3 && of("+2", "allowed") == 0,
        "{tallies:?}"
    );
    assert!(of("+1", "allowed") >= 20, "{tallies:?}");
}
