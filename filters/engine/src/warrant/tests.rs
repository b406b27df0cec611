use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

use super::*;

mod mutated;
mod registry;

pub(crate) const NOW: u64 = 1_000_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn jwk(seed: u8) -> Jwk {
    Jwk::of(key(seed).verifying_key())
}

/// Two authorities: one of two jurisdictions with two keys, one of one.
pub(crate) fn data() -> Value {
    json!({"ig": {
        "regions": {
            "eu": {"jurisdiction": "EU"}, "us": {"jurisdiction": "US"}, "apac": {"jurisdiction": "SG"},
            "sea": {},
        },
        "authorities": {
            "joint-court": {"jurisdictions": ["EU", "US"], "keys": [jwk(1), jwk(2)]},
            "eu-dpa": {"jurisdictions": ["EU"], "keys": [jwk(3)]},
        },
        "revocations": {"wrt_revoked": {"reason": "a mistake"}},
    }})
}

fn warrants() -> Warrants {
    static READ: LazyLock<Registry> = LazyLock::new(|| Registry::read(&data()).unwrap());
    Warrants::new(READ.clone())
}

fn claims() -> Value {
    json!({
        "jti": "wrt_1", "tenant": "initech", "src": "us", "dst": "eu",
        "operations": ["read", "write"], "purpose": "audit",
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 100,
        "authorityBinding": {
            "authority": "joint-court", "key": jwk(1).thumbprint(), "jurisdiction": "EU",
            "caseReference": "C-1/26",
        },
    })
}

/// The claims with one member replaced, or taken away by null.
pub(crate) fn with(pointer: &str, value: Value) -> Value {
    let mut claims = claims();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let members = claims.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(member),
        value => members.insert(member.to_owned(), value),
    };
    claims
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": jwk(1).thumbprint(), "typ": TYPE})
}

fn signed_text(header: &str, claims: &str, signer: &SigningKey) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature: Signature = signer.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

pub(crate) fn signed(claims: &Value) -> String {
    signed_text(&header().to_string(), &claims.to_string(), &key(1))
}

const AUDIT: Use<'static> = Use {
    tenant: "initech",
    operation: Operation::Read,
    purpose: Some("audit"),
};

/// Everything that a request's warrant goes through.
fn check(text: &str, what: &Use<'_>, now_s: u64) -> Result<Arc<Warrant>, WarrantError> {
    let mut warrants = warrants();
    let warrant = warrants.authenticate(text.as_bytes())?;
    warrants.registry().upholds(&warrant, now_s)?;
    warrant.covers(what)?;
    warrant.opens("us", "eu")?;
    Ok(warrant)
}

fn refused(text: &str) -> WarrantError {
    check(text, &AUDIT, NOW).expect_err(text)
}

#[test]
fn what_a_registered_authority_signed_holds_while_it_holds() {
    let warrant = check(&signed(&claims()), &AUDIT, NOW).unwrap();
    assert_eq!(serde_json::to_value(&*warrant).unwrap(), claims());
    let used = warrant.in_use();
    assert_eq!((used.id.as_str(), used.case.as_str()), ("wrt_1", "C-1/26"));
    assert_eq!(used.operations, ["read", "write"]);
    // The authority's other key.
    let other = with("/authorityBinding/key", json!(jwk(2).thumbprint()));
    let warrant: Warrant = serde_json::from_value(other).unwrap();
    let input = warrant.signing_input().unwrap();
    let text = warrant.compact(&key(2).sign(input.as_bytes())).unwrap();
    assert_eq!(*check(&text, &AUDIT, NOW).unwrap(), warrant);
}

