mod requests;
mod responses;
mod routes;
mod ways;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use crate::identity::{Claims, Unreadable, encode};

const SDL: &str = r#"
directive @mask(fields: [String!]!, strategy: String = "hash") on FIELD_DEFINITION
type Query { me: P people: [P!]! }
type Mutation { rename(name: String): P }
type Subscription { joined: P }
type P { name: String email: String @mask(fields: ["email"]) salary: Int }
"#;

const REGO: &str = r#"package ig.masking

default decision := {"allow": false, "denials": [{"code": "ROLE_UNKNOWN", "reason": "no role"}]}

decision := {"allow": true, "rules": {"P.salary": {"strategy": "redact", "reason": "role!=admin"}}} if "analyst" in input.roles

decision := {"allow": true, "admin": true, "errors": "verbatim", "rules": {
	"P.email": {"strategy": "reveal", "reason": "role=admin"},
	"P.salary": {"strategy": "null", "reason": "nobody needs it"},
}} if "admin" in input.roles

decision := {"allow": true, "rules": {
	"P.email": {"strategy": "reveal", "reason": "role=owner"},
	"P.salary": {"strategy": "reveal", "reason": "role=owner"},
}} if "owner" in input.roles

decision := {"allow": true, "secret_of_the_policy": 1} if "broken" in input.roles

decision := {"allow": true, "rules": {"P.nope": {"strategy": "null", "reason": "typo"}}} if "typo" in input.roles

decision := {"allow": false} if "mute" in input.roles

decision := {"allow": to_number(input.subject) > 0} if "crash" in input.roles
"#;

/// What stands in the responses, and in nothing else.
const CANARY: &str = "canary-7f3a@x.example";

struct Token(HashMap<&'static str, Vec<u8>>);

impl Claims for Token {
    fn claim(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        match self.0.get(name) {
            Some(v) if v == b"unreadable" => Err(Unreadable),
            value => Ok(value.cloned()),
        }
    }
}

fn token(role: &str) -> Token {
    Token(HashMap::from([
        ("sub", b"ann".to_vec()),
        ("tenant", b"acme".to_vec()),
        ("roles", encode(&[role])),
        ("purposes", encode(&["support"])),
    ]))
}

fn config() -> Value {
    json!({
        "revision": "r-1", "region": "eu", "schema": SDL, "graphql_paths": ["/graphql"],
        "trusted_headers": ["x-ig-tenant"],
        "policy": {"modules": [{"path": "m.rego", "text": REGO}], "data": {}},
        "limits": {"request_bytes": 500},
    })
}

fn masking() -> Masking {
    let keys = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    Masking::configure(config().to_string().as_bytes(), |_| Some(keys.into())).unwrap()
}

type Pairs = Vec<(String, Vec<u8>)>;

fn pairs(list: &[(&str, &str)]) -> Pairs {
    list.iter()
        .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
        .collect()
}

fn post() -> Pairs {
    pairs(&[
        (":method", "POST"),
        (":path", "/graphql"),
        ("content-type", "application/json"),
    ])
}

/// The stream of a request that went on.
fn forwarded(masking: &mut Masking, role: &str, query: &str) -> MaskingStream {
    let mut stream = MaskingStream::new();
    let effect = stream.request_headers(masking, Headers(&post()), &token(role), false);
    assert!(matches!(effect, HeadEffect::Hold(_)), "{effect:?}");
    let body = json!({ "query": query }).to_string();
    assert_eq!(stream.request_body(masking, body.as_bytes()), Ok(None));
    stream
}

/// The same with the response's headers seen.
fn answered(masking: &mut Masking, role: &str, query: &str) -> MaskingStream {
    let mut stream = forwarded(masking, role, query);
    let effect = stream.response_headers(masking, Headers(&pairs(&[(":status", "200")])), false);
    assert!(matches!(effect, ResponseEffect::Mask(_)), "{effect:?}");
    stream
}

fn record(stream: &MaskingStream) -> Value {
    serde_json::from_str(&stream.record()).unwrap()
}
