//! Building the filters from source, as the demo and the tests need them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the filters are built for.
const TARGET: &str = "wasm32-wasip1";

/// Why there are no filters.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// This is not a checkout.
    #[error("{0} is not a checkout of this repository: run the command inside one")]
    NoCheckout(PathBuf),
    /// Cargo could not be started.
    #[error("can't run `{command}`: is cargo installed?")]
    Start {
        /// The program.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// The toolchain has no Wasm target, and `rustup` did not bring it.
    #[error("the toolchain has no target {TARGET}: run `rustup target add {TARGET}` in {0}")]
    NoTarget(PathBuf),
    /// The place for the filters can't be written.
    #[error("can't write in {}", .path.display())]
    Write {
        /// The place.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The build failed; cargo has said why on standard error.
    #[error("building the filters failed: see cargo's message above")]
    Build,
    /// The build succeeded and the file is not there.
    #[error("the build left no {0}")]
    Missing(PathBuf),
}

/// The checkout around a directory: the nearest one above it that holds `filters/engine`.
///
/// # Errors
/// There is none.
pub fn checkout(from: &Path) -> Result<PathBuf, ArtifactError> {
    from.ancestors()
        .find(|dir| dir.join("filters/engine/Cargo.toml").is_file())
        .map(Path::to_owned)
        .ok_or_else(|| ArtifactError::NoCheckout(from.to_owned()))
}

/// Builds filters (packages of the workspace) and returns the paths of their modules, in order.
/// They have a target directory of their own, so that a build that is under way is not waited for.
///
/// # Errors
/// The build fails.
pub fn build_filters(checkout: &Path, packages: &[&str]) -> Result<Vec<PathBuf>, ArtifactError> {
    let target = checkout.join("target/filters");
    ensure_target(checkout)?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(&cargo);
    command
        .current_dir(checkout)
        .args(["build", "--quiet", "--locked", "--profile", "filter"])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target)
        .args(packages.iter().flat_map(|p| ["--package", p]))
        // What is set for the host's build does not fit the filters'.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET")
        .stdin(Stdio::null());
    let status = command.status().map_err(|source| ArtifactError::Start {
        command: cargo,
        source,
    })?;
    if !status.success() {
        return Err(ArtifactError::Build);
    }
    packages
        .iter()
        .map(|package| {
            let path = target.join(format!("{TARGET}/filter/{package}.wasm"));
            if path.is_file() {
                Ok(path)
            } else {
                Err(ArtifactError::Missing(path))
            }
        })
        .collect()
}

/// Has the Wasm target installed. `rust-toolchain.toml` asks for it, but rustup heeds that only where
/// it installs the toolchain itself, or is allowed to.
///
/// # Errors
/// It is not there and rustup can't bring it.
pub fn ensure_target(checkout: &Path) -> Result<(), ArtifactError> {
    if has_target(checkout) {
        return Ok(());
    }
    let place = checkout.join("target");
    let write = |source| ArtifactError::Write {
        path: place.clone(),
        source,
    };
    std::fs::create_dir_all(&place).map_err(write)?;
    // One at a time: rustup does not wait for another.
    let lock = File::create(place.join(".rustup")).map_err(write)?;
    lock.lock().map_err(write)?;
    if has_target(checkout) {
        return Ok(());
    }
    let added = Command::new("rustup")
        .current_dir(checkout)
        .args(["target", "add", TARGET])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match added {
        Ok(status) if status.success() && has_target(checkout) => Ok(()),
        _ => Err(ArtifactError::NoTarget(checkout.to_owned())),
    }
}

/// Copies a directory, whole: what a demo or a test changes is its own.
///
/// # Errors
/// It can't be read, or the copy not be written.
pub fn copy_directory(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn has_target(checkout: &Path) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .current_dir(checkout)
        .args(["--print", "target-libdir", "--target", TARGET])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        let path = String::from_utf8_lossy(&output.stdout);
        output.status.success() && Path::new(path.trim()).is_dir()
    })
}
