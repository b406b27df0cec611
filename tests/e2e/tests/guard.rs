//! The guard's own Wasm under the harness: connections and requests.

use std::time::Duration;

use e2e::{bundle, guard};
use engine::context::{ContextKeys, ContextToken};
use engine::guard::StoreConfig;
use harness::{
    Exchange, Message, Outcome, PeerType, Plugin, PluginOptions, Status, TcpStream, Vm, VmOptions,
    splits,
};
use serde_json::{Value, json};

/// The bytes 0 to 31. They protect nothing.
const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn plugin(store: Value) -> Plugin {
    try_plugin(store, KEYS).expect("the guard starts")
}

fn try_plugin(store: Value, keys: &str) -> Result<Plugin, harness::Error> {
    let store: StoreConfig = serde_json::from_value(store).unwrap();
    let config = bundle().guard("eu", store, "store-main");
    let wasm = std::fs::read(guard()).unwrap();
    let options = VmOptions {
        env: vec![("IG_CONTEXT_KEYS".to_owned(), keys.to_owned())],
        cache_directory: Some(e2e::checkout().join("target/filters/compiled")),
        ..VmOptions::default()
    };
    Vm::load(&wasm, options)?.plugin(PluginOptions {
        name: "guard".to_owned(),
        configuration: serde_json::to_vec(&config).unwrap(),
        ..PluginOptions::default()
    })
}

fn postgres() -> Plugin {
    plugin(json!({
        "kind": "postgres", "name": "main", "region": "eu", "objects": [{"name": "{tenant}"}],
    }))
}

fn token(plugin: &Plugin, tenant: &str, home: &str) -> String {
    let now = plugin.host().now().as_secs();
    let claims = ContextToken {
        jti: "dec_0".to_owned(),
        tenant: tenant.to_owned(),
        home: home.to_owned(),
        region: "eu".to_owned(),
        iat: now,
        // Virtual time passes in the tests.
        exp: now + 100_000,
        warrant: None,
    };
    claims
        .sign(&ContextKeys::parse(KEYS, "eu").unwrap())
        .unwrap()
}

fn startup(database: &str, token: &str) -> Vec<u8> {
    let body = format!("user\0app\0database\0{database}\0options\0-c ig.context={token}\0\0");
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &[0, 3, 0, 0], body.as_bytes()].concat()
}

fn cluster(tcp: &TcpStream) -> Option<String> {
    let state = tcp.info().filter_state;
    let cluster = state.get("envoy.tcp_proxy.cluster")?;
    Some(String::from_utf8_lossy(cluster).into_owned())
}

fn record(tcp: &TcpStream) -> Value {
    let info = tcp.info();
    info.wasm_state("ig.egress")
        .map_or(Value::Null, |r| serde_json::from_slice(r).unwrap())
}

/// Allowed, denied, malformed, failed.
fn counts(plugin: &Plugin) -> [u64; 4] {
    ["allowed", "denied", "malformed", "failed"].map(|name| {
        plugin
            .host()
            .metrics()
            .counter(&format!("ig.guard.{name}"))
            .unwrap_or(0)
    })
}

fn no_traps(plugin: &Plugin) {
    assert!(
        plugin.host().traps().is_empty(),
        "{:?}",
        plugin.host().traps()
    );
}

#[test]
fn an_admitted_connection_is_led_to_its_store_and_left_alone() {
    let plugin = postgres();
    let bytes = startup("acme", &token(&plugin, "acme", "eu"));
    // The policy is asked once.
    plugin.tcp().from_client(&bytes, false);
    for (how, pieces) in splits::thorough(&bytes, 7) {
        let mut tcp = plugin.tcp();
        assert!(!tcp.upstream_chosen());
        for piece in &pieces {
            assert_eq!(tcp.upstream().0, b"", "{how}");
            tcp.from_client(piece, false);
        }
        assert_eq!(tcp.upstream(), (bytes.clone(), false), "{how}");
        assert_eq!(cluster(&tcp).as_deref(), Some("store-main"));
        assert_eq!(record(&tcp)["outcome"], "allowed");
        let before = tcp.callbacks().len();
        // Admission, whatever the pieces: 170,000 instructions when this was written.
        if pieces.len() < 10 {
            let fuel: u64 = tcp.callbacks().iter().map(|c| c.fuel).sum();
            assert!(fuel < 250_000, "{how}: {fuel}");
        }
        tcp.from_client("query", false);
        tcp.from_upstream("answer", false);
        // Not one call of the host for what passes after that.
        for callback in &tcp.callbacks()[before..] {
            assert_eq!(callback.host_calls, 0, "{callback:?}");
            assert!(callback.fuel < 1_000, "{callback:?}");
        }
        assert_eq!(tcp.downstream().0, b"answer");
        plugin.host().advance(Duration::from_secs(60));
        assert!(!tcp.closed_by_filter(), "an open connection may last");
        tcp.close(PeerType::Remote);
    }
    no_traps(&plugin);
}

