//! Properties, filter state, foreign functions.

use crate::support::*;
use harness::{Chain, Status, StreamInfo};
use serde_json::json;

#[test]
fn well_known_properties_and_claims() {
    let plugin = plugin(
        "request_headers: prop plugin_name; prop plugin_vm_id; prop node/id; prop request/path; \
         prop request/method; prop request/host; prop source/address; prop source/port; \
         prop request/headers/content-type; prop response/code; prop nothing; prop ''; \
         prop metadata/filter_metadata/envoy.filters.http.jwt_authn/payload/sub; \
         prop metadata/filter_metadata/envoy.filters.http.jwt_authn/payload/roles; \
         prop metadata/filter_metadata/envoy.filters.http.jwt_authn/payload/none\n\
         response_headers: prop response/code; prop request/path\n\
         configure: prop plugin_name; prop request/path; return 1",
    );
    let claims = json!({"sub": "ann", "roles": ["a"]});
    exchange().with_claims(claims).run(&plugin).unwrap();
    assert_eq!(
        said(&plugin.host()),
        [
            "prop 0 plugin",
            "prop 1",
            "prop 0 plugin",
            "prop 0 vm",
            "prop 0 harness",
            "prop 0 /p",
            "prop 0 POST",
            "prop 0 example.test",
            "prop 0 127.0.0.1:40000",
            "prop 0 @\\9c\\00\\00\\00\\00\\00\\00",
            "prop 0 application/json",
            "prop 1",
            "prop 1",
            "prop 1",
            "prop 0 ann",
            "prop 0 \\01\\00\\00\\00\\01\\00\\00\\00\\00\\00\\00\\00a\\00\\00",
            "prop 1",
            "prop 0 \\c8\\00\\00\\00\\00\\00\\00\\00",
            "prop 0 /p",
        ]
    );
}

#[test]
fn a_property_that_a_filter_sets_is_filter_state_for_all_later_filters() {
    let first = plugin(
        "request_headers: setprop ig.decision deny; prop ig.decision; setprop a/b x; prop a/b",
    );
    let vm = harness::Vm::load(
        probe(),
        harness::VmOptions {
            vm_id: "two".into(),
            host: Some(first.host()),
            ..Default::default()
        },
    )
    .unwrap();
    let second = vm
        .plugin("request_headers: prop ig.decision; prop filter_state/wasm.ig.decision")
        .unwrap();
    let outcome = exchange().run(Chain::new([&first, &second])).unwrap();
    assert_eq!(outcome.wasm_state("ig.decision").as_deref(), Some("deny"));
    // The path is part of the key as it came, so one of two parts is not found by its parts.
    assert!(outcome.info.filter_state.contains_key("wasm.a\0b"));
    assert_eq!(
        said(&first.host()),
        [
            "setprop 0",
            "prop 0 deny",
            "setprop 0",
            "prop 1",
            "prop 0 deny",
            "prop 0 deny"
        ]
    );
}

#[test]
fn a_root_context_has_no_stream_to_set_state_on() {
    let plugin = plugin("configure: setprop a b; foreign clear_route_cache x; return 1");
    assert_eq!(said(&plugin.host()), ["setprop 1", "foreign 2"]);
}

#[test]
fn foreign_functions_built_in_and_registered() {
    // SetEnvoyFilterStateArguments { path: "a.b", value: "eu" }, the same cut short, and without path.
    let plugin = plugin(
        "request_headers: foreign clear_route_cache ''; clear; foreign_null clear_route_cache ''; \
         foreign_hex set_envoy_filter_state 0a03612e621202657518021800; \
         foreign_hex set_envoy_filter_state 0a03612e; foreign_hex set_envoy_filter_state 12026575; \
         foreign_hex declare_property 0a0161; foreign declare_property ''; \
         foreign none ''; foreign upper abc; foreign sad abc",
    );
    plugin
        .host()
        .on_foreign_function("upper", |call| Ok(call.arguments.to_ascii_uppercase()));
    plugin
        .host()
        .on_foreign_function("sad", |_| Err(Status::InternalFailure));
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(outcome.info.route_cache_clears, 3);
    assert_eq!(outcome.info.filter_state["a.b"], b"eu");
    assert_eq!(
        said(&plugin.host()),
        [
            "foreign 0 -",
            "clear 0",
            "foreign_null 0",
            "foreign_hex 0 -",
            "foreign_hex 2",
            "foreign_hex 2",
            "foreign_hex 0 -",
            "foreign 2",
            "foreign 1",
            "foreign 0 ABC",
            "foreign 10"
        ]
    );
}

#[test]
fn a_stream_carries_what_the_test_says() {
    let plugin = plugin("request_headers: prop xds/route_name; prop source/address");
    let mut info = StreamInfo::default();
    info.set_property(&["xds", "route_name"], "r1");
    info.set_property(&["source", "address"], "10.1.2.3:4");
    let mut stream = Chain::from(&plugin).http(info);
    stream.request_headers([(":path", "/")], true).unwrap();
    assert_eq!(said(&plugin.host()), ["prop 0 r1", "prop 0 10.1.2.3:4"]);
}
