use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Warrant, WarrantError};

/// The header's `typ`.
pub const TYPE: &str = "ig-warrant+jwt";

const ALGORITHM: &str = "ES256";

/// The header, whole: a warrant with any other is refused, so nothing in it can name or bring a key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

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
pub(super) struct Unverified {
    /// The key that is said to have signed.
    pub kid: String,
    signed: String,
    signature: Signature,
    payload: Vec<u8>,
}

impl Unverified {
    /// Takes a warrant apart.
    ///
    /// # Errors
    /// [`WarrantError::Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, WarrantError> {
        Self::read(text).ok_or(WarrantError::Malformed)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (signed, signature) = text.rsplit_once('.')?;
        // A further dot is in no base64url.
        let (header, payload) = signed.split_once('.')?;
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let header: Header<'_> = serde_json::from_slice(&header).ok()?;
        if header.alg != ALGORITHM || header.typ != TYPE {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(Self {
            kid: header.kid.to_owned(),
            signed: signed.to_owned(),
            signature: Signature::from_slice(&signature).ok()?,
            payload: URL_SAFE_NO_PAD.decode(payload).ok()?,
        })
    }

    /// The claims, if the key made the signature.
    ///
    /// # Errors
    /// [`WarrantError::Forged`], or [`WarrantError::Malformed`] where the claims are none.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Warrant, WarrantError> {
        key.verify(self.signed.as_bytes(), &self.signature)
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
        let header = Header {
            alg: ALGORITHM,
            kid: &self.binding.key,
            typ: TYPE,
        };
        let mut text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(self).ok()?, &mut text);
        Some(text)
    }

    /// The warrant in compact form, with the signature of [`Warrant::signing_input`].
    pub fn compact(&self, signature: &Signature) -> Option<String> {
        let mut text = self.signing_input()?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut text);
        Some(text)
    }
}
