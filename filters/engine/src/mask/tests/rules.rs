use super::*;

#[test]
fn policy_wins_over_directive_both_ways() {
    for (rules, want) in [
        // The directive alone.
        (json!({}), r##"{"name":"Ann","email":"#","salary":9}"##),
        // The policy reveals what the directive marks.
        (json!({"Person.email": "reveal"}), r#"{"name":"Ann","email":"a@x","salary":9}"#),
        (json!({"Contact.email": "reveal"}), r#"{"name":"Ann","email":"a@x","salary":9}"#),
        // The policy marks what no directive marks.
        (json!({"Person.salary": "null"}), r##"{"name":"Ann","email":"#","salary":null}"##),
        // The policy is more lenient, or stricter, than the directive.
        (json!({"Person.email": "null"}), r#"{"name":"Ann","email":null,"salary":9}"#),
        (json!({"Person.*": "redact"}), r#"{"name":"[REDACTED]","email":"[REDACTED]","salary":null}"#),
        // Of several rules for one field the strictest counts, whatever their order.
        (json!({"Contact.email": "redact", "Person.email": "reveal"}), r#"{"name":"Ann","email":"[REDACTED]","salary":9}"#),
        (json!({"Contact.email": "reveal", "Person.email": "redact"}), r#"{"name":"Ann","email":"[REDACTED]","salary":9}"#),
        (json!({"Person.*": "reveal", "Person.salary": "null"}), r#"{"name":"Ann","email":"a@x","salary":null}"#),
        (json!({"Contact.*": "null"}), r#"{"name":null,"email":null,"salary":null}"#.replace("\"name\":null", "\"name\":\"[REDACTED]\"").as_str()),
    ] {
        bench(rules.clone()).check(
            "{me{name email salary}}",
            r#"{"me":{"name":"Ann","email":"a@x","salary":9}}"#,
            &format!(r#"{{"me":{want}}}"#),
        );
    }
}

#[test]
fn of_two_partial_rules_the_one_that_shows_less_counts() {
    let keep = |n: u8| json!({"strategy": "partial", "reason": "", "keep_last": n});
    for (contact, person) in [(1, 4), (4, 1)] {
        bench(json!({"Contact.phone": keep(contact), "Person.phone": keep(person)})).check(
            "{me{phone}}",
            r#"{"me":{"phone":"555-0123"}}"#,
            r#"{"me":{"phone":"****3"}}"#,
        );
    }
}

#[test]
fn a_directive_marks_the_returned_types_field_on_every_road() {
    let sdl = r#"
        directive @mask(fields: [String!]!, strategy: String = "hash") on FIELD_DEFINITION
        type Query { me: P @mask(fields: ["mail"], strategy: "redact") all: [P!]! any: U
                     both: B @mask(fields: ["mail", "n"], strategy: "null") }
        type P { mail: String n: Int! @mask(fields: ["n"], strategy: "redact") }
        union U = P  interface B { mail: String n: Int! }
        type C implements B { mail: String n: Int! }
    "#;
    let bench = over(sdl, json!({}));
    for road in ["me", "all", "any"] {
        let query = format!("{{{road}{{...on P{{mail n}}}}}}");
        let data = format!(r#"{{"{road}":{{"mail":"m","n":7}}}}"#);
        bench.check(
            &query,
            &data,
            &format!(r#"{{"{road}":{{"mail":"[REDACTED]","n":0}}}}"#),
        );
    }
    bench.check(
        "{both{mail n}}",
        r#"{"both":{"mail":"m","n":7}}"#,
        r#"{"both":{"mail":null,"n":0}}"#,
    );
}

#[test]
fn a_masked_object_is_replaced_whole_or_leaf_by_leaf() {
    for (coordinate, query, data, want) in [
        // Nullable: the whole object.
        (
            "Person.manager",
            "{me{manager{name}}}",
            r#"{"me":{"manager":{"name":"Ann"}}}"#,
            r#"{"me":{"manager":null}}"#,
        ),
        (
            "Query.me",
            "{me{name}}",
            r#"{"me":{"name":"Ann"}}"#,
            r#"{"me":null}"#,
        ),
        ("Query.me", "{me{name}}", r#"{"me":null}"#, r#"{"me":null}"#),
        // In lists whose elements may be null.
        (
            "Query.grid",
            "{grid{name}}",
            r#"{"grid":[[{"name":"Ann"},null]]}"#,
            r#"{"grid":[[null,null]]}"#,
        ),
        // Not nullable: every leaf below, however deep, revealed or not.
        (
            "Person.superior",
            "{me{name superior{__typename name salary manager{email}}}}",
            r#"{"me":{"name":"Ann","superior":{"__typename":"Person","name":"Bob","salary":9,"manager":{"email":"b@x"}}}}"#,
            r#"{"me":{"name":"Ann","superior":{"__typename":"Person","name":"[REDACTED]","salary":null,"manager":{"email":"[REDACTED]"}}}}"#,
        ),
        (
            "Query.people",
            "{people{name reports{tags}}}",
            r#"{"people":[{"name":"Ann","reports":[{"tags":["a","b"]},{"tags":null}]}]}"#,
            r#"{"people":[{"name":"[REDACTED]","reports":[{"tags":["[REDACTED]","[REDACTED]"]},{"tags":null}]}]}"#,
        ),
        // A union: all members, told apart or not.
        (
            "Query.found",
            "{found{__typename ...on Person{x:name} ...on Asset{meta owner{name}}}}",
            r#"{"found":[{"__typename":"Person","x":"Ann"},{"__typename":"Asset","meta":{"a":1},"owner":{"name":"Bob"}}]}"#,
            r#"{"found":[{"__typename":"Person","x":"[REDACTED]"},{"__typename":"Asset","meta":null,"owner":{"name":"[REDACTED]"}}]}"#,
        ),
    ] {
        for strategy in ["hash", "null", "redact", "partial"] {
            let rules =
                json!({coordinate: strategy, "Person.name": "reveal", "Person.email": "reveal"});
            bench(rules).check(query, data, want);
        }
    }
}

#[test]
fn an_object_that_one_of_two_types_masks_is_masked_for_both() {
    // Person.manager is masked, Asset.owner is not; nobody can tell which it is.
    let bench = bench(json!({"Person.manager": "null"}));
    bench.check(
        "{found{...on Person{x:manager{name}} ...on Asset{x:owner{name}}}}",
        r#"{"found":[{"x":{"name":"Ann"}}]}"#,
        r#"{"found":[{"x":null}]}"#,
    );
}

#[test]
fn coordinates_that_do_not_exist_are_named() {
    for coordinate in [
        "Person.nope",
        "Nobody.name",
        "Person",
        "Found.nope",
        "Kind.*",
    ] {
        let bench = bench(json!({coordinate: "hash"}));
        let error = RuleTable::new(&bench.schema, &bench.decision, Surface::Graphql).unwrap_err();
        assert_eq!(error.0, coordinate);
    }
}

#[test]
fn the_plan_names_what_it_masks_and_what_the_policy_reveals() {
    let bench =
        bench(json!({"Contact.email": "reveal", "Person.salary": "null", "Named.name": "redact"}));
    let plan = bench
        .plan("{me{name email salary} contact{email}}", None)
        .unwrap();
    assert_eq!(plan.sets(), (vec!["Person.salary"], vec!["Person.name"]));
    let revealed: Vec<&str> = plan.revealed.iter().map(|c| &**c).collect();
    assert_eq!(revealed, ["Person.email", "Vendor.email"]);
    assert_eq!(plan.reasons(), "rule of Named.name; rule of Person.salary");
}

#[test]
fn an_explanation_reads_well() {
    let bench =
        bench(json!({"Person.salary": "null", "Vendor.email": "hash", "Query.boss": "redact"}));
    let plan = bench
        .plan(
            "{me{pay:salary manager{email}} boss{name} ssn found{__typename ...on Named{name} ...on Contact{email} ...on Person{salary}}}",
            None,
        )
        .unwrap();
    insta::assert_json_snapshot!(explain(&plan, Scope::Masked));
}

#[test]
fn what_has_few_values_is_not_hashed() {
    let mut bench = bench(json!({"Person.name": "hash"}));
    let (query, data) = ("{me{name}}", r#"{"me":{"name":"Ann"}}"#);
    bench.check(query, data, r##"{"me":{"name":"#"}}"##);
    bench.decision.low_entropy = vec!["Person.name".into()];
    bench.check(query, data, r#"{"me":{"name":"[REDACTED]"}}"#);
    // Nor where only one of the types that the value can be of has few.
    let mut bench = super::bench(json!({"Named.name": "hash"}));
    let (query, data) = ("{named{name}}", r#"{"named":{"name":"Ann"}}"#);
    bench.check(query, data, r##"{"named":{"name":"#"}}"##);
    for few in ["Person.name", "Vendor.name", "Asset.name"] {
        bench.decision.low_entropy = vec![few.into()];
        bench.check(query, data, r#"{"named":{"name":"[REDACTED]"}}"#);
    }
}

#[test]
fn without_a_key_nothing_is_hashed() {
    let mut bench = bench(json!({"Person.name": "hash"}));
    bench.keys = None;
    let plan = bench.plan("{me{name}}", None).unwrap();
    assert_eq!(plan.specs[0].strategy, StrategyKind::Redact);
    // A hash without a key, wherever it came from, shows nothing either.
    let mut bare = Arc::into_inner(plan).unwrap();
    bare.specs[0].strategy = StrategyKind::Hash;
    let response = r#"{"data":{"me":{"name":"Ann"}}}"#;
    let seen = rewrite(&Arc::new(bare), response).0;
    assert_eq!(seen, r#"{"data":{"me":{"name":"[REDACTED]"}}}"#);
}

#[test]
fn in_an_export_a_directive_redacts() {
    let bench = bench(json!({}));
    for (surface, want) in [
        (Surface::Graphql, StrategyKind::Hash),
        (Surface::Export, StrategyKind::Redact),
    ] {
        let table = RuleTable::new(&bench.schema, &bench.decision, surface).unwrap();
        let person = bench.schema.type_id("Person").unwrap();
        let email = bench.schema.field(person, "email").unwrap();
        assert_eq!(table.rule(email.id).unwrap().1.strategy, Some(want));
    }
}