#[test]
fn every_member_that_is_not_as_it_must_be_makes_it_none() {
    let long = "x".repeat(257);
    let of_id = |rest: &str| json!(format!("wrt_{rest}"));
    for (pointer, value) in [
        ("/jti", Value::Null),
        ("/jti", json!("")),
        ("/jti", json!("1")),
        ("/jti", of_id("")),
        ("/jti", of_id("a b")),
        ("/jti", of_id(&"x".repeat(61))),
        ("/jti", json!(5)),
        ("/tenant", Value::Null),
        ("/tenant", json!("")),
        ("/tenant", json!("a\u{0}b")),
        ("/tenant", json!(long)),
        ("/tenant", json!(["initech"])),
        ("/src", Value::Null),
        ("/src", json!("eu")),
        ("/dst", Value::Null),
        ("/operations", Value::Null),
        ("/operations", json!([])),
        ("/operations", json!("read")),
        ("/operations", json!(["read", "read"])),
        ("/operations", json!(["reed"])),
        ("/operations", json!(["*"])),
        ("/operations", json!(["Read"])),
        ("/purpose", Value::Null),
        ("/purpose", json!("")),
        ("/iat", Value::Null),
        ("/iat", json!(NOW + 100)),
        ("/iat", json!(-1)),
        ("/nbf", Value::Null),
        ("/nbf", json!(1.5)),
        ("/nbf", json!(NOW + 100)),
        ("/nbf", json!("1000000")),
        ("/exp", Value::Null),
        ("/exp", json!(1e30)),
        ("/maxUses", json!(0)),
        ("/maxUses", json!(-1)),
        ("/maxUses", json!("1")),
        ("/authorityBinding", Value::Null),
        ("/authorityBinding", json!({})),
        ("/authorityBinding/authority", Value::Null),
        ("/authorityBinding/key", Value::Null),
        ("/authorityBinding/jurisdiction", Value::Null),
        ("/authorityBinding/caseReference", Value::Null),
        ("/authorityBinding/caseReference", json!("")),
        ("/authorityBinding/court", json!("x")),
        ("/aud", json!("eu")),
        ("/max_uses", json!(1)),
    ] {
        let text = signed(&with(pointer, value.clone()));
        assert_eq!(refused(&text), WarrantError::Malformed, "{pointer} {value}");
    }
    let twice = claims()
        .to_string()
        .replacen("{", r#"{"tenant":"acme","#, 1);
    let text = signed_text(&header().to_string(), &twice, &key(1));
    assert_eq!(refused(&text), WarrantError::Malformed);
}

#[test]
fn no_other_header_and_no_other_form_is_taken() {
    let kid = jwk(1).thumbprint();
    let claims = claims().to_string();
    for header in [
        json!({"alg": "none", "kid": kid, "typ": TYPE}),
        json!({"alg": "HS256", "kid": kid, "typ": TYPE}),
        json!({"alg": "es256", "kid": kid, "typ": TYPE}),
        json!({"alg": "ES256", "kid": kid, "typ": "JWT"}),
        json!({"alg": "ES256", "kid": kid}),
        json!({"alg": "ES256", "typ": TYPE}),
        json!({"alg": "ES256", "kid": kid, "typ": TYPE, "jwk": jwk(9)}),
        json!({"alg": "ES256", "kid": kid, "typ": TYPE, "crit": ["exp"]}),
        json!([]),
    ] {
        let text = signed_text(&header.to_string(), &claims, &key(1));
        assert_eq!(refused(&text), WarrantError::Malformed, "{header}");
    }
    let good = signed(&self::claims());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let der = {
        let signature: Signature = key(1).sign(format!("{header}.{payload}").as_bytes());
        URL_SAFE_NO_PAD.encode(signature.to_der())
    };
    for text in [
        String::new(),
        ".".into(),
        "..".into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{signature}."),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header}.{payload}.{}", &signature[..84]),
        format!("{header}.{payload}.{der}"),
        format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([255; 64])),
        "x".repeat(LONGEST + 1),
    ] {
        assert_eq!(refused(&text), WarrantError::Malformed, "{text}");
    }
}

#[test]
fn whose_it_is_must_be_registered_and_bound() {
    let stranger = json!({"alg": "ES256", "kid": jwk(9).thumbprint(), "typ": TYPE});
    let text = signed_text(&stranger.to_string(), &claims().to_string(), &key(9));
    assert_eq!(refused(&text), WarrantError::KeyUnknown);
    // Somebody else under the name of a registered key.
    let text = signed_text(&header().to_string(), &claims().to_string(), &key(9));
    assert_eq!(refused(&text), WarrantError::Forged);
    for (member, value) in [
        ("authority", json!("eu-dpa")),
        ("authority", json!("nobody")),
        ("key", json!(jwk(2).thumbprint())),
        ("key", json!("x")),
        ("jurisdiction", json!("SG")),
        ("jurisdiction", json!("eu")),
    ] {
        let text = signed(&with(&format!("/authorityBinding/{member}"), value.clone()));
        assert_eq!(refused(&text), WarrantError::Binding, "{member} {value}");
    }
    // A registered authority that signs in the name of another one.
    let borrowed = json!({"alg": "ES256", "kid": jwk(3).thumbprint(), "typ": TYPE});
    let claims = with("/authorityBinding/key", json!(jwk(3).thumbprint()));
    let text = signed_text(&borrowed.to_string(), &claims.to_string(), &key(3));
    assert_eq!(refused(&text), WarrantError::Binding);
}

