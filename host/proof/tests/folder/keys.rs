//! Key files and rotations.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;
use proof::key::{Passphrase, SigningKey};
use proof::verify::{Given, verify};
use proof::{Journal, KeyFileError, KeyFiles, rotate};

use crate::stage::*;

fn time() -> Timestamp {
    "2026-11-27T09:30:00Z".parse().unwrap()
}

#[test]
fn a_key_is_made_once_and_read_by_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let files = KeyFiles::current(&directory.path().join("keys"));
    let key = files.generate(&passphrase()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&files.private), 0o600);
    assert_eq!(
        fs::read_to_string(&files.public).unwrap(),
        key.public().to_pem().unwrap()
    );
    let read = files.read(&passphrase()).unwrap();
    assert_eq!(read.public(), key.public());
    let error = files.generate(&passphrase()).unwrap_err();
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    let wrong = Passphrase::new("another one".to_owned()).unwrap();
    let error = files.read(&wrong).unwrap_err();
    assert!(matches!(error, KeyFileError::Key { .. }), "{error}");

    let other = KeyFiles::current(&directory.path().join("other"));
    other.generate(&passphrase()).unwrap();
    fs::copy(&other.public, &files.public).unwrap();
    let error = files.read(&passphrase()).unwrap_err();
    assert!(matches!(error, KeyFileError::Pair { .. }), "{error}");
    fs::set_permissions(&files.private, fs::Permissions::from_mode(0o640)).unwrap();
    let error = files.read(&passphrase()).unwrap_err();
    assert!(matches!(error, KeyFileError::Open { .. }), "{error}");
}

/// A directory of keys, a log with an hour, and the key that signed it.
fn stage(root: &Path) -> SigningKey {
    let key = KeyFiles::current(&root.join("keys"))
        .generate(&passphrase())
        .unwrap();
    let mut journal = open(&root.join("log"), &key);
    journal.append(vec![passed("acme", NINE)]).unwrap();
    key
}

#[test]
fn one_key_hands_over_to_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (keys, log) = (root.join("keys"), root.join("log"));
    let first = stage(root);
    let mut known = vec![first.public().clone()];
    for round in 0..3 {
        let done = rotate(&keys, &log, &passphrase(), time(), "yearly").unwrap();
        assert_eq!(Some(&done.old), known.last());
        known.push(done.new);
        let names = contents(&keys).files;
        let names: Vec<&str> = names.keys().map(String::as_str).collect();
        assert_eq!(names, ["conductor.key", "conductor.pub"], "{round}");
    }
    let current = KeyFiles::current(&keys).read(&passphrase()).unwrap();
    assert_eq!(Some(current.public()), known.last());
    let report = assert_holds(&log);
    assert_eq!(report.retired.len(), 3);
    // The proof is still the first key's: its file is there for `openssl`.
    assert_eq!(
        report.tenants[0].public_key,
        format!("{}.pub", first.public().id())
    );
    let mut journal = open(&log, &current);
    journal.append(vec![passed("acme", TEN)]).unwrap();
    assert_eq!(assert_holds(&log).tenants[0].public_key, "conductor.pub");

    // Whoever trusts one of them can follow to the others.
    let contents = contents(&log);
    for key in &known {
        let given = Given {
            public_key: Some(key),
            since: None,
        };
        let report = verify(&contents, given);
        assert!(report.holds() && report.pinned, "{:?}", report.faults);
    }
    let stranger = key();
    let given = Given {
        public_key: Some(stranger.public()),
        since: None,
    };
    let report = verify(&contents, given);
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].contains("is none of the log's") && faults[0].contains(stranger.public().id()),
        "{faults:?}"
    );
    // The old key signs no more.
    drop(journal);
    assert!(Journal::open(&log, first).is_err());
}

#[test]
fn a_rotation_that_was_cut_off_is_ended() {
    // How far the first attempt came.
    for step in [
        "half of the next key made",
        "next key made",
        "handed over",
        "key in place",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (keys, log) = (root.join("keys"), root.join("log"));
        let old = stage(root);
        let next = KeyFiles {
            private: keys.join("next.key"),
            public: keys.join("next.pub"),
        };
        let new = next.generate(&passphrase()).unwrap();
        if step == "half of the next key made" {
            fs::remove_file(&next.public).unwrap();
        }
        if !step.ends_with("made") {
            let mut journal = open(&log, &old);
            journal.rotate(again(&new), time(), "drill").unwrap();
        }
        if step == "key in place" {
            fs::rename(&next.private, keys.join("conductor.key")).unwrap();
        }
        let done = rotate(&keys, &log, &passphrase(), time(), "drill").unwrap();
        assert_eq!(
            (&done.old, &done.new),
            (old.public(), new.public()),
            "{step}"
        );
        let current = KeyFiles::current(&keys).read(&passphrase()).unwrap();
        assert_eq!(current.public(), new.public(), "{step}");
        assert!(!next.private.exists() && !next.public.exists(), "{step}");
        let report = assert_holds(&log);
        assert_eq!(report.retired, [old.public().id()], "{step}");
    }
}

#[test]
fn a_key_does_not_hand_over_to_itself() {
    let directory = tempfile::tempdir().unwrap();
    let key = key();
    let mut journal = open(directory.path(), &key);
    let error = journal.rotate(again(&key), time(), "drill").unwrap_err();
    assert!(matches!(error, proof::JournalError::Refused(_)), "{error}");
    journal.append(vec![passed("acme", NINE)]).unwrap();
    assert_holds(directory.path());
}
