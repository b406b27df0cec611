use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::keys::KeyFault;

const K1: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const K2: &str = "k2:ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-P0A";

fn keys(text: &str, region: &str) -> ContextKeys {
    ContextKeys::parse(text, region).unwrap()
}

fn token() -> ContextToken {
    ContextToken {
        jti: "dec_1".into(),
        tenant: "acme".into(),
        home: "us".into(),
        region: "eu".into(),
        iat: 1_000,
        exp: 1_060,
        warrant: Some(WarrantUse {
            id: "wrt_1".into(),
            src: "us".into(),
            dst: "eu".into(),
            operations: vec!["read".into()],
            authority: "us-court".into(),
            case: "C-1".into(),
        }),
    }
}

#[test]
fn what_a_gateway_signs_a_guard_of_its_region_reads() {
    let signed = token().sign(&keys(K1, "eu")).unwrap();
    for ring in [K1.to_owned(), format!("{K2},{K1}")] {
        let read = ContextToken::verify(signed.as_bytes(), &keys(&ring, "eu"), "eu", 1_030);
        assert_eq!(read, Ok(token()), "{ring}");
    }
}

#[test]
fn a_token_of_anyone_else_or_another_time_is_refused() {
    let eu = keys(K1, "eu");
    let signed = token().sign(&eu).unwrap();
    let verify = |text: &str, keys: &ContextKeys, region: &str, now: u64| {
        ContextToken::verify(text.as_bytes(), keys, region, now).unwrap_err()
    };
    assert_eq!(verify("", &eu, "eu", 1_030), TokenError::Missing);
    assert_eq!(verify("x", &eu, "eu", 1_030), TokenError::Malformed);
    assert_eq!(verify("..", &eu, "eu", 1_030), TokenError::Malformed);
    assert_eq!(
        verify(&"x".repeat(LONGEST + 1), &eu, "eu", 1_030),
        TokenError::Malformed
    );
    assert_eq!(
        verify(&signed, &keys(K2, "eu"), "eu", 1_030),
        TokenError::Forged
    );
    assert_eq!(
        verify(&signed, &keys(K1, "us"), "eu", 1_030),
        TokenError::Forged
    );
    // The same root keys of another region can't speak for this one.
    let elsewhere = token().sign(&keys(K1, "us")).unwrap();
    assert_eq!(verify(&elsewhere, &eu, "eu", 1_030), TokenError::Forged);
    let mut foreign = token();
    foreign.region = "us".into();
    let foreign = foreign.sign(&eu).unwrap();
    assert_eq!(verify(&foreign, &eu, "eu", 1_030), TokenError::Foreign);
    assert_eq!(verify(&signed, &eu, "eu", 1_066), TokenError::Expired);
    assert!(ContextToken::verify(signed.as_bytes(), &eu, "eu", 1_065).is_ok());
    assert_eq!(verify(&signed, &eu, "eu", 994), TokenError::Early);
    assert!(ContextToken::verify(signed.as_bytes(), &eu, "eu", 995).is_ok());
}

#[test]
fn no_changed_byte_passes() {
    let eu = keys(K1, "eu");
    let signed = token().sign(&eu).unwrap().into_bytes();
    for at in 0..signed.len() {
        let mut changed = signed.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let read = ContextToken::verify(&changed, &eu, "eu", 1_030);
        assert!(read.is_err(), "byte {at}");
    }
}

#[test]
fn no_other_algorithm_is_taken() {
    let signed = token().sign(&keys(K1, "eu")).unwrap();
    let payload = signed.split('.').nth(1).unwrap();
    for header in [
        r#"{"alg":"none","kid":"k1","typ":"ig-context+jwt"}"#,
        r#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":"k1","typ":"ig-context+jwt","jwk":{}}"#,
    ] {
        let header = URL_SAFE_NO_PAD.encode(header);
        for signature in ["", signed.rsplit('.').next().unwrap()] {
            let text = format!("{header}.{payload}.{signature}");
            let read = ContextToken::verify(text.as_bytes(), &keys(K1, "eu"), "eu", 1_030);
            assert_eq!(read, Err(TokenError::Malformed), "{text}");
        }
    }
}

#[test]
fn keys_that_are_none_are_refused_and_never_repeated() {
    for text in ["", "k1", "a b:AAAA", "k1:AAAA", "k1:***"] {
        let error = ContextKeys::parse(text, "eu").unwrap_err().to_string();
        assert!(error.starts_with("context key 1 "), "{error}");
        assert!(!error.contains("AAAA"), "{error}");
    }
    let twice = ContextKeys::parse(&format!("{K1},{K1}"), "eu").unwrap_err();
    assert_eq!((twice.number, twice.fault), (2, KeyFault::Twice));
    assert_eq!(format!("{:?}", keys(K1, "eu")), r#"ContextKeys(["k1"])"#);
}
