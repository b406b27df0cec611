//! Last known good snapshots on disk, so that a control plane that knows nothing else still serves them; and
//! what nodes refused, so that it is not offered again because the control plane was restarted.
//!
//! A file a group of each, replaced whole: a crash at any moment leaves the old one or the new one.

mod format;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::resource::Snapshot;
use crate::status::ParkedStatus;

const EXTENSION: &str = "lkg";
const PARKED: &str = "parked";

/// The directory of the files.
#[derive(Clone, Debug)]
pub struct Keep {
    directory: PathBuf,
}

/// What a directory holds.
#[derive(Debug, Default)]
pub struct Kept {
    /// Snapshots by group.
    pub snapshots: Vec<(String, Snapshot)>,
    /// Refusals by group.
    pub parked: Vec<(String, Vec<ParkedStatus>)>,
    /// Files that are none, which are left alone.
    pub broken: Vec<(PathBuf, BrokenFile)>,
}

/// Why a file is no snapshot, and holds no refusals.
#[derive(Debug, Error)]
pub enum BrokenFile {
    /// It can't be read.
    #[error("it can't be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is none of these files.
    #[error("it is no file of this format")]
    Format,
    /// It was changed, or cut off.
    #[error("its content is not what was written: the SHA-256 differs")]
    Hash,
    /// It does not hold what it says.
    #[error("its resources do not have the version that it names")]
    Version,
}

/// Why a snapshot could not be kept.
#[derive(Debug, Error)]
#[error("can't {action} {path:?}")]
pub struct KeepError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Keep {
    /// A directory, which is made when something is kept.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Reads all files.
    pub fn read(&self) -> Kept {
        let mut kept = Kept::default();
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return kept,
            Err(error) => {
                kept.broken.push((self.directory.clone(), error.into()));
                return kept;
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let is = |extension| path.extension().is_some_and(|e| e == extension);
            let added = match (is(EXTENSION), is(PARKED)) {
                (true, _) => self
                    .read_one(&path, EXTENSION, format::decode)
                    .map(|snapshot| kept.snapshots.push(snapshot)),
                (_, true) => self
                    .read_one(&path, PARKED, format::decode_parked)
                    .map(|parked| kept.parked.push(parked)),
                _ => Ok(()),
            };
            if let Err(error) = added {
                kept.broken.push((path, error));
            }
        }
        kept
    }

    fn read_one<T>(
        &self,
        path: &Path,
        extension: &str,
        decode: impl FnOnce(&[u8]) -> Result<(String, T), BrokenFile>,
    ) -> Result<(String, T), BrokenFile> {
        let (group, content) = decode(&fs::read(path)?)?;
        // A copy under another name is another group's.
        match self.path(&group, extension) == path {
            true => Ok((group, content)),
            false => Err(BrokenFile::Format),
        }
    }

    /// Writes a group's snapshot in place of its last one, and waits until it is on the disk.
    ///
    /// # Errors
    /// The disk is full or can't be written; then the last one is there still.
    pub fn write(&self, group: &str, snapshot: &Snapshot) -> Result<(), KeepError> {
        self.replace(
            &self.path(group, EXTENSION),
            &format::encode(group, snapshot),
        )
    }

    /// Writes a group's refusals in place of its last ones, and waits until they are on the disk.
    ///
    /// # Errors
    /// The disk is full or can't be written; then the last ones are there still.
    pub fn write_parked(&self, group: &str, parked: &[ParkedStatus]) -> Result<(), KeepError> {
        let file = format::encode_parked(group, parked);
        self.replace(&self.path(group, PARKED), &file)
    }

    /// Whether there is a file of a group's refusals; what can't be looked at may be there.
    pub fn has_parked(&self, group: &str) -> bool {
        self.path(group, PARKED).try_exists().unwrap_or(true)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), KeepError> {
        let directory = &self.directory;
        fs::create_dir_all(directory).map_err(failed("make", directory))?;
        let draft = path.with_extension("draft");
        let written = File::create(&draft).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
        if let Err(source) = written {
            // What is half there is of no use, and may be what the disk is full of.
            let _ = fs::remove_file(&draft);
            return Err(failed("write", &draft)(source));
        }
        fs::rename(&draft, path).map_err(failed("replace", path))?;
        let directory_file = File::open(directory).and_then(|d| d.sync_all());
        directory_file.map_err(failed("write", directory))
    }

