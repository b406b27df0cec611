//! Arguments that would tell what masked values are.

mod places;

use super::*;
use crate::graphql::ArgumentValue;

const SHOP: &str = r#"
type Query {
  people(where: Filter, orderBy: Order, first: Int, sort: String, groupBy: [String!], q: String, email: String): PersonConnection
  person(id: ID!): Person
  count(where: Filter): Int!
  search(text: String): [Person!]!
  personByEmail(value: String): Person
  person_by_email(value: String): Person
  personbyemail(value: String): Person
  personById(id: ID): Person
  peopleWithSalary(over: Int): [Person!]!
}
type Mutation {
  setEmail(input: EmailInput!): Person
  deletePeople(where: Filter!): Int!
  updatePeople(input: [EmailInput!]): [Person!]!
  deletePerson(id: ID, email: String): Person
  deletePersonByEmail(value: String): Person
  createOrder(order: EmailInput): Person
  setPreferred(kind: Order): Person
  login(email: String): Person
  createUserWithEmail(email: String): Person
}
type PersonConnection { edges: [Edge!]! totalCount: Int! }
type Edge { node: Person! }
type Person { id: ID! name: String email: String salary: Int boss: Person team: Team }
type Team { name: String budget: Int }
input Filter { name: String }
input EmailInput { id: ID! email: String! }
enum Order { NAME EMAIL_ASC }
"#;

fn shop() -> Bench {
    over(
        SHOP,
        json!({
            "Person.email": "hash", "Person.salary": "redact",
            "Team.budget": {"strategy": "null", "reason": "r", "compare": true},
        }),
    )
}

fn seen(query: &str) -> Option<String> {
    match shop().plan(query, None) {
        Ok(_) => None,
        Err(GraphqlError::Compared { coordinate, .. }) => Some(coordinate),
        Err(other) => panic!("{query}: {other}"),
    }
}

