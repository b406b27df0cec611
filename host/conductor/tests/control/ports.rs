//! The ports beside that of xDS: filters' code and decisions ask for the same certificates.

use peer::testing::{Authority, Issued};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::world::{World, error, local, settled};

const EU: &str = "spiffe://example.org/region/eu/gateway/gateway-eu";
const US: &str = "spiffe://example.org/region/us/gateway/gateway-us";

fn handshakes(port: &str, outcome: &str) -> String {
    format!("maestro_tls_handshakes_total{{port=\"{port}\",outcome=\"{outcome}\"}}")
}

/// Takes the certificate off the cluster of this name in a bootstrap.
fn nameless(bootstrap: &str, cluster: &str) -> String {
    let mut seen = false;
    let mut taken = 0;
    let lines = bootstrap.lines().map(|line| {
        let begins = line.trim_start().starts_with("- ");
        seen = line.contains(&format!("name: {cluster}"))
            || line.contains(&format!("\"name\":\"{cluster}\""))
            || (seen && !begins);
        let Some(at) = line
            .find('{')
            .filter(|_| seen && line.contains("tls_certificate_sds"))
        else {
            return line.to_owned();
        };
        let (before, json) = line.split_at(at);
        let mut json: Value = serde_json::from_str(json).unwrap();
        let socket = match json.get_mut("transport_socket") {
            Some(socket) => socket,
            None => &mut json,
        };
        let context = &mut socket["typed_config"]["common_tls_context"];
        let context = context.as_object_mut().unwrap();
        context
            .remove("tls_certificate_sds_secret_configs")
            .unwrap();
        taken += 1;
        format!("{before}{json}")
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(taken, 1, "{cluster}: {bootstrap}");
    text
}

/// How many lines came from a source.
async fn lines(world: &World, source: &str) -> u64 {
    let page = world.get("/metrics").await.unwrap_or_default();
    let name = format!("maestro_decisions_lines_total{{source=\"{source}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |n| n.parse().unwrap())
}

/// Asks the gateway for anything until something is so: each request is a line.
async fn until(world: &World, what: &str, is: impl AsyncFn() -> bool) {
    let port = world.gateway("eu");
    let so = async || {
        let _ = world.get_at(port, "/graphql").await;
        is().await
    };
    world.until_so(what, so).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_taken_from_the_node_that_its_certificate_names() {
    let (nodes, conductor) = (Authority::new("nodes"), Authority::new("conductors"));
    let mut world = World::new().await;
    world.with_identities(&nodes, &conductor);
    let port = world.spare[0];
    world.more = format!("[decisions]\ningest = false\ngrpc_listen = \"127.0.0.1:{port}\"\n");
    world.gateway_settings += "\naccess_log_service = true";
    world.write_config();
    let _serving = world.serve();
    let eu = world.at("node-eu");
    let refused = handshakes("decisions", "refused");
    let source = "grpc:gateway-eu";

    // Each is configured as what it is, then shows another certificate, or none, to the port of decisions.
    let envoy = world.envoy_with("eu", "none", |text| nameless(&text, "conductor-decisions"));
    world
        .until("configured", |s| settled(s, "gateway-eu"))
        .await;
    until(&world, "refused without a certificate", async || {
        world.figure(&refused).await > 0
    })
    .await;
    drop(envoy);
    assert_eq!(lines(&world, source).await, 0);

    for (name, shown) in [
        ("foreign", Authority::new("others").node(EU)),
        ("other", nodes.node(US)),
    ] {
        nodes.node(EU).write(&eu, "node");
        let before = world.figure(&refused).await;
        let envoy = world.envoy("eu", name);
        world
            .until("configured", |s| settled(s, "gateway-eu"))
            .await;
        let serial = serial(&shown);
        shown.write(&eu, "node");
        let admin = world.admin("eu");
        world
            .until_so("another certificate", async || {
                let all = world.get_at(admin, "/certs").await.unwrap_or_default();
                all.to_lowercase().contains(&serial)
            })
            .await;
        until(&world, "refused", async || match name {
            "foreign" => world.figure(&refused).await > before,
            _ => world.figure("maestro_decisions_refused_total").await > 0,
        })
        .await;
        drop(envoy);
    }
    let shown: Value = serde_json::from_str(&world.get("/api/decisions").await.unwrap()).unwrap();
    let why = shown["refused"]["last"][US]["why"].as_str().unwrap();
    assert!(why.contains("whose node is \"gateway-eu\""), "{why}");
    let alerts = world.get("/api/alerts").await.unwrap();
    assert!(
        alerts.contains("DecisionsRefused") && alerts.contains(US),
        "{alerts}"
    );
    assert_eq!(
        lines(&world, source).await,
        0,
        "nothing of all that was taken"
    );

    // The right one.
    nodes.node(EU).write(&eu, "node");
    let _envoy = world.envoy("eu", "right");
    world
        .until("configured", |s| settled(s, "gateway-eu"))
        .await;
    until(&world, "taken", async || lines(&world, source).await > 0).await;
    let accepted = handshakes("decisions", "accepted");
    assert!(world.figure(&accepted).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_streams_what_its_guards_decided_as_itself() {
    let (nodes, conductor) = (Authority::new("nodes"), Authority::new("conductors"));
    let mut world = World::new().await;
    world.with_identities(&nodes, &conductor);
    let [port, admin, listen, ..] = world.spare;
    let place = world.at("sidecar-eu");
    std::fs::create_dir_all(&place).unwrap();
    let id = "spiffe://example.org/region/eu/sidecar/sidecar-eu";
    nodes.node(id).write(&place, "node");
    std::fs::write(place.join("ca.pem"), conductor.pem()).unwrap();
    let at = place.display();
    world.filter_settings = "guard = \"filter.wasm\"".to_owned();
    world.more = format!(
        r#"
[decisions]
ingest = false
grpc_listen = "127.0.0.1:{port}"
[[sidecars]]
region = "eu"
admin = "127.0.0.1:{admin}"
access_log = "{at}/egress.json"
access_log_service = true
identity = {{ certificate = "{at}/node.pem", key = "{at}/node.key", ca = "{at}/ca.pem" }}
[[sidecars.listeners]]
name = "orders"
kind = "postgres"
listen = "127.0.0.1:{listen}"
endpoints = [{{ address = "127.0.0.1:9" }}]
databases = [{{ name = "{{tenant}}" }}]
"#
    );
    world.write_config();
    let _serving = world.serve();
    let _sidecar = world.sidecar("eu", "sidecar", admin);
    world
        .until("configured", |s| settled(s, "sidecar-eu"))
        .await;
    // Each connection is a line, whatever comes of it.
    let so = async || {
        drop(TcpStream::connect(local(listen)).await.unwrap());
        lines(&world, "grpc:sidecar-eu").await > 0
    };
    world.until_so("taken", so).await;
    assert_eq!(world.figure("maestro_decisions_refused_total").await, 0);
}

/// A certificate's serial number, as Envoy shows it.
fn serial(issued: &Issued) -> String {
    use std::io::Write;
    let mut openssl = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-serial"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = openssl.stdin.take().unwrap();
    stdin.write_all(issued.certificate.as_bytes()).unwrap();
    drop(stdin);
    let output = openssl.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let serial = text.trim().strip_prefix("serial=").unwrap();
    serial.trim_start_matches('0').to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_code_is_for_nodes_with_a_certificate() {
    let (nodes, conductor) = (Authority::new("nodes"), Authority::new("conductors"));
    let mut world = World::new().await;
    world.with_identities(&nodes, &conductor);
    let port = world.spare[0];
    world.filter_settings = "delivery = \"http\"".to_owned();
    world.write_config();
    let check = ["serve", "--config", "conductor.toml", "--check-config"];
    let refusal = world.run(&check);
    assert_eq!(refusal.status.code(), Some(2));
    let said = error(&refusal);
    assert!(
        said.contains("[filters]") && said.contains("`listen`"),
        "{said}"
    );
    world.filter_settings += &format!("\nlisten = \"127.0.0.1:{port}\"");
    world.write_config();
    assert_eq!(world.run(&check).status.code(), Some(0));
    let _serving = world.serve();
    let refused = handshakes("filters", "refused");

    let envoy = world.envoy_with("eu", "none", |text| nameless(&text, "conductor"));
    world.until_figure(&refused, 1).await;
    assert!(!settled(&world.status().await, "gateway-eu"));
    drop(envoy);

    // With that of an authority that is not believed it is not even told what to fetch; with one of
    // another region it is not, either: both end at the port of xDS. Who asks the port itself:
    let hash = {
        let filters: Value =
            serde_json::from_str(&world.get("/api/filters").await.unwrap()).unwrap();
        filters["masking"].as_str().unwrap().to_owned()
    };
    let url = format!("https://127.0.0.1:{port}/filters/{hash}.wasm");
    let elsewhere = "spiffe://example.org/elsewhere";
    for (node, status) in [
        (Some(nodes.node(EU)), 200),
        (Some(nodes.node(US)), 200),
        (Some(nodes.node(elsewhere)), 403),
        (Some(Authority::new("others").node(EU)), 0),
        (None, 0),
    ] {
        let (seen, _) = send(&url, &conductor, node, None).await;
        assert_eq!(seen, status);
    }

    let _envoy = world.envoy("eu", "right");
    world
        .until("configured", |s| settled(s, "gateway-eu"))
        .await;
    assert!(world.figure(&handshakes("filters", "accepted")).await > 3);
}

/// A request with a node's certificate: status and text.
async fn send(
    url: &str,
    conductor: &Authority,
    node: Option<Issued>,
    body: Option<String>,
) -> (u16, String) {
    let (url, ca) = (url.to_owned(), conductor.pem());
    let sent = tokio::task::spawn_blocking(move || {
        let agent = peer::testing::client(&ca, node.as_ref());
        let mut answer = match body {
            None => agent.get(&url).call()?,
            Some(body) => agent.post(&url).send(body)?,
        };
        let bytes = answer.body_mut().read_to_vec()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok::<_, ureq::Error>((answer.status().as_u16(), text))
    });
    match sent.await.unwrap() {
        Ok(answer) => answer,
        Err(error) => (0, error.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_opa_reports_is_that_of_the_node_that_its_certificate_names() {
    let (nodes, conductor) = (Authority::new("nodes"), Authority::new("conductors"));
    let mut world = World::new().await;
    world.with_identities(&nodes, &conductor);
    let port = world.spare[0];
    world.more = format!("[decisions]\ningest = false\nopa_listen = \"127.0.0.1:{port}\"\n");
    world.write_config();
    let _serving = world.serve();
    world
        .until_so("serving", async || world.get("/healthz").await.is_some())
        .await;
    let event = |id: &str, labels: Value| {
        json!([{"decision_id": id, "timestamp": "2026-11-27T17:00:00Z", "labels": labels, "result": true}])
            .to_string()
    };
    let own = || nodes.node("spiffe://example.org/region/eu/opa/opa-eu");
    let by_chance = json!({"id": "4ca636c1-55e4-417a-b1d8-4aceb67960d1"});
    let foreign = json!({"id": "x", "node": "gateway-us"});
    let url = format!("https://127.0.0.1:{port}/logs");
    for (node, id, labels, status) in [
        (Some(own()), "a", &by_chance, 200),
        (Some(own()), "b", &foreign, 403),
        (
            Some(nodes.node("spiffe://example.org/other")),
            "c",
            &by_chance,
            403,
        ),
        (Some(Authority::new("others").node(EU)), "d", &by_chance, 0),
        (None, "e", &by_chance, 0),
    ] {
        let body = event(id, labels.clone());
        let (seen, text) = send(&url, &conductor, node, Some(body)).await;
        assert_eq!(seen, status, "{id}: {text}");
    }
    let listed: Value = serde_json::from_str(&world.get("/api/decisions").await.unwrap()).unwrap();
    let decisions = listed["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 1, "{decisions:?}");
    assert_eq!(decisions[0]["node"], "opa-eu");
    assert_eq!(listed["refused"]["count"], 2);
}

#[tokio::test]
async fn ports_that_would_believe_anybody_are_refused() {
    let mut world = World::new().await;
    let check = ["serve", "--config", "conductor.toml", "--check-config"];
    for name in ["opa_listen", "grpc_listen"] {
        world.more = format!("[decisions]\n{name} = \"0.0.0.0:18181\"\n");
        world.settings = String::new();
        world.write_config();
        let refused = world.run(&check);
        assert_eq!(refused.status.code(), Some(2));
        let said = error(&refused);
        assert!(
            said.contains(name) && said.contains("set [xds.tls]"),
            "{said}"
        );
        world.settings = "insecure = true".to_owned();
        world.write_config();
        assert_eq!(world.run(&check).status.code(), Some(0));
    }
}
