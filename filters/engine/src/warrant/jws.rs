use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Warrant, WarrantError};
use crate::jws::{self, Jws, Kind};

/// The header's `typ`.
pub const TYPE: &str = "ig-warrant+jwt";

const ALGORITHM: &str = "ES256";

const KIND: Kind = Kind {
    algorithm: ALGORITHM,
    media: TYPE,
};

/// Bytes of a signature: r and s (RFC 7518, section 3.4).
const SIGNATURE: usize = 64;

/// A public key of P-256 (RFC 7517; RFC 7518, section 6.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// `EC`
    pub kty: String,
    /// `P-256`
    pub crv: String,
    /// The point's x, 32 bytes in base64url.
    pub x: String,
    /// The point's y, 32 bytes in base64url.
    pub y: String,
    /// `ES256`, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// `sig`, if it is there.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// The thumbprint, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
}

impl Jwk {
    /// The JWK of a key.
    pub fn of(key: &VerifyingKey) -> Self {
        let point = key.to_sec1_point(false);
        let coordinate = |bytes: Option<&p256::FieldBytes>| {
            bytes.map(|b| URL_SAFE_NO_PAD.encode(b)).unwrap_or_default()
        };
        let mut jwk = Self {
            kty: "EC".into(),
            crv: "P-256".into(),
            x: coordinate(point.x()),
            y: coordinate(point.y()),
            alg: Some(ALGORITHM.into()),
            usage: Some("sig".into()),
            kid: None,
        };
        jwk.kid = Some(jwk.thumbprint());
        jwk
    }

    /// The thumbprint (RFC 7638): the required members only, by name, without blanks.
    pub fn thumbprint(&self) -> String {
        let Self { kty, crv, x, y, .. } = self;
        let canonical = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    }

    /// The key; `None` if it is of another kind, no point of the curve, or named wrongly.
    pub(super) fn key(&self) -> Option<VerifyingKey> {
        let is = |member: &Option<String>, want: &str| member.as_ref().is_none_or(|m| m == want);
        let kind = self.kty == "EC" && self.crv == "P-256";
        if !kind || !is(&self.alg, ALGORITHM) || !is(&self.usage, "sig") {
            return None;
        }
        if !is(&self.kid, &self.thumbprint()) {
            return None;
        }
        // Tag, x, y (SEC 1, section 2.3.3).
        let mut point = vec![4];
        for coordinate in [&self.x, &self.y] {
            let bytes = URL_SAFE_NO_PAD.decode(coordinate).ok()?;
            if bytes.len() != 32 {
                return None;
            }
            point.extend(bytes);
        }
        VerifyingKey::from_sec1_bytes(&point).ok()
    }
}

/// A warrant of good form whose signature nobody has looked at.
pub(super) struct Unverified<'a> {
    jws: Jws<'a>,
    signature: Signature,
    payload: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a warrant apart.
    ///
    /// # Errors
    /// [`WarrantError::Malformed`].
    pub fn parse(text: &'a [u8]) -> Result<Self, WarrantError> {
        Self::read(text).ok_or(WarrantError::Malformed)
    }

    fn read(text: &'a [u8]) -> Option<Self> {
        let jws = Jws::parse(text, KIND)?;
        Some(Self {
            signature: Signature::from_slice(&jws.signature()?).ok()?,
            payload: jws.payload()?,
            jws,
        })
    }

    /// The key that is said to have signed.
    pub fn kid(&self) -> &str {
        &self.jws.kid
    }

    /// The claims, if the key made the signature.
    ///
    /// # Errors
    /// [`WarrantError::Forged`], or [`WarrantError::Malformed`] where the claims are none.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Warrant, WarrantError> {
        key.verify(self.jws.signed.as_bytes(), &self.signature)
            .map_err(|_| WarrantError::Forged)?;
        serde_json::from_slice::<Warrant>(&self.payload)
            .ok()
            .filter(Warrant::is_well_formed)
            .ok_or(WarrantError::Malformed)
    }
}

impl Warrant {
    /// What is to be signed: header and claims. The `kid` is that of the binding.
    pub fn signing_input(&self) -> Option<String> {
        let header = jws::header(KIND, &self.binding.key)?;
        let claims = serde_json::to_vec(self).ok()?;
        Some(jws::signing_input(&header, &claims, SIGNATURE))
    }

    /// The warrant in compact form, with the signature of [`Warrant::signing_input`].
    pub fn compact(&self, signature: &Signature) -> Option<String> {
        Some(jws::compact(self.signing_input()?, &signature.to_bytes()))
    }
}
