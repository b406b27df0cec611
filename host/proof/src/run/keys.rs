//! Key files, and the rotation from one key to the next.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files;
use super::journal::Journal;
use crate::error::{JournalError, KeyFileError, RotateError};
use crate::key::{Passphrase, PublicKey, SigningKey};

/// Only the owner reads and writes.
const PRIVATE_MODE: u32 = 0o600;

/// The files of one key: the private half, encrypted, and the public half beside it.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    /// PKCS#8, encrypted (PEM).
    pub private: PathBuf,
    /// SPKI (PEM).
    pub public: PathBuf,
}

/// A finished rotation.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The key that signed until now. Its private half is gone.
    pub old: PublicKey,
    /// The key that signs from now on.
    pub new: PublicKey,
}

impl KeyFiles {
    /// The key in use of a directory.
    #[must_use]
    pub fn current(directory: &Path) -> Self {
        Self::named(directory, "conductor")
    }

    /// The key that is being handed over to.
    fn next(directory: &Path) -> Self {
        Self::named(directory, "next")
    }

    fn named(directory: &Path, name: &str) -> Self {
        Self {
            private: directory.join(format!("{name}.key")),
            public: directory.join(format!("{name}.pub")),
        }
    }

    /// Makes a key and its files.
    ///
    /// # Errors
    /// There is a key already, or the files can't be written.
    pub fn generate(&self, passphrase: &Passphrase) -> Result<SigningKey, KeyFileError> {
        let key = SigningKey::generate().map_err(|e| self.key_error(e))?;
        let private = key.to_pem(passphrase).map_err(|e| self.key_error(e))?;
        let public = key.public().to_pem().map_err(|e| self.key_error(e))?;
        if let Some(directory) = self.private.parent() {
            fs::create_dir_all(directory).map_err(|e| io_error(directory, e))?;
        }
        for (path, text, mode) in [
            (&self.private, private.as_str(), PRIVATE_MODE),
            (&self.public, public.as_str(), 0o644),
        ] {
            create(path, text, mode).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.clone() },
                _ => io_error(path, error),
            })?;
        }
        Ok(key)
    }

    /// Writes the public key that belongs to the private one.
    fn complete(&self, passphrase: &Passphrase) -> Result<(), KeyFileError> {
        let path = &self.private;
        let pem = fs::read_to_string(path).map_err(|e| io_error(path, e))?;
        let key = SigningKey::from_pem(&pem, passphrase).map_err(|e| self.key_error(e))?;
        let public = key.public().to_pem().map_err(|e| self.key_error(e))?;
        create(&self.public, &public, 0o644).map_err(|e| io_error(&self.public, e))
    }

    /// Reads the private key.
    ///
    /// # Errors
    /// It is not there, open to others, under another passphrase, or not that of the public key.
    pub fn read(&self, passphrase: &Passphrase) -> Result<SigningKey, KeyFileError> {
        let path = &self.private;
        let metadata = fs::metadata(path).map_err(|e| io_error(path, e))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(KeyFileError::Open { path: path.clone() });
        }
        let pem = fs::read_to_string(path).map_err(|e| io_error(path, e))?;
        let key = SigningKey::from_pem(&pem, passphrase).map_err(|e| self.key_error(e))?;
        if read_public(&self.public)? != *key.public() {
            let path = self.public.clone();
            return Err(KeyFileError::Pair { path });
        }
        Ok(key)
    }

    fn key_error(&self, source: crate::key::KeyError) -> KeyFileError {
        KeyFileError::Key {
            path: self.private.clone(),
            source,
        }
    }
}

/// Reads a public key (SPKI PEM).
///
/// # Errors
/// It can't be read, or is none.
pub fn read_public(path: &Path) -> Result<PublicKey, KeyFileError> {
    let pem = fs::read_to_string(path).map_err(|e| io_error(path, e))?;
    PublicKey::from_pem(&pem).map_err(|source| KeyFileError::Key {
        path: path.to_owned(),
        source,
    })
}

/// Makes a new key in a directory of keys, lets the old one hand over to it in the log, and puts the
/// new one in the old one's place. When this was cut off, the next call ends what it began.
///
/// # Errors
/// Keys or log can't be read or written.
pub fn rotate(
    keys: &Path,
    log: &Path,
    passphrase: &Passphrase,
    time: Timestamp,
    reason: &str,
) -> Result<Rotated, RotateError> {
    let (current, next) = (KeyFiles::current(keys), KeyFiles::next(keys));
    let there = |path: &Path| path.try_exists().map_err(|e| io_error(path, e));
    if there(&next.public)? && !there(&next.private)? {
        // All that an earlier call had left to do.
        put_in_place(&next.public, &current.public)?;
        let new = current.read(passphrase)?;
        let journal = Journal::open(log, new)?;
        let old = journal.history().retired().last();
        return match old {
            Some(old) => Ok(Rotated {
                old: old.clone(),
                new: journal.key().clone(),
            }),
            None => Err(RotateError::NotHandedOver),
        };
    }
    let old = current.read(passphrase)?;
    let new = if there(&next.private)? {
        // Of the two files the private one is made first.
        if !there(&next.public)? {
            next.complete(passphrase)?;
        }
        next.read(passphrase)?
    } else {
        next.generate(passphrase)?
    };
    let rotated = Rotated {
        old: old.public().clone(),
        new: new.public().clone(),
    };
    match Journal::open(log, old) {
        Ok(mut journal) => {
            journal.rotate(new, time, reason)?;
        }
        // An earlier call came to here: the log has the handover.
        Err(JournalError::WrongKey { want, .. }) if want == new.public().id() => {
            Journal::open(log, new)?;
        }
        Err(error) => return Err(error.into()),
    }
    put_in_place(&next.private, &current.private)?;
    put_in_place(&next.public, &current.public)?;
    files::sync_directory(keys).map_err(|e| io_error(keys, e))?;
    Ok(rotated)
}

fn put_in_place(from: &Path, to: &Path) -> Result<(), KeyFileError> {
    fs::rename(from, to).map_err(|e| io_error(from, e))
}

fn create(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn io_error(path: &Path, source: io::Error) -> KeyFileError {
    KeyFileError::Io {
        path: path.to_owned(),
        source,
    }
}
