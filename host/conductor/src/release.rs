//! The release train, as the service drives it and people steer it.

pub mod commands;
pub mod content;
pub mod drill;
pub mod drive;
pub mod evidence;
mod show;

use std::path::Path;

use anyhow::Context;
use release::Keyring;
use release::run::Depot;

use crate::config;

/// The environment variable with the passphrase of a person's encrypted key.
pub const PASSPHRASE_ENV: &str = "IG_RELEASE_PASSPHRASE";

/// The train of a configuration.
pub struct Place<'a> {
    /// Its settings.
    pub settings: &'a config::Release,
    /// Where it is kept.
    pub depot: Depot,
    /// Who may sign.
    pub keys: Keyring,
}

impl<'a> Place<'a> {
    /// Opens it.
    ///
    /// # Errors
    /// The directory or the keys can't be used.
    pub fn open(settings: &'a config::Release) -> anyhow::Result<Self> {
        let keys = release::run::keyring(&settings.keys).context("the keys of people")?;
        Ok(Self {
            settings,
            depot: Depot::open(&settings.dir)?,
            keys,
        })
    }

    /// What happened so far.
    ///
    /// # Errors
    /// The records can't be read or believed.
    pub fn train(&self) -> anyhow::Result<release::Train> {
        Ok(self.depot.read(&self.keys)?)
    }
}

/// The keys that may sign bundles, each by the name of its file (`KEYID.pub`).
///
/// # Errors
/// A file can't be read, or is no key.
pub fn bundle_keys(directory: &Path) -> anyhow::Result<bundle::key::PublicKeys> {
    let at = || format!("can't read the keys of bundles in {}", directory.display());
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(at)? {
        let path = entry.with_context(at)?.path();
        if path.extension().is_some_and(|e| e == "pub") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let pem = std::fs::read_to_string(&path).with_context(at)?;
            let key = bundle::key::PublicKey::from_pem(&pem).and_then(|key| key.named(&name));
            keys.push(key.with_context(|| format!("can't use {}", path.display()))?);
        }
    }
    Ok(keys.into_iter().collect())
}

/// Milliseconds since the Unix epoch, now.
pub fn now_unix_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}
