//! The passphrase of the key that signs proofs: from a file or the environment, never an argument.

use std::path::Path;

use anyhow::{Context, bail};
use proof::key::Passphrase;

/// The environment variable with the passphrase.
pub const PASSPHRASE_ENV: &str = "IG_PROOF_PASSPHRASE";

/// The passphrase, from a file, else from the environment. No error repeats it.
///
/// # Errors
/// There is none, or it is too short.
pub fn passphrase(file: Option<&Path>) -> anyhow::Result<Passphrase> {
    match file {
        Some(path) => {
            let at = || format!("can't use the passphrase in {}", path.display());
            let text = std::fs::read_to_string(path).with_context(at)?;
            let line = text.lines().next().unwrap_or_default();
            Passphrase::new(line.to_owned()).with_context(at)
        }
        None => match std::env::var(PASSPHRASE_ENV) {
            Ok(text) => {
                Passphrase::new(text).with_context(|| format!("can't use {PASSPHRASE_ENV}"))
            }
            Err(std::env::VarError::NotUnicode(_)) => bail!("{PASSPHRASE_ENV} is not UTF-8"),
            Err(std::env::VarError::NotPresent) => {
                bail!("there is no passphrase: set {PASSPHRASE_ENV}, or name a --passphrase-file")
            }
        },
    }
}
