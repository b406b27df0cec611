use super::*;

/// Person.email is hashed by its directive; Vendor.email passes.
const FOUND: &str = "...on Person{x:email} ...on Vendor{x:website}";

#[test]
fn a_seen_type_name_decides_and_nothing_else_does() {
    let bench = bench(json!({}));
    for (name, before, data, want) in [
        (
            "seen",
            "__typename",
            r#"{"__typename":"Vendor","x":"v"}"#,
            r#"{"__typename":"Vendor","x":"v"}"#,
        ),
        (
            "seen",
            "__typename",
            r#"{"__typename":"Person","x":"v"}"#,
            r##"{"__typename":"Person","x":"#"}"##,
        ),
        (
            "not asked for",
            "",
            r#"{"x":"v"}"#,
            r##"{"x":"[REDACTED]"}"##,
        ),
        (
            "too late",
            "__typename",
            r#"{"x":"v","__typename":"Vendor"}"#,
            r##"{"x":"[REDACTED]","__typename":"Vendor"}"##,
        ),
        (
            "aliased",
            "t:__typename",
            r#"{"t":"Vendor","x":"v"}"#,
            r##"{"t":"Vendor","x":"[REDACTED]"}"##,
        ),
        (
            "another field",
            "...on Named{__typename:name}",
            r#"{"__typename":"Vendor","x":"v"}"#,
            r##"{"__typename":"Vendor","x":"[REDACTED]"}"##,
        ),
        (
            "not for all types",
            "...on Vendor{__typename}",
            r#"{"__typename":"Vendor","x":"v"}"#,
            r##"{"__typename":"Vendor","x":"[REDACTED]"}"##,
        ),
        (
            "unknown type",
            "__typename",
            r#"{"__typename":"Spy","x":"v"}"#,
            r##"{"__typename":"Spy","x":"[REDACTED]"}"##,
        ),
        (
            "impossible type",
            "__typename",
            r#"{"__typename":"All","x":"v"}"#,
            r##"{"__typename":"All","x":"[REDACTED]"}"##,
        ),
        (
            "not a string",
            "__typename",
            r#"{"__typename":["Vendor"],"x":"v"}"#,
            r##"{"__typename":["Vendor"],"x":"[REDACTED]"}"##,
        ),
        (
            "not a string",
            "__typename",
            r#"{"__typename":null,"x":"v"}"#,
            r##"{"__typename":null,"x":"[REDACTED]"}"##,
        ),
        (
            "an object",
            "__typename",
            r#"{"__typename":{"x":"Vendor"},"x":"v"}"#,
            r##"{"__typename":null,"x":"[REDACTED]"}"##,
        ),
        (
            "escaped",
            "__typename",
            r#"{"__typename":"\u0056endor","x":"v"}"#,
            r#"{"__typename":"\u0056endor","x":"v"}"#,
        ),
        (
            "escaped key",
            "__typename",
            r#"{"\u005f_typename":"Vendor","x":"v"}"#,
            r#"{"\u005f_typename":"Vendor","x":"v"}"#,
        ),
    ] {
        let seen = bench.data(
            &format!("{{found{{{before} {FOUND}}}}}"),
            &format!(r#"{{"found":[{data}]}}"#),
        );
        assert_eq!(shorten(&seen), format!(r#"{{"found":[{want}]}}"#), "{name}");
    }
}

#[test]
fn an_aliased_mask_under_the_name_of_the_type_name_is_masked() {
    let bench = bench(json!({}));
    bench.check(
        "{found{...on Person{__typename:email} ...on Vendor{x:website}}}",
        r#"{"found":[{"__typename":"Vendor","x":"v"}]}"#,
        r##"{"found":[{"__typename":"#","x":"v"}]}"##,
    );
    // Both under one key: no server can answer it.
    bench.check(
        "{found{__typename ...on Person{__typename:email}}}",
        r#"{"found":[{"__typename":"a@x"}]}"#,
        r#"{"found":[{}]}"#,
    );
}

#[test]
fn each_object_says_its_own_type() {
    let bench = bench(json!({"Vendor.account": "null"}));
    bench.check(
        "{found{__typename ...on Person{x:email manager{name}} ...on Vendor{x:website account{name}} ...on Asset{owner{__typename email}}}}",
        r#"{"found":[{"__typename":"Person","x":"a","manager":{"name":"b"}},{"__typename":"Vendor","x":"c","account":{"name":"d"}},{"__typename":"Asset","owner":{"__typename":"Person","email":"e"}},{"x":"f"}]}"#,
        r##"{"found":[{"__typename":"Person","x":"#","manager":{"name":"b"}},{"__typename":"Vendor","x":"c","account":null},{"__typename":"Asset","owner":{"__typename":"Person","email":"#"}},{"x":"[REDACTED]"}]}"##,
    );
    // What is selected on another type only must not come.
    bench.check(
        "{found{__typename ...on Person{x:email} ...on Vendor{y:website}}}",
        r#"{"found":[{"__typename":"Vendor","x":"a","y":"b"},{"__typename":"Asset","x":"a","y":"b"}]}"#,
        r#"{"found":[{"__typename":"Vendor","y":"b"},{"__typename":"Asset"}]}"#,
    );
}

#[test]
fn a_type_name_does_not_shift_the_members_that_follow() {
    // The node of a type has its members in the order of the common one, in which others stand too.
    let bench = bench(json!({}));
    let long = "x".repeat(70_000);
    let data =
        format!(r#"{{"found":[{{"__typename":"Vendor","name":"{long}","website":"{long}"}}]}}"#);
    bench.check(
        "{found{...on Person{salary email} __typename ...on Named{name} ...on Vendor{website}}}",
        &data,
        &data,
    );
}

#[test]
fn rules_of_interfaces_hold_for_all_types_on_all_paths() {
    let bench = bench(json!({"Contact.phone": "redact", "Named.name": "hash"}));
    for (query, data, want) in [
        (
            "{contact{phone}}",
            r#"{"contact":{"phone":"1"}}"#,
            r#"{"contact":{"phone":"[REDACTED]"}}"#,
        ),
        (
            "{me{phone}}",
            r#"{"me":{"phone":"1"}}"#,
            r#"{"me":{"phone":"[REDACTED]"}}"#,
        ),
        (
            "{found{...on Vendor{phone name}}}",
            r#"{"found":[{"phone":"1","name":"n"}]}"#,
            r##"{"found":[{"phone":"[REDACTED]","name":"#"}]}"##,
        ),
        (
            "{named{name}}",
            r#"{"named":{"name":"n"}}"#,
            r##"{"named":{"name":"#"}}"##,
        ),
        // Not in the interface's reach.
        (
            "{found{...on Vendor{website}}}",
            r#"{"found":[{"website":"w"}]}"#,
            r#"{"found":[{"website":"w"}]}"#,
        ),
    ] {
        bench.check(query, data, want);
    }
    // One value has one pseudonym, whichever way it was asked for.
    let by = |query: &str, data: &str| {
        let out = bench.data(query, data);
        out[out.find("h:").unwrap()..][..27].to_owned()
    };
    let one = by("{named{name}}", r#"{"named":{"name":"n"}}"#);
    assert_eq!(by("{me{name}}", r#"{"me":{"name":"n"}}"#), one);
    assert_eq!(
        by("{found{...on Vendor{v:name}}}", r#"{"found":[{"v":"n"}]}"#),
        one
    );
    assert_ne!(by("{me{email}}", r#"{"me":{"email":"n"}}"#), one);
}

#[test]
fn a_pseudonym_of_either_of_two_domains_is_redacted() {
    // Person.email is of Contact's domain, Asset.email of its own.
    let bench = bench(json!({"Asset.email": "hash"}));
    let query = "...on Person{x:email} ...on Asset{x:email}";
    bench.check(
        &format!("{{found{{{query}}}}}"),
        r#"{"found":[{"x":"a@x"}]}"#,
        r#"{"found":[{"x":"[REDACTED]"}]}"#,
    );
    bench.check(
        &format!("{{found{{__typename {query}}}}}"),
        r#"{"found":[{"__typename":"Asset","x":"a@x"},{"__typename":"Person","x":"a@x"}]}"#,
        r##"{"found":[{"__typename":"Asset","x":"#"},{"__typename":"Person","x":"#"}]}"##,
    );
}

#[test]
fn no_value_of_another_field_gets_a_pseudonym() {
    // Who can write the other field could try what this one holds.
    let bench = bench(json!({}));
    for query in [
        "{found{...on Asset{x:name} ...on Person{x:email}}}",
        "{found{__typename ...on Person{x:name} ...on Person{x:email}}}",
        "query($a:Boolean!){found{...on Person{x:name @include(if:$a) ...F @skip(if:$a)}}} \
         fragment F on Person{x:email}",
    ] {
        bench.check(
            query,
            r#"{"found":[{"x":"a@x"}]}"#,
            r#"{"found":[{"x":"[REDACTED]"}]}"#,
        );
    }
}

#[test]
fn the_strictest_rule_of_a_shared_key_wins() {
    for (rules, want) in [
        (json!({}), "[REDACTED]"),
        (json!({"Person.email": "reveal"}), "v-that-is-long"),
        (
            json!({"Person.email": "reveal", "Vendor.email": "partial"}),
            "****long",
        ),
        (
            json!({"Person.email": "partial", "Vendor.email": "hash"}),
            "[REDACTED]",
        ),
        (json!({"Person.email": "hash", "Vendor.email": "hash"}), "#"),
        (
            json!({"Person.email": "redact", "Vendor.email": "hash"}),
            "[REDACTED]",
        ),
        (
            json!({
                "Person.email": {"strategy": "partial", "reason": "", "keep_last": 2},
                "Vendor.email": {"strategy": "partial", "reason": "", "keep_first": 3, "keep_last": 1},
            }),
            "****g",
        ),
    ] {
        bench(rules.clone()).check(
            "{contact{x:email}}",
            r#"{"contact":{"x":"v-that-is-long"}}"#,
            &format!(r#"{{"contact":{{"x":"{want}"}}}}"#),
        );
    }
    bench(json!({"Person.email": "null", "Vendor.email": "hash"})).check(
        "{contact{x:email}}",
        r#"{"contact":{"x":"v"}}"#,
        r#"{"contact":{"x":null}}"#,
    );
}
