//! The private half, which leaves memory encrypted only.

use std::fmt;

use p256::ecdsa;
use p256::ecdsa::signature::Signer;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use pkcs8::der::zeroize::Zeroizing;

use super::{KeyError, PublicKey, Signature};

/// The least characters of a passphrase.
const LEAST: usize = 8;

/// What a private key that is not encrypted begins with.
const PLAIN: [&str; 2] = ["-----BEGIN PRIVATE KEY", "-----BEGIN EC PRIVATE KEY"];

/// What a private key is encrypted under; wiped from memory when dropped, and never printed.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase.
    ///
    /// # Errors
    /// It has fewer than 8 characters.
    pub fn new(text: String) -> Result<Self, KeyError> {
        let text = Zeroizing::new(text);
        if text.chars().count() < LEAST {
            return Err(KeyError::ShortPassphrase { least: LEAST });
        }
        Ok(Self(text))
    }
}

/// A private key, and the public one that belongs to it; wiped from memory when dropped.
pub struct SigningKey {
    key: ecdsa::SigningKey,
    public: PublicKey,
}

impl SigningKey {
    fn new(key: ecdsa::SigningKey) -> Result<Self, KeyError> {
        let public = PublicKey::new(*key.verifying_key())?;
        Ok(Self { key, public })
    }

    /// Makes a key.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        Self::new(ecdsa::SigningKey::try_generate().map_err(|_| KeyError::Randomness)?)
    }

    /// Reads encrypted PKCS#8 in PEM (RFC 5958), under PBES2 (RFC 8018).
    ///
    /// # Errors
    /// It is no such key, not encrypted, or under another passphrase.
    pub fn from_pem(pem: &str, passphrase: &Passphrase) -> Result<Self, KeyError> {
        if PLAIN
            .iter()
            .any(|begin| pem.trim_start().starts_with(begin))
        {
            return Err(KeyError::NotEncrypted);
        }
        let key = ecdsa::SigningKey::from_pkcs8_encrypted_pem(pem, passphrase.0.as_bytes());
        Self::new(key.map_err(|_| KeyError::NotPrivate)?)
    }

    /// Encrypted PKCS#8 in PEM: scrypt (RFC 7914) with parameters that stock `openssl` accepts, and
    /// AES-256-CBC.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn to_pem(&self, passphrase: &Passphrase) -> Result<Zeroizing<String>, KeyError> {
        let pem = self
            .key
            .to_pkcs8_encrypted_pem(passphrase.0.as_bytes(), LineEnding::LF);
        pem.map_err(|_| KeyError::Encode)
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs; the same bytes always alike (RFC 6979).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::new(self.key.sign(message))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_6979() {
        // Appendix A.2.5, with SHA-256.
        let hex = |text: &str| -> Vec<u8> {
            let pairs = (0..text.len() / 2).map(|i| &text[2 * i..2 * i + 2]);
            pairs.map(|p| u8::from_str_radix(p, 16).unwrap()).collect()
        };
        let scalar = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
        let key = ecdsa::SigningKey::from_slice(&hex(scalar)).unwrap();
        let key = SigningKey::new(key).unwrap();
        for (message, r, s) in [
            (
                "sample",
                "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
                "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
            ),
            (
                "test",
                "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
                "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
            ),
        ] {
            let signature = key.sign(message.as_bytes());
            let want = ecdsa::Signature::from_slice(&hex(&[r, s].concat())).unwrap();
            assert_eq!(signature.parsed(), &want, "{message}");
            assert!(key.public().signed(message.as_bytes(), &signature));
        }
    }

    #[test]
    fn a_key_is_read_under_its_passphrase_only() {
        let passphrase = |text: &str| Passphrase::new(text.to_owned()).unwrap();
        let key = SigningKey::generate().unwrap();
        let right = passphrase("correct horse");
        let pem = key.to_pem(&right).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let read = SigningKey::from_pem(&pem, &right).unwrap();
        assert_eq!(read.public(), key.public());
        let wrong = SigningKey::from_pem(&pem, &passphrase("battery staple"));
        assert!(matches!(wrong, Err(KeyError::NotPrivate)));
        let plain = key.key.to_pkcs8_pem(LineEnding::LF).unwrap();
        let plain = SigningKey::from_pem(&plain, &right);
        assert!(matches!(plain, Err(KeyError::NotEncrypted)));
        assert!(Passphrase::new("1234567".to_owned()).is_err());
        assert_eq!(
            format!("{key:?}"),
            format!("SigningKey({})", key.public().id())
        );
    }

    #[test]
    fn a_public_key_is_named_by_its_hash() {
        let key = SigningKey::generate().unwrap();
        let pem = key.public().to_pem().unwrap();
        let read = PublicKey::from_pem(&pem).unwrap();
        assert_eq!(&read, key.public());
        assert_eq!(read.id().len(), 16);
        let digest: String = read.digest().iter().map(|b| format!("{b:02x}")).collect();
        assert!(digest.starts_with(read.id()));
        assert!(PublicKey::from_pem("").is_err());
        assert_ne!(SigningKey::generate().unwrap().public(), key.public());
    }
}
