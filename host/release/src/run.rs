//! The train on a disk: bundles by their digest, and the records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use p256::ecdsa::SigningKey;
use sha2::{Digest, Sha256};

use crate::error::{KeyringError, RecordError, TrainError};
use crate::keyring::{Keyring, is_name};
use crate::record::{self, Act, CONDUCTOR, Record};
use crate::train::{Rules, Train};

const RECORDS: &str = "records.jsonl";
const BUNDLES: &str = "bundles";

/// Why the train can't be read or added to.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// A file can't be read or written.
    #[error("can't {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The records can't be believed.
    #[error("{}", path.display())]
    Records {
        /// The file.
        path: PathBuf,
        /// The line and what is wrong with it.
        source: RecordError,
    },
    /// What was asked may not be done.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A public key can't be used.
    #[error("{}", path.display())]
    Keys {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        source: KeyringError,
    },
    /// The key is not that person's.
    #[error("the key is not the one that is trusted as {0}'s")]
    OtherKey(String),
    /// Nobody of that name.
    #[error("{name} is not among those who may sign ({})", known.join(", "))]
    Stranger {
        /// The name.
        name: String,
        /// Those who are.
        known: Vec<String>,
    },
    /// A bundle is not what it was.
    #[error("the bundle {} is not what its name says", .0.display())]
    Bundle(PathBuf),
    /// A record can't be written as JSON.
    #[error("the record can't be written")]
    Json(#[from] serde_json::Error),
}

/// Who adds a record.
pub enum By<'a> {
    /// A person, who signs it.
    Person {
        /// The name.
        name: &'a str,
        /// The private key.
        key: &'a SigningKey,
    },
    /// The service, which signs too.
    Conductor {
        /// Its private key.
        key: &'a SigningKey,
    },
}

/// The directory of a train. Several processes may have it open; one at a time adds to it.
#[derive(Debug, Clone)]
pub struct Depot {
    directory: PathBuf,
}

impl Depot {
    /// Opens a directory, and makes it if it is not there.
    ///
    /// # Errors
    /// It can't be made.
    pub fn open(directory: &Path) -> Result<Self, DepotError> {
        let bundles = directory.join(BUNDLES);
        fs::create_dir_all(&bundles).map_err(at("make", &bundles))?;
        let records = directory.join(RECORDS);
        match OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&records)
        {
            Ok(_) => sync_directory(directory)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(at("make", &records)(source)),
        }
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// The file with the records: what changes when the train does.
    pub fn records(&self) -> PathBuf {
        Self::records_in(&self.directory)
    }

    /// The file with the records of a directory.
    pub fn records_in(directory: &Path) -> PathBuf {
        directory.join(RECORDS)
    }

    /// Reads the train. A last line without an end is one that was being written when its writer died:
    /// nobody was told that it is there, and it counts for nothing.
    ///
    /// # Errors
    /// The records can't be read or believed.
    pub fn read(&self, keys: &Keyring) -> Result<Train, DepotError> {
        let path = self.records();
        let mut file = File::open(&path).map_err(at("read", &path))?;
        file.lock_shared().map_err(at("lock", &path))?;
        let text = whole_lines(&mut file, &path)?;
        self.believe(&text, keys)
    }

    /// Adds a record, on the disk when this returns.
    ///
    /// # Errors
    /// It may not be added, or can't be: then nothing has changed.
    pub fn add(
        &self,
        by: &By<'_>,
        act: Act,
        at_unix_ms: u64,
        keys: &Keyring,
        rules: &Rules,
    ) -> Result<(Record, Train), DepotError> {
        let (name, key) = match by {
            By::Conductor { key } => (CONDUCTOR, key),
            By::Person { name, .. } if *name == CONDUCTOR => {
                return Err(TrainError::Conductor.into());
            }
            By::Person { name, key } => (*name, key),
        };
        if !keys.names().any(|n| n == name) {
            return Err(DepotError::Stranger {
                name: name.to_owned(),
                known: keys
                    .names()
                    .filter(|n| *n != CONDUCTOR)
                    .map(str::to_owned)
                    .collect(),
            });
        }
        if !keys.signs_as(name, key.verifying_key()) {
            return Err(DepotError::OtherKey(name.to_owned()));
        }
        let path = self.records();
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(&path)
            .map_err(at("open", &path))?;
        file.lock().map_err(at("lock", &path))?;
        let text = whole_lines(&mut file, &path)?;
        let train = self.believe(&text, keys)?;
        train.check(name, &act, Some(rules))?;
        let mut record = Record {
            seq: train.records + 1,
            // A clock that was set back does not make records older than those before.
            at_unix_ms: at_unix_ms.max(train.last_unix_ms),
            by: name.to_owned(),
            act,
            prev: train.head,
            signature: None,
        };
        record::sign(&mut record, key)?;
        let line = record.line()? + "\n";
        let end = text.len() as u64;
        // What was torn off is cut off before something is put behind it.
        file.set_len(end).map_err(at("cut", &path))?;
        let written = file
            .write_all(line.as_bytes())
            .and_then(|()| file.sync_all());
        if let Err(source) = written {
            let _ = file.set_len(end);
            return Err(at("write", &path)(source));
        }
        let train = self.believe(&(text + &line), keys)?;
        Ok((record, train))
    }

