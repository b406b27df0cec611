//! What Envoy does with broken filters: the facts that `gateway::faults` states.

mod support;

use std::path::Path;

use gateway::run::Envoy;
use gateway::spec::{FilterSpec, Variant, WasmSource};
use sha2::{Digest, Sha256};
use support::code::{self, Does, code};
use support::{BOTH, World, filter, stat_is};
use xds::Event;

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn remote(path: &str, sha256: String) -> FilterSpec {
    FilterSpec {
        wasm: WasmSource::Http {
            url: format!("http://conductor{path}"),
            sha256,
        },
        ..filter("residency", Path::new("/"), "{}")
    }
}

async fn accepted(world: &mut World) {
    world
        .event(|event| {
            assert!(!matches!(event, Event::Nacked { .. }), "{event:?}");
            support::acked(&event, "TypedExtensionConfig")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_comes_by_http() {
    let good = code(true, &Does::Route("region-eu"));
    let server = support::files(vec![("/good.wasm", good.clone())]).await;
    for variant in BOTH {
        let filters = vec![remote("/good.wasm", sha256(&good))];
        let mut world = World::new(variant, filters).await;
        world.spec.api = Some(server.into());
        world.offer_all();
        let envoy = world.start().await;
        accepted(&mut world).await;
        world.until(200).await;
        envoy.stop(support::PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_cannot_be_had_by_http_is_accepted_and_then_denies() {
    let good = code(true, &Does::Route("region-eu"));
    let rejects = code(false, &Does::Continue);
    let server = support::files(vec![
        ("/good.wasm", good.clone()),
        ("/rejects.wasm", rejects.clone()),
        ("/garbage.wasm", b"garbage".to_vec()),
    ])
    .await;
    let cases = [
        remote("/missing.wasm", sha256(b"never seen")),
        remote("/good.wasm", sha256(b"other")),
        remote("/garbage.wasm", sha256(b"garbage")),
        remote("/rejects.wasm", sha256(&rejects)),
    ];
    for bad in cases {
        let filters = vec![remote("/good.wasm", sha256(&good))];
        let mut world = World::new(Variant::Delta, filters).await;
        world.spec.api = Some(server.into());
        world.offer_all();
        let envoy = world.start().await;
        world.proven().await;
        world.until(200).await;

        world.spec.filters = vec![bad];
        world.offer_all();
        accepted(&mut world).await;
        world.until(503).await;
        let passed = world.upstream_count();
        for _ in 0..20 {
            assert_eq!(world.get("/graphql", &[]).await.status, 503);
        }
        assert_eq!(world.upstream_count(), passed);
        envoy.stop(support::PATIENCE).await.unwrap();
    }
}

/// Envoy leaves a filter out while its code is on its way: why the last filter, the one that masks,
/// hands over the way to the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_whose_code_is_on_its_way_is_left_out_and_so_is_what_only_it_hands_over() {
    let dir = tempfile::tempdir().unwrap();
    let module = |name: &str, does| code::write(dir.path(), name, &code(true, &does));
    let noop = module("noop.wasm", Does::Continue);
    let route = module("route.wasm", Does::Route("region-eu"));
    let silence = support::silence().await;
    // (the filter before it, the filter whose code then is on its way, what a client gets then)
    for (before, last, status) in [(&route, &noop, 200), (&noop, &route, 503)] {
        let masking = FilterSpec {
            vm_id: "masking".into(),
            ..filter("masking", last, "{}")
        };
        let filters = vec![filter("residency", before, "{}"), masking];
        let mut world = World::new(Variant::Delta, filters).await;
        world.spec.api = Some(silence.into());
        world.offer_all();
        let envoy = world.start().await;
        world.proven().await;
        world.until(200).await;

        world.spec.filters[1].wasm = remote("/slow.wasm", sha256(b"slow")).wasm;
        world.offer_all();
        accepted(&mut world).await;
        world.until(status).await;
        let passed = world.upstream_count();
        for _ in 0..20 {
            assert_eq!(world.get("/graphql", &[]).await.status, status);
        }
        let more = if status == 200 { 20 } else { 0 };
        assert_eq!(world.upstream_count(), passed + more);
        envoy.stop(support::PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_answered_503_and_the_machine_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let trap = code::write(dir.path(), "trap.wasm", &code(true, &Does::Trap));
    let world = World::new(Variant::Delta, vec![filter("residency", &trap, "{}")]).await;
    world.offer_all();
    let envoy = world.start().await;
    let reply = world.until(503).await;
    assert_eq!(reply.body, "");
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    while reloads(&envoy).await < 2 {
        assert_eq!(world.get("/graphql", &[]).await.status, 503);
        assert!(tokio::time::Instant::now() < deadline, "never made anew");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(world.upstream_count(), 0);
    envoy.stop(support::PATIENCE).await.unwrap();
}

async fn reloads(envoy: &Envoy) -> u64 {
    let stats = envoy.stats().await.unwrap();
    stats
        .get("wasm.residency.vm_reload_success")
        .copied()
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_filter_that_is_refused_leaves_the_place_denying() {
    for variant in BOTH {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            code::write(dir.path(), "rejects.wasm", &code(false, &Does::Continue)),
            code::write(dir.path(), "garbage.wasm", b"garbage"),
            dir.path().join("absent.wasm"),
        ];
        for path in cases {
            let mut world = World::new(variant, vec![filter("residency", &path, "{}")]).await;
            world.offer_all();
            let envoy = world.start().await;
            world
                .event(|event| matches!(event, Event::RolledBack { .. }).then_some(()))
                .await;
            world.until(403).await;
            assert_eq!(world.upstream_count(), 0);
            envoy.stop(support::PATIENCE).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_outlives_its_control_plane_and_needs_nothing_new_of_the_next() {
    for variant in BOTH {
        let dir = tempfile::tempdir().unwrap();
        let route = code::write(
            dir.path(),
            "route.wasm",
            &code(true, &Does::Route("region-eu")),
        );
        let mut world = World::new(variant, vec![filter("residency", &route, "{}")]).await;
        world.offer_all();
        let envoy = world.start().await;
        world.proven().await;
        world.until(200).await;

        world.stop_xds().await;
        stat_is(&envoy, "control_plane.connected_state", 0).await;
        assert_eq!(world.get("/graphql", &[]).await.status, 200);

        world.start_xds().await;
        world.offer_all();
        let mut events = world.cache.subscribe();
        world.proven().await;
        while let Ok(event) = events.try_recv() {
            let sent = matches!(event, Event::Acked { .. }) && variant == Variant::Delta;
            assert!(!sent, "sent though Envoy has it: {event:?}");
        }
        let stats = envoy.stats().await.unwrap();
        assert_eq!(stats["listener_manager.listener_added"], 1);
        assert_eq!(
            stats
                .get("listener_manager.listener_modified")
                .copied()
                .unwrap_or(0),
            0
        );
        assert_eq!(world.get("/graphql", &[]).await.status, 200);
        envoy.stop(support::PATIENCE).await.unwrap();
    }
}
