//! Keys of authorities, from files.

use std::path::Path;

use anyhow::Context;
use p256::ecdsa::{SigningKey, VerifyingKey};
use pkcs8::DecodePublicKey;

/// The environment variable with the passphrase of an encrypted key.
pub const PASSPHRASE_ENV: &str = "IG_AUTHORITY_PASSPHRASE";

/// Reads a private key, as [`crate::key::private`] does.
///
/// # Errors
/// As there.
pub fn private(file: &Path) -> anyhow::Result<SigningKey> {
    crate::key::private(file, PASSPHRASE_ENV)
}

/// Reads a public key: SubjectPublicKeyInfo (RFC 5480) in PEM.
///
/// # Errors
/// It is none.
pub fn public(file: &Path) -> anyhow::Result<VerifyingKey> {
    let pem = crate::key::text(file)?;
    VerifyingKey::from_public_key_pem(&pem)
        .map_err(|_| {
            anyhow::anyhow!(
                "it is no public key of P-256 in PEM: `openssl pkey -in KEY -pubout` prints that of a key"
            )
        })
        .with_context(|| format!("can't use the key in {}", file.display()))
}
