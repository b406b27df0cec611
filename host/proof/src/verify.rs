//! The check of a folder by what is in it alone: no network, no clock, no other files.
//!
//! What it can't see: that the whole folder is an older state of itself, put back. Who noted a
//! checkpoint can see that too ([`Given::since`]).

mod report;
mod signatures;

pub use report::{Fault, Report, Summary};

use crate::folder::{self, CHECKPOINT, Contents, ENTRIES, Files, PUBLIC_KEY};
use crate::key::PublicKey;
use crate::log::{Checkpoint, Entry, History, Signed};

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
    let lines = check.lines(files);
    let Some(first) = first_key(&lines, own.as_ref(), given.public_key) else {
        check.fault(PUBLIC_KEY, "no key can be read: no signature was checked");
        return check.report;
    };
    let Some(history) = check.follow(&lines, first) else {
        return check.report;
    };
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
    lines: &[(usize, Entry)],
    own: Option<&PublicKey>,
    given: Option<&PublicKey>,
) -> Option<PublicKey> {
    let handed_over = lines.iter().find_map(|(_, entry)| match entry {
        Entry::Handover(handover) => handover.keys().ok().map(|(old, _)| old),
        _ => None,
    });
    let named = lines.iter().find_map(|(_, entry)| match entry {
        Entry::Proof(proof) => Some(proof.key_id.as_str()),
        _ => None,
    });
    let known = || [own, given].into_iter().flatten();
    handed_over
        .or_else(|| known().find(|key| Some(key.id()) == named).cloned())
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
            self.fault(PUBLIC_KEY, "is no P-256 public key in PEM as it was written");
        }
        key
    }

    /// The entries that can be read, with the numbers of their lines.
    fn lines(&mut self, files: &Files) -> Vec<(usize, Entry)> {
        let Some(bytes) = files.get(ENTRIES) else {
            self.fault(ENTRIES, "is missing");
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (n, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let number = n + 1;
            let entry = match line.strip_suffix(b"\n") {
                Some(line) => Entry::from_line(line).map_err(|error| error.to_string()),
                None => Err("it is cut off".to_owned()),
            };
            match entry {
                Ok(entry) => entries.push((number, entry)),
                Err(reason) => self.fault(ENTRIES, format!("line {number}: {reason}")),
            }
        }
        entries
    }

    fn follow(&mut self, lines: &[(usize, Entry)], first: PublicKey) -> Option<History> {
        let mut history = History::new(first);
        let mut signed: Vec<(usize, Signed)> = Vec::new();
        for (number, entry) in lines {
            match history.follow(entry) {
                Ok((faults, relied_on)) => {
                    for fault in faults {
                        self.fault(ENTRIES, format!("line {number}: {fault}"));
                    }
                    signed.extend(relied_on.into_iter().map(|s| (*number, s)));
                }
                Err(error) => {
                    self.fault(ENTRIES, format!("line {number}: {error}"));
                    return None;
                }
            }
        }
        for (number, key) in signatures::that_fail(&signed) {
            let reason = format!(
                "line {number}: the key {} did not sign what it says",
                key.id()
            );
            self.fault(ENTRIES, reason);
        }
        Some(history)
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
            Ok(root) if root == checkpoint.root => self.report.notes.push(format!(
                "the log begins with the {size} entries of {noted}"
            )),
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
        for (name, want) in &expected {
            match files.get(name) {
                // What is wrong with this one was said before.
                _ if name == PUBLIC_KEY => {}
                None => self.fault(name, "is missing"),
                Some(bytes) if bytes == want => {}
                Some(bytes) => {
                    let other = expected.iter().find(|(_, want)| *want == bytes);
                    let reason = match other {
                        Some((other, _)) => format!("holds what belongs into {other}"),
                        None => "is not what follows from the log".to_owned(),
                    };
                    self.fault(name, reason);
                }
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
