//! Keys of authorities, from files.

use std::path::Path;

use anyhow::{Context, bail};
use p256::ecdsa::{SigningKey, VerifyingKey};
use pkcs8::{DecodePrivateKey, DecodePublicKey};

/// The environment variable with the passphrase of an encrypted key.
pub const PASSPHRASE_ENV: &str = "IG_AUTHORITY_PASSPHRASE";

/// Reads a private key: PKCS#8 (RFC 5958) in PEM, encrypted or not.
///
/// # Errors
/// It is none, or the passphrase is missing or wrong. No error repeats any of it.
pub fn private(file: &Path) -> anyhow::Result<SigningKey> {
    let pem = super::text(file)?;
    let at = || format!("can't use the key in {}", file.display());
    if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        let passphrase = std::env::var(PASSPHRASE_ENV)
            .ok()
            .filter(|text| !text.is_empty())
            .with_context(|| format!("{} is encrypted: set {PASSPHRASE_ENV}", file.display()))?;
        return SigningKey::from_pkcs8_encrypted_pem(&pem, passphrase)
            .map_err(|_| anyhow::anyhow!("the passphrase is wrong, or it is no key of P-256"))
            .with_context(at);
    }
    if pem.contains("BEGIN EC PRIVATE KEY") {
        bail!(
            "{} is no PKCS#8: `openssl pkcs8 -topk8 -in {}` makes it one",
            file.display(),
            file.display()
        );
    }
    SigningKey::from_pkcs8_pem(&pem)
        .map_err(|_| anyhow::anyhow!("it is no private key of P-256, PKCS#8 in PEM"))
        .with_context(at)
}

/// Reads a public key: SubjectPublicKeyInfo (RFC 5480) in PEM.
///
/// # Errors
/// It is none.
pub fn public(file: &Path) -> anyhow::Result<VerifyingKey> {
    let pem = super::text(file)?;
    VerifyingKey::from_public_key_pem(&pem)
        .map_err(|_| {
            anyhow::anyhow!(
                "it is no public key of P-256 in PEM: `openssl pkey -in KEY -pubout` prints that of a key"
            )
        })
        .with_context(|| format!("can't use the key in {}", file.display()))
}
