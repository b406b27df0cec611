//! Requests: any body, any query string.

use std::cell::RefCell;

use engine::filter::{HeadEffect, Headers, Masking, MaskingStream};
use engine::graphql::Requests;
use engine::identity::{Claims, Unreadable};
use serde_json::json;

use crate::setting::{KEYS, SDL};

const REGO: &str = r#"package ig.masking

decision := {"allow": true, "rules": {
    "Person.email": {"strategy": "redact", "reason": "r"},
    "Firm.tax": {"strategy": "hash", "reason": "r"},
}}
"#;

struct Token;

/// A list of one name, as the host gives it: one pair with an empty value.
fn list(name: &str) -> Vec<u8> {
    let length = (name.len() as u32).to_le_bytes();
    let head = [1u32.to_le_bytes(), length, 0u32.to_le_bytes()].concat();
    [&head, name.as_bytes(), b"\0\0"].concat()
}

impl Claims for Token {
    fn claim(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(match name {
            "sub" => Some(b"ann".to_vec()),
            "tenant" => Some(b"acme".to_vec()),
            "roles" | "purposes" => Some(list("support")),
            _ => None,
        })
    }
}

thread_local! {
    static MASKING: RefCell<Masking> = RefCell::new({
        let config = json!({
            "revision": "r", "region": "eu", "schema": SDL, "graphql_paths": ["/graphql"],
            "policy": {"modules": [{"path": "m.rego", "text": REGO}], "data": {}},
            "graphql": {"get": true, "batch": 5, "automatic_persisted": true,
                        "manifest": {"people": "{ people { name } }"}},
            "routes": [{"name": "people", "path": "/people/{id}", "methods": ["GET"],
                        "surface": "rest", "type": "Person"}],
            "limits": {"cache_entries": 16},
        });
        Masking::configure(config.to_string().as_bytes(), |_| Some(KEYS.into())).expect("it loads")
    });
}

/// A request by POST, by GET or to a route: it is planned or refused with a record that is JSON.
pub fn requests(data: &[u8]) {
    let Some((way, rest)) = data.split_first() else {
        return;
    };
    if let Ok(Requests::Batch(requests)) = Requests::parse(rest, 5) {
        assert!((1..=5).contains(&requests.len()));
    }
    let (method, path): (&[u8], Vec<u8>) = match way % 3 {
        0 => (b"POST", b"/graphql".to_vec()),
        1 => (b"GET", [b"/graphql?", rest].concat()),
        _ => (b"GET", [b"/people/", rest].concat()),
    };
    let headers = [
        (":method".to_owned(), method.to_vec()),
        (":path".to_owned(), path),
        ("content-type".to_owned(), b"application/json".to_vec()),
    ];
    MASKING.with_borrow_mut(|masking| {
        let mut stream = MaskingStream::new();
        let end = method == b"GET";
        let effect = stream.request_headers(masking, Headers(&headers), &Token, end);
        let sent = match effect {
            HeadEffect::Hold(_) => stream.request_body(masking, rest).is_ok(),
            HeadEffect::Forward(_) => true,
            HeadEffect::Reply(_) => false,
        };
        assert_eq!(sent, !stream.plans().is_empty(), "what goes on has a plan");
        let _ = stream.response_headers(
            masking,
            Headers(&[(":status".to_owned(), b"200".to_vec())]),
            true,
        );
        stream.close();
        let record: Result<serde_json::Value, _> = serde_json::from_str(&stream.record());
        assert!(record.is_ok(), "the record is JSON");
    });
}
