//! Keys that sign bundles: ECDSA on P-256 with SHA-256, deterministic (RFC 6979).
//!
//! A key has one purpose: one that signs bundles signs nothing else.

use std::fmt;

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{self, Signature, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};
use sha2::{Digest, Sha256};

/// How many bytes of the hash of a key make its id where it has no name.
const ID_BYTES: usize = 8;

/// Why a key can't be used. No error repeats what is secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is no public key.
    #[error(
        "it is no public key of P-256 in PEM: `openssl pkey -in KEY -pubout` prints that of a key"
    )]
    NotPublic,
    /// The text is no private key.
    #[error("it is no private key of P-256, PKCS#8 in PEM")]
    NotPrivate,
    /// A private key in the older form.
    #[error("it is no PKCS#8: `openssl pkcs8 -topk8 -in KEY` makes it one")]
    NotPkcs8,
    /// The key is encrypted, and there is no passphrase.
    #[error("it is encrypted, and there is no passphrase")]
    Encrypted,
    /// The passphrase is another.
    #[error("the passphrase is wrong, or it is no key of P-256")]
    Passphrase,
    /// A name that a key can't have.
    #[error("a key's name has 1 to 256 visible characters")]
    Name,
}

/// A private key and its name.
pub struct SigningKey {
    key: ecdsa::SigningKey,
    id: String,
}

impl SigningKey {
    /// Reads PKCS#8 (RFC 5958) in PEM, as `openssl genpkey` makes it, encrypted or not. The key's name
    /// is the first 16 hexadecimal digits of the SHA-256 of its public half (SPKI, DER).
    ///
    /// # Errors
    /// It is no such key, or under another passphrase.
    pub fn from_pem(pem: &str, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let pem = pem.trim();
        let key = if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            let passphrase = passphrase.ok_or(KeyError::Encrypted)?;
            ecdsa::SigningKey::from_pkcs8_encrypted_pem(pem, passphrase)
                .map_err(|_| KeyError::Passphrase)?
        } else if pem.contains("BEGIN EC PRIVATE KEY") {
            return Err(KeyError::NotPkcs8);
        } else {
            ecdsa::SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::NotPrivate)?
        };
        let id = id(key.verifying_key())?;
        Ok(Self { key, id })
    }

    /// The same key under another name: who verifies must know it by that.
    ///
    /// # Errors
    /// No key can have that name.
    pub fn named(self, name: &str) -> Result<Self, KeyError> {
        let id = checked(name)?;
        Ok(Self { id, ..self })
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey {
            key: *self.key.verifying_key(),
            id: self.id.clone(),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        self.key.sign(message)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// A public key and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: String,
}

impl PublicKey {
    /// Reads SubjectPublicKeyInfo (RFC 5480) in PEM; the name is as that of [`SigningKey::from_pem`].
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_pem(pem.trim()).map_err(|_| KeyError::NotPublic)?;
        let id = id(&key)?;
        Ok(Self { key, id })
    }

    /// The same key under another name.
    ///
    /// # Errors
    /// No key can have that name.
    pub fn named(self, name: &str) -> Result<Self, KeyError> {
        let id = checked(name)?;
        Ok(Self { id, ..self })
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The keys that are believed.
#[derive(Debug, Clone, Default)]
pub struct PublicKeys {
    named: Vec<PublicKey>,
    whatever_name: bool,
}

impl PublicKeys {
    /// One key, whatever name a signature gives it: who names one file knows which key is meant.
    #[must_use]
    pub fn one(key: PublicKey) -> Self {
        Self {
            named: vec![key],
            whatever_name: true,
        }
    }

    /// Whether one of the keys of that name made the signature.
    ///
    /// # Errors
    /// There is no key of that name (`Some(name)`), or it did not (`None`).
    pub(crate) fn verify<'n>(
        &self,
        name: &'n str,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), Option<&'n str>> {
        let mut keys = self
            .named
            .iter()
            .filter(|k| self.whatever_name || k.id == name)
            .peekable();
        if keys.peek().is_none() {
            return Err(Some(name));
        }
        let made = keys.any(|k| k.key.verify(message, signature).is_ok());
        made.then_some(()).ok_or(None)
    }
}

/// Keys that are believed under their own names only.
impl FromIterator<PublicKey> for PublicKeys {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        Self {
            named: keys.into_iter().collect(),
            whatever_name: false,
        }
    }
}

fn checked(name: &str) -> Result<String, KeyError> {
    let visible = name.chars().all(|c| !c.is_control() && !c.is_whitespace());
    if visible && (1..=256).contains(&name.len()) {
        return Ok(name.to_owned());
    }
    Err(KeyError::Name)
}

fn id(key: &VerifyingKey) -> Result<String, KeyError> {
    let spki = key.to_public_key_der().map_err(|_| KeyError::NotPublic)?;
    let digest = Sha256::digest(spki.as_bytes());
    Ok(digest
        .iter()
        .take(ID_BYTES)
        .map(|b| format!("{b:02x}"))
        .collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use p256::pkcs8::{EncodePrivateKey, LineEnding};

    /// A key that everybody knows: that of RFC 6979, appendix A.2.5.
    pub(crate) fn key() -> SigningKey {
        let scalar = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
        from_hex(scalar)
    }

    /// Another one.
    pub(crate) fn other() -> SigningKey {
        from_hex(&"01".repeat(32))
    }

    fn from_hex(scalar: &str) -> SigningKey {
        let pairs = (0..scalar.len() / 2).map(|i| &scalar[2 * i..2 * i + 2]);
        let bytes: Vec<u8> = pairs.map(|p| u8::from_str_radix(p, 16).unwrap()).collect();
        let key = ecdsa::SigningKey::from_slice(&bytes).unwrap();
        let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
        SigningKey::from_pem(&pem, None).unwrap()
    }

    #[test]
    fn signatures_are_those_of_rfc_6979() {
        // Appendix A.2.5, SHA-256, "sample".
        let want = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                    f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
        let signature = key().sign(b"sample");
        let hex: String = signature
            .to_bytes()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(hex, want);
    }

    #[test]
    fn what_is_no_key_is_said() {
        for (pem, want) in [
            ("", "no private key"),
            ("-----BEGIN EC PRIVATE KEY-----", "no PKCS#8"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "no passphrase"),
        ] {
            let error = SigningKey::from_pem(pem, None).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        assert!(key().named("a b").is_err() && key().named("").is_err());
        assert_eq!(key().named("release").unwrap().public().id(), "release");
    }

    #[test]
    fn keys_are_believed_under_their_names() {
        let signature = key().sign(b"x");
        let named: PublicKeys = [key().public(), other().public()].into_iter().collect();
        assert_eq!(named.verify(key().id(), b"x", &signature), Ok(()));
        assert_eq!(named.verify(other().id(), b"x", &signature), Err(None));
        assert_eq!(
            named.verify("nobody", b"x", &signature),
            Err(Some("nobody"))
        );
        let one = PublicKeys::one(key().public());
        assert_eq!(one.verify("whoever", b"x", &signature), Ok(()));
        assert_eq!(one.verify("whoever", b"y", &signature), Err(None));
    }
}
