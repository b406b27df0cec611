//! The residency filter's own Wasm under the harness: what a request costs, and what it leaves.

use e2e::{CLUSTERS, GRAPHQL_PATHS, bundle, checkout, filters};
use harness::{Exchange, Message, Outcome, Plugin, PluginOptions, Vm, VmOptions};
use serde_json::json;

fn plugin(trace: bool) -> Plugin {
    let clusters = CLUSTERS.map(|(region, cluster)| (region.to_owned(), cluster.to_owned()));
    let config = bundle().residency("eu", &clusters, &GRAPHQL_PATHS.map(str::to_owned));
    let mut config = serde_json::to_value(config).expect("a configuration is JSON");
    if trace {
        config["trace"] = json!(true);
    }
    let module = filters()
        .first()
        .expect("the residency filter is the first");
    let wasm = std::fs::read(module).expect("the module was built");
    let options = VmOptions {
        env: vec![(
            "IG_CONTEXT_KEYS".to_owned(),
            "c1:ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-P0A".to_owned(),
        )],
        cache_directory: Some(checkout().join("target/filters/compiled")),
        ..VmOptions::default()
    };
    let vm = Vm::load(&wasm, options).expect("the module can be loaded");
    vm.plugin(PluginOptions {
        configuration: config.to_string().into_bytes(),
        ..PluginOptions::default()
    })
    .expect("the policies load")
}

fn asked(plugin: &Plugin, headers: &[(&str, &str)]) -> Outcome {
    let claims = json!({
        "sub": "ann", "tenant": "acme", "roles": ["analyst"], "purposes": ["analytics"],
    });
    let mut request = Message::post("/graphql", r#"{"query":"{viewer{id}}"}"#);
    for (name, value) in headers {
        request = request.with_header(name, value);
    }
    let exchange = Exchange::new(request, Message::json(200, "{}")).with_claims(claims);
    exchange.run(plugin).expect("the exchange is well-formed")
}

#[test]
fn only_tracing_has_the_region_of_the_data_left_for_it() {
    for trace in [false, true] {
        let plugin = plugin(trace);
        let outcome = asked(&plugin, &[]);
        assert_eq!(outcome.status(), Some(200), "{}", outcome.text());
        let left = outcome.wasm_state("ig.region_dst");
        assert_eq!(left.as_deref(), trace.then_some("eu"));
        // Headers, claims, the clock, the record, four headers set, the route, the counter.
        let calls = outcome.figures.host_call_count();
        let want = 10 + u64::from(trace);
        assert_eq!(calls, want, "{:?}", outcome.figures.host_calls);
    }
}
