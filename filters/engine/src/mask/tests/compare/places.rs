//! Where else something is compared than in a query's arguments: directives, mutations; and what the
//! settings say.

use super::*;

#[test]
fn directives_are_compared_as_arguments_are() {
    for query in [
        r#"{ people @sort(by: "email") { totalCount } }"#,
        r#"{ people { edges { node { name @where(email: "x") } } } }"#,
        r#"query @filter(where: {email: "x"}) { people { totalCount } }"#,
        r#"query($n: Int @matches(expression: "salary > 1")) { people(first: $n) { totalCount } }"#,
        "{ people { edges { node { ...F @orderBy(field: EMAIL) } } } } fragment F on Person { id }",
        "{ people { edges { node { ... @orderBy(field: EMAIL) { id } } } } }",
        "{ people { edges { node { ...F } } } } fragment F on Person @sort(by: SALARY) { id }",
        "{ people @sortByEmail { totalCount } }",
        r#"{ people @filter(value: "salary > 1") { totalCount } }"#,
        r#"mutation { setEmail(input: {id: 1}) @where(email: "x") { id } }"#,
    ] {
        assert!(seen(query).is_some(), "{query}");
    }
    let query = "query($s: String) { people @sort(by: $s) { totalCount } }";
    assert!(refuses(query, r#"{"s": "email"}"#));
    assert!(!refuses(query, r#"{"s": "name"}"#));
    let query = "query($f: Filter) @filter(where: $f) { people { totalCount } }";
    assert!(refuses(query, r#"{"f": {"email": 1}}"#));
    for query in [
        r#"{ people @sort(by: "name") { totalCount } }"#,
        r#"query($email: Boolean!) { people @skip(if: $email) { totalCount } }"#,
        r#"{ people { edges { node { ... @defer(label: "email") { id } } } } }"#,
        r#"{ people @cacheControl(maxAge: 3) { totalCount } }"#,
    ] {
        assert_eq!(seen(query), None, "{query}");
    }
}

#[test]
fn what_a_mutation_selects_by_is_compared() {
    for query in [
        r#"mutation { updatePeople(match: {email: "x"}) { id } }"#,
        r#"mutation { updatePeople(input: {name: "a", where: {email: "x"}}) { id } }"#,
        r#"mutation { updatePeople(by: {email: "x"}) { id } }"#,
        r#"mutation { updatePeople(input: {filter: "email = 'x'"}) { id } }"#,
        r#"mutation { updatePeople(order: EMAIL_ASC) { id } }"#,
        r#"mutation { deletePerson(email: "x") { id } }"#,
        r#"mutation { deletePersonByEmail(value: "x") { id } }"#,
    ] {
        assert!(seen(query).is_some(), "{query}");
    }
    let query = "mutation($i: Change) { updatePeople(input: $i) { id } }";
    assert!(refuses(query, r#"{"i": {"where": {"email": "x"}}}"#));
    assert!(refuses(query, r#"{"i": [{"filter": "salary>1"}]}"#));
    assert!(!refuses(
        query,
        r#"{"i": {"email": "x", "note": "email = x", "createdBy": {"email": "x"}}}"#
    ));
    for query in [
        r#"mutation { setEmail(input: {id: 1, email: "x", createdBy: {email: "y"}}) { id } }"#,
        r#"mutation { createOrder(order: {email: "x"}) { id } }"#,
        r#"mutation { setPreferred(kind: EMAIL) { id } }"#,
        r#"mutation { login(email: "x") { id } }"#,
        r#"mutation { createUserWithEmail(email: "x") { id } }"#,
        r#"mutation { deletePerson(id: 1) { id } }"#,
    ] {
        assert_eq!(seen(query), None, "{query}");
    }
}

#[test]
fn the_settings_say_what_an_argument_compares() {
    let bench = shop();
    let compared = |list: Value| {
        let list = serde_json::from_value(list).unwrap();
        Known::of_graphql(&bench.schema, &list)
    };
    let refuses = |list: Value, query: &str| {
        let table = RuleTable::new(&bench.schema, &bench.decision, Surface::Graphql).unwrap();
        let table = table.knowing(compared(list).unwrap().into());
        let document = Document::parse(query, graphql::Limits::default()).unwrap();
        let (_, operation) = document.operation(None).unwrap();
        let (schema, envelope) = (&bench.schema, &bench.envelope);
        compile(
            schema,
            &document,
            operation,
            &table,
            envelope,
            None,
            Limits::default(),
        )
        .is_err()
    };
    let free = r#"{ search(text: "ada@acme") { name } }"#;
    let by = r#"{ people(email: "x") { totalCount } }"#;
    for (list, query, want) in [
        (json!({}), free, false),
        (
            json!({"Query.search.text": ["Person.name", "Person.email"]}),
            free,
            true,
        ),
        (
            json!({"Query.search.text": ["Person.name", "Team.budget"]}),
            free,
            false,
        ),
        (json!({"Query.search.other": ["Person.email"]}), free, false),
        (json!({}), by, true),
        (json!({"Query.people.email": []}), by, false),
        (json!({"Query.people.email": ["Person.name"]}), by, false),
        (
            json!({"Query.personByEmail.value": []}),
            "{ personByEmail(value: 1) { id } }",
            false,
        ),
        (
            json!({"Mutation.login.email": ["Person.email"]}),
            "mutation { login(email: 1) { id } }",
            true,
        ),
    ] {
        assert_eq!(refuses(list.clone(), query), want, "{list} {query}");
    }
    for (list, want) in [
        (
            json!({"people.where": []}),
            "`people.where` is no `Type.field.argument`",
        ),
        (json!({"Query.nope.x": []}), "`Query.nope.x`"),
        (
            json!({"Query.people.q": "Person.email"}),
            "`Query.people.q` has no list",
        ),
        (json!({"Query.people.q": ["Person.nope"]}), "`Person.nope`"),
    ] {
        let error = compared(list).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}

/// What is written may be long: only what compares is bounded.
#[test]
fn bodies_are_written_or_asked_for() {
    let bench = shop();
    let table = RuleTable::new(&bench.schema, &bench.decision, Surface::Rest).unwrap();
    let comparison = Comparison::new(&bench.schema, &table);
    let types = comparison.subjects(bench.schema.type_id("Person").unwrap());
    let check = |text: &str, reads: bool| {
        let value: ArgumentValue = serde_json::from_str(text).unwrap();
        comparison.body(&types, &value, reads)
    };
    let members: Vec<String> = (0..600).map(|n| format!("\"k{n}\": \"email\"")).collect();
    let long = format!("{{{}}}", members.join(","));
    assert_eq!(check(&long, false), Ok(()));
    assert_eq!(check(&long, true), Err(Compared::TooMuch));
    let words = format!("{{\"filter\": \"{}\"}}", "x ".repeat(2_001));
    assert_eq!(check(&words, false), Err(Compared::TooMuch));
    for (text, reads, want) in [
        (r#"{"email": "x"}"#, false, true),
        (r#"{"email": "x"}"#, true, false),
        (r#"["email = 'x'"]"#, true, false),
        (r#""email""#, false, true),
        (
            r#"{"data": {"attributes": {"email": "x", "kind": "EMAIL"}}}"#,
            false,
            true,
        ),
        (
            r#"{"data": {"filters": [{"name": "x"}, {"boss": {"salary": 1}}]}}"#,
            false,
            false,
        ),
    ] {
        assert_eq!(check(text, reads).is_ok(), want, "{text} {reads}");
    }
}
