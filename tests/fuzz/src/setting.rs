//! A small schema with rules for it.

use std::sync::{Arc, LazyLock};

use engine::graphql::{self, Document};
use engine::mask::{self, Envelope, Keyring, Plan, RuleTable};
use engine::policy::{Decision, Surface};
use engine::schema::Schema;
use serde_json::json;

/// Its text.
pub const SDL: &str = r#"
directive @mask(fields: [String!]!, strategy: String = "hash") on FIELD_DEFINITION
scalar JSON
enum Kind { FIRST SECOND }
enum Order { NAME_ASC EMAIL_DESC }
input Where { and: [Where!] email: String nameContains: String salary: Int }
interface Node { id: ID! }
union Asset = Person | Firm
type Query {
  me: Person people(first: Int, where: Where, orderBy: [Order!], filter: String, sort: JSON): [Person!]!
  node(id: ID!): Node search(q: String): [Asset!]! kind: Kind any: JSON
}
type Mutation { rename(name: String, email: String): Person }
type Subscription { joined: Person }
type Person implements Node {
  id: ID! name(upper: Boolean): String email: String @mask(fields: ["email"]) salary: Int!
  boss: Person firm: Firm! tags: [[String]] kind: Kind more: JSON
}
type Firm implements Node { id: ID! name: String tax: String owner: Person staff: [Person!]! }
"#;

/// The schema.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(SDL).expect("it parses"));

/// What the policy says.
pub fn decision() -> Decision {
    serde_json::from_value(json!({"allow": true, "rules": {
        "Person.name": {"strategy": "partial", "reason": "r", "keep_last": 2},
        "Person.salary": {"strategy": "null", "reason": "r"},
        "Person.more": {"strategy": "redact", "reason": "r"},
        "Firm.tax": {"strategy": "hash", "reason": "r"},
        "Firm.owner": {"strategy": "redact", "reason": "r"},
        "Node.id": {"strategy": "hash", "reason": "r"},
    }}))
    .expect("it is a decision")
}

/// The rules.
pub fn table(surface: Surface) -> RuleTable {
    RuleTable::new(&SCHEMA, &decision(), surface).expect("the schema has the fields")
}

/// The keys as the environment has them.
pub const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The keys.
pub static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::parse(KEYS).expect("they are keys"));

/// What is let through of errors.
pub fn envelope() -> Envelope {
    Envelope::Generic {
        codes: vec!["OOPS".into()],
    }
}

/// The plan of a query that is known to be right.
pub fn plan(query: &str) -> Arc<Plan> {
    let document = Document::parse(query, graphql::Limits::default()).expect("it parses");
    let (_, operation) = document.operation(None).expect("it has one operation");
    let plan = mask::compile(
        &SCHEMA,
        &document,
        operation,
        &table(Surface::Graphql),
        &envelope(),
        Some((&KEYRING, "acme")),
        mask::Limits::default(),
    );
    Arc::new(plan.expect("it fits the schema"))
}
