//! The record of look-ups: JSON lines, each with the SHA-256 of the line before it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the first line has in the place of the hash of the line before it.
const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One look-up. It names no value and no candidate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lookup<'a> {
    /// `of`, `find` or `same`.
    pub command: &'static str,
    /// The reference of the lawful request.
    pub case: &'a str,
    /// Who asked.
    pub by: &'a str,
    /// What was asked about: one, or two for `same`.
    pub asked: Vec<Asked<'a>>,
    /// How many values were tried, if any were needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<usize>,
    /// Whether the value was to be shown.
    pub reveal: bool,
    /// What came of it.
    pub result: &'static str,
}

/// Pseudonyms of one tenant's field.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The field, as it was given.
    pub coordinate: &'a str,
    /// The coordinate that the key is made of.
    pub domain: &'a str,
    /// The keys.
    pub key_ids: Vec<String>,
    /// The pseudonyms asked about, or for `of` those that were made.
    pub pseudonyms: Vec<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    lookup: &'a Lookup<'a>,
    prev: &'a str,
}

/// A record whose lines follow from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    hashes: Vec<String>,
}

impl Chain {
    /// How many lines it has.
    pub fn lines(&self) -> usize {
        self.hashes.len()
    }

    /// The hash of the last line; zeros if there is none.
    pub fn head(&self) -> &str {
        self.hashes.last().map_or(START, String::as_str)
    }

    /// Whether one of the lines has this hash.
    pub fn holds(&self, hash: &str) -> bool {
        self.hashes.iter().any(|h| h.eq_ignore_ascii_case(hash))
    }
}

/// Where a record is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {why}")]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    why: &'static str,
}

/// Follows the lines of a record.
///
/// # Errors
/// One of them does not follow from the line before it.
pub fn follow(text: &[u8]) -> Result<Chain, Fault> {
    #[derive(Deserialize)]
    struct Link {
        prev: String,
    }
    let mut chain = Chain { hashes: Vec::new() };
    for (number, line) in (1..).zip(text.split_inclusive(|b| *b == b'\n')) {
        let fault = |why| Fault { line: number, why };
        let line = line
            .strip_suffix(b"\n")
            .ok_or_else(|| fault("is cut off"))?;
        let link: Link = serde_json::from_slice(line)
            .map_err(|_| fault("is no record of a look-up, a JSON object with `prev`"))?;
        if link.prev != chain.head() {
            return Err(fault(if number == 1 {
                "is not the first that was written: lines before it are gone"
            } else {
                "does not follow from the line before it: one of the two was changed, or lines \
                 between them are gone"
            }));
        }
        chain.hashes.push(hash(line));
    }
    Ok(chain)
}

