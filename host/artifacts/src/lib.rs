//! Building the filters from source, as the demo and the tests need them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    /// The build failed; cargo has said why on standard error.
    #[error(
        "building the filters failed: see cargo's message above (the target wasm32-wasip1 comes \
         with `rustup target add wasm32-wasip1`)"
    )]
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
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(&cargo);
    command
        .current_dir(checkout)
        .args(["build", "--quiet", "--locked", "--profile", "filter"])
        .args(["--target", "wasm32-wasip1", "--target-dir"])
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
            let path = target.join(format!("wasm32-wasip1/filter/{package}.wasm"));
            if path.is_file() {
                Ok(path)
            } else {
                Err(ArtifactError::Missing(path))
            }
        })
        .collect()
}
