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
    let parse = |body: &str| match Requests::parse(body.as_bytes(), 3) {
        Ok(Requests::One(one)) => Ok(vec![one.query.unwrap_or_default().into_owned()]),
        Ok(Requests::Batch(all)) => Ok(all
            .into_iter()
            .map(|r| r.query.unwrap_or_default().into_owned())
            .collect()),
        Err(e) => Err(e),
    };
    for (body, want) in [
        (
            r#" {"query":"{a}","operationName":null,"variables":{"x":1}} "#,
            &["{a}"][..],
        ),
        (r#"{"query":"{\u0061}","extensions":null}"#, &["{a}"]),
        (r#" [{"query":"{a}"},{"query":"{b}"}]"#, &["{a}", "{b}"]),
        // That it names nothing is found when it is looked up.
        ("{}", &[""]),
    ] {
        assert_eq!(parse(body).unwrap(), want, "{body}");
    }
    for (body, code) in [
        ("[]", "BATCH_TOO_LARGE"),
        ("[{},{},{},{}]", "BATCH_TOO_LARGE"),
        ("[[]]", "BAD_REQUEST"),
        (r#"[["{a}"]]"#, "BAD_REQUEST"),
        ("[{},1]", "BAD_REQUEST"),
        (r#"{"query":"{a}","query":"{b}"}"#, "BAD_REQUEST"),
        (r#"[{"query":"{a}","query":"{b}"}]"#, "BAD_REQUEST"),
        (r#"{"query":"{a}","Query":"{b}"}"#, "BAD_REQUEST"),
        (r#"{"query":"{a}","doc_id":"1"}"#, "BAD_REQUEST"),
        (r#"{"query":1}"#, "BAD_REQUEST"),
        (r#"{"query":"{a}"} x"#, "BAD_REQUEST"),
        (r#"{"query":"{a}","variables":[1]}"#, "BAD_REQUEST"),
        (r#"{"query":"{a}","extensions":7}"#, "BAD_REQUEST"),
        ("", "BAD_REQUEST"),
        ("query={a}", "BAD_REQUEST"),
    ] {
        let seen = parse(body);
        assert_eq!(
            seen.as_ref().map_err(RequestError::code).err(),
            Some(code),
            "{body}: {seen:?}"
        );
    }
    let batch = Requests::parse(b"[{}]", 0).unwrap_err();
    assert_eq!(batch.code(), "BATCHING_NOT_SUPPORTED");
    let error = parse(r#"{"query":"{a}","variables":{"ssn":"078-05"}"#).unwrap_err();
    assert!(!error.to_string().contains("078-05"));
}

#[test]
fn finds_the_name_of_a_persisted_query() {
    let persisted = |body: &str| match Requests::parse(body.as_bytes(), 0) {
        Ok(Requests::One(request)) => request.persisted(),
        other => panic!("{other:?}"),
    };
    let hash = |h: &str| Ok(Some(PersistedId::Hash(h.into())));
    let malformed = Err(RequestError::Persisted);
    for (body, want) in [
        (r#"{"query":"{a}"}"#, Ok(None)),
        (r#"{"query":"{a}","extensions":{"trace":1}}"#, Ok(None)),
        (
            r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"AB"}}}"#,
            hash("ab"),
        ),
        (
            r#"{"extensions":{"persisted\u0051uery":{"version":1,"sha256Hash":"ab"}}}"#,
            hash("ab"),
        ),
        (r#"{"documentId":"sha256:Ab"}"#, hash("ab")),
        (
            r#"{"documentId":"people"}"#,
            Ok(Some(PersistedId::Name("people".into()))),
        ),
        (
            r#"{"extensions":{"persistedQuery":{"version":2,"sha256Hash":"ab"}}}"#,
            malformed.clone(),
        ),
        (
            r#"{"extensions":{"persistedQuery":{"version":1}}}"#,
            malformed.clone(),
        ),
        (
            r#"{"extensions":{"persistedQuery":"ab"}}"#,
            malformed.clone(),
        ),
        (
            r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"a"},"persistedQuery":{"version":1,"sha256Hash":"b"}}}"#,
            malformed.clone(),
        ),
        (
            r#"{"documentId":"x","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}"#,
            malformed.clone(),
        ),
    ] {
        assert_eq!(persisted(body), want, "{body}");
    }
    // A hash has 64 digits. What is much longer is none, and is not carried about.
    for (length, known) in [(64, true), (256, true), (257, false), (100_000, false)] {
        let name = "a".repeat(length);
        let body = format!(
            r#"{{"extensions":{{"persistedQuery":{{"version":1,"sha256Hash":"{name}"}}}}}}"#
        );
        let want = if known {
            hash(&name)
        } else {
            malformed.clone()
        };
        assert_eq!(persisted(&body), want, "{length}");
    }
}

#[test]
fn what_goes_on_names_no_persisted_query() {
    let body = br#"{"operationName":"A","variables":{"x":1.50},"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"},"trace":{"a":1}}}"#;
    let Ok(Requests::One(request)) = Requests::parse(body, 0) else {
        panic!("it is one")
    };
    let spelled = serde_json::to_string(&request.spelled_out("query A { a }")).unwrap();
    assert_eq!(
        spelled,
        r#"{"query":"query A { a }","operationName":"A","variables":{"x":1.50},"extensions":{"trace":{"a":1}}}"#
    );
}

#[test]
fn reads_arguments_defaults_and_labels() {
    let text = r#"query A($f: [Filter!] = [{email: "x"}], $n: Int) {
        a(where: {email: {eq: $f}}, order: [EMAIL_ASC, "\u0065mail"], n: 1) { b }
        ...F @defer(label: "later")
    } fragment F on T { c @stream(initialCount: 0, label: "slow") d @skip(if: true, label: "no") }"#;
    let document = parse(text).unwrap();
    let (_, operation) = document.operation(None).unwrap();
    let names: Vec<_> = operation
        .variables
        .iter()
        .map(|v| (&*v.name, &*v.named))
        .collect();
    assert_eq!(names, [("f", "Filter"), ("n", "Int")]);
    assert!(operation.variables[0].default.is_some());
    let Selection::Field(id) = document.set(operation.set)[0] else {
        panic!("a field comes first")
    };
    let field = document.field(id).unwrap();
    let value = |v: &str| ArgumentValue::Variable(v.into());
    let object = |name: &str, value| {
        ArgumentValue::Object(vec![Argument {
            name: name.into(),
            value,
        }])
    };
    assert_eq!(
        field.arguments[0].value,
        object("email", object("eq", value("f")))
    );
    let order = vec![
        ArgumentValue::Enum("EMAIL_ASC".into()),
        ArgumentValue::Text("email".into()),
    ];
    assert_eq!(field.arguments[1].value, ArgumentValue::List(order));
    assert_eq!(field.arguments[2].value, ArgumentValue::Other);
    assert_eq!(document.labels(), [Box::from("later"), "slow".into()]);
}
