//! The record of issued warrants: a JSON line each, with the claims and not the warrant itself.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use engine::warrant::Warrant;
use serde::{Deserialize, Serialize};

/// One issued warrant.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issued {
    /// When it was written, in UTC.
    pub issued_at: String,
    /// What it says.
    pub claims: Warrant,
}

/// Adds a line, and returns when it is on the disk.
///
/// # Errors
/// It can't be written.
pub fn add(file: &Path, issued: &Issued) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut line = serde_json::to_vec(issued)?;
        line.push(b'\n');
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(file)?;
        file.write_all(&line)?;
        file.sync_all()
    };
    write().with_context(|| format!("can't add to the ledger {}", file.display()))
}

/// Reads all lines.
///
/// # Errors
/// One of them is none; the error names it.
pub fn read(file: &Path) -> anyhow::Result<Vec<Issued>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("can't read the ledger {}", file.display()))?;
    (1..)
        .zip(text.lines())
        .map(|(number, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}, line {number}, is no issued warrant", file.display()))
        })
        .collect()
}
