//! The planned gateway on a real Envoy, over both variants of the protocol.

mod support;

use std::path::Path;

use gateway::spec::{EndpointSpec, FilterSpec, HealthCheckSpec, Variant};
use serde_json::json;
use support::code::{self, Does, code};
use support::{BOTH, World, acked, filter, stat_is};
use xds::{Event, Offered};

/// A residency filter that routes to the region and a masking filter that does nothing.
fn good_filters(dir: &Path) -> Vec<FilterSpec> {
    let route = code::write(dir, "route.wasm", &code(true, &Does::Route("region-eu")));
    let noop = code::write(dir, "noop.wasm", &code(true, &Does::Continue));
    let masking = FilterSpec {
        allow_on_headers_stop_iteration: true,
        ..filter("masking", &noop, "{}")
    };
    vec![filter("residency", &route, "{}"), masking]
}

async fn good_world(variant: Variant, dir: &Path) -> World {
    World::new(variant, good_filters(dir)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_comes_up_serves_and_says_so() {
    for variant in BOTH {
        let code = tempfile::tempdir().unwrap();
        let mut world = good_world(variant, code.path()).await;
        assert_eq!(world.offer_all(), Offered::Serving);
        let envoy = world.start().await;
        world.proven().await;

        let reply = world.until(200).await;
        let seen: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert!(seen.get("x-ig-cluster").is_none(), "{seen}");
        assert!(seen.get("x-ig-route").is_none(), "{seen}");
        assert!(
            seen.get("authorization").is_none(),
            "the token stays here: {seen}"
        );
        assert_eq!(reply.headers["server"], "maestro-conductor");
        assert!(reply.headers.contains_key("x-request-id"));

        let status = world.cache.status();
        let stream = &status.streams[0];
        assert_eq!(stream.node, "gateway-eu-1");
        assert_eq!(stream.types.len(), 5, "{stream:#?}");
        for (type_url, of_type) in &stream.types {
            assert!(
                of_type.acked.is_some() && of_type.pending.is_none(),
                "{type_url}"
            );
        }
        envoy.stop(support::PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn until_a_filter_is_configured_requests_are_refused() {
    for variant in BOTH {
        let code = tempfile::tempdir().unwrap();
        let mut world = good_world(variant, code.path()).await;
        world.offer(&[]);
        let envoy = world.start().await;
        let reply = world.until(403).await;
        assert!(reply.body.contains("RBAC"), "{reply:?}");

        world.offer(&["residency"]);
        world
            .event(|event| acked(&event, "TypedExtensionConfig"))
            .await;
        assert_eq!(
            world.until(403).await.status,
            403,
            "masking is missing still"
        );
        assert_eq!(world.upstream_count(), 0);

        world.offer(&["residency", "masking"]);
        world.until(200).await;
        envoy.stop(support::PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door() {
    let code_dir = tempfile::tempdir().unwrap();
    let noop = code::write(code_dir.path(), "noop.wasm", &code(true, &Does::Continue));
    let filters = vec![filter("residency", &noop, "{}")];
    let mut world = World::new(Variant::Delta, filters).await;
    world.offer_all();
    let envoy = world.start().await;
    world.proven().await;

    // Nobody named a cluster, whatever the client says.
    let reply = world.until(503).await;
    assert_eq!(reply.status, 503);
    for forged in ["x-ig-cluster", "X-IG-Cluster", "x-ig-route", "X-IG-Route"] {
        let reply = world.get("/graphql", &[(forged, "region-eu")]).await;
        assert_eq!(reply.status, 503, "{forged}: {reply:?}");
    }
    for forged in ["x-ig-cluster", "x-ig-route"] {
        let hop = [(forged, "region-eu"), ("connection", forged)];
        assert_eq!(world.get("/graphql", &hop).await.status, 503);
    }
    assert_eq!(world.upstream_count(), 0);

    let long = format!("/graphql?{}", "q=1&".repeat(100));
    for (path, status) in [
        ("/", 404),
        ("/graphql/", 404),
        ("/graphqlx", 404),
        ("/GraphQL", 404),
        ("/graphql%2f", 400),
        ("/a/%2e%2e/graphql", 503),
        ("/a/../graphql", 503),
        ("//graphql", 503),
        (long.as_str(), 503),
        ("/v1/people", 503),
        ("/v1/people?name=x", 503),
        ("/v1/people/7?x=1", 503),
        ("/v1/people/", 404),
        ("/v1/people/7/assets", 404),
        ("/v1/people/7%2fassets", 400),
        ("/v1/peoples", 404),
        ("/V1/people", 404),
    ] {
        assert_eq!(world.get(path, &[]).await.status, status, "{path}");
    }
    let not_found = world.get("/", &[]).await;
    assert_eq!(
        not_found.headers["content-type"],
        "application/problem+json"
    );

    for path in [
        "/graphql",
        "/a/../graphql",
        "//graphql",
        "/graphql?x=1",
        "/a/%2e%2e/graphql",
        "/v1/people",
        "/v1/people/7?x=/graphql",
    ] {
        let reply = world.raw(path, &[]).await;
        assert_eq!(reply.status, 401, "no token: {path}");
        let (kind, code) = match path.contains("/v1/") {
            true => ("application/problem+json", "/code"),
            false => ("application/json", "/errors/0/extensions/code"),
        };
        assert_eq!(reply.headers["content-type"], kind, "{path}");
        let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        let code = body.pointer(code).and_then(|c| c.as_str());
        assert_eq!(code, Some("UNAUTHENTICATED"), "{path}");
    }
    let good = world.token(json!({}));
    let mut forged = good.clone();
    forged.pop();
    let tokens = [
        (
            "another issuer",
            world.token(json!({"iss": "https://other.test"})),
        ),
        ("another audience", world.token(json!({"aud": "other"}))),
        ("expired", world.token(json!({"exp": 1_000}))),
        ("without end", world.token(json!({"exp": null}))),
        ("forged", forged),
        ("nonsense", "x".to_owned()),
    ];
    for (what, token) in tokens {
        let bearer = format!("Bearer {token}");
        let reply = world.raw("/graphql", &[("authorization", &bearer)]).await;
        assert!([401, 403].contains(&reply.status), "{what}: {reply:?}");
    }
    let query = format!("/graphql?access_token={good}");
    assert_eq!(
        world.raw(&query, &[]).await.status,
        401,
        "a token in the query"
    );

    let underscore = world.get("/graphql", &[("x_ig_mask", "1")]).await;
    assert_eq!(underscore.status, 400);
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert_eq!(world.get("/graphql", &upgrade).await.status, 403);
    assert_eq!(world.upstream_count(), 0);
    envoy.stop(support::PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_headers_of_a_client_are_gone_and_its_intents_stay() {
    let code = tempfile::tempdir().unwrap();
    let world = good_world(Variant::Delta, code.path()).await;
    world.offer_all();
    let envoy = world.start().await;
    world.until(200).await;
    let mut headers: Vec<(&str, &str)> = gateway::RESERVED_HEADERS
        .iter()
        .map(|&name| (name, "forged"))
        .collect();
    headers.extend([
        ("x-ig-purpose", "support"),
        ("x-ig-data-region", "eu"),
        ("x-ig-warrant", "presented"),
    ]);
    headers.push(("x-envoy-original-path", "/elsewhere"));
    let reply = world.get("/graphql", &headers).await;
    assert_eq!(reply.status, 200);
    let seen: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    for name in gateway::RESERVED_HEADERS {
        assert!(seen.get(name).is_none(), "{name}: {seen}");
    }
    assert_eq!(seen["x-ig-purpose"], "support");
    assert_eq!(seen["x-ig-data-region"], "eu");
    assert_eq!(seen["x-ig-warrant"], "presented");
    envoy.stop(support::PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_is_to_the_regions_own_secondary() {
    let code = tempfile::tempdir().unwrap();
    let mut world = good_world(Variant::Delta, code.path()).await;
    let alive = world.spec.endpoints[0].address;
    let [dead] = gateway::run::free_ports().unwrap().map(support::local);
    let endpoint = |address, priority| EndpointSpec { address, priority };
    world.spec.health_check = Some(HealthCheckSpec {
        http_path: None,
        interval_ms: 50,
        timeout_ms: 200,
    });
    world.spec.endpoints = vec![endpoint(dead, 0), endpoint(alive, 1)];
    world.offer_all();
    let envoy = world.start().await;
    world.until(200).await;

    world.spec.endpoints = vec![endpoint(dead, 0)];
    world.offer_all();
    let reply = world.until(503).await;
    assert!(reply.body.contains("UPSTREAM_UNAVAILABLE"), "{reply:?}");
    envoy.stop(support::PATIENCE).await.unwrap();
}

/// What Envoy says that it runs, as `envoy/golden/config_dump.snap` has it.
#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_in_force() {
    let code = tempfile::tempdir().unwrap();
    let mut world = good_world(Variant::Delta, code.path()).await;
    world.spec.filters[0].env_keys = vec!["IG_CONTEXT_KEYS".to_owned()];
    world.spec.filters[1].env_keys = vec!["IG_MASK_KEYS".to_owned()];
    world.offer_all();
    let mut options = world.options();
    options.env = ["IG_CONTEXT_KEYS", "IG_MASK_KEYS"]
        .map(|name| (name.to_owned(), "a secret".to_owned()))
        .into();
    let envoy = gateway::run::Envoy::start(&options).await.unwrap();
    world.proven().await;
    world.until(200).await;
    let dump = envoy.config_dump().await.unwrap();
    assert!(!dump.to_string().contains("a secret"));

    let mut ports = vec![world.spec.listen.port(), world.spec.xds.server.port];
    ports.extend(world.spec.endpoints.iter().map(|e| e.address.port()));
    let dynamic: Vec<serde_json::Value> = dump["configs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|config| {
            config["@type"] != "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump"
        })
        .map(|config| {
            let dirs = [code.path(), world.dir.path()];
            stable(config, &ports, &dirs.map(|dir| dir.to_str().unwrap()))
        })
        .collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../envoy/golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_json_snapshot!("config_dump", dynamic));
    envoy.stop(support::PATIENCE).await.unwrap();
}

/// The same JSON without what differs from run to run.
fn stable(value: &serde_json::Value, ports: &[u16], dirs: &[&str]) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| *key != "last_updated" && *key != "version_info")
            .map(|(key, value)| {
                let mut value = stable(value, ports, dirs);
                // Envoy keeps these in hash maps.
                if (key == "ecds_filters" || key == "static_clusters")
                    && let Some(items) = value.as_array_mut()
                {
                    items.sort_by_key(|item| item.to_string());
                }
                (key.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| stable(item, ports, dirs)).collect(),
        Value::Number(number) => match ports
            .iter()
            .position(|&p| number.as_u64() == Some(p.into()))
        {
            Some(at) => json!(at),
            None => value.clone(),
        },
        Value::String(text) => {
            let text = dirs
                .iter()
                .fold(text.clone(), |text, dir| text.replace(dir, "/dir"));
            Value::String(text)
        }
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_log_line_a_request() {
    let code = tempfile::tempdir().unwrap();
    let world = good_world(Variant::Delta, code.path()).await;
    world.offer_all();
    let envoy = world.start().await;
    world.until(200).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let marked = [("traceparent", trace), ("user-agent", "marked")];
    world.get("/graphql?secret=1", &marked).await;
    let line = loop {
        let text = std::fs::read_to_string(&world.spec.access_log).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.contains("marked")) {
            break line.to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
    let want = [
        ("method", json!("GET")),
        ("path", json!("/graphql")),
        ("response_code", json!(200)),
        ("response_code_details", json!("via_upstream")),
        ("upstream_cluster", json!("region-eu")),
        (
            "upstream_host",
            json!(world.spec.endpoints[0].address.to_string()),
        ),
        ("region", json!("eu")),
        ("node", json!("gateway-eu-1")),
        ("traceparent", json!(trace)),
        ("decision", json!(null)),
    ];
    for (key, value) in want {
        assert_eq!(entry[key], value, "{key} in {line}");
    }
    for own in ["own_before_us", "own_after_us"] {
        assert!(entry[own].is_u64(), "{own} in {line}");
    }
    let keys: Vec<&String> = entry.as_object().unwrap().keys().collect();
    let at = |key: &str| line.find(&format!("\"{key}\":")).unwrap();
    assert!(
        keys.windows(2).all(|pair| at(pair[0]) < at(pair[1])),
        "sorted: {line}"
    );
    envoy.stop(support::PATIENCE).await.unwrap();
}

/// Keeps what it is given.
#[derive(Clone, Default)]
struct Kept(std::sync::Arc<std::sync::Mutex<Vec<decisions::Batch>>>);

impl decisions::Sink for Kept {
    async fn checkpoints(
        &self,
        _: &str,
    ) -> Result<Vec<decisions::Checkpoint>, decisions::SinkError> {
        Ok(Vec::new())
    }

    async fn commit(&self, batch: decisions::Batch) -> Result<(), decisions::SinkError> {
        self.0.lock().unwrap().push(batch);
        Ok(())
    }

    async fn node_status(&self, _: &str, _: i64, _: &str) -> Result<(), decisions::SinkError> {
        Ok(())
    }

    fn trouble(&self, _: &str, _: Option<&str>) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_service_gets_the_lines_of_the_file() {
    let code_dir = tempfile::tempdir().unwrap();
    let noop = code::write(code_dir.path(), "noop.wasm", &code(true, &Does::Continue));
    let mut world = World::new(Variant::Delta, vec![filter("residency", &noop, "{}")]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.spec.access_log_service = Some(listener.local_addr().unwrap().into());
    let kept = Kept::default();
    let serving = tokio::spawn(decisions::serve_access_log_service(
        listener,
        kept.clone(),
        None,
        std::future::pending(),
    ));
    world.offer_all();
    let envoy = world.start().await;
    world.proven().await;
    world.until(503).await;
    // No filter decided, and the response was 503: such a line is kept.
    let marked = [("user-agent", "marked \"so\" \u{e9}"), ("x-other", "1")];
    world.get("/graphql?secret=1", &marked).await;
    let deadline = tokio::time::Instant::now() + 3 * support::PATIENCE;
    let (streamed, written) = loop {
        let found = kept.0.lock().unwrap().iter().find_map(|batch| {
            let record = batch.records.iter().find(|r| r.line.contains("marked"))?;
            Some((batch.source.clone(), record.clone()))
        });
        let text = std::fs::read_to_string(&world.spec.access_log).unwrap_or_default();
        let line = text.lines().find(|line| line.contains("marked"));
        if let (Some(found), Some(line)) = (found, line) {
            break (found, line.to_owned());
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "no line in time: {text}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let (source, record) = streamed;
    assert_eq!(source, "grpc:gateway-eu-1");
    let streamed: serde_json::Value = serde_json::from_str(&record.line).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    for (key, value) in written.as_object().unwrap() {
        // What Envoy does not have is null in the file, and has no tag.
        assert_eq!(streamed.get(key).unwrap_or(&json!(null)), value, "{key}");
    }
    envoy.stop(support::PATIENCE).await.unwrap();
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_listener_is_rolled_back() {
    for variant in BOTH {
        let code = tempfile::tempdir().unwrap();
        let mut world = good_world(variant, code.path()).await;
        world.offer_all();
        let envoy = world.start().await;
        world.proven().await;
        world.until(200).await;

        let mut bad = world.planned();
        let listener = bad
            .iter_mut()
            .find(|p| p.type_url.ends_with("Listener"))
            .unwrap();
        listener.bytes = b"\xff\xff no listener".to_vec();
        refused_and_rolled_back(&mut world, bad, "Listener").await;
        assert_eq!(world.get("/graphql", &[]).await.status, 200);
        envoy.stop(support::PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_filter_is_rolled_back() {
    for variant in BOTH {
        for case in [
            "absent",
            "garbage",
            "truncated",
            "rejects its configuration",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let mut world = good_world(variant, dir.path()).await;
            world.offer_all();
            let envoy = world.start().await;
            world.proven().await;
            world.until(200).await;

            let path = match case {
                "absent" => dir.path().join("absent.wasm"),
                "garbage" => code::write(dir.path(), "garbage.wasm", b"not wasm"),
                "truncated" => {
                    let whole = code(true, &Does::Continue);
                    code::write(dir.path(), "half.wasm", &whole[..whole.len() / 2])
                }
                _ => code::write(dir.path(), "rejects.wasm", &code(false, &Does::Continue)),
            };
            let good = world.spec.clone();
            world.spec.filters[1] = filter("masking", &path, "{}");
            let bad = world.planned();
            world.spec = good;
            let error = refused_and_rolled_back(&mut world, bad, "TypedExtensionConfig").await;
            eprintln!("{variant:?} {case}: {error}");
            assert_eq!(world.get("/graphql", &[]).await.status, 200, "{case}");
            envoy.stop(support::PATIENCE).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_changes_is_warm_again_at_once() {
    for variant in BOTH {
        let code = tempfile::tempdir().unwrap();
        let mut world = good_world(variant, code.path()).await;
        world.offer_all();
        let envoy = world.start().await;
        world.proven().await;
        world.until(200).await;

        world.spec.limits.max_requests += 1;
        world.offer_all();
        world.proven().await;
        stat_is(&envoy, "cluster_manager.cluster_modified", 1).await;
        stat_is(&envoy, "cluster_manager.warming_clusters", 0).await;
        assert_eq!(world.get("/graphql", &[]).await.status, 200);
        envoy.stop(support::PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_changes_is_warm_again_at_once() {
    for variant in BOTH {
        let code = tempfile::tempdir().unwrap();
        let mut world = good_world(variant, code.path()).await;
        world.offer_all();
        let envoy = world.start().await;
        world.proven().await;
        world.until(200).await;

        world.spec.limits.request_headers_kb += 1;
        world.offer_all();
        world.proven().await;
        stat_is(&envoy, "listener_manager.listener_modified", 1).await;
        stat_is(&envoy, "listener_manager.total_listeners_warming", 0).await;
        assert_eq!(world.get("/graphql", &[]).await.status, 200);
        envoy.stop(support::PATIENCE).await.unwrap();
    }
}

/// Offers resources that Envoy refuses; returns its reason.
async fn refused_and_rolled_back(
    world: &mut World,
    bad: Vec<gateway::Planned>,
    kind: &str,
) -> String {
    let good = world.cache.last_good("eu").unwrap().version().to_owned();
    assert_eq!(world.offer_planned(bad.clone()), Offered::Serving);
    let error = world
        .event(|event| match event {
            Event::RolledBack {
                to,
                type_url,
                error,
                ..
            } if to == good => {
                assert!(type_url.ends_with(kind), "{type_url}: {error}");
                Some(error)
            }
            _ => None,
        })
        .await;
    assert!(!error.is_empty());
    // The good one is sent once more, and taken.
    world.event(|event| acked(&event, kind)).await;
    let status = world.cache.status();
    let group = &status.groups["eu"];
    assert!(group.rolled_back);
    assert_eq!(group.parked[0].error, error);
    assert_eq!(group.served.as_ref().unwrap().version, good);
    let nack = status.streams[0]
        .types
        .iter()
        .find(|(url, _)| url.ends_with(kind))
        .and_then(|(_, of_type)| of_type.last_nack.clone())
        .unwrap();
    assert_eq!(nack.error, error);
    assert_eq!(world.offer_planned(bad), Offered::Parked, "not tried again");
    error
}
