//! The prober's own tokens, as a gateway wants them: JWS in compact form (RFC 7515) with ES256.

use std::path::Path;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use serde_json::json;

use crate::config::Jwt;

/// How long a token is good for, in seconds.
const LIFETIME_S: i64 = 300;

/// Makes tokens.
pub struct Tokens {
    key: SigningKey,
    kid: String,
    role: String,
    issuer: String,
    audience: String,
}

impl Tokens {
    /// Reads the key.
    ///
    /// # Errors
    /// It can't be read, or is no EC P-256 key.
    pub fn read(path: &Path, kid: &str, role: &str, jwt: &Jwt) -> anyhow::Result<Self> {
        let at = || {
            format!(
                "can't use the key of the prober's tokens {}",
                path.display()
            )
        };
        let pem = std::fs::read_to_string(path).with_context(at)?;
        // The error of a key that can't be read says nothing of what is in it.
        let key = SigningKey::from_pkcs8_pem(&pem).with_context(at)?;
        Ok(Self {
            key,
            kid: kid.to_owned(),
            role: role.to_owned(),
            issuer: jwt.issuer.clone(),
            audience: jwt.audiences.first().cloned().unwrap_or_default(),
        })
    }

    /// A token for a tenant.
    pub fn token(&self, tenant: &str, jti: &str, now_s: i64) -> String {
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = encode(json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}));
        let body = encode(json!({
            "iss": self.issuer, "aud": self.audience, "sub": "residency-probe", "tenant": tenant,
            "roles": [self.role], "purposes": [], "jti": jti, "iat": now_s, "exp": now_s + LIFETIME_S,
        }));
        let signature: Signature = self.key.sign(format!("{head}.{body}").as_bytes());
        format!(
            "{head}.{body}.{}",
            URL_SAFE_NO_PAD.encode(signature.to_bytes())
        )
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
