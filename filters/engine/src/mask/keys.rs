use hkdf::Hkdf;
use sha2::Sha256;

use pseudonym::PseudonymKey;

use crate::keys::{self, KeyError};

/// The root keys that pseudonyms are made under.
///
/// Written as [`crate::keys`] says; the first one is current, the others are for look-ups of older
/// pseudonyms. Each key is at least 32 bytes. The text comes from the process environment
/// and is never part of a configuration.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<(Box<str>, Hkdf<Sha256>)>,
}

impl Keyring {
    /// Reads the text.
    ///
    /// # Errors
    /// A key is malformed; the error counts keys from 1.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let make = |bytes: &[u8]| Some(Hkdf::new(Some(b"maestro mask v1"), bytes));
        let keys = keys::parse("mask", text, make)?;
        Ok(Self { keys })
    }

    /// The current key's, for one tenant and coordinate (RFC 5869).
    pub fn pseudonym_key(&self, tenant: &str, coordinate: &str) -> Option<PseudonymKey> {
        let (id, root) = self.keys.first()?;
        let mut key = [0; 32];
        let length = (tenant.len() as u64).to_be_bytes();
        let info: [&[u8]; 3] = [&length, tenant.as_bytes(), coordinate.as_bytes()];
        root.expand_multi_info(&info, &mut key).ok()?;
        Some(PseudonymKey::new(id, &key))
    }
}

impl Keyring {
    /// The key ids, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| &**id)
    }

    /// A ring of the one key of that id, which is its current one.
    pub fn only(&self, id: &str) -> Option<Self> {
        let key = self.keys.iter().find(|(known, _)| **known == *id)?;
        Some(Self {
            keys: vec![key.clone()],
        })
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|(id, _)| id))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_ring_tells_its_ids_and_no_key() {
        let key = URL_SAFE_NO_PAD.encode([7; 32]);
        let ring = Keyring::parse(&format!("k2:{key}, k1:{key}=")).unwrap();
        assert_eq!(format!("{ring:?}"), r#"["k2", "k1"]"#);
        let error = Keyring::parse("k1:c2hvcnQ").unwrap_err().to_string();
        assert_eq!(error, "mask key 1 must be at least 32 bytes in base64");
    }

    #[test]
    fn tenants_and_coordinates_have_keys_of_their_own() {
        let ring = Keyring::parse(&format!("k1:{}", URL_SAFE_NO_PAD.encode([7; 32]))).unwrap();
        let tag = |tenant, coordinate| {
            let key = ring.pseudonym_key(tenant, coordinate).unwrap();
            key.pseudonym(b"value")
        };
        assert_eq!(tag("acme", "A.b"), tag("acme", "A.b"));
        assert_ne!(tag("acme", "A.b"), tag("acm", "eA.b"));
        assert_ne!(tag("acme", "A.b"), tag("acme", "A.c"));
    }
}
