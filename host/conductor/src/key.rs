//! Private keys of people, from files.

use std::path::Path;

use anyhow::{Context, bail};
use p256::ecdsa::SigningKey;
use pkcs8::DecodePrivateKey;

/// Reads a private key: PKCS#8 (RFC 5958) in PEM, encrypted or not; an encrypted one under the
/// passphrase in that environment variable.
///
/// # Errors
/// It is none, or the passphrase is missing or wrong. No error repeats any of it.
pub fn private(file: &Path, passphrase_env: &str) -> anyhow::Result<SigningKey> {
    let pem = text(file)?;
    let at = || format!("can't use the key in {}", file.display());
    if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        let passphrase = std::env::var(passphrase_env)
            .ok()
            .filter(|text| !text.is_empty())
            .with_context(|| format!("{} is encrypted: set {passphrase_env}", file.display()))?;
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

/// A text from a file, or from standard input for `-`; without the blanks around it.
///
/// # Errors
/// It can't be read.
pub fn text(file: &Path) -> anyhow::Result<String> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("can't read standard input")?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?
    };
    Ok(text.trim().to_owned())
}
