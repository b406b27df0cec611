use serde_json::{Value, json};

use super::*;
use crate::identity::Unreadable;

const REGO: &str = r#"package ig.residency

default decision := {"allow": false, "reason": "nobody"}

decision := {"allow": true, "region": input.gateway_region, "reason": "here"} if input.tenant == "acme"

decision := {"allow": true, "region": "mars", "reason": "there"} if input.tenant == "far"

decision := {"allow": true, "reason": "anywhere"} if input.tenant == "lost"

decision := {"alow": true} if input.tenant == "secret-typo"
"#;

struct Tenant(&'static str);

impl Claims for Tenant {
    fn claim(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(match name {
            "sub" => Some(b"ann".to_vec()),
            "tenant" => Some(self.0.as_bytes().to_vec()),
            _ => None,
        })
    }
}

fn residency() -> Residency {
    let config = json!({
        "revision": "r-1", "region": "eu", "clusters": {"eu": "assets-eu"},
        "graphql_paths": ["/graphql"],
        "policy": {"modules": [{"path": "m.rego", "text": REGO}], "data": {}},
    });
    Residency::configure(config.to_string().as_bytes()).unwrap()
}

fn headers(path: &str, more: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let all = [(":method", "POST"), (":path", path)];
    let pair = |(n, v): &(&str, &str)| ((*n).to_owned(), v.as_bytes().to_vec());
    all.iter().chain(more).map(pair).collect()
}

#[test]
fn the_request_is_told_where_to_go_and_nothing_that_a_client_says_stays() {
    let mut residency = residency();
    let sent = headers(
        "/x",
        &[
            ("X-IG-Cluster", "assets-us"),
            ("x-ig-admin", "1"),
            ("x-ig-purpose", "support"),
            ("x-ig-data-region", "eu"),
        ],
    );
    for _ in 0..2 {
        let routing = residency.route(Headers(&sent), &Tenant("acme"));
        let edits = routing.effect.unwrap();
        let want = [
            Edit::Remove("X-IG-Cluster".into()),
            Edit::Remove("x-ig-admin".into()),
            Edit::Set("x-ig-cluster", "assets-eu".into()),
            Edit::Set("x-ig-tenant", "acme".into()),
            Edit::Set("x-ig-region", "eu".into()),
        ];
        assert_eq!(edits, want);
        assert_eq!(routing.record.outcome, Outcome::Allowed);
    }
}

#[test]
fn what_the_policy_does_not_allow_clearly_is_refused() {
    let mut residency = residency();
    for (tenant, status, code) in [
        ("nobody", 403, "RESIDENCY_DENIED"),
        ("far", 503, "REGION_UNREACHABLE"),
        ("lost", 500, "POLICY_FAILED"),
        ("secret-typo", 500, "POLICY_FAILED"),
        ("", 401, "IDENTITY_INCOMPLETE"),
    ] {
        for (path, pointer) in [
            ("/graphql", "/errors/0/extensions/code"),
            ("/rest", "/code"),
        ] {
            let routing = residency.route(Headers(&headers(path, &[])), &Tenant(tenant));
            let reply = routing.effect.unwrap_err();
            assert_eq!(
                (reply.status, reply.code.as_str()),
                (status, code),
                "{tenant}"
            );
            let body: Value = serde_json::from_str(&reply.body).unwrap();
            assert_eq!(body.pointer(pointer), Some(&json!(code)));
            assert!(!reply.body.contains("alow"), "{}", reply.body);
            assert_eq!(routing.record.outcome, Outcome::Denied);
            assert_eq!(routing.record.code.as_deref(), Some(code));
        }
    }
    let routing = residency.route(Headers(&headers("/graphql", &[])), &Tenant("secret-typo"));
    assert!(
        routing.record.reason.contains("alow"),
        "{}",
        routing.record.reason
    );
}
