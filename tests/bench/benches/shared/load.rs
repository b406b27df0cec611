//! The load of the benchmarks: a directory of people, each with two masked values.

use engine::config::{MaskingConfig, default_claims};
use engine::filter::Masking;
use engine::policy::{Module, PolicySource};

pub const SCHEMA: &str = "type Query { people: [Person!]! }
    type Person { id: ID! name: String! email: String phone: String team: String notes: String }";

pub const QUERY: &str = "query People { people { id name email phone team notes } }";

const POLICY: &str = r#"package ig.masking
default decision := {"allow": false, "denials": [{"code": "POLICY_DENIED", "reason": "no rule"}]}
decision := {"allow": true, "rules": rules} if input.tenant == "acme"
rules[c] := {"strategy": s, "reason": "role!=admin"} if some c, s in data.ig.strategies
"#;

/// A response of so many people, whose notes have so many characters.
pub fn body(people: usize, notes: usize) -> Vec<u8> {
    let notes = "n".repeat(notes);
    let people: Vec<String> = (0..people)
        .map(|i| {
            format!(
                "{{\"id\":\"p-{i:05}\",\"name\":\"Person {i:05}\",\
                 \"email\":\"person.{i:05}@acme.example\",\"phone\":\"+49 30 {i:07}\",\
                 \"team\":\"north\",\"notes\":\"{notes}\"}}"
            )
        })
        .collect();
    format!("{{\"data\":{{\"people\":[{}]}}}}", people.join(",")).into_bytes()
}

/// The masking filter's configuration with one strategy for both values.
pub fn config(strategy: &str) -> MaskingConfig {
    MaskingConfig {
        revision: "bench".into(),
        region: "eu".into(),
        policy: PolicySource {
            modules: vec![Module {
                path: "masking.rego".into(),
                text: POLICY.into(),
            }],
            data: serde_json::json!({
                "ig": {"strategies": {"Person.email": strategy, "Person.phone": strategy}}
            }),
        },
        schema: SCHEMA.into(),
        graphql_paths: vec!["/graphql".into()],
        graphql: Default::default(),
        routes: Vec::new(),
        mode: Default::default(),
        trusted_headers: Vec::new(),
        claims: default_claims(),
        keys_env: "IG_MASK_KEYS".into(),
        error_codes: Vec::new(),
        response_headers: Vec::new(),
        limits: Default::default(),
    }
}

/// The filter itself.
#[allow(
    dead_code,
    reason = "the benchmark of the whole Envoy loads the filter as Wasm"
)]
pub fn masking(strategy: &str) -> Masking {
    let keys = format!("k1:{}", "A".repeat(43));
    Masking::load(config(strategy), Some(&keys)).expect("a configuration")
}
