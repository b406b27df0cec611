//! A policy directory's data, changed by a command.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value};

/// Waits for others that change the section, for as long as what is returned lives: of two that read,
/// change and write at once, one would be lost.
///
/// # Errors
/// The directory can't be made, or not be locked.
pub fn turn(file: &Path) -> anyhow::Result<std::fs::File> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let lock = || -> std::io::Result<std::fs::File> {
        std::fs::create_dir_all(directory)?;
        let directory = std::fs::File::open(directory)?;
        directory.lock()?;
        Ok(directory)
    };
    lock().with_context(|| format!("can't lock {}", directory.display()))
}

/// The entries of a section; none if there is no file.
///
/// # Errors
/// It can't be read, or is no JSON object.
pub fn read(file: &Path) -> anyhow::Result<Map<String, Value>> {
    if std::fs::metadata(file).is_ok_and(|m| !m.is_file()) {
        anyhow::bail!("{} is no file", file.display());
    }
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(e) => return Err(e).with_context(|| format!("can't read {}", file.display())),
    };
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON object", file.display()))
}

/// Replaces the file in one step: whoever reads it sees the old entries or the new ones.
///
/// # Errors
/// It can't be written.
pub fn write(file: &Path, entries: &Map<String, Value>) -> anyhow::Result<()> {
    let replace = || -> std::io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        // A name with a dot before it is no policy data.
        let mut draft = tempfile::Builder::new()
            .prefix(".data-")
            .tempfile_in(directory)?;
        serde_json::to_writer_pretty(&mut draft, entries)?;
        draft.write_all(b"\n")?;
        let mode = std::fs::metadata(file).map(|m| m.permissions());
        draft
            .as_file()
            .set_permissions(mode.unwrap_or_else(|_| readable()))?;
        draft.as_file().sync_all()?;
        draft.persist(file)?;
        std::fs::File::open(directory)?.sync_all()
    };
    replace().with_context(|| format!("can't write {}", file.display()))
}

/// The conductor may run as another user than who changes its policies.
fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
