//! Warrants that may be used a limited number of times, counted by all workers of a gateway.

use e2e::{Case, Kind, Native, Wasm, bundle};
use harness::EndOfBody;
use serde_json::{Value, json};

/// A request of a US tenant at the EU's gateway, under a warrant of that id.
fn case(id: &str, most: u64, want: &Value) -> Case {
    let now = 1_767_225_600;
    let input = json!({
        "gateway_region": "eu",
        "claims": {"sub": "ann", "tenant": "initech", "roles": ["auditor"], "purposes": ["audit"]},
        "request": {"headers": {"x-ig-purpose": "audit"}, "body": {"query": "{ viewer { id } }"}},
        "warrant": {"key": "joint-court", "claims": {
            "jti": id, "tenant": "initech", "src": "us", "dst": "eu", "operations": ["read"],
            "purpose": "audit", "iat": now, "nbf": now, "exp": now + 60, "maxUses": most,
            "authorityBinding": {
                "authority": "joint-court", "jurisdiction": "EU", "caseReference": "C-17/26",
            },
        }},
        "data": {"authorities": {
            "joint-court": {"jurisdictions": ["EU", "US"], "keys": ["joint-court"]},
        }},
    });
    e2e::case(id, Kind::Residency, &input, want)
}

#[test]
fn a_warrant_is_used_as_often_as_it_may_be_by_all_workers_together() {
    let opened = json!({"status": 200, "cluster": "assets-eu", "record": {"warrantUsed": true}});
    let used_up = json!({
        "status": 403, "allow": false, "code": "WARRANT_USED_UP", "record": {"warrantUsed": false},
    });
    let mut native = Native::new(bundle());
    let first = Wasm::new(bundle());
    let host = first.host();
    let mut workers = [first.another_worker(), first];
    let requests = [
        ("wrt_three", 3, &opened),
        ("wrt_three", 3, &opened),
        ("wrt_one", 1, &opened),
        ("wrt_three", 3, &opened),
        ("wrt_three", 3, &used_up),
        ("wrt_one", 1, &used_up),
        ("wrt_three", 3, &used_up),
    ];
    for (turn, (id, most, want)) in requests.into_iter().enumerate() {
        let case = case(id, most, want);
        let outcome = native.run(&case, &[]);
        assert_eq!(
            outcome.against(&case.want),
            Vec::<String>::new(),
            "{turn}: {id}"
        );
        let seen = workers[turn % 2].run(&case, &[], EndOfBody::Alone);
        assert_eq!(seen, outcome, "{turn}: {id}");
    }
    for (metric, want) in [
        ("ig.residency.warrants_used", 4),
        ("ig.residency.warrants_refused", 3),
        ("ig.residency.allowed", 4),
        ("ig.residency.denied", 3),
    ] {
        assert_eq!(host.metrics().counter(metric), Some(want), "{metric}");
    }
}
