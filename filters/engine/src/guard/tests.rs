//! Whole guards with the repository's own policy.

mod connections;
mod decisions;
mod requests;
mod splits;

use serde_json::{Value, json};

use super::*;
use crate::audit::Outcome;
use crate::context::{ContextKeys, ContextToken, WarrantUse};
use crate::filter::{Edit, Headers};

const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const NOW: u64 = 1_030;

fn policy() -> Value {
    json!({
        "modules": [{
            "path": "ig/egress.rego",
            "text": include_str!("../../../../policies/ig/egress.rego"),
        }],
        "data": {"ig": {
            "regions": {"eu": {}, "us": {}},
            "tenants": {"acme": {"region": "eu"}, "globex": {"region": "eu"}, "initech": {"region": "us"},
                "shut": {"region": "eu"}, "wide": {"region": "us", "regions": ["us", "eu"]}},
            "quarantine": {"shut": {"reason": "breach"}},
            "revocations": {"wrt_0": {"reason": "over"}},
        }},
    })
}

/// The guard of region `eu` before a store there.
fn guard(store: Value) -> Guard {
    guard_within(store, GuardLimits::default())
}

fn guard_within(store: Value, limits: GuardLimits) -> Guard {
    let mut all = json!({"name": "main", "region": "eu"});
    for (key, value) in store.as_object().unwrap() {
        all[key] = value.clone();
    }
    let config = json!({
        "revision": "r-1", "region": "eu", "policy": policy(), "store": all, "cluster": "store-main",
        "limits": limits,
    });
    Guard::configure(config.to_string().as_bytes(), |_| Some(KEYS.into())).unwrap()
}

fn claims(tenant: &str, home: &str) -> ContextToken {
    ContextToken {
        jti: "dec_0".into(),
        tenant: tenant.into(),
        home: home.into(),
        region: "eu".into(),
        iat: 1_000,
        exp: 1_060,
        warrant: None,
    }
}

fn warrant(id: &str, operations: &[&str]) -> WarrantUse {
    WarrantUse {
        id: id.into(),
        src: "us".into(),
        dst: "eu".into(),
        operations: operations.iter().map(|o| (*o).to_owned()).collect(),
        authority: "us-court".into(),
        case: "C-1".into(),
    }
}

fn sign(claims: &ContextToken) -> String {
    claims
        .sign(&ContextKeys::parse(KEYS, "eu").unwrap())
        .unwrap()
}

fn token(tenant: &str, home: &str) -> String {
    sign(&claims(tenant, home))
}

/// A StartupMessage of protocol 3.0.
fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    for (name, value) in parameters {
        body.extend(format!("{name}\0{value}\0").bytes());
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], &body].concat()
}

fn postgres_of(token: &str) -> Vec<u8> {
    let options = format!("-c ig.context={token}");
    startup(&[("user", "app"), ("database", "acme"), ("options", &options)])
}

/// A message of one map of strings, in one chunk.
fn bolt_message(tag: u8, entries: &[(&str, &str)]) -> Vec<u8> {
    let string = |text: &str| {
        let size = u16::try_from(text.len()).unwrap().to_be_bytes();
        [&[0xd1][..], &size, text.as_bytes()].concat()
    };
    let mut message = vec![0xb1, tag, 0xa0 | u8::try_from(entries.len()).unwrap()];
    for (key, value) in entries {
        message.extend(string(key));
        message.extend(string(value));
    }
    let size = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&size[..], &message, &[0, 0]].concat()
}

const BOLT_HANDSHAKE: &[u8] = b"\x60\x60\xb0\x17\0\0\x01\xff\0\x08\x08\x05\0\x02\x04\x04\0\0\0\x03";
