//! An operation under a decision, and a response that goes through its plan.

mod compare;
mod depths;
mod limits;
mod pseudonyms;
mod rules;
mod selections;
mod strategies;
mod types;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::graphql::{self, Document, GraphqlError};
use crate::json::{self, Rewriter, Stats};
use crate::policy::{Decision, Surface};
use crate::schema::Schema;

const SDL: &str = r#"
directive @mask(fields: [String!]!, strategy: String = "hash") on FIELD_DEFINITION
type Query {
  me: Person
  boss: Person!
  people: [Person!]!
  grid: [[Person]!]
  found: [Found!]!
  contact: Contact
  named(name: String): Named
  all: All
}
type Mutation { rename(id: ID!, name: String!): Person! }
type Subscription { joined: Person! }
interface Contact { email: String phone: String }
interface Named { id: ID! name: String! }
union Found = Person | Vendor | Asset
type Person implements Contact & Named {
  id: ID! name: String! email: String @mask(fields: ["email"]) phone: String salary: Int
  manager: Person superior: Person! reports: [Person!] tags: [String!] matrix: [[String]!]
}
type Vendor implements Contact & Named {
  id: ID! name: String! email: String phone: String website: String account: Person
}
type Asset implements Named { id: ID! name: String! email: String meta: JSON owner: Person }
scalar JSON
enum Kind { FIRST SECOND }
type All {
  text: String text1: String! id: ID id1: ID! int: Int int1: Int! float: Float float1: Float!
  flag: Boolean flag1: Boolean! kind: Kind kind1: Kind! any: JSON any1: JSON!
  texts: [String!]! ints: [Int!]! maybe: [Int]
}
"#;

/// A schema, a decision and what else a plan depends on.
struct Bench {
    schema: Schema,
    decision: Decision,
    envelope: Envelope,
    keys: Option<Keyring>,
    tenant: &'static str,
}

fn keyring() -> Keyring {
    Keyring::parse("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").unwrap()
}

/// The rules of a decision: a strategy by coordinate, or a whole rule.
fn bench(rules: Value) -> Bench {
    over(SDL, rules)
}

fn over(sdl: &str, rules: Value) -> Bench {
    let rules: serde_json::Map<String, Value> = rules
        .as_object()
        .unwrap()
        .iter()
        .map(|(coordinate, rule)| {
            let rule = match rule {
                Value::String(s) => {
                    json!({"strategy": s, "reason": format!("rule of {coordinate}")})
                }
                rule => rule.clone(),
            };
            (coordinate.clone(), rule)
        })
        .collect();
    Bench {
        schema: Schema::parse(sdl).unwrap(),
        decision: serde_json::from_value(json!({"allow": true, "rules": rules})).unwrap(),
        envelope: Envelope::Generic {
            codes: vec!["FORBIDDEN".into(), "NOT_FOUND".into()],
        },
        keys: Some(keyring()),
        tenant: "acme",
    }
}

impl Bench {
    fn plan(&self, query: &str, operation: Option<&str>) -> Result<Arc<Plan>, GraphqlError> {
        let document = Document::parse(query, graphql::Limits::default())?;
        let (_, operation) = document.operation(operation)?;
        let table = RuleTable::new(&self.schema, &self.decision, Surface::Graphql).unwrap();
        let keys = self.keys.as_ref().map(|k| (k, self.tenant));
        compile(
            &self.schema,
            &document,
            operation,
            &table,
            &self.envelope,
            keys,
            Limits::default(),
        )
        .map(Arc::new)
    }

    /// Rewrites `{"data": data}` and gives what stands in the place of `data`.
    #[track_caller]
    fn data(&self, query: &str, data: &str) -> String {
        let plan = self.plan(query, None).unwrap();
        let out = rewrite(&plan, &format!(r#"{{"data":{data}}}"#)).0;
        let inner = out
            .strip_prefix(r#"{"data":"#)
            .and_then(|o| o.strip_suffix('}'));
        inner.unwrap_or_else(|| panic!("{out}")).to_owned()
    }

    #[track_caller]
    fn check(&self, query: &str, data: &str, want: &str) {
        assert_eq!(shorten(&self.data(query, data)), want, "{query}");
    }
}

/// Rewrites a response in one piece and in many, which must not differ.
#[track_caller]
fn rewrite(plan: &Arc<Plan>, response: &str) -> (String, Stats, Vec<u64>) {
    let run = |size: usize| {
        let mut rewriter = Rewriter::new(plan.program.clone(), json::Limits::default());
        let mut masker = PlanMasker::new(plan.clone());
        let mut out = Vec::new();
        for chunk in response.as_bytes().chunks(size) {
            rewriter.push(chunk, &mut masker, &mut out).unwrap();
        }
        rewriter.finish().unwrap();
        let out = String::from_utf8(out).unwrap();
        (out, rewriter.stats(), masker.counts().to_vec())
    };
    let whole = run(usize::MAX);
    for size in [1, 2, 7, 64] {
        assert_eq!(run(size), whole, "in pieces of {size}");
    }
    whole
}

/// The text with every pseudonym written `#`.
fn shorten(text: &str) -> String {
    let mut parts = text.split("h:k1:");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        short.push('#');
        short.push_str(&part[22..]);
    }
    short
}
