//! Whatever is done to a folder without its key shows, and the fault names a file that was touched.

use std::sync::OnceLock;

use proof::folder::{Contents, Files};
use proof::key::SigningKey;
use proof::verify::Report;
use proptest::prelude::*;

use crate::stage::*;

/// A folder of two tenants, two hours and two keys, and the key in force.
pub fn folder() -> (Contents, SigningKey) {
    let directory = tempfile::tempdir().unwrap();
    let key = two_hours(directory.path());
    let contents = contents(directory.path());
    assert_eq!(contents.files.len(), 12);
    assert!(check(&contents).holds());
    (contents, key)
}

/// A fault is of this file.
pub fn is_of(report: &Report, file: &str) -> bool {
    report.faults.iter().any(|fault| fault.file == file)
}

/// A fault is of this file, or speaks of it: entries that are missing show at their checkpoint.
#[track_caller]
fn assert_named(report: &Report, file: &str, what: &str) {
    let spoken = |reason: &str| reason.contains(file);
    let named = report
        .faults
        .iter()
        .any(|fault| fault.file == file || spoken(&fault.reason));
    assert!(named, "{file}: {what}: {:?}", report.faults);
}

/// Changes every so-maniest byte of every file, one after the other. How many it were.
fn change_bytes(contents: &Contents, step: usize) -> usize {
    let mut tried = 0;
    let mut changed = contents.clone();
    for (name, bytes) in &contents.files {
        for n in (0..bytes.len()).step_by(step) {
            // Another bit each time, so that letters change their case too.
            let bit = 1 << (n % 7);
            changed.files.get_mut(name).unwrap()[n] ^= bit;
            let report = check(&changed);
            let faults = &report.faults;
            assert!(is_of(&report, name), "{name}: byte {n} ^ {bit}: {faults:?}");
            changed.files.get_mut(name).unwrap()[n] ^= bit;
            tried += 1;
        }
    }
    tried
}

#[test]
fn every_byte_counts() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = open(directory.path(), &key());
    let batch = vec![passed("acme", NINE), passed("globex", NINE)];
    journal.append(batch).unwrap();
    let contents = contents(directory.path());
    let bytes: usize = contents.files.values().map(Vec::len).sum();
    assert_eq!(change_bytes(&contents, 1), bytes);
    println!("{bytes} bytes of {} files", contents.files.len());
}

#[test]
fn bytes_count_after_hours_and_handovers() {
    let (contents, _) = folder();
    let bytes: usize = contents.files.values().map(Vec::len).sum();
    let tried = change_bytes(&contents, 11);
    println!("{tried} of {bytes} bytes");
    assert!(tried > bytes / 12);
}

#[test]
fn every_file_counts() {
    let (good, _) = folder();
    let names_of: Vec<String> = good.files.keys().cloned().collect();
    for name in &names_of {
        let mut contents = good.clone();
        let bytes = contents.files.remove(name).unwrap();
        let report = check(&contents);
        let missing = report
            .faults
            .iter()
            .any(|f| f.file == *name && f.reason == "is missing");
        assert!(missing, "{name}: {:?}", report.faults);
        for cut in [0, bytes.len() / 2, bytes.len() - 1] {
            contents.files.insert(name.clone(), bytes[..cut].to_vec());
            assert_named(&check(&contents), name, &format!("cut at {cut}"));
        }
        let longer = [&bytes[..], b"\n"].concat();
        contents.files.insert(name.clone(), longer);
        assert_named(&check(&contents), name, "longer");
        // A link to the same bytes may lead elsewhere tomorrow.
        contents.files.remove(name);
        contents.others.push(name.clone());
        assert!(is_of(&check(&contents), name));
    }
    let nothing = check(&Contents::default()).faults;
    let missing = |name: &str| {
        nothing
            .iter()
            .any(|f| f.file == name && f.reason == "is missing")
    };
    for name in ["conductor.pub", "entries.jsonl", "checkpoint"] {
        assert!(missing(name), "{name}: {nothing:?}");
    }
    for name in ["initech.proof.json", "notes.txt", ".hidden", "acme.sig~"] {
        let mut contents = good.clone();
        let sig = contents.files["acme.sig"].clone();
        contents.files.insert(name.to_owned(), sig);
        let report = check(&contents);
        assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
        assert_eq!(report.faults[0].file, name);
    }
    let mut swaps = 0;
    for (n, a) in names_of.iter().enumerate() {
        for b in &names_of[n + 1..] {
            let mut contents = good.clone();
            let (of_a, of_b) = (good.files[a].clone(), good.files[b].clone());
            contents.files.insert(a.clone(), of_b);
            contents.files.insert(b.clone(), of_a);
            let report = check(&contents);
            assert_named(&report, a, &format!("swapped with {b}"));
            assert_named(&report, b, &format!("swapped with {a}"));
            swaps += 1;
        }
    }
    assert_eq!(swaps, 66);
}

