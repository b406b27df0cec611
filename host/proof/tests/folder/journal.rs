//! The log open for writing: what it takes and refuses, and what it survives.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proof::key::SigningKey;
use proof::log::{Checkpoint, Entry};
use proof::residency::{Period, Proof, Statement, Verdict};
use proof::{Journal, JournalError};

use crate::stage::*;

fn refused(error: JournalError) -> String {
    let JournalError::Refused(fault) = error else {
        panic!("{error}")
    };
    fault.to_string()
}

#[test]
fn hours_follow_from_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("state/proofs");
    let key = key();
    let mut journal = open(path, &key);
    assert!(assert_holds(path).tenants.is_empty());
    let batch = vec![passed("acme", NINE), passed("globex", NINE)];
    let proofs = journal.append(batch).unwrap();
    assert_eq!((proofs[0].sequence, proofs[1].sequence), (1, 1));
    assert!(proofs[0].is_signed_by(key.public()).unwrap());
    assert_eq!(journal.latest("acme"), Some(&proofs[0]));
    assert!(journal.covers("acme", period(NINE)) && !journal.covers("acme", period(TEN)));
    drop(journal);

    let mut journal = open(path, &key);
    assert_eq!(journal.repairs(), [""; 0]);
    let proofs = journal.append(vec![passed("acme", TEN)]).unwrap();
    assert_eq!(proofs[0].sequence, 2);
    let report = assert_holds(path);
    // Two proofs, the checkpoint over them, and the third.
    assert_eq!((report.entries, report.tenants.len()), (4, 2));
    assert_eq!(report.tenants[0].proofs.pass, 2);
    assert_eq!(report.key_id, key.public().id());
    let notes = report.notes.join("\n");
    assert!(
        notes.contains("no proof yet for 2026-11-27T10:00Z/PT1H, which others have: globex"),
        "{notes}"
    );

    // A tenant that is silent for more than the latest period is a fault.
    journal.append(vec![passed("acme", ELEVEN)]).unwrap();
    let faults = check(&contents(path)).faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    let text = faults[0].to_string();
    assert!(
        text.starts_with("entries.jsonl: nothing is said of `globex` for 2026-11-27T10:00Z/PT1H"),
        "{text}"
    );
    // Unless it said that it left; then it may come back whenever it does.
    let copy = tempfile::tempdir().unwrap();
    let mut journal = open(copy.path(), &key);
    let mut last = passed("globex", NINE);
    last.last = true;
    journal.append(vec![passed("acme", NINE), last]).unwrap();
    let more = vec![passed("acme", TEN), passed("acme", ELEVEN)];
    journal.append(more).unwrap();
    assert!(assert_holds(copy.path()).tenants[1].last);
    let noon = "2026-11-27T12:00Z/PT1H";
    journal.append(vec![passed("globex", noon)]).unwrap();
    assert_holds(copy.path());
}

#[test]
fn what_does_not_follow_is_refused_and_adds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = key();
    let mut journal = open(path, &key);
    journal.append(vec![passed("acme", NINE)]).unwrap();
    let before = contents(path);
    let mut early = passed("acme", TEN);
    early.issued_at = "2026-11-27T09:59:59Z".parse().unwrap();
    let half = "2026-11-27T09:30Z/PT1H";
    for (batch, want) in [
        (vec![passed("acme", NINE)], "an earlier one covers"),
        (vec![passed("acme", half)], "an earlier one covers"),
        (
            vec![passed("acme", ELEVEN)],
            "nothing is said of `acme` for 2026-11-27T10:00Z/PT1H",
        ),
        (
            vec![passed("acme", TEN), passed("acme", TEN)],
            "an earlier one covers",
        ),
        (vec![passed("globex", NINE), early], "was issued before"),
    ] {
        let error = refused(journal.append(batch).unwrap_err());
        assert!(error.contains(want), "{error}");
    }
    let nameless = journal.append(vec![passed("", TEN)]);
    assert!(matches!(nameless, Err(JournalError::TenantName)));
    assert_eq!(journal.append(Vec::new()).unwrap(), []);
    assert_eq!(contents(path), before);

    // A gap is filled by saying that nothing is known.
    let gap = journal.gap("acme", period(ELEVEN)).unwrap();
    assert_eq!(gap, period(TEN));
    assert_eq!(journal.gap("acme", period(TEN)), None);
    assert_eq!(journal.gap("globex", period(TEN)), None);
    let now = "2026-11-27T11:05:00Z".parse().unwrap();
    let unknown = Statement::unknown("acme", "eu", gap, "the conductor was down", now);
    let batch = vec![unknown, passed("acme", ELEVEN)];
    let proofs = journal.append(batch).unwrap();
    assert_eq!(proofs[0].statement.verdict, Verdict::Unknown);
    let report = assert_holds(path);
    let tally = report.tenants[0].proofs;
    assert_eq!((tally.pass, tally.fail, tally.unknown), (2, 0, 1));
}

