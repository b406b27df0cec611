//! Files, read whole and replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::folder::{Contents, ENTRIES};

/// What is in a folder, read while nobody writes to it.
///
/// # Errors
/// The folder or a file can't be read; the path says which.
pub fn read_folder(path: &Path) -> Result<Contents, (PathBuf, io::Error)> {
    let at = |path: &Path, error| (path.to_owned(), error);
    // A writer holds this lock while the files don't fit together. A file system without locks has
    // no writer of ours either.
    let entries = File::open(path.join(ENTRIES)).ok();
    if let Some(entries) = &entries {
        let _ = entries.lock_shared();
    }
    let mut contents = Contents::default();
    for item in fs::read_dir(path).map_err(|e| at(path, e))? {
        let item = item.map_err(|e| at(path, e))?;
        let file = item.path();
        let kind = item.file_type().map_err(|e| at(&file, e))?;
        match item.file_name().into_string() {
            Ok(name) if kind.is_file() => {
                let bytes = fs::read(&file).map_err(|e| at(&file, e))?;
                contents.files.insert(name, bytes);
            }
            Ok(name) => contents.others.push(name),
            Err(name) => contents.others.push(name.to_string_lossy().into_owned()),
        }
    }
    contents.others.sort();
    Ok(contents)
}

/// Reads a file, if it is there.
pub fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name that a file has while it is written.
pub fn unfinished(name: &str) -> String {
    format!(".{name}.new")
}

/// Whether a file was left behind by a write that was cut off.
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".new")
}

/// Replaces a file, so that it is the old or the new one at any time. Whether it is on the disk is
/// asked of [`sync_directory`], if `durable`.
pub fn replace(directory: &Path, name: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
    let unfinished = directory.join(unfinished(name));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&unfinished, directory.join(name))
}

/// Puts the names of a directory's files on the disk.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// All of an open file.
pub fn read_open(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
