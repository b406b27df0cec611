//! The packages of the Node.js scripts, installed from their lock file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

/// The oldest Node.js that the packages run on.
const NODE: u32 = 20;

/// Why there are no servers.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A program is not there.
    #[error(
        "these tests run real GraphQL servers and need Node.js {NODE} with npm: `{program}` can't be run"
    )]
    Missing {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Node.js is there, but not one that will do.
    #[error("these tests need Node.js {NODE} or newer: `node --version` says `{0}`")]
    Old(String),
    /// npm failed.
    #[error("`npm ci` in {} failed:\n{output}", .directory.display())]
    Install {
        /// Where it ran.
        directory: PathBuf,
        /// What it said.
        output: String,
    },
    /// A script did not say where it serves.
    #[error("{script} did not start:\n{output}")]
    Start {
        /// The script.
        script: &'static str,
        /// What it said.
        output: String,
    },
    /// A file can't be read or written.
    #[error("can't {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NodeError {
    let path = path.to_owned();
    move |source| NodeError::Io {
        action,
        path,
        source,
    }
}

/// The scripts and what they are installed from.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

/// The folder to run scripts in: a copy of them beside the installed packages of this set (a folder
/// of `node/` with a lock file, or `.`). Installs once for each content of the lock file; whoever
/// comes meanwhile waits.
///
/// # Errors
/// Node.js or npm is missing, or a step fails.
pub(crate) fn ready(set: &str, target: &Path) -> Result<PathBuf, NodeError> {
    check_node()?;
    let from = source().join(set);
    let home = target.join("apollo");
    fs::create_dir_all(&home).map_err(failed("make", &home))?;
    let turn = home.join("turn.lock");
    let turn = fs::File::create(&turn).map_err(failed("make", &turn))?;
    turn.lock().map_err(failed("lock", &home))?;

    let manifests = ["package.json", "package-lock.json"].map(|name| from.join(name));
    let installed = home.join(digest(&manifests)?);
    if !installed.exists() {
        let draft = home.join("draft");
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(failed("remove", &draft))?;
        }
        copy(&manifests, &draft)?;
        install(&draft)?;
        fs::rename(&draft, &installed).map_err(failed("make", &installed))?;
    }
    let scripts = scripts()?;
    let run = installed.join(digest(&scripts)?);
    if !run.exists() {
        let draft = installed.join("draft");
        copy(&scripts, &draft)?;
        fs::rename(&draft, &run).map_err(failed("make", &run))?;
    }
    Ok(run)
}

fn check_node() -> Result<(), NodeError> {
    let output = Command::new("node").arg("--version").output();
    let output = output.map_err(|source| NodeError::Missing {
        program: "node",
        source,
    })?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= NODE => Ok(()),
        _ => Err(NodeError::Old(version)),
    }
}

fn install(directory: &Path) -> Result<(), NodeError> {
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| NodeError::Missing {
            program: "npm",
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(NodeError::Install {
        directory: directory.to_owned(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The scripts and their data.
fn scripts() -> Result<Vec<PathBuf>, NodeError> {
    let from = source();
    let mut files = vec![from.join("data.json")];
    for entry in fs::read_dir(&from).map_err(failed("read", &from))? {
        let path = entry.map_err(failed("read", &from))?.path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The start of a digest of the files' content, in hexadecimal.
fn digest(files: &[PathBuf]) -> Result<String, NodeError> {
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(file).map_err(failed("read", file))?;
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    let hash = hash.finalize();
    Ok(hash[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn copy(files: &[PathBuf], to: &Path) -> Result<(), NodeError> {
    fs::create_dir_all(to).map_err(failed("make", to))?;
    for file in files {
        if let Some(name) = file.file_name() {
            fs::copy(file, to.join(name)).map_err(failed("copy", file))?;
        }
    }
    Ok(())
}
