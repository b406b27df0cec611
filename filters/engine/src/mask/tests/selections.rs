use super::*;

#[test]
fn a_field_is_masked_under_every_name_and_on_every_path() {
    let bench = bench(json!({"Person.salary": "null"}));
    for (query, data, want) in [
        (
            "{me{email}}",
            r#"{"me":{"email":"a@x"}}"#,
            r##"{"me":{"email":"#"}}"##,
        ),
        (
            "{me{name:email}}",
            r#"{"me":{"name":"a@x"}}"#,
            r##"{"me":{"name":"#"}}"##,
        ),
        (
            "{x:me{y:email z:name}}",
            r#"{"x":{"y":"a@x","z":"Ann"}}"#,
            r##"{"x":{"y":"#","z":"Ann"}}"##,
        ),
        (
            "{me{manager{manager{email salary}}}}",
            r#"{"me":{"manager":{"manager":{"email":"a@x","salary":9}}}}"#,
            r##"{"me":{"manager":{"manager":{"email":"#","salary":null}}}}"##,
        ),
        (
            "{people{email}}",
            r#"{"people":[{"email":"a@x"},{"email":null},{}]}"#,
            r##"{"people":[{"email":"#"},{"email":null},{}]}"##,
        ),
        (
            "{grid{email}}",
            r#"{"grid":[[{"email":"a@x"},null],[]]}"#,
            r##"{"grid":[[{"email":"#"},null],[]]}"##,
        ),
        // Named, nested and inline fragments.
        (
            "{me{...A}} fragment A on Person{...B name} fragment B on Contact{mail:email}",
            r#"{"me":{"mail":"a@x","name":"Ann"}}"#,
            r##"{"me":{"mail":"#","name":"Ann"}}"##,
        ),
        (
            "{...Q} fragment Q on Query{me{...{...on Person{email}}}}",
            r#"{"me":{"email":"a@x"}}"#,
            r##"{"me":{"email":"#"}}"##,
        ),
        // Selections of one field merge.
        (
            "{me{name} me{email} ...{me{salary}}}",
            r#"{"me":{"name":"Ann","email":"a@x","salary":9}}"#,
            r##"{"me":{"name":"Ann","email":"#","salary":null}}"##,
        ),
        // What directives and variables decide is assumed to be there.
        (
            "query($v:Boolean!){me{email @skip(if:$v) mail:email @include(if:$v) ...@skip(if:true){salary}}}",
            r#"{"me":{"email":"a@x","mail":"a@x","salary":9}}"#,
            r##"{"me":{"email":"#","mail":"#","salary":null}}"##,
        ),
        (
            "mutation{rename(id:1,name:\"x\"){email}}",
            r#"{"rename":{"email":"a@x"}}"#,
            r##"{"rename":{"email":"#"}}"##,
        ),
        (
            "subscription{joined{email}}",
            r#"{"joined":{"email":"a@x"}}"#,
            r##"{"joined":{"email":"#"}}"##,
        ),
    ] {
        bench.check(query, data, want);
    }
}

