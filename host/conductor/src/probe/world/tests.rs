use super::*;

#[test]
fn what_a_store_says_of_itself_does_not_change_what_was_found() {
    let told = |result: &str| {
        let told = json!({
            "store": "people", "kind": "neo4j", "op": "read", "result": result, "code": null,
            "reason": "the store does not say who it is: no", "identity": null, "region": null, "ms": 1,
        });
        seen(serde_json::from_value(told).unwrap())
    };
    for (result, want) in [
        ("found", Outcome::Found),
        ("foreign", Outcome::Foreign),
        ("absent", Outcome::Absent),
    ] {
        let seen = told(result);
        assert_eq!((seen.outcome, seen.region), (want, None));
    }
}

#[test]
fn a_span_of_another_region_is_not_hidden_by_one_of_this() {
    let span = |src: &str, dst: &str| json!({"region_src": src, "region_dst": dst});
    let pair = |src: &str, dst: &str| Some((src.to_owned(), dst.to_owned()));
    for (spans, want) in [
        (json!(null), None),
        (json!([{"region_src": "eu"}]), None),
        (
            json!([{"region_src": "eu"}, span("eu", "eu")]),
            pair("eu", "eu"),
        ),
        (
            json!([span("eu", "eu"), span("eu", "us")]),
            pair("eu", "us"),
        ),
        (
            json!([span("eu", "eu"), span("us", "us")]),
            pair("us", "us"),
        ),
    ] {
        assert_eq!(regions_of("eu", &spans), want, "{spans}");
    }
}

#[test]
fn a_canary_is_in_force_where_it_is() {
    let policies = json!({"revision": "r-1", "canary": {"release": 7, "revision": "r-2+7",
            "filters": {"masking": "m2"}}});
    let filters = json!({"masking": "m1"});
    let stream = |node: &str, cluster: &str, group: &str| json!({"node": node, "cluster": cluster, "group": group});
    let group =
        |version: &str| json!({"served": {"version": version}, "last_good": {"version": version}});
    let xds = json!({
        "groups": {"eu": group("v1"), "eu@canary-7": group("v2"), "us": group("v3"),
            "sidecar/eu@canary-7": group("v4")},
        "streams": [stream("s", "sidecar", "sidecar/eu@canary-7"),
            stream("g2", "gateway", "eu@canary-7"), stream("g1", "gateway", "eu"),
            stream("u1", "gateway", "us")],
    });
    let told = |region: &str| {
        let all = in_force(region, &policies, &filters, &xds).into_iter();
        let told = all.map(|f| {
            [
                f.revision,
                f.filters["masking"].clone(),
                f.xds_version,
                f.node,
            ]
        });
        told.collect::<Vec<_>>()
    };
    let stable = ["r-1", "m1", "v1", "g1"].map(str::to_owned);
    let early = ["r-2+7", "m2", "v2", "g2"].map(str::to_owned);
    assert_eq!(told("eu"), [stable, early]);
    assert_eq!(told("us"), [["r-1", "m1", "v3", "u1"].map(str::to_owned)]);
}

#[test]
fn a_regions_keys_have_a_variable_of_their_own() {
    assert_eq!(variable("eu-central.1"), "EU_CENTRAL_1");
}