    /// Keeps a bundle, on the disk when this returns, and says its digest.
    ///
    /// # Errors
    /// It can't be written.
    pub fn keep(&self, bundle: &[u8]) -> Result<String, DepotError> {
        let digest = digest(bundle);
        let path = self.bundle_path(&digest);
        if fs::read(&path).is_ok_and(|there| there == bundle) {
            return Ok(digest);
        }
        let directory = self.directory.join(BUNDLES);
        let unfinished = directory.join(format!(".{digest}.{}", std::process::id()));
        let write = || -> io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(bundle)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        if let Err(source) = write() {
            let _ = fs::remove_file(&unfinished);
            return Err(at("write", &path)(source));
        }
        sync_directory(&directory)?;
        Ok(digest)
    }

    /// A bundle that was kept.
    ///
    /// # Errors
    /// It can't be read, or is not what it was.
    pub fn bundle(&self, digest_wanted: &str) -> Result<Vec<u8>, DepotError> {
        let path = self.bundle_path(digest_wanted);
        let bytes = fs::read(&path).map_err(at("read", &path))?;
        match digest(&bytes) == digest_wanted {
            true => Ok(bytes),
            false => Err(DepotError::Bundle(path)),
        }
    }

    /// Where a bundle is kept.
    pub fn bundle_path(&self, digest: &str) -> PathBuf {
        self.directory
            .join(BUNDLES)
            .join(format!("{digest}.tar.gz"))
    }

    fn believe(&self, text: &str, keys: &Keyring) -> Result<Train, DepotError> {
        record::read(text, keys).map_err(|source| DepotError::Records {
            path: self.records(),
            source,
        })
    }
}

/// Reads the keys of a directory: `NAME.pub`, each in PEM (SPKI).
///
/// # Errors
/// A file can't be read, or is no key.
pub fn keyring(directory: &Path) -> Result<Keyring, DepotError> {
    let mut pems = Vec::new();
    for entry in fs::read_dir(directory).map_err(at("read", directory))? {
        let path = entry.map_err(at("read", directory))?.path();
        if path.extension().is_some_and(|e| e == "pub") {
            let pem = fs::read_to_string(&path).map_err(at("read", &path))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            pems.push((name.into_owned(), pem));
        }
    }
    pems.sort();
    let pairs = pems.iter().map(|(name, pem)| (name.as_str(), pem.as_str()));
    Keyring::new(pairs).map_err(|source| DepotError::Keys {
        path: directory.to_owned(),
        source,
    })
}

/// Whether a name can be that of a key.
pub fn is_key_name(name: &str) -> bool {
    is_name(name)
}

fn whole_lines(file: &mut File, path: &Path) -> Result<String, DepotError> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut bytes))
        .map_err(at("read", path))?;
    let end = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    bytes.truncate(end);
    String::from_utf8(bytes).map_err(|error| {
        let invalid = io::Error::new(io::ErrorKind::InvalidData, error);
        at("read", path)(invalid)
    })
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

fn sync_directory(path: &Path) -> Result<(), DepotError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(at("sync", path))
}

fn at(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DepotError {
    let path = path.to_owned();
    move |source| DepotError::Io {
        action,
        path: path.clone(),
        source,
    }
}
