//! An issuer of access tokens: JWS in compact form (RFC 7515) under ES256 (RFC 7518, section 3.4).
//!
//! Nothing here reads a clock: times are seconds since 1970 and come from the caller.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    elliptic_curve::Generate,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The `iss` of the demo's tokens.
pub const ISSUER: &str = "https://issuer.demo.example";

/// The `aud` of the demo's tokens.
pub const AUDIENCE: &str = "asset-graph";

/// What a token says (RFC 7519, section 4, and the house's own claims).
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    /// Who calls.
    pub sub: String,
    /// Whose data the caller works with.
    pub tenant: String,
    /// What the caller is.
    pub roles: Vec<String>,
    /// What the caller may use data for.
    pub purposes: Vec<String>,
    /// How the caller was authenticated (OpenID Connect Core, section 2).
    pub acr: String,
    /// Name of this one token.
    pub jti: String,
    /// Who issued it.
    pub iss: String,
    /// For whom it is.
    pub aud: String,
    /// Since when, in seconds since 1970.
    pub iat: u64,
    /// Until when, in seconds since 1970.
    pub exp: u64,
    /// Further claims; one of a name above would be there twice.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A key pair that signs tokens, and its name in the JWKS.
#[derive(Debug, Clone)]
pub struct Issuer {
    key: SigningKey,
    kid: String,
}

impl Issuer {
    /// With a new key from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::of(SigningKey::generate())
    }

    /// With the key that a seed leads to: the same in every process, so of no worth as a secret.
    #[must_use]
    pub fn from_seed(seed: &[u8]) -> Self {
        // A digest is no valid scalar once in 2^32 draws: then the next one is.
        let mut scalar = Sha256::digest(seed);
        loop {
            if let Ok(key) = SigningKey::from_slice(&scalar) {
                return Self::of(key);
            }
            scalar = Sha256::digest(scalar);
        }
    }

    /// The private key: the scalar, big-endian. For who signs tokens of their own under this issuer.
    #[must_use]
    pub fn secret(&self) -> [u8; 32] {
        self.key.to_bytes().into()
    }

    /// Somebody else who claims this issuer's key id: what such a token says is not to be believed.
    #[must_use]
    pub fn impostor(&self) -> Self {
        Self {
            key: SigningKey::generate(),
            kid: self.kid.clone(),
        }
    }

    /// This key under the name of another: for signatures that are not what they claim to be.
    #[must_use]
    pub fn named(&self, kid: &str) -> Self {
        Self {
            key: self.key.clone(),
            kid: kid.to_owned(),
        }
    }

    fn of(key: SigningKey) -> Self {
        let [x, y] = coordinates(&key);
        // RFC 7638: required members only, by name, without blanks.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        Self { key, kid }
    }

    /// The key's name: its thumbprint (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key (RFC 7517) as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let [x, y] = coordinates(&self.key);
        json!({
            "kty": "EC", "crv": "P-256", "x": x, "y": y,
            "alg": "ES256", "use": "sig", "kid": self.kid,
        })
    }

    /// The key set as text, as Envoy's `jwt_authn` takes it inline.
    #[must_use]
    pub fn jwks(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    /// A signed token.
    #[must_use]
    pub fn token(&self, claims: &Claims) -> String {
        self.sign(&json!(claims))
    }

    /// A signed token of any payload: for claims that are not as they should be.
    #[must_use]
    pub fn sign(&self, payload: &Value) -> String {
        self.sign_as("JWT", payload)
    }

    /// What else is signed in this form, of any type: a warrant, for one.
    #[must_use]
    pub fn sign_as(&self, typ: &str, payload: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": typ, "kid": self.kid});
        let signed = format!(
            "{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(header.to_string()),
            BASE64_URL_SAFE_NO_PAD.encode(payload.to_string()),
        );
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!(
            "{signed}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes())
        )
    }
}

/// The public point's x and y in base64url.
fn coordinates(key: &SigningKey) -> [String; 2] {
    let point = key.verifying_key().to_sec1_point(false);
    // Tag, x, y (SEC 1, section 2.3.3).
    let (x, y) = point.as_bytes()[1..].split_at(32);
    [x, y].map(|half| BASE64_URL_SAFE_NO_PAD.encode(half))
}

#[cfg(test)]
mod tests {
    use p256::{
        Sec1Point,
        ecdsa::{VerifyingKey, signature::Verifier},
    };

    use super::*;
    use crate::personas;

    fn decode(part: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url")
    }

    /// Verifies as a stranger would: from the JWKS text alone.
    fn verify(jwks: &str, token: &str) -> Result<Value, p256::ecdsa::Error> {
        let jwks: Value = serde_json::from_str(jwks).expect("JSON");
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts");
        };
        let header: Value = serde_json::from_slice(&decode(header)).expect("a header");
        let jwk = &jwks["keys"][0];
        assert_eq!(header["kid"], jwk["kid"]);
        assert_eq!(header["alg"], jwk["alg"]);
        let mut point = vec![4];
        for half in ["x", "y"] {
            point.extend(decode(jwk[half].as_str().expect("text")));
        }
        let point = Sec1Point::from_bytes(point).expect("a point");
        let key = VerifyingKey::from_sec1_point(&point)?;
        let signature = Signature::from_slice(&decode(signature))?;
        let signed = &token[..token.rfind('.').expect("a dot")];
        key.verify(signed.as_bytes(), &signature)?;
        Ok(serde_json::from_slice(&decode(payload)).expect("a payload"))
    }

    #[test]
    fn a_token_verifies_from_the_key_set() {
        let issuer = Issuer::generate();
        let mut claims = personas::ANALYST_ACME.claims(1_000);
        claims.extra.insert("department".to_owned(), json!("lab"));
        let payload = verify(&issuer.jwks(), &issuer.token(&claims)).expect("verified");
        assert_eq!(payload["tenant"], "acme");
        assert_eq!(payload["roles"], json!(["analyst"]));
        assert_eq!(payload["department"], "lab");
        assert_eq!(payload["iat"], 1_000);
    }

    #[test]
    fn an_impostor_or_a_changed_payload_does_not_verify() {
        let issuer = Issuer::generate();
        let claims = personas::ANALYST_ACME.claims(1_000);
        assert!(verify(&issuer.jwks(), &issuer.impostor().token(&claims)).is_err());

        let token = issuer.token(&claims);
        let stronger = issuer.token(&personas::ADMIN_ACME.claims(1_000));
        let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts");
        };
        let payload = stronger.split('.').nth(1).expect("a payload");
        assert!(verify(&issuer.jwks(), &format!("{header}.{payload}.{signature}")).is_err());
    }

    #[test]
    fn the_thumbprint_is_that_of_a_canonical_key() {
        let issuer = Issuer::from_seed(b"seed");
        assert_eq!(issuer.kid(), Issuer::from_seed(b"seed").kid());
        assert_ne!(issuer.kid(), Issuer::from_seed(b"other").kid());
        assert_eq!(decode(issuer.kid()).len(), 32);
    }
}
