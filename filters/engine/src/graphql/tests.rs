use super::*;

fn parse(text: &str) -> Result<Document, GraphqlError> {
    Document::parse(text, Limits::default())
}

#[test]
fn reads_aliases_fragments_and_operations() {
    let d = parse(
        "query A($v: Int = 1) @d { x: a(b: [1, {c: \"}\"}]) @skip(if: true) { ...F ... on T { c } ... { e } } }
         mutation B { m } fragment F on T { d }",
    )
    .unwrap();
    assert_eq!(d.operations.len(), 2);
    let (_, a) = d.operation(Some("A")).unwrap();
    let [Selection::Field(x)] = d.set(a.set) else {
        panic!("one field")
    };
    let x = d.field(*x).unwrap();
    assert_eq!((x.response_key(), &*x.name), ("x", "a"));
    assert_eq!(d.set(x.set.unwrap()).len(), 3);
    assert_eq!(
        d.operation(None).unwrap_err(),
        GraphqlError::OperationNameMissing
    );
    assert!(matches!(
        d.operation(Some("C")),
        Err(GraphqlError::UnknownOperation(_))
    ));
}

#[test]
fn refuses_what_it_does_not_understand() {
    for (text, code) in [
        ("", "GRAPHQL_PARSE_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ a( }", "GRAPHQL_PARSE_FAILED"),
        ("{ a } }", "GRAPHQL_PARSE_FAILED"),
        ("{ a: }", "GRAPHQL_PARSE_FAILED"),
        ("{}", "GRAPHQL_PARSE_FAILED"),
        ("{ a { } }", "GRAPHQL_PARSE_FAILED"),
        ("{ a \u{0} }", "GRAPHQL_PARSE_FAILED"),
        ("type A { b: Int }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...F }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ a } { b }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { a } query A { b }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "{ ...F } fragment F on T { a } fragment F on T { b }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "{ ...F } fragment F on T { a { ...G } } fragment G on T { b { ...F } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "{ ...F } fragment F on T { ...F }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        let seen = parse(text).and_then(|d| d.operation(None).map(|_| ()));
        assert_eq!(
            seen.as_ref().map_err(GraphqlError::code),
            Err(code),
            "{text}: {seen:?}"
        );
    }
    assert_eq!(
        parse("fragment F on T { a }")
            .unwrap()
            .operation(None)
            .unwrap_err(),
        GraphqlError::NoOperation
    );
}

#[test]
fn bounds_depth_and_size() {
    let nested = |n: usize| format!("{}{}", "{a".repeat(n), "}".repeat(n));
    assert!(parse(&nested(60)).is_ok());
    assert_eq!(parse(&nested(70)).unwrap_err(), GraphqlError::Limit);
    assert_eq!(parse(&nested(100_000)).unwrap_err(), GraphqlError::Limit);
    assert!(parse(&format!("{{ {}: a }}", "x".repeat(1024))).is_ok());
    assert_eq!(
        parse(&format!("{{ {}: a }}", "x".repeat(1025))).unwrap_err(),
        GraphqlError::Limit
    );
    let list = format!("{{ a(b: {}{}) }}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(parse(&list).unwrap_err(), GraphqlError::Limit);
    let wide = format!("{{ {} }}", "a ".repeat(20_000));
    assert_eq!(parse(&wide).unwrap_err(), GraphqlError::Limit);
    let ty = format!(
        "query A($v: {}Int{}) {{ a }}",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    assert!(parse(&ty).is_err());
}

#[test]
fn reads_requests_strictly() {
    let ok =
        GraphqlRequest::parse(br#" {"query":"{a}","operationName":null,"variables":{"x":1}} "#)
            .unwrap();
    assert_eq!(ok.query, "{a}");
    assert!(GraphqlRequest::parse(br#"{"query":"{\u0061}","extensions":null}"#).is_ok());
    for (body, code) in [
        (r#"[{"query":"{a}"}]"#, "BATCHING_NOT_SUPPORTED"),
        (r#"{"query":"{a}","query":"{b}"}"#, "BAD_REQUEST"),
        (r#"{"query":"{a}","Query":"{b}"}"#, "BAD_REQUEST"),
        (r#"{"query":"{a}","doc_id":"1"}"#, "BAD_REQUEST"),
        (r#"{"query":1}"#, "BAD_REQUEST"),
        (r#"{}"#, "BAD_REQUEST"),
        (r#"{"query":"{a}"} x"#, "BAD_REQUEST"),
        (r#"{"query":"{a}","variables":[1]}"#, "BAD_REQUEST"),
        (
            r#"{"query":"{a}","extensions":{"persistedQuery":{"version":1}}}"#,
            "PERSISTED_QUERY_NOT_SUPPORTED",
        ),
        (
            r#"{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}"#,
            "PERSISTED_QUERY_NOT_SUPPORTED",
        ),
        ("", "BAD_REQUEST"),
        ("query={a}", "BAD_REQUEST"),
    ] {
        let seen = GraphqlRequest::parse(body.as_bytes());
        assert_eq!(
            seen.as_ref().map_err(RequestError::code).err(),
            Some(code),
            "{body}: {seen:?}"
        );
    }
    let error =
        GraphqlRequest::parse(br#"{"query":"{a}","variables":{"ssn":"078-05"}"#).unwrap_err();
    assert!(!error.to_string().contains("078-05"));
}
