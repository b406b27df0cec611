//! What fuzzing found worth keeping, and what broke once, through the same functions.

use std::fs;
use std::path::Path;

fn replay(name: &str) {
    let (_, target) = fuzz::TARGETS.iter().find(|(n, _)| *n == name).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{} cases of {name}", files.len());
    for file in files {
        // Shown where it fails.
        println!("{}", file.display());
        target(&fs::read(&file).unwrap());
    }
}

#[test]
fn rewriter() {
    replay("rewriter");
}

#[test]
fn graphql() {
    replay("graphql");
}

#[test]
fn bodies() {
    replay("bodies");
}

#[test]
fn requests() {
    replay("requests");
}

#[cfg(feature = "shell")]
#[test]
fn shell() {
    replay("shell");
}
