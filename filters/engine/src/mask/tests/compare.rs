//! Arguments that would tell what masked values are.

use super::*;
use crate::graphql::ArgumentValue;

const SHOP: &str = r#"
type Query {
  people(where: Filter, orderBy: Order, first: Int, sort: String, groupBy: [String!], q: String, email: String): PersonConnection
  person(id: ID!): Person
  count(where: Filter): Int!
  search(text: String): [Person!]!
}
type Mutation {
  setEmail(input: EmailInput!): Person
  deletePeople(where: Filter!): Int!
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
        r#"{ people(q: "ann email") { totalCount } }"#,
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