#[test]
fn a_refused_connection_reaches_the_responder_and_ends() {
    let plugin = postgres();
    let bytes = startup("globex", &token(&plugin, "acme", "eu"));
    let pieces = splits::thorough(&bytes, 7);
    let count = u64::try_from(pieces.len()).unwrap();
    for (how, pieces) in pieces {
        let mut tcp = plugin.tcp();
        for piece in &pieces {
            tcp.from_client(piece, false);
        }
        assert_eq!(tcp.upstream().0, b"\n", "{how}");
        assert_eq!(cluster(&tcp), None, "{how}");
        tcp.from_upstream("\n", false);
        let (back, _) = tcp.downstream();
        assert!(
            back.starts_with(b"E") && back.windows(6).any(|w| w == b"C28000"),
            "{back:?}"
        );
        assert_eq!(record(&tcp)["code"], "OBJECT_FOREIGN");
        // What the client says meanwhile goes nowhere.
        tcp.from_client("more", true);
        assert_eq!(tcp.upstream().0, b"\n");
        assert!(!tcp.closed_by_filter());
        plugin.host().advance(Duration::from_millis(400));
        assert!(tcp.closed_by_filter(), "{how}");
        tcp.close(PeerType::Local);
    }
    assert_eq!(counts(&plugin), [0, count, 0, 0]);
    no_traps(&plugin);
}

#[test]
fn a_half_open_connection_is_closed_and_counted_once() {
    let plugin = postgres();
    let bytes = startup("acme", &token(&plugin, "acme", "eu"));
    let mut half = plugin.tcp();
    half.from_client(&bytes[..20], false);
    let mut silent = plugin.tcp();
    plugin.host().advance(Duration::from_millis(9_500));
    assert!(!half.closed_by_filter() && !silent.closed_by_filter());
    plugin.host().advance(Duration::from_millis(1_000));
    for tcp in [&mut half, &mut silent] {
        assert!(tcp.closed_by_filter());
        assert_eq!(tcp.upstream().0, b"");
        assert_eq!(record(tcp)["code"], "OPENING_TIMEOUT");
        tcp.close(PeerType::Local);
        assert_eq!(record(tcp)["code"], "OPENING_TIMEOUT");
    }
    assert_eq!(counts(&plugin), [0, 0, 2, 0]);
    // Who leaves by himself is counted if he has said something.
    drop(plugin.tcp());
    assert_eq!(counts(&plugin), [0, 0, 2, 0]);
    let mut leaving = plugin.tcp();
    leaving.from_client(&bytes[..20], false);
    leaving.close(PeerType::Remote);
    assert_eq!(counts(&plugin), [0, 0, 3, 0]);
    assert_eq!(record(&leaving)["outcome"], "incomplete");
    no_traps(&plugin);
}

/// Envoy's function of the name is there no more.
fn without(plugin: &Plugin, function: &str) {
    let host = plugin.host();
    host.on_foreign_function(function, |_| Err(Status::NotFound));
}

#[test]
fn a_connection_that_can_not_be_led_to_its_store_is_no_allowed_one() {
    let plugin = postgres();
    let bytes = startup("acme", &token(&plugin, "acme", "eu"));
    let mut tcp = plugin.tcp();
    tcp.from_client(&bytes, false);
    assert_eq!(counts(&plugin), [1, 0, 0, 0]);
    without(&plugin, "set_envoy_filter_state");
    let mut tcp = plugin.tcp();
    tcp.from_client(&bytes, false);
    tcp.from_client("more", false);
    assert_eq!(tcp.upstream().0, b"");
    assert_eq!(cluster(&tcp), None);
    assert_eq!(record(&tcp)["outcome"], "failed");
    assert_eq!(record(&tcp)["code"], "GUARD_UNAVAILABLE");
    assert_eq!(record(&tcp)["tenant"], "acme");
    plugin.host().advance(Duration::from_millis(400));
    assert!(tcp.closed_by_filter());
    tcp.close(PeerType::Local);
    assert_eq!(counts(&plugin), [1, 0, 0, 1]);
    no_traps(&plugin);
}