#[test]
fn a_log_has_one_writer_and_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let first = key();
    let mut journal = open(path, &first);
    let second = Journal::open(path, again(&first));
    assert!(matches!(second, Err(JournalError::Busy { .. })));
    journal.append(vec![passed("acme", NINE)]).unwrap();
    drop(journal);
    let before = contents(path);
    let other = Journal::open(path, key()).unwrap_err();
    let JournalError::WrongKey { want, .. } = other else {
        panic!("{other}")
    };
    assert_eq!(want, first.public().id());
    assert_eq!(contents(path), before);
}

#[test]
fn a_line_that_was_cut_off_is_taken_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = key();
    let mut journal = open(path, &key);
    journal.append(vec![passed("acme", NINE)]).unwrap();
    let short = contents(path);
    let kept = path.join("kept");
    fs::create_dir(&kept).unwrap();
    for name in short.files.keys() {
        fs::copy(path.join(name), kept.join(name)).unwrap();
    }
    journal.append(vec![passed("acme", TEN)]).unwrap();
    drop(journal);
    let long = contents(path).files["entries.jsonl"].clone();
    let old = short.files["entries.jsonl"].len();
    let lines = long.iter().enumerate().filter(|(_, b)| **b == b'\n');
    let ends: Vec<usize> = lines.map(|(n, _)| n + 1).collect();
    // A process may die after any byte of the batch, before it wrote anything else.
    for length in (old..=long.len()).step_by(37).chain(ends) {
        fs::write(kept.join("entries.jsonl"), &long[..length.max(old)]).unwrap();
        fs::write(kept.join("checkpoint"), &short.files["checkpoint"]).unwrap();
        fs::write(kept.join(".acme.sig.new"), "half").unwrap();
        let mut journal = open(&kept, &key);
        assert_holds(&kept);
        let torn = long[length.max(old) - 1] != b'\n';
        let said = journal.repairs().iter().any(|r| r.contains("cut off"));
        assert_eq!(said, torn, "{length}: {:?}", journal.repairs());
        // What was not written can be said again.
        if !journal.covers("acme", period(TEN)) {
            journal.append(vec![passed("acme", TEN)]).unwrap();
        }
        assert_holds(&kept);
        drop(journal);
        for name in ["acme.sig", "acme.payload.json"] {
            fs::write(kept.join(name), &short.files[name]).unwrap();
        }
    }
}

/// The line of a proof that is right but for its signature.
fn forged(key: &SigningKey) -> String {
    let mut proof = Proof::sign(passed("acme", ELEVEN), 3, &self::key()).unwrap();
    proof.key_id = key.public().id().to_owned();
    let line = Entry::Proof(Box::new(proof)).to_line().unwrap();
    String::from_utf8(line).unwrap()
}

