use serde_json::{Value, json};

use super::{data, jwk};
use crate::config::refusals::tests::unseen;
use crate::warrant::{Jwk, Registry};

#[test]
fn a_broken_registry_is_refused_with_the_place() {
    let good = serde_json::to_value(jwk(4)).unwrap();
    let jwk_with = |member: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[member] = value;
        json!({"jurisdictions": ["EU"], "keys": [good, jwk]})
    };
    let of = |keys: Value| json!({"jurisdictions": ["EU"], "keys": keys});
    let no_jwk = "must be a public JWK";
    let no_key = "is no EC key of P-256";
    for (authority, at, problem) in [
        (json!([]), "", "it must be an object"),
        (json!({}), ".jurisdictions", "must be a list of names"),
        (
            json!({"jurisdictions": [], "keys": [good]}),
            ".jurisdictions",
            "must be a list",
        ),
        (
            json!({"jurisdictions": [""], "keys": [good]}),
            ".jurisdictions",
            "must be a list",
        ),
        (
            json!({"jurisdictions": "EU", "keys": [good]}),
            ".jurisdictions",
            "must be a list",
        ),
        (of(json!([])), ".keys", "must be a list of JWKs"),
        (of(json!({})), ".keys", "must be a list of JWKs"),
        (of(json!([5])), ".keys[0]", no_jwk),
        (of(json!([{"kty": "EC"}])), ".keys[0]", no_jwk),
        (jwk_with("d", json!("AAAA")), ".keys[1]", no_jwk),
        (jwk_with("crv", json!("P-384")), ".keys[1]", no_key),
        (jwk_with("kty", json!("RSA")), ".keys[1]", no_key),
        (jwk_with("alg", json!("HS256")), ".keys[1]", no_key),
        (jwk_with("use", json!("enc")), ".keys[1]", no_key),
        (jwk_with("kid", json!("k1")), ".keys[1]", no_key),
        (jwk_with("x", json!("AAAA")), ".keys[1]", no_key),
        (jwk_with("y", json!(jwk(5).y)), ".keys[1]", no_key),
        (jwk_with("x", json!("+")), ".keys[1]", no_key),
        (of(json!([good, good])), ".keys[1]", "registered twice"),
        (of(json!([jwk(1)])), ".keys[0]", "registered twice"),
        (
            json!({"keys": [good], "jurisdictions": ["EU"], "name": "x"}),
            "",
            "other members",
        ),
    ] {
        let mut data = data();
        data["ig"]["authorities"]["the-court"] = authority.clone();
        let fault = Registry::read(&data).expect_err(&authority.to_string());
        assert_eq!(
            fault.at,
            format!(r#"ig.authorities["the-court"]{at}"#),
            "{authority}"
        );
        assert!(fault.problem.contains(problem), "{authority}: {fault}");
    }
    for name in ["authorities", "regions", "revocations"] {
        let mut data = data();
        data["ig"][name] = json!([]);
        assert_eq!(Registry::read(&data).unwrap_err().at, format!("ig.{name}"));
    }
    for (broken, at) in unseen() {
        assert_eq!(Registry::read(&broken).unwrap_err().at, at);
    }
    assert!(Registry::read(&json!({})).unwrap().authorities().is_empty());
}

/// The example of RFC 7515, appendix A.3, has the key; the thumbprint was made by other code.
#[test]
fn thumbprints_are_those_of_rfc_7638() {
    let jwk: Jwk = serde_json::from_value(json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }))
    .unwrap();
    assert_eq!(
        jwk.thumbprint(),
        "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
    );
    assert!(jwk.key().is_some());
}