#[test]
fn a_store_that_speaks_another_protocol_leaves_a_record() {
    let plugin = plugin(json!({"kind": "bolt", "name": "main", "region": "eu"}));
    let mut tcp = plugin.tcp();
    let handshake = b"\x60\x60\xb0\x17\0\0\x01\xff\0\x08\x08\x05\0\x02\x04\x04\0\0\0\x03";
    tcp.from_client(handshake, false);
    tcp.from_upstream("HTTP/1.1 400 Bad Request", false);
    plugin.host().advance(Duration::from_millis(400));
    assert!(tcp.closed_by_filter());
    tcp.close(PeerType::Local);
    assert_eq!(record(&tcp)["code"], "STORE_MALFORMED");
    assert_eq!(counts(&plugin), [0, 0, 0, 1]);
    no_traps(&plugin);
}

#[test]
fn a_clock_that_nothing_waits_for_is_not_asked() {
    let plugin = postgres();
    let asked = |plugin: &Plugin| {
        let count = || {
            let figures = plugin.vm().figures();
            figures.host_calls_of("proxy_get_current_time_nanoseconds")
        };
        let before = count();
        plugin.host().advance(Duration::from_millis(1_000));
        count() - before
    };
    assert_eq!(asked(&plugin), 0);
    let _waiting = plugin.tcp();
    assert!(asked(&plugin) >= 9);
}

#[test]
fn changed_bytes_never_trap() {
    let plugin = postgres();
    let bytes = startup("acme", &token(&plugin, "acme", "eu"));
    for at in (0..bytes.len()).step_by(3) {
        for byte in [0, b'A', 0xff] {
            let mut changed = bytes.clone();
            changed[at] = byte;
            let mut tcp = plugin.tcp();
            tcp.from_client(&changed, false);
            tcp.from_client(&bytes, true);
            tcp.from_upstream("\n", true);
        }
    }
    no_traps(&plugin);
}

#[test]
fn a_guard_without_keys_does_not_start() {
    let store = json!({"kind": "postgres", "name": "main", "region": "eu"});
    for keys in ["", "k1:AAAA"] {
        assert!(try_plugin(store.clone(), keys).is_err());
    }
    assert!(try_plugin(store, KEYS).is_ok());
}

fn put(plugin: &Plugin, path: &str, token: Option<&str>) -> Outcome {
    let mut request = Message::new([
        (":method", "PUT"),
        (":scheme", "http"),
        (":authority", "s3.test:9000"),
        (":path", path),
        ("x-ig-route", "store-other"),
    ])
    .with_body("hello");
    if let Some(token) = token {
        request = request.with_header("x-ig-context", token);
    }
    let outcome = Exchange::new(request, Message::json(200, "{}"))
        .run(plugin)
        .unwrap();
    assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
    outcome
}

#[test]
fn a_request_is_led_to_its_store_or_refused() {
    let plugin = plugin(json!({
        "kind": "s3", "name": "main", "region": "eu", "hosts": ["s3.test"],
        "objects": [{"name": "data-{tenant}"}],
    }));
    let acme = token(&plugin, "acme", "eu");
    let outcome = put(&plugin, "/data-acme/k", Some(&acme));
    assert_eq!(outcome.status(), Some(200));
    let seen = &outcome.upstream;
    assert_eq!(seen.header("x-ig-route").as_deref(), Some("store-main"));
    assert_eq!(seen.header("x-ig-context"), None);
    assert_eq!(outcome.upstream.body(), b"hello");
    for (path, token, status, code) in [
        ("/data-globex/k", Some(acme.as_str()), 403, "OBJECT_FOREIGN"),
        ("/data-acme/k", None, 403, "CONTEXT_MISSING"),
        ("/", Some(&acme), 403, "S3_LIST_BUCKETS"),
        (
            "/data-acme/../data-globex/k",
            Some(&acme),
            400,
            "S3_MALFORMED",
        ),
    ] {
        let outcome = put(&plugin, path, token);
        assert_eq!(outcome.status(), Some(status), "{path}");
        assert!(outcome.text().contains(code), "{}", outcome.text());
        let record = outcome.wasm_state("ig.egress").unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["code"], code);
    }
    assert_eq!(counts(&plugin), [1, 2, 2, 0]);
    no_traps(&plugin);
}

#[test]
fn a_request_that_can_not_be_led_to_its_store_is_no_allowed_one() {
    let plugin = plugin(json!({
        "kind": "s3", "name": "main", "region": "eu", "hosts": ["s3.test"],
    }));
    without(&plugin, "clear_route_cache");
    let acme = token(&plugin, "acme", "eu");
    let outcome = put(&plugin, "/data-acme/k", Some(&acme));
    assert_eq!(outcome.status(), Some(503));
    assert!(outcome.text().contains("GUARD_UNAVAILABLE"));
    let record = outcome.wasm_state("ig.egress").unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["outcome"], "failed");
    assert_eq!(record["code"], "GUARD_UNAVAILABLE");
    assert_eq!(counts(&plugin), [0, 0, 0, 1]);
    no_traps(&plugin);
}
