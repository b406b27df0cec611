use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;

use crate::error::KeyringError;
use crate::record::CONDUCTOR;

/// The public keys of those who may release, approve, promote, freeze and go back.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<String, VerifyingKey>,
}

impl Keyring {
    /// Keys by name, each in PEM (SPKI).
    ///
    /// # Errors
    /// A name or a key can't be used, or two people share one.
    pub fn new<'a>(
        pems: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, KeyringError> {
        let mut keys: BTreeMap<String, VerifyingKey> = BTreeMap::new();
        for (name, pem) in pems {
            if !is_name(name) {
                return Err(KeyringError::Name(name.to_owned()));
            }
            let key = VerifyingKey::from_public_key_pem(pem.trim())
                .map_err(|_| KeyringError::Key(name.to_owned()))?;
            if let Some((other, _)) = keys.iter().find(|(_, known)| **known == key) {
                return Err(KeyringError::Shared(other.clone(), name.to_owned()));
            }
            keys.insert(name.to_owned(), key);
        }
        Ok(Self { keys })
    }

    /// Whether somebody of that name may sign.
    pub fn knows(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    /// Whose key it is.
    pub fn name_of(&self, key: &VerifyingKey) -> Option<&str> {
        let found = self.keys.iter().find(|(_, known)| *known == key);
        found.map(|(name, _)| name.as_str())
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Whether a signature (base64 of ASN.1 DER, ECDSA over SHA-256) is that person's over the bytes.
    pub fn verifies(&self, name: &str, bytes: &[u8], signature: &str) -> bool {
        let signature = STANDARD
            .decode(signature)
            .ok()
            .and_then(|der| Signature::from_der(&der).ok());
        match (self.keys.get(name), signature) {
            (Some(key), Some(signature)) => key.verify(bytes, &signature).is_ok(),
            _ => false,
        }
    }
}

/// Names end up in records, commands and file names.
pub(crate) fn is_name(name: &str) -> bool {
    let fits =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    (1..=64).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with('.')
        && name != CONDUCTOR
}
