use serde_json::{Value, json};

use super::*;
use crate::context::ContextToken;
use crate::identity::Unreadable;
use crate::warrant::tests::{NOW, data, signed, with};
use crate::warrant::{CountedUses, Uncounted};

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
    Residency::configure(config.to_string().as_bytes(), |_| None).unwrap()
}

fn headers(path: &str, more: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let all = [(":method", "POST"), (":path", path)];
    let pair = |(n, v): &(&str, &str)| ((*n).to_owned(), v.as_bytes().to_vec());
    all.iter().chain(more).map(pair).collect()
}

fn at(
    residency: &mut Residency,
    headers: &[(String, Vec<u8>)],
    tenant: &'static str,
    now_s: u64,
) -> Routing {
    residency.route(
        Headers(headers),
        &Tenant(tenant),
        now_s,
        &mut CountedUses::default(),
    )
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
            ("x-ig-context", "forged"),
        ],
    );
    for _ in 0..2 {
        let routing = at(&mut residency, &sent, "acme", 0);
        let edits = routing.effect.unwrap();
        let want = [
            Edit::Remove("X-IG-Cluster".into()),
            Edit::Remove("x-ig-admin".into()),
            Edit::Remove("x-ig-context".into()),
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
            let routing = at(&mut residency, &headers(path, &[]), tenant, 0);
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
    let routing = at(&mut residency, &headers("/graphql", &[]), "secret-typo", 0);
    assert!(
        routing.record.reason.contains("alow"),
        "{}",
        routing.record.reason
    );
}

/// A policy that says what the tenant's name asks for, whatever is right.
const CARELESS: &str = r#"package ig.residency

default decision := {"allow": false, "reason": "nobody"}

decision := {"allow": true, "region": input.home, "reason": "home"} if input.tenant in {"moves", "stays"}

decision := {"allow": true, "region": "eu", "warrant": "wrt_1", "reason": "believe me"} if input.tenant == "believed"

decision := {"allow": false, "reason": "there", "redirect": "https://us.example/"} if input.tenant == "sent"

decision := {"allow": false, "reason": "there", "redirect": "https://us.example", "status": 421} if {
	input.tenant == "told"
}

decision := {"allow": false, "reason": "there", "redirect": "https://us.example", "status": 200} if {
	input.tenant == "lured"
}
"#;

const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn careless(keys: Option<&str>) -> Residency {
    let config = json!({
        "revision": "r-1", "region": "eu", "clusters": {"eu": "assets-eu", "us": "assets-us"},
        "graphql_paths": ["/graphql"], "token_lifetime_s": 30,
        "policy": {"modules": [{"path": "m.rego", "text": CARELESS}], "data": {"ig": {"tenants": {
            "stays": {"region": "eu"},
            "moves": {"region": "us", "move": {"from": "eu", "at": "1970-01-01T00:16:40Z"}},
        }}}},
    });
    Residency::configure(config.to_string().as_bytes(), |_| keys.map(str::to_owned)).unwrap()
}

fn set(routing: &Routing, header: &str) -> Option<String> {
    let edits = routing.effect.as_ref().unwrap();
    edits.iter().find_map(|edit| match edit {
        Edit::Set(name, value) if *name == header => Some(value.clone()),
        _ => None,
    })
}

#[test]
fn a_tenant_moves_at_its_moment_although_decisions_are_kept() {
    let mut residency = careless(None);
    for _ in 0..2 {
        for (now, cluster) in [(0, "assets-eu"), (999, "assets-eu"), (1000, "assets-us")] {
            let routing = at(&mut residency, &headers("/x", &[]), "moves", now);
            assert_eq!(
                set(&routing, "x-ig-cluster").as_deref(),
                Some(cluster),
                "{now}"
            );
            assert_eq!(routing.record.home, routing.record.region_dst);
        }
    }
}

#[test]
fn the_upstream_gets_a_token_that_its_guards_believe() {
    let mut residency = careless(Some(KEYS));
    let routing = at(&mut residency, &headers("/x", &[]), "stays", 1000);
    let token = set(&routing, "x-ig-context").unwrap();
    let keys = ContextKeys::parse(KEYS, "eu").unwrap();
    let token = ContextToken::verify(token.as_bytes(), &keys, "eu", 1000).unwrap();
    let want = ContextToken {
        jti: routing.record.decision_id.clone(),
        tenant: "stays".into(),
        home: "eu".into(),
        region: "eu".into(),
        iat: 1000,
        exp: 1030,
        warrant: None,
    };
    assert_eq!(token, want);
    for none in [None, Some("")] {
        let mut residency = careless(none);
        assert!(!residency.has_keys());
        let routing = at(&mut residency, &headers("/x", &[]), "stays", 1000);
        assert_eq!(set(&routing, "x-ig-context"), None);
    }
}

#[test]
fn a_policy_that_believes_what_nobody_verified_opens_nothing() {
    let mut residency = careless(None);
    for more in [&[][..], &[("x-ig-warrant", "a.b.c")]] {
        let routing = at(&mut residency, &headers("/x", more), "believed", 0);
        let reply = routing.effect.unwrap_err();
        assert_eq!((reply.status, reply.code.as_str()), (500, "POLICY_FAILED"));
        let fate = (!more.is_empty()).then_some(WarrantFate::Refused);
        assert_eq!(routing.warrant, fate);
        assert_eq!(routing.record.warrant, None);
    }
    let twice = [("x-ig-warrant", "a.b.c"), ("X-Ig-Warrant", "a.b.c")];
    let routing = at(&mut residency, &headers("/x", &twice), "stays", 0);
    let reply = routing.effect.unwrap_err();
    assert_eq!((reply.status, reply.code.as_str()), (400, "BAD_HEADER"));
}

#[test]
fn a_misrouted_request_is_sent_or_told_where_to_go() {
    let mut residency = careless(None);
    let location = |reply: &Reply| {
        let found = reply.headers.iter().find(|(n, _)| *n == "location");
        found.map(|(_, v)| v.clone())
    };
    let path = "/graphql?query=%7Ba%7D";
    for (tenant, path, status, want) in [
        (
            "sent",
            path,
            307,
            Some("https://us.example/graphql?query=%7Ba%7D"),
        ),
        ("sent", "*", 421, None),
        ("told", path, 421, None),
        ("lured", path, 500, None),
    ] {
        let routing = at(&mut residency, &headers(path, &[]), tenant, 0);
        let reply = routing.effect.unwrap_err();
        assert_eq!(
            (reply.status, location(&reply).as_deref()),
            (status, want),
            "{tenant}"
        );
        assert_eq!(
            reply.body.contains("us.example"),
            status == 421,
            "{}",
            reply.body
        );
    }
}

#[test]
fn broken_data_or_keys_are_no_configuration() {
    let configure = |data: Value, keys: Option<&str>| {
        let config = json!({
            "revision": "r-1", "region": "eu", "clusters": {}, "graphql_paths": [],
            "policy": {"modules": [{"path": "m.rego", "text": REGO}], "data": data},
        });
        Residency::configure(config.to_string().as_bytes(), |_| keys.map(str::to_owned))
            .unwrap_err()
            .to_string()
    };
    let error = configure(json!({}), Some("k1:c2VjcmV0"));
    assert!(
        error.contains("context key 1 ") && !error.contains("c2VjcmV0"),
        "{error}"
    );
    for (data, want) in [
        (
            json!({"tenants": {"a": {}}}),
            r#"policy data ig.tenants["a"].region: "#,
        ),
        (
            json!({"authorities": {"a": {}}}),
            r#"policy data ig.authorities["a"].jurisdictions: "#,
        ),
    ] {
        let error = configure(json!({"ig": data}), None);
        assert!(error.starts_with(want), "{error}");
    }
}

/// Where uses can't be counted.
struct Broken;

impl Uses for Broken {
    fn take(&mut self, _: &str, _: u64) -> Result<bool, Uncounted> {
        Err(Uncounted)
    }
}

#[test]
fn whatever_the_policy_says_a_warrant_opens_what_it_names_and_is_counted() {
    let rego = r#"package ig.residency

default decision := {"allow": false, "reason": "nobody"}

decision := {"allow": true, "region": "eu", "warrant": "wrt_1", "reason": "eu"} if input.data_region == null

decision := {"allow": true, "region": "us", "warrant": "wrt_1", "reason": "us"} if input.data_region == "us"
"#;
    let configured = |home: &str| {
        let mut data = data();
        data["ig"]["tenants"] = json!({"initech": {"region": home}});
        let config = json!({
            "revision": "r-1", "region": "eu", "clusters": {"eu": "assets-eu", "us": "assets-us"},
            "graphql_paths": ["/graphql"],
            "policy": {"modules": [{"path": "m.rego", "text": rego}], "data": data},
        });
        Residency::configure(config.to_string().as_bytes(), |_| None).unwrap()
    };
    let once = || with("/maxUses", json!(1));
    for (home, claims, data_region, want) in [
        ("us", once(), None, "-"),
        ("eu", once(), None, "WARRANT_REGIONS"),
        ("us", once(), Some("us"), "POLICY_FAILED"),
        ("us", with("/jti", json!("wrt_2")), None, "POLICY_FAILED"),
        ("us", with("/exp", json!(NOW)), None, "POLICY_FAILED"),
    ] {
        let warrant = signed(&claims);
        let mut sent = vec![
            ("x-ig-warrant", warrant.as_str()),
            ("x-ig-purpose", "audit"),
        ];
        sent.extend(data_region.map(|region| ("x-ig-data-region", region)));
        let sent = headers("/graphql", &sent);
        let routing =
            configured(home).route(Headers(&sent), &Auditor, NOW, &mut CountedUses::default());
        let code = routing.record.code.as_deref().unwrap_or("-");
        assert_eq!(code, want, "{home} {claims} {data_region:?}");
        let used = routing.record.warrant.unwrap().warrant_used;
        assert_eq!(
            (used, routing.warrant == Some(WarrantFate::Used)),
            (want == "-", want == "-")
        );
    }
    let warrant = signed(&once());
    let sent = [
        ("x-ig-warrant", warrant.as_str()),
        ("x-ig-purpose", "audit"),
    ];
    let sent = headers("/graphql", &sent);
    let routing = configured("us").route(Headers(&sent), &Auditor, NOW, &mut Broken);
    let reply = routing.effect.unwrap_err();
    assert_eq!(
        (reply.status, reply.code.as_str()),
        (503, "WARRANT_UNCOUNTED")
    );
}

/// Of initech, for an audit.
struct Auditor;

impl Claims for Auditor {
    fn claim(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        match name {
            "purposes" => Ok(Some(crate::identity::encode(&["audit"]))),
            name => Tenant("initech").claim(name),
        }
    }
}
