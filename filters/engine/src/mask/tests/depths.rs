//! How deep arguments are looked into.

use super::*;
use crate::graphql::ArgumentValue;

/// Under each other in the value of a variable: it comes as JSON, which the document's limits don't
/// bound.
fn nested(wrap: impl Fn(&str) -> String, depth: usize) -> Result<(), GraphqlError> {
    let bench = over(
        "type Query { people(where: W): [P!] } type P { name: String email: String } input W { a: W }",
        json!({"P.email": "redact"}),
    );
    let plan = bench
        .plan("query($w: W) { people(where: $w) { name } }", None)
        .unwrap();
    let value = (0..depth).fold(r#"{"name": "x"}"#.to_owned(), |value, _| wrap(&value));
    let variables: ArgumentValue = serde_json::from_str(&format!(r#"{{"w": {value}}}"#)).unwrap();
    let table = RuleTable::new(&bench.schema, &bench.decision, Surface::Graphql).unwrap();
    plan.check_variables(Comparison::new(&bench.schema, &table), &variables)
}

#[test]
fn what_nests_deeper_than_is_looked_at_is_refused() {
    let objects = |value: &str| format!(r#"{{"not": {value}}}"#);
    for depth in [0, 10, 60] {
        assert_eq!(nested(objects, depth), Ok(()), "{depth}");
    }
    for depth in [64, 100] {
        assert_eq!(nested(objects, depth), Err(GraphqlError::Limit), "{depth}");
    }
}
