//! Which file is which: a log and what was rotated beside it, and how far each was read.
//!
//! A file is known by device and inode, and by its first bytes: an inode is used again, and a log that is
//! copied and cut (`copytruncate`) goes on in the copy.

use sha2::{Digest, Sha256};

use crate::record::{Checkpoint, FileId};

/// Bytes by which a file is known.
pub const HEAD: u64 = 1_024;

/// A file that is there.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which it is.
    pub id: FileId,
    /// What it is called now.
    pub name: String,
    /// Whether it is the log that is written.
    pub current: bool,
    /// Whether it is held open only, and has no name any more.
    pub deleted: bool,
    /// Its bytes.
    pub len: u64,
    /// When it was last written, in any unit.
    pub modified: i128,
    /// Its first bytes, at most [`HEAD`].
    pub head: Vec<u8>,
}

/// A file that may have been lost before it was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What it is called, or was.
    pub name: String,
    /// How far it was read.
    pub at: u64,
    /// `cut`: it is there, but shorter or another. `gone`: it is not there any more.
    pub why: &'static str,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files that are read on, and from where: the oldest first.
    pub read: Vec<(FileId, u64)>,
    /// What may be missing.
    pub lost: Vec<Lost>,
    /// Files that are not there any more.
    pub forget: Vec<FileId>,
}

