//! Opening a log: what is there is followed, what was cut off is repaired, what was changed is
//! refused.

use super::*;
use crate::log::{self, EntryFault, Signed};

impl Journal {
    /// Opens the log in a directory, or begins one there. The entries up to the checkpoint are not
    /// checked one by one: the checkpoint signs them. [`crate::verify`] checks everything.
    ///
    /// # Errors
    /// Another process writes this log, it goes on under another key, it was changed by somebody
    /// else (it stays as it is then), or a file can't be read or written.
    pub fn open(directory: &Path, key: SigningKey) -> Result<Self, JournalError> {
        let io = |source| io_error(directory, source);
        fs::create_dir_all(directory).map_err(io)?;
        let writer = File::open(directory).map_err(io)?;
        match writer.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::Busy {
                    path: directory.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let path = directory.join(ENTRIES);
        let entries = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|source| io_error(&path, source))?;
        entries.lock().map_err(|source| io_error(&path, source))?;
        let bytes = files::read_open(&entries).map_err(|source| io_error(&path, source))?;
        let noted = noted(directory)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let found = follow(&path, bytes.get(..whole).unwrap_or_default(), &noted, &key)?;
        if found.history.key() != key.public() {
            return Err(JournalError::WrongKey {
                path: directory.to_owned(),
                want: found.history.key().id().to_owned(),
                got: key.public().id().to_owned(),
            });
        }
        let mut journal = Self {
            directory: directory.to_owned(),
            _writer: writer,
            entries,
            length: whole as u64,
            checkpoint: noted.unwrap_or_else(|| {
                Checkpoint::sign(found.history.size(), found.history.root(), &key)
            }),
            history: found.history,
            key,
            unsure: false,
            repairs: Vec::new(),
        };
        journal.repair(whole < bytes.len(), found.adopted, bytes.is_empty())?;
        let unlocked = journal.entries.unlock();
        unlocked.map_err(|source| io_error(&path, source))?;
        Ok(journal)
    }

    fn repair(&mut self, torn: bool, adopted: u64, new: bool) -> Result<(), JournalError> {
        if torn {
            let path = self.directory.join(ENTRIES);
            let cut = self.entries.set_len(self.length);
            cut.and_then(|()| self.entries.sync_all())
                .map_err(|source| io_error(&path, source))?;
            let line = "the last line, which was cut off while it was written";
            self.repairs.push(format!("{ENTRIES}: took away {line}"));
        }
        if adopted > 0 {
            self.repairs.push(format!(
                "{CHECKPOINT}: signed {adopted} entries more, which were written without it"
            ));
        }
        let checkpoint = self.directory.join(CHECKPOINT);
        if adopted > 0 || !checkpoint.exists() {
            self.sign_checkpoint()?;
        }
        let mut expected = folder::of_keys(&self.history)?;
        for tenant in self.history.tenants().values() {
            expected.extend(folder::of_tenant(tenant)?);
        }
        let mut wrong = Files::new();
        for (name, want) in expected {
            let path = self.directory.join(&name);
            let seen = files::read_if_there(&path).map_err(|e| io_error(&path, e))?;
            if seen.as_ref() != Some(&want) {
                wrong.insert(name, want);
            }
        }
        if !(new && wrong.len() == 1 && wrong.contains_key(PUBLIC_KEY)) {
            let names = wrong.keys();
            let repaired = names.map(|name| format!("{name}: wrote what follows from the log"));
            self.repairs.extend(repaired);
        }
        self.replace(&wrong, false)?;
        let items = fs::read_dir(&self.directory).map_err(|e| io_error(&self.directory, e))?;
        for item in items.flatten() {
            if files::is_unfinished(&item.file_name().to_string_lossy()) {
                let path = item.path();
                fs::remove_file(&path).map_err(|e| io_error(&path, e))?;
            }
        }
        Ok(())
    }
}

/// The checkpoint on disk, if there is one.
fn noted(directory: &Path) -> Result<Option<Checkpoint>, JournalError> {
    let path = directory.join(CHECKPOINT);
    let bytes = files::read_if_there(&path).map_err(|source| io_error(&path, source))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let note = String::from_utf8_lossy(&bytes);
    match Checkpoint::from_note(&note) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(error) => Err(damaged(&path, error.to_string())),
    }
}

fn damaged(path: &Path, reason: impl Into<String>) -> JournalError {
    JournalError::Damaged {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// What whole lines lead to.
struct Found {
    history: History,
    /// How many entries there are beyond the checkpoint.
    adopted: u64,
}

fn follow(
    path: &Path,
    bytes: &[u8],
    noted: &Option<Checkpoint>,
    key: &SigningKey,
) -> Result<Found, JournalError> {
    let first = log::first_key(bytes);
    let mut history = History::new(first.clone().unwrap_or_else(|| key.public().clone()));
    let Some(noted) = noted else {
        // Without a checkpoint there is a log that is to be begun, or one that lost it.
        return match bytes.is_empty() {
            true => Ok(Found {
                history,
                adopted: 0,
            }),
            false => Err(damaged(path, format!("{CHECKPOINT} is missing"))),
        };
    };
    check_noted(path, noted, &history)?;
    for (number, line) in log::lines(bytes) {
        let at_line = |reason: String| damaged(path, format!("line {number}: {reason}"));
        let entry = line.and_then(Entry::from_line);
        let entry = entry.map_err(|error| at_line(error.to_string()))?;
        let (faults, signed) = history.follow(&entry)?;
        if let Some(fault) = faults.first() {
            // The log is all of another key: the caller has the wrong one.
            if let (EntryFault::Key { want, got }, None, 1) = (fault, &first, number) {
                return Err(JournalError::WrongKey {
                    path: path.parent().unwrap_or(path).to_owned(),
                    want: got.clone(),
                    got: want.clone(),
                });
            }
            return Err(at_line(fault.to_string()));
        }
        let beyond = history.size() > noted.size;
        if beyond && !signed.iter().all(Signed::holds) {
            return Err(at_line("its signature does not hold".to_owned()));
        }
        check_noted(path, noted, &history)?;
    }
    let size = history.size();
    let Some(adopted) = size.checked_sub(noted.size) else {
        let reason = format!("{size} of the {} entries are left", noted.size);
        return Err(damaged(path, reason));
    };
    Ok(Found { history, adopted })
}

/// Checks the checkpoint against the tree, when the tree has its size.
fn check_noted(path: &Path, noted: &Checkpoint, history: &History) -> Result<(), JournalError> {
    if history.size() != noted.size {
        return Ok(());
    }
    if noted.root != history.root() {
        let reason = format!("the entries are not those that {CHECKPOINT} signs");
        return Err(damaged(path, reason));
    }
    if !noted.is_signed_by(history.key()) {
        let id = history.key().id();
        let reason = format!("{CHECKPOINT} is not signed by the key {id}");
        return Err(damaged(path, reason));
    }
    Ok(())
}
