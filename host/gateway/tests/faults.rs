//! What Envoy does with broken filters: the facts that `gateway::faults` states.

mod support;

use std::path::Path;
use std::time::Duration;

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
async fn code_that_cannot_be_had_by_http_is_refused_and_what_was_in_force_stays() {
    let good = code(true, &Does::Route("region-eu"));
    let rejects = code(false, &Does::Continue);
    let server = support::files(vec![
        ("/good.wasm", good.clone()),
        ("/rejects.wasm", rejects.clone()),
        ("/garbage.wasm", b"garbage".to_vec()),
    ])
    .await;
    let bad = [
        remote("/missing.wasm", sha256(b"never seen")),
        remote("/good.wasm", sha256(b"other")),
        remote("/garbage.wasm", sha256(b"garbage")),
        remote("/rejects.wasm", sha256(&rejects)),
    ];
    let cases = BOTH.into_iter().cycle().zip(bad).map(|(variant, bad)| {
        let filters = vec![remote("/good.wasm", sha256(&good))];
        tokio::spawn(async move {
            let mut world = World::new(variant, filters).await;
            world.spec.api = Some(server.into());
            world.offer_all();
            let envoy = world.start().await;
            world.proven().await;
            world.until(200).await;

            world.spec.filters = vec![bad];
            world.offer_all();
            let mut events = world.cache.subscribe();
            let refused = async {
                while !matches!(events.recv().await.unwrap(), Event::RolledBack { .. }) {}
            };
            let refused = async { tokio::time::timeout(2 * support::PATIENCE, refused).await };
            world.stays(200, async { refused.await.unwrap() }).await;
            world
                .stays(200, tokio::time::sleep(Duration::from_millis(500)))
                .await;
            envoy.stop(support::PATIENCE).await.unwrap();
        })
    });
    for case in cases.collect::<Vec<_>>() {
        case.await.unwrap();
    }
}

/// Without `nack_on_code_cache_miss` it would be left out of the chain.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_whose_code_is_on_its_way_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let noop = code::write(dir.path(), "noop.wasm", &code(true, &Does::Continue));
    let deny = code::write(dir.path(), "deny.wasm", &code(true, &Does::Trap));
    let silence = support::silence().await;
    for (before, status) in [(&noop, 200), (&deny, 503)] {
        let route = code::write(
            dir.path(),
            "route.wasm",
            &code(true, &Does::Route("region-eu")),
        );
        let masking = FilterSpec {
            vm_id: "masking".into(),
            ..filter("masking", before, "{}")
        };
        let filters = vec![filter("residency", &route, "{}"), masking];
        let mut world = World::new(Variant::Delta, filters).await;
        world.spec.api = Some(silence.into());
        world.offer_all();
        let envoy = world.start().await;
        world.proven().await;
        world.until(status).await;

        world.spec.filters[1].wasm = remote("/slow.wasm", sha256(b"slow")).wasm;
        world.offer_all();
        world
            .stays(status, tokio::time::sleep(Duration::from_secs(1)))
            .await;
        let stream = world.cache.status().streams.remove(0);
        assert!(!stream.settled);
        let types = stream.types.into_iter();
        let nacked: Vec<_> = types.filter(|(_, t)| t.last_nack.is_some()).collect();
        assert!(nacked.is_empty(), "{nacked:?}");
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
        tokio::time::sleep(Duration::from_millis(20)).await;
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
