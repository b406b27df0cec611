//! Configurations that are sent as what changed: the filters' own Wasm under the harness.

use e2e::{CLUSTERS, GRAPHQL_PATHS, bundle, checkout, filters, guard};
use engine::patch::{KEPT, Patch, sha256};
use harness::{Exchange, Host, Message, Plugin, PluginOptions, Vm, VmOptions};
use serde_json::{Value, json};

/// The policies with so many more tenants, of which one is in this region.
fn policies(moved_to: &str) -> bundle::Bundle {
    let mut bundle = bundle();
    let tenants = bundle.policy.data.pointer_mut("/ig/tenants");
    let tenants = tenants.and_then(Value::as_object_mut).expect("a directory");
    for number in 0..1_000 {
        let region = if number == 500 { moved_to } else { "eu" };
        let tenant = json!({"region": region, "risk": "low"});
        tenants.insert(format!("tenant-{number:04}"), tenant);
    }
    bundle
}

/// The configurations of residency, masking and a guard.
fn configurations(moved_to: &str) -> [String; 3] {
    let bundle = policies(moved_to);
    let clusters = CLUSTERS.map(|(region, cluster)| (region.to_owned(), cluster.to_owned()));
    let residency = bundle.residency("eu", &clusters, &GRAPHQL_PATHS.map(str::to_owned));
    let masking = bundle::cases::fixture::masking_config(&bundle, "eu");
    let store = json!({
        "kind": "s3", "name": "objects", "region": "eu", "hosts": ["127.0.0.1"],
        "objects": [{"name": "data-{tenant}"}],
    });
    let store = serde_json::from_value(store).expect("a store");
    let guard = bundle.guard("eu", store, "store-objects");
    let text = |config: serde_json::Result<String>| config.expect("a configuration is JSON");
    [
        text(serde_json::to_string(&residency)),
        String::from_utf8(masking).expect("it is text"),
        text(serde_json::to_string(&guard)),
    ]
}

/// All between the first and the last difference.
fn patch(from: &str, to: &str) -> String {
    let pairs = || from.bytes().zip(to.bytes());
    let before = pairs().take_while(|(a, b)| a == b).count();
    let pairs = from[before..].bytes().rev().zip(to[before..].bytes().rev());
    let behind = pairs.take_while(|(a, b)| a == b).count();
    let instead = to[before..to.len() - behind].to_owned();
    let patch = Patch {
        from: sha256(from.as_bytes()),
        to: sha256(to.as_bytes()),
        edits: vec![(before, from.len() - behind - before, instead)],
    };
    patch.to_json().expect("a patch is JSON")
}

/// A machine of a filter in a process.
fn machine(filter: usize, host: &Host) -> Vm {
    let module = filters().get(filter).unwrap_or_else(|| guard());
    let wasm = std::fs::read(module).expect("the module was built");
    let key = "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-P0A";
    let options = VmOptions {
        host: Some(host.clone()),
        env: ["IG_CONTEXT_KEYS", "IG_MASK_KEYS"]
            .map(|name| (name.to_owned(), format!("c1:{key}")))
            .to_vec(),
        cache_directory: Some(checkout().join("target/filters/compiled")),
        ..VmOptions::default()
    };
    Vm::load(&wasm, options).expect("the module can be loaded")
}

fn configure(machine: &Vm, sent: &str) -> Option<Plugin> {
    let options = PluginOptions {
        root_id: "place".to_owned(),
        configuration: sent.as_bytes().to_vec(),
        ..PluginOptions::default()
    };
    machine.plugin(options).ok()
}

#[test]
fn every_filter_takes_a_patch_of_what_it_had_and_so_does_a_machine_made_anew() {
    let (eve, new) = (configurations("eu"), configurations("us"));
    for (filter, (eve, new)) in eve.iter().zip(&new).enumerate() {
        let step = patch(eve, new);
        assert!(step.len() < 400, "{filter}: {} bytes", step.len());
        let host = Host::default();
        let first = machine(filter, &host);
        assert!(configure(&first, &step).is_none(), "{filter}: of nothing");
        assert!(configure(&first, eve).is_some(), "{filter}");
        assert!(configure(&first, &step).is_some(), "{filter}");
        // Another worker, and a machine after a trap: what the process has kept is theirs.
        assert!(configure(&machine(filter, &host), &step).is_some());
        // Another process has had nothing.
        assert!(configure(&machine(filter, &Host::default()), &step).is_none());
        // And back, many times over.
        for _ in 0..=KEPT {
            assert!(configure(&first, &patch(new, eve)).is_some());
            assert!(configure(&first, &step).is_some());
        }
    }
}

#[test]
fn what_is_in_force_is_the_patched_directory() {
    let [eve, ..] = configurations("eu");
    let [new, ..] = configurations("us");
    let host = Host::default();
    let machine = machine(0, &host);
    let before = configure(&machine, &eve).expect("it is whole");
    let after = configure(&machine, &patch(&eve, &new)).expect("it fits");
    let went_to = |plugin: &Plugin, tenant: &str| {
        let claims = json!({
            "sub": "ann", "tenant": tenant, "roles": ["analyst"], "purposes": ["analytics"],
        });
        let request = Message::post("/graphql", r#"{"query":"{viewer{id}}"}"#);
        let exchange = Exchange::new(request, Message::json(200, "{}")).with_claims(claims);
        let outcome = exchange.run(plugin).expect("it is well-formed");
        (outcome.status(), outcome.text().contains("CROSS_REGION"))
    };
    for tenant in ["tenant-0499", "tenant-0500", "tenant-0501"] {
        assert_eq!(went_to(&before, tenant), (Some(200), false), "{tenant}");
    }
    assert_eq!(went_to(&after, "tenant-0499"), (Some(200), false));
    assert_ne!(went_to(&after, "tenant-0500"), (Some(200), false));
    assert_eq!(went_to(&after, "tenant-0501"), (Some(200), false));
}