#[test]
fn arguments_that_name_a_masked_field_are_refused() {
    for (arguments, want) in [
        (r#"where: {email: {eq: "x"}}"#, "Person.email"),
        ("where: {email: null}", "Person.email"),
        (r#"where: {emailContains: "x"}"#, "Person.email"),
        (r#"where: {email_in: ["x"]}"#, "Person.email"),
        (
            "where: {and: [{name: \"a\"}, {not: {salary: {gt: 5}}}]}",
            "Person.salary",
        ),
        ("where: {boss: {salary: {gt: 5}}}", "Person.salary"),
        ("where: {boss_salary_gt: 5}", "Person.salary"),
        ("where: {bossSalary: 5}", "Person.salary"),
        (r#"email: "x""#, "Person.email"),
        ("orderBy: EMAIL_ASC", "Person.email"),
        ("orderBy: {field: SALARY}", "Person.salary"),
        ("orderBy: [{email: ASC}]", "Person.email"),
        (r#"sort: "-email""#, "Person.email"),
        (r#"sort: "name,salary desc""#, "Person.salary"),
        (r#"groupBy: ["name", "email"]"#, "Person.email"),
        (r#"groupBy: ["\u0065mail"]"#, "Person.email"),
        (r#"q: "email:ann*""#, "Person.email"),
        (r#"q: "name = 'x' and salary > 5""#, "Person.salary"),
        (r#"where: "{\"email\": \"x\"}""#, "Person.email"),
    ] {
        let query = format!("{{ p: people({arguments}) {{ totalCount }} }}");
        assert_eq!(seen(&query).as_deref(), Some(want), "{arguments}");
        // Wherever it stands, and whether or not it runs.
        let query = format!(
            "query($n: Boolean!) {{ ...F @include(if: $n) }} fragment F on Query {{ people({arguments}) {{ totalCount }} }}"
        );
        assert_eq!(seen(&query).as_deref(), Some(want), "{arguments}");
    }
    // Of what returns no object it is not known whom it speaks of.
    assert_eq!(
        seen("{ count(where: {salary_gt: 5}) }").as_deref(),
        Some("Person.salary")
    );
    // One of two leaves under one key.
    let twice = "{ count(where: {name: \"a\"}) count(where: {salary: 1}) }";
    assert_eq!(seen(twice).as_deref(), Some("Person.salary"));
}

#[test]
fn arguments_that_name_nothing_masked_pass() {
    for query in [
        r#"{ people(where: {name: "email"}, first: 3, sort: "name") { totalCount } }"#,
        r#"{ people(q: "name = 'ann email'") { totalCount } }"#,
        r#"{ people(where: {team: {budget: 5}}) { totalCount } }"#,
        r#"{ person(id: "email") { email } }"#,
        r#"{ search(text: "email: ann") { email } }"#,
        r#"mutation { setEmail(input: {id: 1, email: "x"}) { id } }"#,
    ] {
        assert_eq!(seen(query), None, "{query}");
    }
    // A condition of a mutation is one.
    let query = r#"mutation { deletePeople(where: {email: "x"}) }"#;
    assert_eq!(seen(query).as_deref(), Some("Person.email"));
}

#[test]
fn variables_are_looked_into_when_they_come() {
    let bench = shop();
    let table = RuleTable::new(&bench.schema, &bench.decision, Surface::Graphql).unwrap();
    let check = |query: &str, variables: &str| {
        let plan = bench.plan(query, None)?;
        let variables: ArgumentValue = serde_json::from_str(variables).unwrap();
        plan.check_variables(Comparison::new(&bench.schema, &table), &variables)
    };
    let where_ = "query($w: Filter) { people(where: $w) { totalCount } }";
    let inner = "query($v: JSON) { people(where: {boss: $v}) { totalCount } }";
    let sort = "query($s: String) { people(sort: $s) { totalCount } }";
    let order = "query($o: Order) { people(orderBy: $o) { totalCount } }";
    for (query, variables) in [
        (where_, r#"{"w": {"email": "x"}}"#),
        (where_, r#"{"w": {"name": "a"}, "w": {"\u0065mail": "x"}}"#),
        (where_, r#"{"w": [{"or": [{"salary_gt": 3}]}]}"#),
        (inner, r#"{"v": {"salary": 3}}"#),
        (sort, r#"{"s": "email"}"#),
        (order, r#"{"o": "EMAIL_ASC"}"#),
    ] {
        let seen = check(query, variables);
        assert!(
            matches!(seen, Err(GraphqlError::Compared { .. })),
            "{query} {variables}: {seen:?}"
        );
    }
    for (query, variables) in [
        (where_, r#"{"w": {"name": "email"}}"#),
        (where_, r#"{"other": {"email": "x"}}"#),
        (where_, "{}"),
        (sort, r#"{"s": "name"}"#),
        (order, r#"{"o": "NAME"}"#),
    ] {
        assert_eq!(check(query, variables), Ok(()), "{query} {variables}");
    }
    let default = r#"query($w: Filter = {email: "x"}) { people(where: $w) { totalCount } }"#;
    assert!(matches!(
        bench.plan(default, None),
        Err(GraphqlError::Compared { .. })
    ));
    // An id can't name anything: nothing is looked into for it.
    let plan = bench
        .plan("query($i: ID!) { person(id: $i) { email } }", None)
        .unwrap();
    assert!(plan.guards.is_empty());
    // What names more than is looked at is refused.
    let many: Vec<String> = (0..600).map(|n| format!("\"k{n}\": 1")).collect();
    let many = format!("{{\"w\": {{{}}}}}", many.join(","));
    assert_eq!(check(where_, &many), Err(GraphqlError::Limit));
}

/// What a string says that filters, in any language.
#[test]
fn expressions_over_a_masked_field_are_refused() {
    for text in [
        "contains(email,'x')",
        "startswith(boss/email,'a')",
        "lower(email) = 'x'",
        "'x' = email",
        "2 < salary",
        "(email)=1",
        "max(salary) > 3",
        "salary+0>1",
        "salary % 2 = 1",
        "name ne 'x' order by email",
        "email/*x*/=1",
        "email COLLATE x = 1",
        "email==a",
        "email:ada",
        "\"email\" = 'x'",
        "[email] = 'x'",
        "`email` = 'x'",
        "{\"em\\u0061il\":1}",
        "{\"boss\":{\"salary\":{\"gt\":1}}}",
        "em\\u0061il = 1",
        "data->>'email' = 'x'",
        "boss.e_mail = 'x'",
        "useremail = 'x'",
        "emails.any(e => true)",
    ] {
        for argument in [
            "q", "where", "filter", "query", "rsql", "match", "search", "_filter",
        ] {
            let value = serde_json::to_string(text).unwrap();
            let query = format!("{{ people({argument}: {value}) {{ totalCount }} }}");
            assert!(seen(&query).is_some(), "{argument}: {text}");
        }
    }
    for text in [
        "name = 'email'",
        "name = 'ann email'",
        "name = \"my email is no secret\"",
        "startswith(name, 'ada@email.example')",
        "{\"name\":\"email\"}",
        "filename = 'x'",
        "headphones in stock",
        "team.budget > 3",
    ] {
        let value = serde_json::to_string(text).unwrap();
        let query = format!("{{ people(where: {value}) {{ totalCount }} }}");
        assert_eq!(seen(&query), None, "{text}");
    }
}

#[test]
fn names_that_stand_for_a_masked_field_in_another_form_are_refused() {
    for arguments in [
        "emails: [\"x\"]",
        "where: {salaries: {gt: 1}}",
        "where: {E_MAIL: 1}",
        "orderBy: E_MAIL",
        "useremail: \"x\"",
        "orderBy: EMAILASC",
        "max: \"salary\"",
        "min: \"salary\"",
        "avg: [\"salary\"]",
        "orderby: \"e-mail\"",
        "where: {name: {_ceq: \"email\"}}",
        // The way to it is longer than the words that are known.
        "where: {teamBossSalary: 1}",
    ] {
        let query = format!("{{ people({arguments}) {{ totalCount }} }}");
        assert!(seen(&query).is_some(), "{arguments}");
    }
    let order = "query($o: Order) { people(orderBy: $o) { totalCount } }";
    assert!(refuses(order, r#"{"o": "EMAILASC"}"#));
    for query in [
        "{ personByEmail(value: \"x\") { id } }",
        "{ person_by_email(value: \"x\") { id } }",
        "{ personbyemail(value: \"x\") { id } }",
        "{ peopleWithSalary(over: 3) { id } }",
    ] {
        assert!(seen(query).is_some(), "{query}");
    }
    // What only sounds like it.
    for query in [
        "{ people(pageSize: 3, filename: \"x\", message: \"email\") { totalCount } }",
        "{ people(where: {filename: {contains: \"x\"}}) { totalCount } }",
        "{ people(orderBy: NAME) { totalCount } }",
        "{ personById(id: 1) { email } }",
        "{ personByEmail { email } }",
    ] {
        assert_eq!(seen(query), None, "{query}");
    }
    // A short name is found where it stands for itself.
    let bench = over(
        "type Query { files(filename: String, iban: String, useriban: String, fileName: String): [F!]! }\
         type F { name: String iban: String fileName: String }",
        json!({"F.name": "redact", "F.iban": "redact"}),
    );
    for (argument, want) in [
        ("filename", true),
        ("fileName", true),
        ("name", false),
        ("nameLike", false),
        ("useriban", false),
        ("IBANS", false),
    ] {
        let query = format!("{{ files({argument}: \"x\") {{ name }} }}");
        assert_eq!(bench.plan(&query, None).is_ok(), want, "{argument}");
    }
}

/// Whether a query is refused for its text or its variables.
fn refuses(query: &str, variables: &str) -> bool {
    let bench = shop();
    let table = RuleTable::new(&bench.schema, &bench.decision, Surface::Graphql).unwrap();
    let variables: ArgumentValue = serde_json::from_str(variables).unwrap();
    let plan = bench.plan(query, None);
    let seen = plan
        .and_then(|plan| plan.check_variables(Comparison::new(&bench.schema, &table), &variables));
    match seen {
        Ok(()) => false,
        Err(GraphqlError::Compared { .. }) => true,
        Err(other) => panic!("{query}: {other}"),
    }
}

/// One name, masked in one type and not in another: whose it is counts.
#[test]
fn a_name_is_that_of_the_object_that_it_speaks_of() {
    let bench = over(
        "type Query { assets(name: String, vendorName: String, nameLike: String, vendor: JSON): [A!]! }\
         type A { name: String vendor: V } type V { name: String } scalar JSON",
        json!({"V.name": "redact"}),
    );
    for (argument, want) in [
        ("name: \"x\"", true),
        ("nameLike: \"x\"", true),
        ("vendorName: \"x\"", false),
        ("vendor: {name: \"x\"}", false),
    ] {
        let query = format!("{{ assets({argument}) {{ name }} }}");
        assert_eq!(bench.plan(&query, None).is_ok(), want, "{argument}");
    }
}
