//! What fuzzing found worth keeping, and what broke once, through the same functions; of what is quick
//! also with changes.

use std::fs;
use std::path::{Path, PathBuf};

/// Mutated inputs of a target.
const MUTATED: usize = 4_000;

fn target(name: &str) -> fuzz::Target {
    let (_, target) = fuzz::TARGETS.iter().find(|(n, _)| *n == name).unwrap();
    *target
}

/// What was found, in the order of the files' names.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{} cases of {name}", files.len());
    let read = |file: PathBuf| {
        let bytes = fs::read(&file).unwrap();
        (file, bytes)
    };
    files.into_iter().map(read).collect()
}

fn replay(name: &str) {
    for (file, bytes) in corpus(name) {
        // Shown where it fails.
        println!("{}", file.display());
        target(name)(&bytes);
    }
}

/// The corpus with changes, always the same ones.
fn mutate(name: &str) {
    let corpus = corpus(name);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for number in 0..MUTATED {
        let (file, bytes) = &corpus[number % corpus.len()];
        let (_, other) = &corpus[random.below(corpus.len())];
        let mut bytes = bytes.clone();
        for _ in 0..1 + random.below(4) {
            random.change(&mut bytes, other);
        }
        // Shown where it fails.
        println!("{number}: {} as {}", file.display(), bytes.escape_ascii());
        target(name)(&bytes);
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    /// One change: a bit, a byte, bytes put in, taken out or doubled, or the end of another input.
    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        const TELLING: &[u8] = b"\0\x01\x7f\x80\xff /.%?:\\";
        let at = self.below(bytes.len());
        let end = (at + 1 + self.below(8)).min(bytes.len());
        match self.below(8) {
            _ if bytes.is_empty() => bytes.extend_from_slice(other),
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = TELLING[self.below(TELLING.len())],
            2 => bytes[at] = bytes[at].wrapping_add(1),
            3 => bytes.insert(at, TELLING[self.below(TELLING.len())]),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let from = self.below(other.len());
                let to = (from + 1 + self.below(16)).min(other.len());
                bytes.splice(at..at, other[from.min(to)..to].iter().copied());
            }
        }
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

#[test]
fn postgres() {
    replay("postgres");
    mutate("postgres");
}

#[test]
fn bolt() {
    replay("bolt");
    mutate("bolt");
}

#[test]
fn stores() {
    replay("stores");
    mutate("stores");
}

#[test]
fn tokens() {
    replay("tokens");
    mutate("tokens");
}

#[cfg(feature = "shell")]
#[test]
fn shell() {
    replay("shell");
}
