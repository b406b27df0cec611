use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use sha2::Sha256;

use pseudonym::{KEY_ID, PseudonymKey};

/// The root keys that pseudonyms are made under.
///
/// Written `KEYID:BASE64[,KEYID:BASE64…]`; the first one is current, the others are for look-ups
/// of older pseudonyms. Each key is at least 32 bytes. The text comes from the process environment
/// and is never part of a configuration.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<(Box<str>, Hkdf<Sha256>)>,
}

/// Why a key text is refused. It never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No colon.
    #[error("mask key {0} is not KEYID:BASE64")]
    Form(usize),
    /// A key id of other characters.
    #[error("the id of mask key {0} must be 1 to 16 letters, digits, `-` or `_`")]
    Id(usize),
    /// The same key id twice.
    #[error("the id of mask key {0} stands twice")]
    Twice(usize),
    /// Not base64, or too short.
    #[error("mask key {0} must be at least 32 bytes in base64")]
    Key(usize),
}

impl Keyring {
    /// Reads the text.
    ///
    /// # Errors
    /// A key is malformed; the error counts keys from 1.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys: Vec<(Box<str>, Hkdf<Sha256>)> = Vec::new();
        for (n, part) in (1..).zip(text.split(',')) {
            let (id, key) = part.trim().split_once(':').ok_or(KeyError::Form(n))?;
            if !is_key_id(id) {
                return Err(KeyError::Id(n));
            }
            if keys.iter().any(|(known, _)| **known == *id) {
                return Err(KeyError::Twice(n));
            }
            let key = key.trim_end_matches('=');
            let bytes = URL_SAFE_NO_PAD
                .decode(key)
                .or_else(|_| STANDARD_NO_PAD.decode(key))
                .map_err(|_| KeyError::Key(n))?;
            if bytes.len() < 32 {
                return Err(KeyError::Key(n));
            }
            keys.push((id.into(), Hkdf::new(Some(b"maestro mask v1"), &bytes)));
        }
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

/// Whether a text can be a key id.
pub(super) fn is_key_id(id: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !id.is_empty() && id.len() <= KEY_ID && id.bytes().all(legal)
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
    use super::*;

    #[test]
    fn reads_keys_and_never_repeats_them() {
        let key = URL_SAFE_NO_PAD.encode([7; 32]);
        let ring = Keyring::parse(&format!("k2:{key}, k1:{key}=")).unwrap();
        assert_eq!(format!("{ring:?}"), r#"["k2", "k1"]"#);
        for (text, want) in [
            ("", KeyError::Form(1)),
            ("secretsecret", KeyError::Form(1)),
            (&*format!("k1:{key},"), KeyError::Form(2)),
            (&*format!("k 1:{key}"), KeyError::Id(1)),
            (&*format!("k1:{key},k1:{key}"), KeyError::Twice(2)),
            ("k1:c2hvcnQ", KeyError::Key(1)),
            (
                "k1:not base64 at all, and long enough to be a key",
                KeyError::Key(1),
            ),
        ] {
            let seen = Keyring::parse(text).unwrap_err();
            assert_eq!(seen, want, "{text}");
            assert!(!seen.to_string().contains("secret"));
        }
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