#[test]
fn a_revoked_warrant_and_one_out_of_its_time_or_place_is_none() {
    let text = signed(&with("/jti", json!("wrt_revoked")));
    assert_eq!(refused(&text), WarrantError::Revoked);
    let text = signed(&claims());
    for (now, want) in [
        (0, Err(WarrantError::Early)),
        (NOW - 10 - SKEW_S - 1, Err(WarrantError::Early)),
        (NOW - 10 - SKEW_S, Ok(())),
        (NOW + 99, Ok(())),
        (NOW + 100, Err(WarrantError::Expired)),
        (u64::MAX, Err(WarrantError::Expired)),
    ] {
        assert_eq!(check(&text, &AUDIT, now).map(|_| ()), want, "{now}");
    }
    // Made later than it begins: not before it was made.
    let text = signed(&with("/iat", json!(NOW + 50)));
    assert_eq!(refused(&text), WarrantError::Early);
    for (member, region) in [
        ("/src", "apac"),
        ("/dst", "apac"),
        ("/dst", "sea"),
        ("/dst", "mars"),
    ] {
        let text = signed(&with(member, json!(region)));
        assert_eq!(refused(&text), WarrantError::Jurisdiction, "{region}");
    }
    let mut claims = claims();
    claims["authorityBinding"]["authority"] = json!("eu-dpa");
    claims["authorityBinding"]["key"] = json!(jwk(3).thumbprint());
    let header = json!({"alg": "ES256", "kid": jwk(3).thumbprint(), "typ": TYPE});
    let text = signed_text(&header.to_string(), &claims.to_string(), &key(3));
    assert_eq!(refused(&text), WarrantError::Jurisdiction);
}

#[test]
fn what_it_does_not_cover_is_refused() {
    let text = signed(&claims());
    for (what, want) in [
        (AUDIT, Ok(())),
        (
            Use {
                operation: Operation::Write,
                ..AUDIT
            },
            Ok(()),
        ),
        (
            Use {
                operation: Operation::Delete,
                ..AUDIT
            },
            Err(WarrantError::Operation),
        ),
        (
            Use {
                tenant: "acme",
                ..AUDIT
            },
            Err(WarrantError::Tenant),
        ),
        (
            Use {
                tenant: "Initech",
                ..AUDIT
            },
            Err(WarrantError::Tenant),
        ),
        (
            Use {
                purpose: Some("analytics"),
                ..AUDIT
            },
            Err(WarrantError::Purpose),
        ),
        (
            Use {
                purpose: None,
                ..AUDIT
            },
            Err(WarrantError::Purpose),
        ),
    ] {
        assert_eq!(check(&text, &what, NOW).map(|_| ()), want, "{what:?}");
    }
    let mut claims = claims();
    (claims["src"], claims["dst"]) = (json!("eu"), json!("us"));
    assert_eq!(refused(&signed(&claims)), WarrantError::Regions);
}

#[test]
fn a_request_does_what_its_method_says() {
    for (method, graphql, want) in [
        ("GET", true, Operation::Read),
        ("GET", false, Operation::Read),
        ("HEAD", false, Operation::Read),
        ("OPTIONS", false, Operation::Read),
        ("POST", true, Operation::Read),
        ("POST", false, Operation::Write),
        ("PUT", true, Operation::Write),
        ("PATCH", false, Operation::Write),
        ("DELETE", false, Operation::Delete),
        ("get", false, Operation::Write),
        ("", false, Operation::Write),
    ] {
        assert_eq!(
            Operation::of_request(method, graphql),
            want,
            "{method} {graphql}"
        );
    }
}

#[test]
fn it_is_used_as_often_as_it_may_be_and_each_authority_counts_alone() {
    let mut uses = CountedUses::default();
    let mut warrant: Warrant = serde_json::from_value(with("/maxUses", json!(2))).unwrap();
    for want in [
        Ok(()),
        Ok(()),
        Err(WarrantError::UsedUp),
        Err(WarrantError::UsedUp),
    ] {
        assert_eq!(warrant.take(&mut uses), Ok(want));
    }
    let mut other = warrant.clone();
    other.binding.key = jwk(2).thumbprint();
    assert_eq!(other.take(&mut uses), Ok(Ok(())));
    warrant.max_uses = None;
    for _ in 0..5 {
        assert_eq!(warrant.take(&mut uses), Ok(Ok(())));
    }
}

#[test]
fn a_signature_is_verified_once() {
    let mut warrants = warrants();
    let text = signed(&claims());
    let first = warrants.authenticate(text.as_bytes()).unwrap();
    let again = warrants.authenticate(text.as_bytes()).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    // What is remembered still ends.
    let expired = warrants.registry().upholds(&again, NOW + 100);
    assert_eq!(expired, Err(WarrantError::Expired));
}

#[test]
fn codes_and_sentences_are_distinct_and_tell_nothing_of_the_warrant() {
    let mut codes: Vec<&str> = WarrantError::ALL.iter().map(|e| e.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 13);
    for error in WarrantError::ALL {
        let sentence = error.to_string();
        assert!(sentence.contains("the warrant"), "{sentence}");
        assert!(error.code().starts_with("WARRANT_"));
    }
}
