//! What somebody could do who has a key of the log, and what its rules leave to find then.

use proof::folder::Contents;
use proof::key::{Handover, SigningKey};
use proof::log::{Checkpoint, Entry, Tree, leaf_hash};
use proof::residency::Proof;
use proof::verify::{Given, Report, verify};

use crate::stage::*;
use crate::tampering::{folder, is_of, lines, with_lines};

/// What somebody could do who has the key, and rewrites the log: the tree and its signature fit then.
fn resigned(good: &Contents, lines: &[Vec<u8>], key: &SigningKey) -> Report {
    let mut tree = Tree::new();
    for line in lines {
        let entry = Entry::from_line(line.strip_suffix(b"\n").unwrap()).unwrap();
        tree.push(leaf_hash(&entry.leaf().unwrap()));
    }
    let mut contents = with_lines(good, lines);
    let note = Checkpoint::sign(tree.size(), tree.root(), key).to_note();
    contents
        .files
        .insert("checkpoint".to_owned(), note.into_bytes());
    check(&contents)
}

/// The checkpoint of the folder, as another key would sign it.
fn resigned_note(good: &Contents, key: &SigningKey) -> String {
    let checkpoint = checkpoint(good);
    Checkpoint::sign(checkpoint.size, checkpoint.root, key).to_note()
}

fn checkpoint(contents: &Contents) -> Checkpoint {
    let note = std::str::from_utf8(&contents.files["checkpoint"]).unwrap();
    Checkpoint::from_note(note).unwrap()
}

fn line(entry: &Entry) -> Vec<u8> {
    entry.to_line().unwrap()
}

fn proof(tenant: &str, time: &str, sequence: u64, key: &SigningKey) -> Vec<u8> {
    let proof = Proof::sign(passed(tenant, time), sequence, key).unwrap();
    line(&Entry::Proof(Box::new(proof)))
}

#[test]
fn a_log_that_was_signed_anew_is_still_checked() {
    let (good, key) = folder();
    let lines = lines(&good);
    let stranger = SigningKey::generate().unwrap();
    assert!(resigned(&good, &lines, &key).holds());
    let with = |more: &[Vec<u8>]| [&lines[..], more].concat();
    let without = |n: usize| {
        let mut lines = lines.clone();
        lines.remove(n);
        lines
    };
    let time = "2026-11-27T11:00:00Z".parse().unwrap();
    let handover = |old: &SigningKey, new: &SigningKey| {
        let handover = Handover::sign(old, new, time, "mine now").unwrap();
        line(&Entry::Handover(Box::new(handover)))
    };
    let half_signed = {
        // Both signatures must hold: here the new key's word stands for the old one's.
        let right: serde_json::Value = serde_json::from_slice(&handover(&key, &stranger)).unwrap();
        let mut wrong = right.clone();
        let new = right["handover"]["signatures"]["new"].clone();
        wrong["handover"]["signatures"]["old"] = new;
        let entry: Entry = serde_json::from_value(wrong).unwrap();
        line(&entry)
    };
    for (lines, want) in [
        (
            with(&[proof("acme", ELEVEN, 4, &key)]),
            "line 8: the proof of `acme` for 2026-11-27T11:00Z/PT1H has sequence 4 where 3 is due",
        ),
        (
            with(&[proof("acme", "2026-11-27T12:00Z/PT1H", 3, &key)]),
            "line 8: nothing is said of `acme` for 2026-11-27T11:00Z/PT1H",
        ),
        (
            with(&[proof("acme", TEN, 3, &key)]),
            "line 8: the proof of `acme`",
        ),
        (
            with(&[proof("acme", ELEVEN, 3, &stranger)]),
            "line 8: it names the key",
        ),
        // The hour of one tenant left out, with all that came after it renumbered.
        (without(5), "is not what follows from the log"),
        (
            without(0),
            "line 2: its checkpoint is of 2 entries and stands after 1",
        ),
        (
            without(2),
            "line 4: its checkpoint is of 4 entries and stands after 3",
        ),
        (
            with(&[handover(&stranger, &key)]),
            "line 8: it names the key",
        ),
        (with(&[half_signed]), "line 8: the key"),
        (
            with(&[line(&Entry::Checkpoint(
                Checkpoint::sign(7, [7; 32], &key).to_note(),
            ))]),
            "line 8: its checkpoint is of other entries than stand before it",
        ),
        (
            with(&[line(&Entry::Checkpoint(resigned_note(&good, &stranger)))]),
            "line 8: its checkpoint names another key",
        ),
    ] {
        let report = resigned(&good, &lines, &key);
        let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
        assert!(
            faults.iter().any(|f| f.contains(want)),
            "{want}: {faults:?}"
        );
    }
    // The number alone is another.
    let note = Checkpoint::sign(8, checkpoint(&good).root, &key).to_note();
    let mut contents = good.clone();
    contents
        .files
        .insert("checkpoint".to_owned(), note.into_bytes());
    let text = check(&contents).faults[0].to_string();
    assert_eq!(
        text,
        "checkpoint is of 8 entries, but entries.jsonl has 7 that can be read"
    );
    // Signed by another key, everything else being right.
    let report = resigned(&good, &lines, &stranger);
    assert!(is_of(&report, "checkpoint"), "{:?}", report.faults);
}

#[test]
fn an_older_state_shows_to_who_noted_a_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = key();
    let mut journal = open(path, &key);
    journal.append(vec![passed("acme", NINE)]).unwrap();
    let old = contents(path);
    let noted_early = journal.checkpoint().to_note();
    journal.append(vec![passed("acme", TEN)]).unwrap();
    let new = contents(path);
    let noted_late = journal.checkpoint().to_note();
    let since = |contents: &Contents, note: &str| {
        let given = Given {
            public_key: None,
            since: Some(note),
        };
        verify(contents, given)
    };
    assert!(check(&old).holds() && since(&old, &noted_early).holds());
    assert!(since(&new, &noted_early).holds() && since(&new, &noted_late).holds());
    let report = since(&old, &noted_late);
    let text = report.faults[0].to_string();
    assert!(
        text.contains("is of 3 entries, of which 1 are left"),
        "{text}"
    );
    // A log that took another way after the checkpoint, by who has the key.
    let forked = tempfile::tempdir().unwrap();
    let mut journal = open(forked.path(), &key);
    let mut other = passed("acme", NINE);
    other.node = "eu-2".to_owned();
    journal.append(vec![other]).unwrap();
    let forked = contents(forked.path());
    assert!(check(&forked).holds());
    let text = since(&forked, &noted_early).faults[0].to_string();
    assert!(text.contains("the first 1 entries are not those"), "{text}");
    let foreign = Checkpoint::sign(1, [0; 32], &SigningKey::generate().unwrap()).to_note();
    assert!(!since(&new, &foreign).holds() && !since(&new, "nothing").holds());
}