fn hash(line: &[u8]) -> String {
    let digest = Sha256::digest(line);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads a record and follows its lines.
///
/// # Errors
/// The file can't be read, or is no regular file.
pub fn read(path: &Path) -> anyhow::Result<Result<Chain, Fault>> {
    let text = File::open(path)
        .map_err(Into::into)
        .and_then(|file| content(&file));
    let text = text.with_context(|| format!("can't read {}", path.display()))?;
    Ok(follow(&text))
}

/// All of a regular file: what is something else may never end, or keep nothing.
fn content(mut file: &File) -> anyhow::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        bail!("it is no regular file");
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Adds a look-up to the record, on the disk when this returns. The record is locked meanwhile, so
/// that two look-ups at one time follow from each other.
///
/// # Errors
/// The file is no regular file, can't be written, or is broken already.
pub fn append(path: &Path, lookup: &Lookup<'_>) -> anyhow::Result<Chain> {
    write(path, lookup).with_context(|| {
        let path = path.display();
        format!("nothing is answered, since the look-up can't be recorded in {path}")
    })
}

fn write(path: &Path, lookup: &Lookup<'_>) -> anyhow::Result<Chain> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.lock()?;
    let text = content(&file)?;
    let mut chain = follow(&text)
        .context("the record is broken; keep it as it is, and begin another with --audit")?;
    let mut line = serde_json::to_vec(&Line {
        time: format!("{:.3}", jiff::Timestamp::now()),
        lookup,
        prev: chain.head(),
    })?;
    chain.hashes.push(hash(&line));
    line.push(b'\n');
    if let Err(error) = file.write_all(&line) {
        // A part of a line would make the record a broken one.
        file.set_len(text.len() as u64)?;
        return Err(error.into());
    }
    file.sync_all()?;
    if text.is_empty() {
        // The name of a new file is on the disk when its directory is.
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(case: &str) -> Lookup<'_> {
        Lookup {
            command: "find",
            case,
            by: "ann",
            asked: Vec::new(),
            candidates: Some(3),
            reveal: false,
            result: "found",
        }
    }

    /// A record of three look-ups.
    fn record() -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        for (n, case) in [(1, "one"), (2, "two\nlines"), (3, "three")] {
            assert_eq!(append(&path, &lookup(case)).unwrap().lines(), n);
        }
        let text = std::fs::read_to_string(path).unwrap();
        (directory, text)
    }

    #[test]
    fn lines_follow_from_each_other() {
        let (_directory, text) = record();
        let chain = follow(text.as_bytes()).unwrap();
        assert_eq!(chain.lines(), 3);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(chain.head(), hash(lines[2].as_bytes()));
        let json: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(json["prev"], hash(lines[0].as_bytes()));
        assert_eq!(json["case"], "two\nlines");
        let time = json["time"].as_str().unwrap();
        assert!(
            time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'),
            "{time}"
        );
        assert_eq!(follow(b"").unwrap().head(), START);
    }

    #[test]
    fn what_was_changed_or_taken_out_shows() {
        let (_directory, text) = record();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let [one, two, three] = lines[..] else {
            panic!("{text}")
        };
        let changed = two.replace("ann", "bob");
        for (text, line) in [
            ([one, three].concat(), 2),
            ([two, three].concat(), 1),
            ([one, &changed, three].concat(), 3),
            ([one, two, two, three].concat(), 3),
            ([two, one, three].concat(), 1),
            ([one, "\n", two].concat(), 2),
            ([one, "not JSON\n"].concat(), 2),
            ([one, two.trim_end()].concat(), 2),
        ] {
            assert_eq!(follow(text.as_bytes()).unwrap_err().line, line, "{text}");
        }
        // The end may go unseen: this is what the noted hash is for.
        let whole = follow(text.as_bytes()).unwrap();
        let short = follow([one, two].concat().as_bytes()).unwrap();
        assert!(whole.holds(short.head()) && !short.holds(whole.head()));
    }

    #[test]
    fn a_broken_record_is_not_continued() {
        let (directory, text) = record();
        let path = directory.path().join("broken.jsonl");
        std::fs::write(&path, text.trim_end()).unwrap();
        let error = format!("{:#}", append(&path, &lookup("four")).unwrap_err());
        assert!(error.contains("line 3 is cut off"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text.trim_end());
    }

    #[test]
    fn look_ups_at_one_time_follow_from_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        append(&path, &lookup("many")).unwrap();
                    }
                });
            }
        });
        assert_eq!(read(&path).unwrap().unwrap().lines(), 20);
    }

    #[test]
    fn what_keeps_nothing_is_no_record() {
        let directory = tempfile::tempdir().unwrap();
        for path in [
            directory.path(),
            &directory.path().join("nowhere/audit.jsonl"),
            Path::new("/dev/null"),
            Path::new("/dev/full"),
        ] {
            let error = format!("{:#}", append(path, &lookup("one")).unwrap_err());
            let shown = path.display().to_string();
            assert!(
                error.contains("nothing is answered") && error.contains(&shown),
                "{error}"
            );
        }
    }
}
