//! The check of a folder by what is in it alone: no network, no clock, no other files.
//!
//! What it can't see: that the whole folder is an older state of itself, put back. Who noted a
//! checkpoint can see that too ([`Given::since`]).

mod report;
mod signatures;

pub use report::{Fault, Report, Summary};

use std::collections::BTreeMap;

use crate::folder::{self, CHECKPOINT, Contents, ENTRIES, Files, PUBLIC_KEY};
use crate::key::PublicKey;
use crate::log::{self, Checkpoint, Entry, History, Signed};

/// How many signatures are gathered before they are checked.
const MANY: usize = 8192;

/// What the one who checks brings along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// A key that must be among those of the log. Without it, the folder's own are believed.
    pub public_key: Option<&'a PublicKey>,
    /// A checkpoint that was noted earlier: the log must begin with what it had then.
    pub since: Option<&'a str>,
}

/// Checks a folder; the report names every fault.
#[must_use]
pub fn verify(contents: &Contents, given: Given<'_>) -> Report {
    let mut check = Check::default();
    for name in &contents.others {
        check.fault(name, "is no regular file, and does not belong here");
    }
    let files = &contents.files;
    let own = check.own_key(files);
    let entries = files.get(ENTRIES).map(Vec::as_slice);
    if entries.is_none() {
        check.fault(ENTRIES, "is missing");
    }
    let entries = entries.unwrap_or_default();
    let Some(first) = first_key(entries, own.as_ref(), given.public_key) else {
        let reason = "no key can be read: neither signatures nor the files of tenants were checked";
        check.fault(PUBLIC_KEY, reason);
        check.form(entries);
        if !files.contains_key(CHECKPOINT) {
            check.fault(CHECKPOINT, "is missing");
        }
        return check.report;
    };
    let history = check.follow(entries, first);
    check.keys(&history, own.as_ref(), given.public_key);
    check.checkpoint(files, &history);
    if let Some(note) = given.since {
        check.since(note, &history);
    }
    for (tenant, gap) in history.silent() {
        let reason = format!(
            "nothing is said of `{tenant}` for {gap}, not even that it is UNKNOWN, while later \
             periods of others are there"
        );
        check.fault(ENTRIES, reason);
    }
    check.files(files, &history);
    check.report.sum_up(&history);
    check.report
}

/// The key before the first entry: the one that handed over first, if any did, else the one that the
/// first proof names.
fn first_key(
    entries: &[u8],
    own: Option<&PublicKey>,
    given: Option<&PublicKey>,
) -> Option<PublicKey> {
    let named = match log::first_of(entries, "proof") {
        Some(Entry::Proof(proof)) => Some(proof.key_id),
        _ => None,
    };
    let known = || [own, given].into_iter().flatten();
    log::first_key(entries)
        .or_else(|| {
            known()
                .find(|key| Some(key.id()) == named.as_deref())
                .cloned()
        })
        .or_else(|| known().next().cloned())
}

#[derive(Default)]
struct Check {
    report: Report,
}

impl Check {
    fn fault(&mut self, file: &str, reason: impl Into<String>) {
        self.report.faults.push(Fault {
            file: file.to_owned(),
            reason: reason.into(),
        });
    }

    fn own_key(&mut self, files: &Files) -> Option<PublicKey> {
        let Some(bytes) = files.get(PUBLIC_KEY) else {
            self.fault(PUBLIC_KEY, "is missing");
            return None;
        };
        let key = std::str::from_utf8(bytes).ok();
        let key = key.and_then(|text| PublicKey::from_pem(text).ok());
        let key = key.filter(|key| key.to_pem().is_ok_and(|pem| pem.as_bytes() == bytes));
        if key.is_none() {
            self.fault(
                PUBLIC_KEY,
                "is no P-256 public key in PEM as it was written",
            );
        }
        key
    }

    /// All that can be said of entries without a key: whether they are any.
    fn form(&mut self, entries: &[u8]) {
        for (number, line) in log::lines(entries) {
            if let Err(error) = line.and_then(Entry::from_line) {
                self.fault(ENTRIES, format!("line {number}: {error}"));
            }
        }
    }

    fn follow(&mut self, entries: &[u8], first: PublicKey) -> History {
        let mut history = History::new(first);
        let mut signed = Vec::new();
        for (number, line) in log::lines(entries) {
            let followed = line
                .and_then(Entry::from_line)
                .and_then(|entry| Ok(history.follow(&entry)?));
            match followed {
                Ok((faults, relied_on)) => {
                    for fault in faults {
                        self.fault(ENTRIES, format!("line {number}: {fault}"));
                    }
                    signed.extend(relied_on.into_iter().map(|s| (number, s)));
                }
                Err(error) => self.fault(ENTRIES, format!("line {number}: {error}")),
            }
            if signed.len() >= MANY {
                self.signatures(&signed);
                signed.clear();
            }
        }
        self.signatures(&signed);
        history
    }

