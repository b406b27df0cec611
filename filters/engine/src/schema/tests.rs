use super::*;
use crate::mask::StrategyKind;

fn error(sdl: &str) -> String {
    Schema::parse(sdl)
        .expect_err("the schema is broken")
        .to_string()
}

#[test]
fn reads_types_shapes_and_possible_types() {
    let schema = Schema::parse(
        "type Query { a: A!, list: [[Int!]]!, u: U }
         extend type Query { i: [I] }
         interface I { x: String } union U = A | B
         type A implements I { x: String, e: E! } type B implements I { x: String }
         extend union U = C type C { y: ID } enum E { ONE TWO } scalar Date",
    )
    .unwrap();
    let query = schema.root(OperationKind::Query).unwrap();
    let list = schema.field(query, "list").unwrap().shape;
    assert_eq!(list.lists, 2);
    assert_eq!([0, 1, 2].map(|d| list.nullable_at(d)), [false, true, false]);
    let names = |ty: &str| -> Vec<&str> {
        let def = schema.get(schema.type_id(ty).unwrap()).unwrap();
        def.possible
            .iter()
            .map(|id| &*schema.get(id).unwrap().name)
            .collect()
    };
    assert_eq!(names("I"), ["A", "B"]);
    assert_eq!(names("U"), ["A", "B", "C"]);
    assert_eq!(schema.expand("I.x").unwrap().len(), 2);
    assert_eq!(schema.expand("A.*").unwrap().len(), 2);
    assert!(schema.expand("I.nope").is_err());
    assert!(schema.expand("nope").is_err());
    assert!(schema.field(query, "__schema").is_some());
}

#[test]
fn mask_marks_leaves_and_fields_of_returned_types() {
    let schema = Schema::parse(
        r#"directive @mask(fields: [String!]!, strategy: String = "hash") on FIELD_DEFINITION
           type Query { me: P @mask(fields: ["id", "mail"], strategy: "redact") }
           type P { id: ID, mail: String @mask(fields: "mail") }"#,
    )
    .unwrap();
    let marks: Vec<_> = schema
        .directives()
        .iter()
        .map(|d| (&*d.coordinate, d.strategy, &*d.at))
        .collect();
    assert_eq!(
        marks,
        [
            ("P.id", StrategyKind::Redact, "Query.me"),
            ("P.mail", StrategyKind::Redact, "Query.me"),
            ("P.mail", StrategyKind::Hash, "P.mail"),
        ]
    );
}

#[test]
fn says_where_a_schema_is_broken() {
    for (sdl, want) in [
        (
            "type Query { a: Nope }",
            "schema line 1, column 14: type `Nope` is not defined",
        ),
        ("type Query { a: Int\n b Int }", "schema line 2, column 4: "),
        (
            "type A { x: Int }",
            "schema line 1, column 1: there is no query root type",
        ),
        (
            "type Query { a: Int } type Query { b: Int }",
            "type `Query` is defined twice",
        ),
        (
            "type Query { a: Int a: Int }",
            "field `Query.a` is defined twice",
        ),
        ("type Query { a: Int } { a }", "does not belong in a schema"),
        (
            "type Query { a: Int } union U = Int",
            "`Int` is not an object type",
        ),
        (
            "type Query implements X { a: Int } type X { a: Int }",
            "`X` is not an interface",
        ),
        (
            "type Query { a: In } input In { a: Int }",
            "returns an input type",
        ),
        (
            r#"type Query { a: Int @mask(fields: ["b"]) }"#,
            "it must name `a` itself",
        ),
        (
            r#"type Query { a: Int @mask(fields: ["a"], strategy: "rot13") }"#,
            "no strategy `rot13`",
        ),
        (
            r#"type Query { a: Int @mask(fields: []) }"#,
            "needs `fields`",
        ),
        (
            r#"type Query { a: Int @mask(field: ["a"]) }"#,
            "does not take `field`",
        ),
        (
            r#"type Query { q: Query @mask(fields: ["zz"]) }"#,
            "no field `Query.zz`",
        ),
        ("", "column 1: "),
    ] {
        let seen = error(sdl);
        assert!(seen.contains(want), "{sdl}\n  gave {seen}\n  want {want}");
    }
}
