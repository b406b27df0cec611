//! The conductor's own key, with which it signs what it writes into the records.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use p256::ecdsa::{SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate;
use p256::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding,
};

use crate::config::{self, Config};

fn private_path(config: &Config) -> PathBuf {
    config.state.join("release.pem")
}

fn public_path(settings: &config::Release) -> PathBuf {
    settings.dir.join("conductor.pub")
}

/// The conductor's key; made, if there was none yet.
///
/// # Errors
/// It can't be read or written, or the train knows another conductor.
pub fn key(config: &Config, settings: &config::Release) -> anyhow::Result<SigningKey> {
    let (private, public) = (private_path(config), public_path(settings));
    if let Some(key) = read(&private)? {
        if known(&public)?.is_none() {
            publish(&public, &key)?;
        }
        return Ok(key);
    }
    if known(&public)?.is_some() {
        bail!(
            "the train has a conductor ({}), but its key {} is gone: bring it back; or keep the old public \
             key as {} (N is the number of records), remove {0}, and a new one is made",
            public.display(),
            private.display(),
            settings.keys.join("conductor@N.pub").display(),
        );
    }
    let key = SigningKey::try_generate().context("the system gives no randomness")?;
    write(&private, key.to_pkcs8_pem(LineEnding::LF)?.as_bytes())?;
    publish(&public, &key)?;
    Ok(key)
}

fn publish(path: &Path, key: &SigningKey) -> anyhow::Result<()> {
    let pem = key.verifying_key().to_public_key_pem(LineEnding::LF)?;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(path, pem).with_context(|| format!("can't write {}", path.display()))
}

/// The conductor's public key: that of its own key where that can be read, else what the train says.
///
/// # Errors
/// A file is no key.
pub fn public(config: &Config) -> anyhow::Result<Option<VerifyingKey>> {
    let Some(settings) = &config.release else {
        return Ok(None);
    };
    match read(&private_path(config))? {
        Some(key) => Ok(Some(*key.verifying_key())),
        None => known(&public_path(settings)),
    }
}

fn read(path: &Path) -> anyhow::Result<Option<SigningKey>> {
    match std::fs::read_to_string(path) {
        Ok(pem) => {
            let key = SigningKey::from_pkcs8_pem(&pem).ok();
            let key = key.with_context(|| format!("{} is no key", path.display()))?;
            Ok(Some(key))
        }
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
        Err(e) => Err(e).with_context(|| format!("can't read {}", path.display())),
    }
}

fn known(path: &Path) -> anyhow::Result<Option<VerifyingKey>> {
    match std::fs::read_to_string(path) {
        Ok(pem) => {
            let key = VerifyingKey::from_public_key_pem(pem.trim()).ok();
            let key = key.with_context(|| format!("{} is no public key", path.display()))?;
            Ok(Some(key))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("can't read {}", path.display())),
    }
}

/// Replaces a file that is nobody else's to read, on the disk when this returns.
///
/// # Errors
/// It can't be written.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let draft = path.with_extension("new");
    let replace = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        let mut file = options.open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        File::open(directory)?.sync_all()
    };
    replace().with_context(|| format!("can't write {}", path.display()))
}