    fn signatures(&mut self, signed: &[(usize, Signed)]) {
        for (number, key) in signatures::that_fail(signed) {
            let id = key.id();
            let reason = format!("line {number}: the key {id} did not sign what it says");
            self.fault(ENTRIES, reason);
        }
    }

    fn keys(&mut self, history: &History, own: Option<&PublicKey>, given: Option<&PublicKey>) {
        let current = history.key();
        if let Some(own) = own.filter(|own| *own != current) {
            let reason = format!(
                "is the key {}, but the log goes on under {}",
                own.id(),
                current.id()
            );
            self.fault(PUBLIC_KEY, reason);
        }
        let Some(given) = given else {
            self.report.notes.push(format!(
                "no public key was given: the folder's own, {}, is believed",
                current.id()
            ));
            return;
        };
        self.report.pinned = true;
        if given != current && !history.retired().contains(given) {
            let reason = format!(
                "the key that was given, {}, is none of the log's: it goes on under {}",
                given.id(),
                current.id()
            );
            self.fault(PUBLIC_KEY, reason);
        }
    }

    fn checkpoint(&mut self, files: &Files, history: &History) {
        let Some(bytes) = files.get(CHECKPOINT) else {
            self.fault(CHECKPOINT, "is missing");
            return;
        };
        let note = std::str::from_utf8(bytes).ok();
        let Some(checkpoint) = note.and_then(|note| Checkpoint::from_note(note).ok()) else {
            self.fault(
                CHECKPOINT,
                "is no checkpoint with one signature as it was written",
            );
            return;
        };
        let key = history.key();
        if !checkpoint.is_signed_by(key) {
            let reason = format!("is not signed by {}, the key in force", key.id());
            self.fault(CHECKPOINT, reason);
        }
        let size = history.size();
        if checkpoint.size != size {
            let reason = format!(
                "is of {} entries, but {ENTRIES} has {size} that can be read",
                checkpoint.size
            );
            self.fault(CHECKPOINT, reason);
        } else if checkpoint.root != history.root() {
            let reason = format!(
                "is of other entries than {ENTRIES} has: some were changed, exchanged or reordered"
            );
            self.fault(CHECKPOINT, reason);
        }
    }

    fn since(&mut self, note: &str, history: &History) {
        let noted = "the checkpoint that was noted";
        let Ok(checkpoint) = Checkpoint::from_note(note) else {
            self.fault(CHECKPOINT, format!("{noted} is none of this log's"));
            return;
        };
        let keys = history.retired().iter().chain([history.key()]);
        if !keys.into_iter().any(|key| checkpoint.is_signed_by(key)) {
            let reason = format!("{noted} is not signed by a key of this log");
            self.fault(CHECKPOINT, reason);
            return;
        }
        let size = checkpoint.size;
        match history.tree().root_at(size) {
            Ok(root) if root == checkpoint.root => self
                .report
                .notes
                .push(format!("the log begins with the {size} entries of {noted}")),
            Ok(_) => {
                let reason = format!("the first {size} entries are not those of {noted}");
                self.fault(ENTRIES, reason);
            }
            Err(_) => {
                let reason = format!(
                    "{noted} is of {size} entries, of which {} are left",
                    history.size()
                );
                self.fault(ENTRIES, reason);
            }
        }
    }

    /// Compares what follows from the log with what is there.
    fn files(&mut self, files: &Files, history: &History) {
        let mut expected = Files::new();
        let mut add = |more: Option<Files>| expected.extend(more.unwrap_or_default());
        add(folder::of_keys(history).ok());
        for tenant in history.tenants().values() {
            add(folder::of_tenant(tenant).ok());
        }
        let mut changed = Vec::new();
        for (name, want) in &expected {
            match files.get(name) {
                // What is wrong with this one was said before.
                _ if name == PUBLIC_KEY => {}
                None => self.fault(name, "is missing"),
                Some(bytes) if bytes == want => {}
                Some(bytes) => changed.push((name, bytes)),
            }
        }
        if !changed.is_empty() {
            let owners = expected.iter().map(|(name, bytes)| (bytes, name));
            let owners: BTreeMap<&Vec<u8>, &String> = owners.collect();
            for (name, bytes) in changed {
                let reason = match owners.get(bytes) {
                    Some(other) => format!("holds what belongs into {other}"),
                    None => "is not what follows from the log".to_owned(),
                };
                self.fault(name, reason);
            }
        }
        let known = |name: &str| {
            expected.contains_key(name) || [ENTRIES, CHECKPOINT, PUBLIC_KEY].contains(&name)
        };
        let foreign: Vec<&String> = files.keys().filter(|name| !known(name)).collect();
        for name in foreign {
            self.fault(name, "does not belong here: nothing in the log asks for it");
        }
    }
}
