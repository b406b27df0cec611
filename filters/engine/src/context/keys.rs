use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The keys of one region's context tokens.
///
/// Written `KEYID:BASE64[,KEYID:BASE64…]`, each of 32 bytes or more; the first one signs, all verify.
/// The text comes from the process environment and is never part of a configuration.
#[derive(Clone)]
pub struct ContextKeys {
    keys: Vec<(Box<str>, Hmac<Sha256>)>,
}

/// Why a key text is refused. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContextKeyError {
    /// No colon, or an id of other characters.
    #[error(
        "context key {0} is not KEYID:BASE64 with an id of 1 to 16 letters, digits, `-` or `_`"
    )]
    Form(usize),
    /// The same key id twice.
    #[error("the id of context key {0} stands twice")]
    Twice(usize),
    /// Not base64, or too short.
    #[error("context key {0} must be at least 32 bytes in base64")]
    Key(usize),
}

impl ContextKeys {
    /// Reads the text, for a region.
    ///
    /// # Errors
    /// A key is malformed; the error counts keys from 1.
    pub fn parse(text: &str, region: &str) -> Result<Self, ContextKeyError> {
        let mut keys: Vec<(Box<str>, Hmac<Sha256>)> = Vec::new();
        for (n, part) in (1..).zip(text.split(',')) {
            let (id, key) = part
                .trim()
                .split_once(':')
                .ok_or(ContextKeyError::Form(n))?;
            let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            if !(1..=16).contains(&id.len()) || !id.bytes().all(legal) {
                return Err(ContextKeyError::Form(n));
            }
            if keys.iter().any(|(known, _)| **known == *id) {
                return Err(ContextKeyError::Twice(n));
            }
            let key = key.trim_end_matches('=');
            let root = URL_SAFE_NO_PAD
                .decode(key)
                .or_else(|_| STANDARD_NO_PAD.decode(key))
                .ok()
                .filter(|root| root.len() >= 32)
                .ok_or(ContextKeyError::Key(n))?;
            let mut derived = [0; 32];
            let mac = Hkdf::<Sha256>::new(Some(b"maestro context v1"), &root)
                .expand(region.as_bytes(), &mut derived)
                .ok()
                .and_then(|()| Hmac::<Sha256>::new_from_slice(&derived).ok())
                .ok_or(ContextKeyError::Key(n))?;
            keys.push((id.into(), mac));
        }
        Ok(Self { keys })
    }

    /// The id of the key that signs.
    pub fn current(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id)
    }

    /// Signs with the current key; empty if there is none.
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.keys.first().map_or_else(Vec::new, |(_, mac)| {
            mac.clone()
                .chain_update(bytes)
                .finalize()
                .into_bytes()
                .to_vec()
        })
    }

    /// Whether the key of that id made this signature. Takes the same time wherever it differs.
    pub(super) fn verifies(&self, id: &str, bytes: &[u8], signature: &[u8]) -> bool {
        self.keys
            .iter()
            .find(|(known, _)| **known == *id)
            .is_some_and(|(_, mac)| {
                mac.clone()
                    .chain_update(bytes)
                    .verify_slice(signature)
                    .is_ok()
            })
    }
}

impl std::fmt::Debug for ContextKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|(id, _)| &**id).collect();
        f.debug_tuple("ContextKeys").field(&ids).finish()
    }
}
