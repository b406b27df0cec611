//! A signature, as it is written: `cosign:` and the base64 of ASN.1 DER.

use std::fmt;
use std::str::FromStr;

use base64::{Engine, prelude::BASE64_STANDARD};
use p256::ecdsa;
use serde::{Deserialize, Serialize};

/// What a signature in JSON begins with.
const PREFIX: &str = "cosign:";

/// An ECDSA signature (X9.62, ASN.1 DER); two are equal where their bytes are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Signature {
    parsed: ecdsa::Signature,
    der: Vec<u8>,
}

/// Why a text or bytes are no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The text does not begin as a signature does.
    #[error("a signature begins with `cosign:`")]
    Prefix,
    /// The text is not base64.
    #[error("a signature is base64 (RFC 4648, section 4)")]
    Base64,
    /// The bytes are no signature, or one that is written in another way than DER has it.
    #[error("a signature is the DER of two numbers of P-256")]
    Der,
}

impl Signature {
    pub(super) fn new(parsed: ecdsa::Signature) -> Self {
        let der = parsed.to_der().as_bytes().to_vec();
        Self { parsed, der }
    }

    /// Reads ASN.1 DER.
    ///
    /// # Errors
    /// It is no signature of P-256, or not in its one DER form.
    pub fn from_der(der: &[u8]) -> Result<Self, SignatureError> {
        let parsed = ecdsa::Signature::from_der(der).map_err(|_| SignatureError::Der)?;
        Ok(Self::new(parsed))
    }

    /// ASN.1 DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The base64 of the DER, as `cosign sign-blob` prints it.
    #[must_use]
    pub fn base64(&self) -> String {
        BASE64_STANDARD.encode(&self.der)
    }

    pub(super) fn parsed(&self) -> &ecdsa::Signature {
        &self.parsed
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let base64 = text.strip_prefix(PREFIX).ok_or(SignatureError::Prefix)?;
        let der = BASE64_STANDARD.decode(base64);
        Self::from_der(&der.map_err(|_| SignatureError::Base64)?)
    }
}

impl TryFrom<String> for Signature {
    type Error = SignatureError;

    fn try_from(text: String) -> Result<Self, SignatureError> {
        text.parse()
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        signature.to_string()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.base64())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
