//! Gateways are who their certificates say, and nobody else.

use std::time::{Duration, SystemTime};

use peer::testing::{Authority, Wanted, write};

use crate::world::{World, error, settled};

const REFUSED: &str = "maestro_xds_refused_total";
const ENDED: &str = "maestro_tls_connections_ended_total{port=\"xds\"}";
const HANDSHAKES_REFUSED: &str = "maestro_xds_handshakes_total{outcome=\"refused\"}";

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_configured_by_its_own_certificate_alone() {
    let (nodes, conductor) = (Authority::new("nodes"), Authority::new("conductors"));
    let mut world = World::new().await;
    world.with_identities(&nodes, &conductor);
    world.write_config();
    let _serving = world.serve();

    // The certificate of another region's gateway.
    let eu = world.at("node-eu");
    let id = "spiffe://example.org/region/us/gateway/gateway-eu";
    nodes.node(id).write(&eu, "node");
    let envoy = world.envoy("eu", "crossing");
    world.until_figure(REFUSED, 1).await;
    let says = "may not ask as a node whose locality.region is";
    assert!(world.log().contains(says), "{}", world.log());
    drop(envoy);

    // One of an authority that is not asked for, and one that expired.
    let id = "spiffe://example.org/region/eu/gateway/gateway-eu";
    Authority::new("others").node(id).write(&eu, "node");
    let envoy = world.envoy("eu", "foreign");
    world.until_figure(HANDSHAKES_REFUSED, 1).await;
    drop(envoy);
    let page = world.get("/metrics").await.unwrap();
    let line = page.lines().find(|l| l.starts_with(HANDSHAKES_REFUSED));
    let before: u64 = line
        .and_then(|l| l.rsplit(' ').next()?.parse().ok())
        .unwrap();
    let expired = nodes.issue(&Wanted {
        uris: &[id],
        expired: true,
        ..Wanted::default()
    });
    expired.write(&eu, "node");
    let envoy = world.envoy("eu", "expired");
    world.until_figure(HANDSHAKES_REFUSED, before + 1).await;
    drop(envoy);
    // A conductor of another authority is not believed by the gateway.
    nodes.node(id).write(&eu, "node");
    write(&eu.join("ca.pem"), &nodes.pem());
    let envoy = world.envoy("eu", "doubting");
    world.until_figure(HANDSHAKES_REFUSED, before + 2).await;
    drop(envoy);
    assert_eq!(
        world.status().await["streams"].as_array().unwrap().len(),
        0,
        "nothing was sent to any of them"
    );

    // The right one.
    write(&eu.join("ca.pem"), &conductor.pem());
    let _eu = world.envoy("eu", "right");
    let _us = world.envoy("us", "other");
    let status = world
        .until("configured", |s| {
            settled(s, "gateway-eu") && settled(s, "gateway-us")
        })
        .await;
    for stream in status["streams"].as_array().unwrap() {
        let region = stream["group"].as_str().unwrap();
        let id = format!("spiffe://example.org/region/{region}/gateway/gateway-{region}");
        assert_eq!(stream["identity"], id, "{stream}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_both_sides_rotate_without_a_restart() {
    let (nodes, conductor) = (Authority::new("nodes"), Authority::new("conductors"));
    let mut world = World::new().await;
    world.with_identities(&nodes, &conductor);
    world.write_config();
    let _serving = world.serve();
    let _envoy = world.envoy("eu", "eu");
    let configured = |s: &serde_json::Value| settled(s, "gateway-eu");
    let before = world.until("configured", configured).await;
    let connected = before["streams"][0]["connected_unix_ms"].clone();

    // The authority of nodes is joined by another one: who is connected stays connected.
    let (next_nodes, next_conductor) = (Authority::new("nodes 2"), Authority::new("conductors 2"));
    let changed = "maestro_xds_certificate_changes_total{outcome=\"accepted\"}";
    let both = nodes.pem() + &next_nodes.pem();
    write(&world.at("nodes.pem"), &both);
    world.until_figure(changed, 1).await;
    let status = world.status().await;
    assert_eq!(status["streams"][0]["connected_unix_ms"], connected);
    assert_eq!(world.figure(ENDED).await, 0);

    // The node gets a certificate of the new one, and the conductor another from another authority.
    let eu = world.at("node-eu");
    let id = "spiffe://example.org/region/eu/gateway/gateway-eu";
    next_nodes.node(id).write(&eu, "node");
    write(&eu.join("ca.pem"), &next_conductor.pem());
    next_conductor
        .server(&["127.0.0.1"])
        .write(world.directory.path(), "conductor");
    world.until_figure(changed, 2).await;

    // The old authority is believed no longer: what it let in is ended, and comes anew with the new
    // certificates.
    write(&world.at("nodes.pem"), &next_nodes.pem());
    world.until_figure(ENDED, 1).await;
    let anew = world
        .until("connected anew", |s| {
            configured(s) && s["streams"][0]["connected_unix_ms"] != connected
        })
        .await;
    let connected = anew["streams"][0]["connected_unix_ms"].clone();
    world.relay.cut();
    world
        .until("connected once more", |s| {
            configured(s) && s["streams"][0]["connected_unix_ms"] != connected
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_certificate_that_opened_it() {
    let (nodes, conductor) = (Authority::new("nodes"), Authority::new("conductors"));
    let mut world = World::new().await;
    world.with_identities(&nodes, &conductor);
    world.write_config();
    let _serving = world.serve();
    let eu = world.at("node-eu");
    let id = "spiffe://example.org/region/eu/gateway/gateway-eu";
    let configured = |s: &serde_json::Value| settled(s, "gateway-eu");
    // On a busy machine a certificate may be over before the gateway is configured: then one that lives longer.
    let mut envoy = None;
    for seconds in [20, 80] {
        let short = nodes.issue(&Wanted {
            uris: &[id],
            until: Some(SystemTime::now() + Duration::from_secs(seconds)),
            ..Wanted::default()
        });
        short.write(&eu, "node");
        let started = world.envoy("eu", &format!("for-{seconds}"));
        world
            .until_so("configured, or too late", async || {
                configured(&world.status().await)
                    || world.figure(ENDED).await + world.figure(HANDSHAKES_REFUSED).await > 0
            })
            .await;
        let status = world.status().await;
        if configured(&status) {
            envoy = Some((started, status["streams"][0]["connected_unix_ms"].clone()));
            break;
        }
    }
    let (_envoy, connected) = envoy.expect("no gateway in time");
    // Renewed in time, as it should be: the gateway comes back at once with the new one.
    nodes.node(id).write(&eu, "node");
    world.until_figure(ENDED, 1).await;
    world
        .until("connected anew", |s| {
            configured(s) && s["streams"][0]["connected_unix_ms"] != connected
        })
        .await;
    assert!(world.log().contains("its certificate is good no longer"));
}

#[tokio::test]
async fn settings_that_would_expose_the_control_plane_are_refused() {
    let mut world = World::new().await;
    world.write_config();
    let file = world.at("conductor.toml");
    let exposed = std::fs::read_to_string(&file)
        .unwrap()
        .replace("[xds]\nlisten = \"127.0.0.1:", "[xds]\nlisten = \"0.0.0.0:");
    std::fs::write(&file, &exposed).unwrap();
    let check = ["serve", "--config", "conductor.toml", "--check-config"];
    let refused = world.run(&check);
    assert_eq!(refused.status.code(), Some(2));
    assert!(error(&refused).contains("insecure = true"), "{refused:?}");
    std::fs::write(
        &file,
        exposed.replace("[xds]\n", "[xds]\ninsecure = true\n"),
    )
    .unwrap();
    assert_eq!(world.run(&check).status.code(), Some(0));

    // Certificates that are missing, and gateways that name none.
    let (nodes, conductor) = (Authority::new("nodes"), Authority::new("conductors"));
    world.with_identities(&nodes, &conductor);
    world.gateway_settings = String::new();
    world.write_config();
    let bootstrap = ["bootstrap", "--config", "conductor.toml", "--region", "eu"];
    let refused = world.run(&bootstrap);
    assert_eq!(refused.status.code(), Some(2));
    assert!(error(&refused).contains("identity = {"), "{refused:?}");
    std::fs::remove_file(world.at("conductor.key")).unwrap();
    let refused = world.run(&check);
    assert_eq!(refused.status.code(), Some(2));
    let said = error(&refused);
    assert!(
        said.contains("[xds.tls]") && said.contains("conductor.key"),
        "{said}"
    );
}
