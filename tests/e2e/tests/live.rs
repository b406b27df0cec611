//! Answers that come bit by bit, while the policies change.

use e2e::{GRAPHQL_PATHS, KEYS, KEYS_VARIABLE, bundle, checkout, filters};
use engine::config::Mode;
use harness::{Chain, Host, HttpStream, Message, Plugin, PluginOptions, StreamInfo, Vm, VmOptions};
use serde_json::{Value, json};

/// A subscription that the policies let an analyst have, and one that they refuse: the schema does
/// not know it.
const ASKED: &str = "subscription { assetChanged { name email } }";
const REFUSED: &str = "subscription { unheardOf { email } }";

/// What stands in every event.
const EMAIL: &str = "ada.lovelace@acme.eu.example";

/// A worker of a proxy, with a machine of its own.
fn worker(host: &Host) -> Vm {
    let module = filters().last().expect("the masking filter is the last");
    let wasm = std::fs::read(module).expect("the module was built");
    let options = VmOptions {
        vm_id: "masking".into(),
        env: vec![(KEYS_VARIABLE.to_owned(), KEYS.to_owned())],
        cache_directory: Some(checkout().join("target/filters/compiled")),
        host: Some(host.clone()),
        ..VmOptions::default()
    };
    Vm::load(&wasm, options).expect("the module can be loaded")
}

fn configure(worker: &Vm, revision: &str, mode: Mode) -> Plugin {
    let mut config = bundle().masking("eu", &GRAPHQL_PATHS.map(str::to_owned));
    config.revision = revision.to_owned();
    config.mode = mode;
    let options = PluginOptions {
        configuration: serde_json::to_vec(&config).expect("a configuration is JSON"),
        allow_on_headers_stop_iteration: true,
        ..PluginOptions::default()
    };
    worker.plugin(options).expect("the policies load")
}

/// A stream of events as they come, whether or not the client has asked for one.
fn open(plugin: &Plugin, query: &str, accept: Option<&str>) -> HttpStream {
    let mut info = StreamInfo::default();
    let claims = json!({
        "sub": "analyst@acme", "tenant": "acme", "roles": ["analyst"], "purposes": ["analytics"],
    });
    info.set_claims("payload", claims);
    let mut stream = Chain::new([plugin]).http(info);
    let mut request = Message::post("/graphql", json!({ "query": query }).to_string());
    if let Some(accept) = accept {
        request = request.with_header("accept", accept);
    }
    stream.request_headers(&request.headers, false).unwrap();
    stream.request_body(request.body(), true).unwrap();
    let head = [(":status", "200"), ("content-type", "text/event-stream")];
    stream.response_headers(head, false).unwrap();
    stream
}

/// Whether the next event, which has this name in it, reaches the client.
fn comes(stream: &mut HttpStream, name: &str) -> bool {
    let data = json!({"data": {"assetChanged": {"name": name, "email": EMAIL}}});
    let event = format!("event: next\ndata: {data}\n\n");
    stream.response_body(event, false).unwrap();
    stream.downstream().text().contains(name)
}

fn ended(stream: &mut HttpStream) -> bool {
    stream.finish();
    let record = stream.info();
    let record = record.wasm_state("ig.decision").expect("a record");
    let record: Value = serde_json::from_slice(record).expect("JSON");
    assert_eq!(record["outcome"], "incomplete");
    let ended = record["code"] == "POLICIES_CHANGED";
    assert_eq!(ended, stream.downstream().reset.is_some());
    ended
}

const ACCEPTS: [Option<&str>; 2] = [Some("text/event-stream"), None];

#[test]
fn an_open_stream_ends_at_its_next_event_once_other_policies_are_in_force() {
    for accept in ACCEPTS {
        let host = Host::default();
        let (first, second) = (worker(&host), worker(&host));
        let plugin = configure(&first, "r-1", Mode::Enforce);
        let mut stream = open(&plugin, ASKED, accept);
        assert!(comes(&mut stream, "before"), "{accept:?}");
        // The same policies once more, by whatever has changed beside them.
        configure(&first, "r-1", Mode::Enforce);
        configure(&second, "r-1", Mode::Enforce);
        assert!(comes(&mut stream, "meanwhile"), "{accept:?}");
        configure(&second, "r-2", Mode::Enforce);
        assert!(!comes(&mut stream, "after"), "{accept:?}");
        assert!(ended(&mut stream), "{accept:?}");
        assert!(!stream.downstream().text().contains(EMAIL));
        assert!(host.traps().is_empty(), "{:?}", host.traps());
    }
}

#[test]
fn a_worker_that_lags_behind_begins_no_stream_that_lasts() {
    for accept in ACCEPTS {
        let host = Host::default();
        let (first, second) = (worker(&host), worker(&host));
        let old = configure(&first, "r-1", Mode::Enforce);
        let new = configure(&second, "r-2", Mode::Enforce);
        let mut stream = open(&old, ASKED, accept);
        assert!(!comes(&mut stream, "event"), "{accept:?}");
        assert!(ended(&mut stream), "{accept:?}");
        let mut stream = open(&new, ASKED, accept);
        assert!(comes(&mut stream, "event"), "{accept:?}");
        assert!(!ended(&mut stream), "{accept:?}");
    }
}

#[test]
fn a_stream_that_shadow_mode_lets_pass_ends_with_its_revision() {
    for (query, accept) in [ASKED, REFUSED]
        .into_iter()
        .flat_map(|query| ACCEPTS.map(|accept| (query, accept)))
    {
        let host = Host::default();
        let vm = worker(&host);
        let shadow = configure(&vm, "r-1", Mode::Shadow);
        let mut stream = open(&shadow, query, accept);
        assert!(comes(&mut stream, "before"), "{query} {accept:?}");
        assert!(stream.downstream().text().contains(EMAIL));
        configure(&vm, "r-1", Mode::Shadow);
        assert!(comes(&mut stream, "meanwhile"), "{query} {accept:?}");
        configure(&vm, "r-2", Mode::Enforce);
        assert!(!comes(&mut stream, "after"), "{query} {accept:?}");
        assert!(ended(&mut stream), "{query} {accept:?}");
    }
}