    /// Removes a group's file.
    ///
    /// # Errors
    /// It is there still.
    pub fn remove(&self, group: &str) -> Result<(), KeepError> {
        remove(&self.path(group, EXTENSION))
    }

    /// Removes the file of a group's refusals.
    ///
    /// # Errors
    /// It is there still.
    pub fn remove_parked(&self, group: &str) -> Result<(), KeepError> {
        remove(&self.path(group, PARKED))
    }

    /// The file of a group. What is no letter, digit, dash, underscore or dot of its name is written as
    /// `%XX`, and so is a first dot.
    fn path(&self, group: &str, extension: &str) -> PathBuf {
        let mut name = String::new();
        for (at, byte) in group.bytes().enumerate() {
            let plain = byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if plain || (byte == b'.' && at > 0) {
                name.push(char::from(byte));
            } else {
                name.push_str(&format!("%{byte:02X}"));
            }
        }
        self.directory.join(format!("{name}.{extension}"))
    }
}

fn remove(path: &Path) -> Result<(), KeepError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeepError {
    let path = path.to_owned();
    move |source| KeepError {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;
    use crate::type_url::LISTENER;

    fn snapshot(body: &str) -> Snapshot {
        Snapshot::new([Resource::new(LISTENER, "l", body.as_bytes())]).unwrap()
    }

    #[test]
    fn what_is_kept_is_there_and_what_is_broken_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let keep = Keep::new(directory.path().join("xds"));
        assert!(keep.read().snapshots.is_empty());
        for group in ["eu", "eu@canary", "sidecar/eu", "..", "ü"] {
            keep.write(group, &snapshot("old")).unwrap();
            keep.write(group, &snapshot(group)).unwrap();
        }
        let kept = keep.read();
        assert!(kept.broken.is_empty());
        assert_eq!(kept.snapshots.len(), 5);
        for (group, kept) in kept.snapshots {
            assert_eq!(kept, snapshot(&group));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        fs::write(directory.path().join("xds/eu.lkg"), "xds-lkg 1\n").unwrap();
        let copied = directory.path().join("xds/us.lkg");
        fs::copy(directory.path().join("xds/eu%40canary.lkg"), copied).unwrap();
        keep.remove("ü").unwrap();
        keep.remove("ü").unwrap();
        let kept = keep.read();
        assert_eq!((kept.broken.len(), kept.snapshots.len()), (2, 3));
    }

    #[test]
    fn refusals_are_kept_beside_snapshots() {
        let directory = tempfile::tempdir().unwrap();
        let keep = Keep::new(directory.path());
        let refusal = |error: &str| ParkedStatus {
            type_url: LISTENER.to_owned(),
            resources: [("l".to_owned(), "v1".to_owned())].into(),
            error: error.to_owned(),
            node: "n".to_owned(),
            since_unix_ms: 7,
        };
        keep.write("eu@canary-7", &snapshot("good")).unwrap();
        for parked in [vec![refusal("a")], vec![refusal("b"), refusal("c")]] {
            keep.write_parked("eu@canary-7", &parked).unwrap();
            let kept = keep.read();
            assert!(kept.broken.is_empty());
            assert_eq!(kept.parked, [("eu@canary-7".to_owned(), parked)]);
            assert_eq!(kept.snapshots.len(), 1);
        }
        assert!(keep.has_parked("eu@canary-7") && !keep.has_parked("eu"));
        let file = directory.path().join("eu%40canary-7.parked");
        fs::copy(&file, directory.path().join("eu.parked")).unwrap();
        fs::write(directory.path().join("us.parked"), "xds-parked 1\nx\ny").unwrap();
        // What is of the other kind is none of this.
        fs::copy(directory.path().join("eu%40canary-7.lkg"), &file).unwrap();
        let kept = keep.read();
        assert_eq!((kept.broken.len(), kept.parked.len()), (3, 0));
        keep.remove_parked("eu@canary-7").unwrap();
        keep.remove_parked("eu@canary-7").unwrap();
        assert_eq!(keep.read().snapshots.len(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let keep = Keep::new(directory.path());
        keep.write("eu", &snapshot("good")).unwrap();
        // In the place of the draft there is something that is no file.
        fs::create_dir(directory.path().join("eu.draft")).unwrap();
        let error = keep.write("eu", &snapshot("next")).unwrap_err();
        assert!(error.to_string().contains("eu.draft"), "{error}");
        assert_eq!(keep.read().snapshots[0].1, snapshot("good"));
    }
}