pub fn lines(contents: &Contents) -> Vec<Vec<u8>> {
    let entries = &contents.files["entries.jsonl"];
    let lines = entries.split_inclusive(|b| *b == b'\n');
    lines.map(<[u8]>::to_vec).collect()
}

pub fn with_lines(contents: &Contents, lines: &[Vec<u8>]) -> Contents {
    let mut contents = contents.clone();
    let entries = "entries.jsonl".to_owned();
    contents.files.insert(entries, lines.concat());
    contents
}

#[test]
fn every_entry_counts() {
    let (good, _) = folder();
    let lines = lines(&good);
    // Two proofs, their checkpoint, the handover, its checkpoint, and two proofs.
    assert_eq!(lines.len(), 7);
    for n in 0..lines.len() {
        let mut fewer = lines.clone();
        let line = fewer.remove(n);
        assert_named(
            &check(&with_lines(&good, &fewer)),
            "entries.jsonl",
            "removed",
        );
        for m in 0..=fewer.len() {
            let mut moved = fewer.clone();
            moved.insert(m, line.clone());
            let report = check(&with_lines(&good, &moved));
            assert_eq!(report.holds(), m == n, "{n} to {m}: {:?}", report.faults);
            let mut more = lines.clone();
            more.insert(m, line.clone());
            let report = check(&with_lines(&good, &more));
            assert_named(&report, "entries.jsonl", "repeated");
        }
    }
}

/// One folder for many cases.
fn shared() -> &'static Contents {
    static FOLDER: OnceLock<Contents> = OnceLock::new();
    FOLDER.get_or_init(|| folder().0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Random edits of random places: overwritten, inserted, taken out, exchanged, often several.
    #[test]
    fn random_edits_show(
        seeds in prop::collection::vec((any::<u16>(), any::<u32>(), 0..4_u8, any::<[u8; 3]>()), 160)
    ) {
        let good = shared();
        let names: Vec<&String> = good.files.keys().collect();
        for edits in seeds.chunks(2) {
            let mut files: Files = good.files.clone();
            for (file, at, kind, bytes) in edits {
                let name = names[usize::from(*file) % names.len()];
                let content = files.get_mut(name).unwrap();
                let at = *at as usize % (content.len() + 1);
                let end = (at + bytes.len()).min(content.len());
                match kind {
                    0 => content[at..end].copy_from_slice(&bytes[..end - at]),
                    1 => drop(content.splice(at..at, *bytes)),
                    2 => drop(content.drain(at..end)),
                    _ => content[at..end].reverse(),
                }
            }
            let same = files == good.files;
            let report = check(&Contents { files, others: Vec::new() });
            prop_assert_eq!(report.holds(), same, "{:?}", edits);
        }
    }

    /// Whatever stands in the files, the check ends with faults and without a panic.
    #[test]
    fn nonsense_is_a_fault(texts in prop::collection::vec(any::<Vec<u8>>(), 12)) {
        let names = shared().files.keys().cloned();
        let files: Files = names.zip(texts).collect();
        let report = check(&Contents { files, others: Vec::new() });
        prop_assert!(!report.holds());
    }
}

#[test]
fn the_key_of_the_folder_is_that_of_its_log() {
    let (good, key) = folder();
    let stranger = SigningKey::generate().unwrap();
    let retired = check(&good).retired[0].clone() + ".pub";
    for pem in [
        stranger.public().to_pem().unwrap().into_bytes(),
        good.files[&retired].clone(),
    ] {
        let mut contents = good.clone();
        contents.files.insert("conductor.pub".to_owned(), pem);
        let report = check(&contents);
        assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
        let text = report.faults[0].to_string();
        let id = key.public().id();
        assert!(
            text.starts_with("conductor.pub is the key ") && text.contains(id),
            "{text}"
        );
    }
}
