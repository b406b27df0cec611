use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, fingerprint};
use crate::error::AlertError;

/// The alerts that are firing, or whose end not every receiver knows yet.
#[derive(Debug)]
pub struct Book {
    path: Option<PathBuf>,
    entries: BTreeMap<String, Entry>,
}

/// An alert and who knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The alert.
    pub alert: Alert,
    /// Whether it still is.
    pub status: Status,
    /// Since when.
    pub starts_at: Timestamp,
    /// Until when, if it is over.
    pub ends_at: Option<Timestamp>,
    /// What each receiver was told last, and when.
    told: BTreeMap<String, (Status, Timestamp)>,
}

/// Whether an alert still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is.
    Firing,
    /// It is over.
    Resolved,
}

impl Book {
    /// A book that is not kept.
    pub fn unkept() -> Self {
        Self {
            path: None,
            entries: BTreeMap::new(),
        }
    }

    /// Opens the book at `path`, or begins it.
    ///
    /// # Errors
    /// It can't be read, or is damaged.
    pub fn open(path: &Path) -> Result<Self, AlertError> {
        let entries = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| AlertError::Damaged {
                path: path.to_owned(),
                source,
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => {
                return Err(AlertError::File {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        Ok(Self {
            path: Some(path.to_owned()),
            entries,
        })
    }

    /// Notes that something is wrong. Says whether that is news.
    ///
    /// # Errors
    /// The book can't be written.
    pub fn raise(&mut self, alert: Alert, now: Timestamp) -> Result<bool, AlertError> {
        let known = self.entries.get_mut(&alert.fingerprint());
        match known {
            Some(entry) if entry.status == Status::Firing => {
                if entry.alert == alert {
                    return Ok(false);
                }
                // The same trouble in other words: who knows of it hears them if it is reminded.
                entry.alert = alert;
                self.write()?;
                Ok(false)
            }
            _ => {
                let entry = Entry {
                    status: Status::Firing,
                    starts_at: now,
                    ends_at: None,
                    told: BTreeMap::new(),
                    alert,
                };
                self.entries.insert(entry.alert.fingerprint(), entry);
                self.write()?;
                Ok(true)
            }
        }
    }

    /// Notes that it is over. Says whether that is news.
    ///
    /// # Errors
    /// The book can't be written.
    pub fn resolve(
        &mut self,
        name: &str,
        about: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<bool, AlertError> {
        match self.entries.get_mut(&fingerprint(name, about)) {
            Some(entry) if entry.status == Status::Firing => {
                entry.status = Status::Resolved;
                entry.ends_at = Some(now);
                self.forget();
                self.write()?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// What a receiver must be told now: what it does not know, and, if it forgets what it is not
    /// reminded of, what it was told longer than `remind` ago.
    pub fn owed(
        &self,
        receiver: &str,
        remind: Option<SignedDuration>,
        now: Timestamp,
    ) -> Vec<&Entry> {
        let owed = |entry: &&Entry| match entry.told.get(receiver) {
            // Of what is over, who never heard of it need not hear.
            None => entry.status == Status::Firing,
            Some((status, at)) => {
                let long_ago = remind.is_some_and(|after| now.duration_since(*at) >= after);
                *status != entry.status || (entry.status == Status::Firing && long_ago)
            }
        };
        self.entries.values().filter(owed).collect()
    }

    /// Notes that a receiver has taken these.
    ///
    /// # Errors
    /// The book can't be written.
    pub fn told(
        &mut self,
        receiver: &str,
        taken: &[(String, Status)],
        now: Timestamp,
    ) -> Result<(), AlertError> {
        if taken.is_empty() {
            return Ok(());
        }
        for (fingerprint, status) in taken {
            if let Some(entry) = self.entries.get_mut(fingerprint) {
                entry.told.insert(receiver.to_owned(), (*status, now));
            }
        }
        self.forget();
        self.write()
    }

    /// Forgets what is over and known to all who knew of it.
    fn forget(&mut self) {
        let over = |entry: &Entry| {
            let known = |(status, _): &(Status, Timestamp)| *status == Status::Resolved;
            entry.status == Status::Resolved && entry.told.values().all(known)
        };
        self.entries.retain(|_, entry| !over(entry));
    }

    /// Forgets receivers that are no longer configured: nobody waits for what they know.
    ///
    /// # Errors
    /// The book can't be written.
    pub fn only(&mut self, receivers: &BTreeSet<String>) -> Result<(), AlertError> {
        for entry in self.entries.values_mut() {
            entry
                .told
                .retain(|receiver, _| receivers.contains(receiver));
        }
        self.forget();
        self.write()
    }

    /// All entries, by fingerprint.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    fn write(&self) -> Result<(), AlertError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let file = |source| AlertError::File {
            path: path.clone(),
            source,
        };
        let draft = path.with_extension("draft");
        let bytes = serde_json::to_vec(&self.entries).map_err(|e| file(e.into()))?;
        let mut open = std::fs::File::create(&draft).map_err(file)?;
        open.write_all(&bytes)
            .and_then(|()| open.sync_all())
            .and_then(|()| std::fs::rename(&draft, path))
            .and_then(|()| std::fs::File::open(path.parent().unwrap_or(Path::new("."))))
            .and_then(|directory| directory.sync_all())
            .map_err(file)
    }
}

#[cfg(test)]
mod tests;
