//! Signing keys: ECDSA on P-256 with SHA-256, as `cosign sign-blob` and stock `openssl` have them.
//!
//! One key has one purpose: a key of this crate signs proofs, the checkpoints of their log, and the
//! document that hands over to the next key, and nothing else. Those three can't be taken for each
//! other: a checkpoint is no JSON, and a handover says what it is.

mod handover;
mod secret;
mod signature;

pub use handover::{Handover, HandoverError, NamedKey, PURPOSE};
pub use secret::{Passphrase, SigningKey};
pub use signature::{Signature, SignatureError};

use std::fmt;
use std::sync::Arc;

use p256::ecdsa::VerifyingKey;
use p256::ecdsa::signature::Verifier;
use p256::pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding};
use sha2::{Digest, Sha256};

/// How many bytes of the hash of a key make its id.
const ID_BYTES: usize = 8;

/// Why a key can't be used. No error repeats what is secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is no key that this crate reads.
    #[error("it is no P-256 public key in PEM (SPKI)")]
    NotPublic,
    /// The text is no encrypted private key.
    #[error("it is no encrypted P-256 private key in PEM (PKCS#8), or the passphrase is wrong")]
    NotPrivate,
    /// A private key that anybody could use.
    #[error("the private key is not encrypted")]
    NotEncrypted,
    /// A passphrase that protects nothing.
    #[error("the passphrase has fewer than {least} characters")]
    ShortPassphrase {
        /// How many it must have.
        least: usize,
    },
    /// The system gives no random bytes.
    #[error("the system gives no randomness")]
    Randomness,
    /// The key can't be written as PEM.
    #[error("the key can't be encoded")]
    Encode,
}

/// A public key, its SPKI form (RFC 5480) and its id.
#[derive(Clone)]
pub struct PublicKey(Arc<Parts>);

struct Parts {
    key: VerifyingKey,
    spki: Vec<u8>,
    digest: [u8; 32],
    id: String,
}

impl PublicKey {
    fn new(key: VerifyingKey) -> Result<Self, KeyError> {
        let spki = key.to_public_key_der().map_err(|_| KeyError::Encode)?;
        let digest: [u8; 32] = Sha256::digest(spki.as_bytes()).into();
        let id = digest.iter().take(ID_BYTES).map(|b| format!("{b:02x}"));
        Ok(Self(Arc::new(Parts {
            key,
            id: id.collect(),
            spki: spki.into_vec(),
            digest,
        })))
    }

    /// Reads SPKI in PEM.
    ///
    /// # Errors
    /// It is no such key.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::new(VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::NotPublic)?)
    }

    /// Reads SPKI in DER.
    ///
    /// # Errors
    /// It is no such key.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(VerifyingKey::from_public_key_der(der).map_err(|_| KeyError::NotPublic)?)
    }

    /// SPKI in PEM, with the line ends of Unix.
    ///
    /// # Errors
    /// Never for a key that was read or made here.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = self.0.key.to_public_key_pem(LineEnding::LF);
        pem.map_err(|_| KeyError::Encode)
    }

    /// SPKI in DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// The SHA-256 of the SPKI in DER.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    /// The first 16 hexadecimal digits of the SHA-256 of the SPKI in DER.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Whether this key signed these bytes.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.key.verify(message, signature.parsed()).is_ok()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.0.id)
    }
}
