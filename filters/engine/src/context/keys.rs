use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::token::KIND;
use crate::jws;
use crate::keys::{self, KeyError};

/// The keys of one region's context tokens.
///
/// Written as [`crate::keys`] says, each of 32 bytes or more; the first one signs, all verify. The text
/// comes from the process environment and is never part of a configuration.
#[derive(Clone)]
pub struct ContextKeys {
    keys: Vec<(Box<str>, Hmac<Sha256>)>,
    /// The header of tokens under the current key, encoded: it is the same in all of them.
    header: Box<str>,
}

impl ContextKeys {
    /// Reads the text, for a region.
    ///
    /// # Errors
    /// A key is malformed; the error counts keys from 1.
    pub fn parse(text: &str, region: &str) -> Result<Self, KeyError> {
        let keys = keys::parse("context", text, |root| {
            let mut derived = [0; 32];
            Hkdf::<Sha256>::new(Some(b"maestro context v1"), root)
                .expand(region.as_bytes(), &mut derived)
                .ok()?;
            Hmac::<Sha256>::new_from_slice(&derived).ok()
        })?;
        let header = keys.first().and_then(|(id, _)| jws::header(KIND, id));
        let header = header.unwrap_or_default().into();
        Ok(Self { keys, header })
    }

    /// The encoded header of what [`ContextKeys::sign`] signs.
    pub(super) fn header(&self) -> &str {
        &self.header
    }

    /// Signs with the current key, the first.
    pub(super) fn sign(&self, bytes: &[u8]) -> Option<[u8; 32]> {
        let (_, mac) = self.keys.first()?;
        Some(
            mac.clone()
                .chain_update(bytes)
                .finalize()
                .into_bytes()
                .into(),
        )
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
