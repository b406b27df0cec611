//! The log on disk, open for writing.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files;
use crate::error::JournalError;
use crate::folder::{self, CHECKPOINT, ENTRIES, Files, PUBLIC_KEY};
use crate::key::{Handover, PublicKey, SigningKey};
use crate::log::{Checkpoint, Entry, History, Place, faults_at};
use crate::residency::{Period, Proof, Statement};

mod open;

/// The log of proofs, in a folder as [`folder`] describes it. There is one writer at a time.
///
/// What [`Journal::append`] has returned is on the disk: its entries, and a checkpoint over them. A
/// process that dies in between leaves whole entries, which the next one adopts, or a part of a
/// line, which the next one takes away.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    /// Locked for as long as the journal is open.
    _writer: File,
    entries: File,
    /// How many bytes of the entries are good.
    length: u64,
    history: History,
    checkpoint: Checkpoint,
    key: SigningKey,
    unsure: bool,
    repairs: Vec<String>,
}

impl Journal {
    /// The key in force.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        self.key.public()
    }

    /// What the log says so far.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The checkpoint in force.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// What was repaired when the log was opened, in sentences: traces of a process that died, or of
    /// somebody who changed what follows from the log.
    #[must_use]
    pub fn repairs(&self) -> &[String] {
        &self.repairs
    }

    /// The tenant's latest proof.
    #[must_use]
    pub fn latest(&self, tenant: &str) -> Option<&Proof> {
        self.history.tenants().get(tenant).map(|t| &t.proof)
    }

    /// Whether something was said of this tenant and time already: a proof is made once.
    #[must_use]
    pub fn covers(&self, tenant: &str, period: Period) -> bool {
        let latest = self.latest(tenant).map(|proof| proof.statement.period);
        latest.is_some_and(|latest| period.start_s() < latest.end_s())
    }

    /// The time of which nothing was said between the tenant's latest proof and a period. It must be
    /// filled (see [`Statement::unknown`]) before the period's own proof, or with it.
    #[must_use]
    pub fn gap(&self, tenant: &str, period: Period) -> Option<Period> {
        self.history.place(tenant)?.gap(period)
    }

    /// Signs statements and adds them to the log, all or none; a tenant's in the order of their
    /// time. Ends with a new checkpoint and with the files of these tenants. A batch costs one
    /// write to the disk however many there are.
    ///
    /// # Errors
    /// A statement does not follow from what the log holds (nothing was added then), or the files
    /// can't be written.
    pub fn append(&mut self, statements: Vec<Statement>) -> Result<Vec<Proof>, JournalError> {
        let mut places: BTreeMap<String, Option<Place>> = BTreeMap::new();
        let mut proofs = Vec::with_capacity(statements.len());
        for statement in statements {
            if folder::stem(&statement.tenant).is_none() {
                return Err(JournalError::TenantName);
            }
            let tenant = statement.tenant.clone();
            let place = places
                .entry(tenant)
                .or_insert_with_key(|tenant| self.history.place(tenant));
            let proof = Proof::sign(statement, Place::next(*place), &self.key)?;
            if let Some(fault) = faults_at(*place, &proof).into_iter().next() {
                return Err(JournalError::Refused(fault));
            }
            *place = Some(Place::of(&proof));
            proofs.push(proof);
        }
        if !proofs.is_empty() {
            let entries = proofs.iter().cloned().map(Box::new).map(Entry::Proof);
            self.write(entries.collect())?;
        }
        Ok(proofs)
    }

    /// Hands over to another key, which signs from now on. Its files are the caller's to keep.
    ///
    /// # Errors
    /// It is the key in force, or the files can't be written.
    pub fn rotate(
        &mut self,
        new: SigningKey,
        time: Timestamp,
        reason: &str,
    ) -> Result<Handover, JournalError> {
        let handover = Handover::sign(&self.key, &new, time, reason)?;
        if let Err(error) = handover.keys() {
            return Err(JournalError::Refused(error.into()));
        }
        let old = std::mem::replace(&mut self.key, new);
        let written = self.write(vec![Entry::Handover(Box::new(handover.clone()))]);
        if written.is_err() && self.history.key() == old.public() {
            self.key = old;
        }
        written.map(|()| handover)
    }

    /// Writes a copy of the whole folder to an empty or new directory.
    ///
    /// # Errors
    /// It is not empty, or can't be written.
    pub fn export(&self, directory: &Path) -> Result<(), JournalError> {
        let io = |source| io_error(directory, source);
        fs::create_dir_all(directory).map_err(io)?;
        if fs::read_dir(directory).map_err(io)?.next().is_some() {
            return Err(JournalError::NotEmpty {
                path: directory.to_owned(),
            });
        }
        let path = self.directory.join(ENTRIES);
        let entries = fs::read(&path).map_err(|source| io_error(&path, source))?;
        let mut all = Files::from([(ENTRIES.to_owned(), entries)]);
        all.insert(CHECKPOINT.to_owned(), self.checkpoint.to_note().into());
        all.extend(folder::of_keys(&self.history)?);
        for tenant in self.history.tenants().values() {
            all.extend(folder::of_tenant(tenant)?);
        }
        for (name, bytes) in &all {
            files::replace(directory, name, bytes, false).map_err(io)?;
        }
        files::sync_directory(directory).map_err(io)
    }

    /// Adds entries behind the checkpoint that was in force, and brings all files up to date.
    fn write(&mut self, mut entries: Vec<Entry>) -> Result<(), JournalError> {
        if self.unsure {
            return Err(JournalError::Unsure {
                path: self.directory.clone(),
            });
        }
        if self.checkpoint.size > 0 {
            entries.insert(0, Entry::Checkpoint(self.checkpoint.to_note()));
        }
        let mut lines = Vec::new();
        for entry in &entries {
            lines.extend(entry.to_line()?);
        }
        let path = self.directory.join(ENTRIES);
        let io = |source| io_error(&path, source);
        // Who reads the folder waits meanwhile.
        self.entries.lock().map_err(io)?;
        let written = self.put(&lines).map_err(io).and_then(|()| {
            // What is on the disk now stays, whatever fails from here on.
            self.unsure = true;
            self.take(&entries)
        });
        let unlocked = self.entries.unlock();
        written?;
        unlocked.map_err(io)?;
        self.unsure = false;
        Ok(())
    }

    /// Puts bytes behind the entries, on the disk, or leaves the entries as they were.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.entries.write_all(bytes);
        let written = written.and_then(|()| self.entries.sync_data());
        if written.is_err() {
            // A part of it would be repaired by the next one who opens the log, but not by this one.
            self.unsure = self.entries.set_len(self.length).is_err();
        } else {
            self.length += bytes.len() as u64;
        }
        written
    }

    /// Follows entries that are on the disk, and writes what follows from them.
    fn take(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        let mut tenants: Vec<&str> = Vec::new();
        for entry in entries {
            self.history.follow(entry)?;
            if let Entry::Proof(proof) = entry {
                tenants.push(&proof.statement.tenant);
            }
        }
        self.sign_checkpoint()?;
        tenants.sort_unstable();
        tenants.dedup();
        let handed_over = entries.iter().any(|e| matches!(e, Entry::Handover(_)));
        let mut files = Files::new();
        if handed_over {
            files.extend(folder::of_keys(&self.history)?);
        }
        for tenant in tenants {
            if let Some(tenant) = self.history.tenants().get(tenant) {
                files.extend(folder::of_tenant(tenant)?);
            }
        }
        self.replace(&files, false)
    }

    /// Signs the tree as it is, and puts that on the disk.
    fn sign_checkpoint(&mut self) -> Result<(), JournalError> {
        let (size, root) = (self.history.size(), self.history.root());
        self.checkpoint = Checkpoint::sign(size, root, &self.key);
        let note = self.checkpoint.to_note().into_bytes();
        self.replace(&Files::from([(CHECKPOINT.to_owned(), note)]), true)
    }

    fn replace(&self, files: &Files, durable: bool) -> Result<(), JournalError> {
        for (name, bytes) in files {
            files::replace(&self.directory, name, bytes, durable)
                .map_err(|source| io_error(&self.directory.join(name), source))?;
        }
        if durable {
            files::sync_directory(&self.directory)
                .map_err(|source| io_error(&self.directory, source))?;
        }
        Ok(())
    }
}

fn io_error(path: &Path, source: io::Error) -> JournalError {
    JournalError::Io {
        path: path.to_owned(),
        source,
    }
}
