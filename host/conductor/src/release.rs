//! The release train, as the service drives it and people steer it.

pub mod commands;
pub mod conductor;
pub mod content;
pub mod drill;
pub mod drive;
pub mod evidence;
mod pace;
pub mod rollback;
mod show;
mod trial;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use release::run::Depot;
use release::{Keyring, Train};
use serde::{Deserialize, Serialize};

use crate::config::{self, Config};

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
    /// What the conductor has seen of the records.
    seen: PathBuf,
}

/// How far the records were read: what stands there must never be taken back. And what they said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    records: u64,
    head: String,
    /// What was for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stable: Option<Stable>,
}

/// A release that is for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stable {
    /// Its number.
    pub number: u64,
    /// The revision of its policies.
    pub revision: String,
    /// SHA-256 of its bundle.
    pub digest: String,
}

impl Seen {
    /// All of a train's.
    pub fn of(train: &Train) -> Self {
        Self {
            records: train.records,
            head: train.head.clone(),
            stable: train.stable().map(Stable::of),
        }
    }
}

impl Stable {
    fn of(release: &release::Release) -> Self {
        Self {
            number: release.number,
            revision: release.revision.clone(),
            digest: release.digest.clone(),
        }
    }
}

impl<'a> Place<'a> {
    /// Opens the train of a configuration.
    ///
    /// # Errors
    /// There is none, or the directory or the keys can't be used.
    pub fn open(config: &'a Config) -> anyhow::Result<Self> {
        let settings = config
            .release
            .as_ref()
            .context("the configuration has no [release]: there is no train")?;
        let mut keys = release::run::keyring(&settings.keys).context("the keys of people")?;
        if let Some(public) = conductor::public(config)? {
            keys = keys.with_conductor(public)?;
        }
        Ok(Self {
            settings,
            depot: Depot::open(&settings.dir)?,
            keys,
            seen: config.state.join("release-seen.json"),
        })
    }

    /// What happened so far.
    ///
    /// # Errors
    /// The records can't be read or believed, or end before what the conductor has seen of them.
    pub fn train(&self) -> anyhow::Result<Train> {
        let train = self.depot.read(&self.keys)?;
        if let Some(seen) = self.seen()?
            && !train.goes_on_from(seen.records, &seen.head)
        {
            anyhow::bail!(
                "{} does not go on from record {}, which was in force: an older or another file is in its \
                 place; bring it back, or remove {} to believe this one",
                self.depot.records().display(),
                seen.records,
                self.seen.display()
            );
        }
        Ok(train)
    }

    fn seen(&self) -> anyhow::Result<Option<Seen>> {
        let at = || format!("can't read {}", self.seen.display());
        match std::fs::read(&self.seen) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(at)?)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            // The conductor's own; others read the records alone.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(None),
            Err(e) => Err(e).with_context(at),
        }
    }

    /// Notes that this was seen.
    ///
    /// # Errors
    /// It can't be written.
    pub fn note(&self, now: &Seen) -> anyhow::Result<()> {
        if now.records == 0 || self.seen()?.as_ref() == Some(now) {
            return Ok(());
        }
        conductor::write(&self.seen, serde_json::to_string(now)?.as_bytes())
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