#[test]
fn what_was_changed_is_not_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = two_hours(path);
    let good = contents(path);
    let entries = path.join("entries.jsonl");
    let text = String::from_utf8(good.files["entries.jsonl"].clone()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without = |n: usize| {
        let mut lines = lines.clone();
        lines.remove(n);
        lines.concat()
    };
    let (body, last) = text.trim_end().rsplit_once('\n').unwrap();
    for changed in [
        // The last entries are followed by no checkpoint but the folder's own.
        format!("{body}\n{}\n", last.replace("\"eu-1\"", "\"eu-2\"")),
        // Beyond the checkpoint there may be entries, if they are signed.
        format!("{text}{}", forged(&key)),
        String::new(),
        without(0),
        without(lines.len() - 1),
        text.replace("\"eu-1\"", "\"eu-2\""),
        text.replacen(":", ": ", 1),
        format!("{text}{}", lines[1]),
        format!("{text}\n"),
        text[..text.len() - 1].to_owned(),
    ] {
        fs::write(&entries, &changed).unwrap();
        let before = contents(path);
        let error = Journal::open(path, again(&key)).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
        assert_eq!(contents(path), before, "{error}");
    }
    fs::write(&entries, &text).unwrap();
    let checkpoint = Checkpoint::from_note(std::str::from_utf8(&good.files["checkpoint"]).unwrap());
    let checkpoint = checkpoint.unwrap();
    let foreign = Checkpoint::sign(checkpoint.size, checkpoint.root, &self::key());
    fs::write(path.join("checkpoint"), foreign.to_note()).unwrap();
    let error = Journal::open(path, again(&key)).unwrap_err().to_string();
    assert!(
        error.contains("checkpoint is not signed by the key"),
        "{error}"
    );
    fs::remove_file(path.join("checkpoint")).unwrap();
    let error = Journal::open(path, again(&key)).unwrap_err().to_string();
    assert!(error.contains("checkpoint is missing"), "{error}");
    // What follows from the log is written anew, and said.
    fs::write(path.join("checkpoint"), &good.files["checkpoint"]).unwrap();
    let mut file = OpenOptions::new()
        .append(true)
        .open(path.join("acme.sig"))
        .unwrap();
    file.write_all(b"x").unwrap();
    fs::remove_file(path.join("globex.proof.json")).unwrap();
    let journal = open(path, &key);
    assert_eq!(journal.repairs().len(), 2, "{:?}", journal.repairs());
    assert_eq!(contents(path), good);
}

#[test]
fn a_copy_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = two_hours(path);
    let copy = tempfile::tempdir().unwrap();
    let journal = open(path, &key);
    journal.export(copy.path()).unwrap();
    assert_eq!(contents(copy.path()), contents(path));
    let error = journal.export(copy.path()).unwrap_err();
    assert!(matches!(error, JournalError::NotEmpty { .. }), "{error}");
}

#[test]
fn a_write_that_failed_half_way_is_not_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("log");
    let mut journal = open(path, &key());
    // The entries are still open; what follows from them can't be written any more.
    fs::remove_dir_all(path).unwrap();
    let error = journal.append(vec![passed("acme", NINE)]).unwrap_err();
    assert!(matches!(error, JournalError::Io { .. }), "{error}");
    let error = journal.append(vec![passed("acme", TEN)]).unwrap_err();
    assert!(matches!(error, JournalError::Unsure { .. }), "{error}");
}

#[test]
fn who_reads_while_it_is_written_sees_no_fault() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut journal = open(path, &key());
    let (sizes, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                seen.insert(assert_holds(path).entries);
                sizes.store(seen.len(), Ordering::Relaxed);
            }
        });
        let hour = period(NINE);
        for n in 0.. {
            // Until it was read between writes often enough; a reader that fails ends it too.
            if sizes.load(Ordering::Relaxed) > 4 || n == 1000 {
                break;
            }
            let time = Period::new(hour.start_s() + n * 3600, 3600).unwrap();
            let time = time.to_string();
            let batch = vec![passed("acme", &time), passed("globex", &time)];
            journal.append(batch).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(sizes.into_inner() > 4);
}