#[test]
fn the_operation_that_runs_decides() {
    let bench = bench(json!({}));
    let query = "query A{me{x:name}} query B{me{x:email}}";
    let masked = |name| {
        let plan = bench.plan(query, Some(name)).unwrap();
        shorten(&rewrite(&plan, r#"{"data":{"me":{"x":"a@x"}}}"#).0)
    };
    assert_eq!(masked("A"), r#"{"data":{"me":{"x":"a@x"}}}"#);
    assert_eq!(masked("B"), r##"{"data":{"me":{"x":"#"}}}"##);
    assert_eq!(
        bench.plan(query, None).unwrap_err(),
        GraphqlError::OperationNameMissing
    );
}

#[test]
fn what_was_not_selected_does_not_come_out() {
    let bench = bench(json!({}));
    let plan = bench.plan("{me{name}}", None).unwrap();
    let response = r#"{"hasNext":true,"data":{"me":{"name":"Ann","email":"a@x","x":{"y":1}},"boss":{}},"incremental":[{"data":{"email":"a@x"}}]}"#;
    let (out, stats, _) = rewrite(&plan, response);
    assert_eq!(out, r#"{"data":{"me":{"name":"Ann"}}}"#);
    assert_eq!(stats.dropped, 5);
}

#[test]
fn a_field_that_the_schema_does_not_have_is_redacted() {
    let bench = bench(json!({}));
    for (query, data, want) in [
        (
            "{me{ssn name}}",
            r#"{"me":{"ssn":"078","name":"Ann"}}"#,
            r#"{"me":{"ssn":null,"name":"Ann"}}"#,
        ),
        (
            "{me{ssn{a b}}}",
            r#"{"me":{"ssn":{"a":"078"}}}"#,
            r#"{"me":{"ssn":null}}"#,
        ),
        (
            "{me{ssn}}",
            r#"{"me":{"ssn":["078",{"a":"078"}]}}"#,
            r#"{"me":{"ssn":[null,null]}}"#,
        ),
        ("{new{a}}", r#"{"new":{"a":"078"}}"#, r#"{"new":null}"#),
        // Known for one type, unknown for the other: nobody knows which it is.
        (
            "{found{...on Person{x:name} ...on Asset{x:ssn}}}",
            r#"{"found":[{"x":"Ann"}]}"#,
            r#"{"found":[{"x":null}]}"#,
        ),
    ] {
        bench.check(query, data, want);
    }
    let plan = bench.plan("{me{ssn}}", None).unwrap();
    assert_eq!(plan.sets(), (vec![], vec!["Person.ssn"]));
}

#[test]
fn operations_that_no_server_may_run_are_refused_or_shown_nothing() {
    let bench = bench(json!({}));
    for (query, code) in [
        ("{me{email{x}}}", "GRAPHQL_VALIDATION_FAILED"),
        ("{me}", "GRAPHQL_VALIDATION_FAILED"),
        ("{me{...on Nobody{email}}}", "GRAPHQL_VALIDATION_FAILED"),
        (
            "{...F} fragment F on Nobody{me{email}}",
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        let seen = bench.plan(query, None).map(|_| ()).unwrap_err();
        assert_eq!(seen.code(), code, "{query}: {seen}");
    }
    // A key that would be a leaf here and an object there.
    bench.check(
        "{found{...on Person{x:name} ...on Asset{x:owner{name}}}}",
        r#"{"found":[{"x":"Ann"}]}"#,
        r#"{"found":[{}]}"#,
    );
    // A condition that no type of the place meets.
    bench.check(
        "{me{...on Asset{name}}}",
        r#"{"me":{"name":"Ann"}}"#,
        r#"{"me":{}}"#,
    );
    let query = "subscription{joined{name}}";
    let sdl = "type Query{a:Int}";
    assert_eq!(
        over(sdl, json!({})).plan(query, None).unwrap_err(),
        GraphqlError::NoRoot
    );
}

#[test]
fn introspection_passes_and_exempts_nothing() {
    let mut bench = bench(json!({}));
    assert_eq!(
        bench
            .plan(
                "{me{name} ...F} fragment F on Query {a:__schema{types{name}}}",
                None
            )
            .unwrap_err(),
        GraphqlError::Introspection
    );
    bench.decision.introspection = true;
    let schema =
        r#""__schema":{"types":[{"name":"Person","fields":null}]},"__type":{"kind":"OBJECT"}"#;
    bench.check(
        "{__typename __schema{types{name fields{name}}} __type(name:\"x\"){kind} me{email}}",
        &format!(r#"{{"__typename":"Query",{schema},"me":{{"email":"a@x"}}}}"#),
        &format!(r##"{{"__typename":"Query",{schema},"me":{{"email":"#"}}}}"##),
    );
}

#[test]
fn values_of_another_shape_than_the_schemas_become_null() {
    let bench = bench(json!({}));
    let (out, stats, _) = rewrite(
        &bench.plan("{me{name manager{name}}}", None).unwrap(),
        r#"{"data":{"me":[{"name":{"email":"a@x"},"manager":"a@x"},"a@x"]}}"#,
    );
    assert_eq!(
        out,
        r#"{"data":{"me":[{"name":null,"manager":null},null]}}"#
    );
    assert_eq!(stats.mismatched, 3);
    bench.check(
        "{me{name}}",
        r#"["a@x",{"me":{"name":"Ann"}}]"#,
        r#"[null,{"me":{"name":"Ann"}}]"#,
    );
    bench.check("{me{name}}", "null", "null");
    // Only a scalar of the schema's own may be anything.
    let meta = r#"{"found":[{"meta":{"a":[1,{"b":2.50}]}}]}"#;
    bench.check("{found{...on Asset{meta}}}", meta, meta);
}

#[test]
fn errors_lose_what_a_server_may_echo() {
    let mut bench = bench(json!({}));
    let query = "{me{mail:email}}";
    let response = r#"{"errors":[{"message":"no mailbox a@x","path":["me","mail",0,"a@x"],"locations":[{"line":1,"column":5,"x":"a@x"}],"extensions":{"code":"NOT_FOUND","value":"a@x"},"x":"a@x"},{"message":"m","extensions":{"code":"a@x"},"path":"a@x"},"a@x"],"data":{"me":{"mail":null}},"extensions":{"trace":"a@x"}}"#;
    let generic = r#"{"errors":[{"message":"the upstream reported an error","path":["me","mail",0,null],"locations":[{"line":1,"column":5}],"extensions":{"code":"NOT_FOUND"}},{"message":"the upstream reported an error","extensions":{"code":null},"path":null},null],"data":{"me":{"mail":null}}}"#;
    assert_eq!(
        rewrite(&bench.plan(query, None).unwrap(), response).0,
        generic
    );
    bench.envelope = Envelope::Verbatim;
    assert_eq!(
        rewrite(&bench.plan(query, None).unwrap(), response).0,
        response
    );
}

#[test]
fn an_error_says_no_number_that_can_be_a_value() {
    // A line, a column or an index has a few digits; a salary, a telephone number or an id has more.
    let bench = bench(json!({}));
    for (number, passes) in [
        ("0", true),
        ("999999", true),
        ("1000000", false),
        ("731000001", false),
        ("-1", false),
        ("1.5", false),
        ("1e6", false),
    ] {
        let response = format!(
            r#"{{"errors":[{{"path":["me",{number}],"locations":[{{"line":{number},"column":{number}}}]}}]}}"#
        );
        let seen = rewrite(&bench.plan("{me{email}}", None).unwrap(), &response).0;
        let shown = if passes { number } else { "null" };
        assert_eq!(seen, response.replace(number, shown), "{number}");
    }
}