/// SHA-256 of the first bytes of a file.
pub fn head(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// How much of a file is its head when so much of it was read.
pub fn head_len(at: u64) -> u64 {
    at.min(HEAD)
}

/// Whether a file begins as one that was read.
fn begins(found: &Found, known: &Checkpoint) -> bool {
    let len = usize::try_from(known.head_len).unwrap_or(usize::MAX);
    found
        .head
        .get(..len)
        .is_some_and(|bytes| head(bytes) == known.head)
}

/// Matches what is known with what is there.
pub fn plan(known: &[Checkpoint], found: &[Found]) -> Plan {
    let mut plan = Plan::default();
    let mut orphans: Vec<(&Checkpoint, Lost)> = Vec::new();
    let mut order: Vec<&Found> = found.iter().collect();
    order.sort_by(|a, b| (a.current, a.modified, &b.name).cmp(&(b.current, b.modified, &a.name)));
    for file in order {
        match known.iter().find(|k| k.file == file.id) {
            Some(k) if file.len >= k.at && begins(file, k) => plan.read.push((file.id, k.at)),
            Some(k) => {
                let (name, at) = (file.name.clone(), k.at);
                orphans.push((
                    k,
                    Lost {
                        name,
                        at,
                        why: "cut",
                    },
                ));
                plan.read.push((file.id, 0));
            }
            None => {
                // A copy of a file that is known goes on where that one was read to.
                let copied = known.iter().find(|k| k.head_len > 0 && begins(file, k));
                match copied {
                    // It is being copied still, or holds nothing new.
                    Some(k) if file.len < k.at => {}
                    Some(k) => plan.read.push((file.id, k.at)),
                    None => plan.read.push((file.id, 0)),
                }
            }
        }
    }
    for k in known {
        if !found.iter().any(|f| f.id == k.file) {
            let name = String::new();
            orphans.push((
                k,
                Lost {
                    name,
                    at: k.at,
                    why: "gone",
                },
            ));
            plan.forget.push(k.file);
        }
    }
    for (k, lost) in orphans {
        let goes_on = found.iter().any(|f| {
            let from = plan.read.iter().find(|(id, _)| *id == f.id);
            f.len >= k.at
                && begins(f, k)
                && k.head_len > 0
                && from.is_some_and(|(_, at)| *at >= k.at)
        });
        if !goes_on && !k.done {
            plan.lost.push(lost);
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ino: u64) -> FileId {
        FileId { dev: 1, ino }
    }

    fn found(ino: u64, name: &str, text: &str) -> Found {
        Found {
            id: id(ino),
            name: name.to_owned(),
            current: name == "log",
            deleted: false,
            len: text.len() as u64,
            modified: 0,
            head: text.as_bytes().iter().take(1_024).copied().collect(),
        }
    }

    fn known(ino: u64, read: &str) -> Checkpoint {
        let at = read.len() as u64;
        let bytes: Vec<u8> = read.bytes().take(1_024).collect();
        Checkpoint {
            file: id(ino),
            at,
            head: head(&bytes),
            head_len: head_len(at),
            done: false,
        }
    }

    fn reads(plan: &Plan) -> Vec<(u64, u64)> {
        plan.read.iter().map(|(id, at)| (id.ino, *at)).collect()
    }

    #[test]
    fn at_first_all_that_is_there_is_read_the_oldest_first() {
        let mut files = [
            found(1, "log", "c"),
            found(2, "log.1", "b"),
            found(3, "log.2", "a"),
        ];
        assert_eq!(reads(&plan(&[], &files)), [(3, 0), (2, 0), (1, 0)]);
        // By time before name: names may be dates.
        files[2].modified = 5;
        assert_eq!(reads(&plan(&[], &files)), [(2, 0), (3, 0), (1, 0)]);
    }

    #[test]
    fn a_rotated_file_is_finished_whatever_it_is_called() {
        let files = [
            found(9, "log", "new\n"),
            found(2, "log.1", "between\n"),
            found(1, "log.2", "one\ntwo\n"),
        ];
        let plan = plan(&[known(1, "one\n")], &files);
        assert_eq!(reads(&plan), [(1, 4), (2, 0), (9, 0)]);
        assert!(plan.lost.is_empty() && plan.forget.is_empty());
    }

    #[test]
    fn a_cut_file_begins_anew_and_goes_on_in_its_copy() {
        let files = [found(1, "log", "new\n"), found(2, "log.1", "one\ntwo\n")];
        let copied = plan(&[known(1, "one\n")], &files);
        assert_eq!(reads(&copied), [(2, 4), (1, 0)]);
        assert!(copied.lost.is_empty());
        // The copy was read on meanwhile, or is read to its end.
        let copied = plan(&[known(1, "one\n"), known(2, "one\ntwo\n")], &files);
        assert_eq!(reads(&copied), [(2, 8), (1, 0)]);
        assert!(copied.lost.is_empty());
        // No copy: what came after the last look is lost, if anything did.
        let cut = plan(&[known(1, "one\n")], &files[..1]);
        assert_eq!(reads(&cut), [(1, 0)]);
        let lost = Lost {
            name: "log".to_owned(),
            at: 4,
            why: "cut",
        };
        assert_eq!(cut.lost, [lost]);
        // Longer than before, but another.
        let longer = [found(1, "log", "something else\n")];
        assert_eq!(plan(&[known(1, "one\n")], &longer).lost.len(), 1);
    }

    #[test]
    fn a_copy_before_the_cut_is_not_read_again() {
        let (one, both) = ("one\n".repeat(300), "one\n".repeat(300) + "two\n");
        let (read, log) = ([known(1, &both)], found(1, "log", &both));
        let copying = plan(&read, &[log.clone(), found(2, "log.1", &one)]);
        assert_eq!(reads(&copying), [(1, 1_204)]);
        let copied = plan(&read, &[log, found(2, "log.1", &both)]);
        assert_eq!(reads(&copied), [(2, 1_204), (1, 1_204)]);
    }

    #[test]
    fn what_is_gone_is_told_unless_it_was_done() {
        let files = [found(2, "log", "new\n")];
        let mut gone = known(1, "one\n");
        let told = plan(&[gone.clone()], &files);
        assert_eq!((told.lost.len(), told.forget.as_slice()), (1, &[id(1)][..]));
        assert!(told.lost.iter().all(|l| l.why == "gone"));
        gone.done = true;
        let quiet = plan(&[gone], &files);
        assert_eq!(
            (quiet.lost.len(), quiet.forget.as_slice()),
            (0, &[id(1)][..])
        );
        // Moved to another file system: another inode, the same content.
        let moved = plan(&[known(1, "one\n")], &[found(7, "log.1", "one\ntwo\n")]);
        assert_eq!(reads(&moved), [(7, 4)]);
        assert!(moved.lost.is_empty());
    }

    #[test]
    fn an_inode_that_is_used_again_is_another_file() {
        let mut done = known(1, "one\n");
        done.done = true;
        let again = plan(&[done], &[found(1, "log", "another\n")]);
        assert_eq!(reads(&again), [(1, 0)]);
        assert!(again.lost.is_empty());
    }
}
