//! From bytes that nobody vouches for to files.

use std::io::Read;

use flate2::bufread::GzDecoder;
use tar::EntryType;

use super::ArchiveError;
use crate::tree::{Tree, base};

/// Most bytes of an archive.
pub const MOST_PACKED: usize = 32 << 20;
/// Most bytes of what is in it.
pub const MOST_UNPACKED: usize = 128 << 20;
/// How many times its size an archive may expand to, once it is larger than [`ALWAYS`].
pub const MOST_EXPANSION: usize = 100;
/// What may come of any archive, in bytes: small ones are mostly the blanks between files.
pub const ALWAYS: usize = 4 << 20;
/// Most files.
pub const MOST_FILES: usize = 10_000;
/// Most bytes of a name.
const LONGEST_NAME: usize = 1024;

/// The manifest's name.
pub const MANIFEST: &str = ".manifest";
/// The name of the signatures' file.
pub const SIGNATURES: &str = ".signatures.json";

/// All files of an archive, manifest and signatures among them.
pub(super) fn unpack(bytes: &[u8]) -> Result<Tree, ArchiveError> {
    let tar = gunzip(bytes)?;
    let mut files = Tree::default();
    let mut rest = tar.as_slice();
    for entry in tar::Archive::new(&mut rest)
        .entries()
        .map_err(ArchiveError::Tar)?
    {
        let mut entry = entry.map_err(ArchiveError::Tar)?;
        let name = match std::str::from_utf8(&entry.path_bytes()) {
            Ok(name) => self::name(name)?,
            Err(_) => {
                return Err(ArchiveError::Name {
                    name: String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
                    reason: "it is not UTF-8",
                });
            }
        };
        let kind = match entry.header().entry_type() {
            EntryType::Directory => continue,
            EntryType::Regular | EntryType::Continuous => None,
            EntryType::Symlink => Some("a symbolic link"),
            EntryType::Link => Some("a hard link"),
            EntryType::Char | EntryType::Block => Some("a device"),
            EntryType::Fifo => Some("a pipe"),
            EntryType::GNUSparse => Some("a sparse file"),
            _ => Some("of an unknown kind"),
        };
        if let Some(kind) = kind {
            return Err(ArchiveError::Kind { name, kind });
        }
        if name.is_empty() || entry.path_bytes().ends_with(b"/") {
            let reason = "a file can't have it";
            return Err(ArchiveError::Name { name, reason });
        }
        if files.len() >= MOST_FILES {
            return Err(ArchiveError::TooMany(MOST_FILES));
        }
        let most = most(&name);
        if entry.size() > most {
            return Err(ArchiveError::LargeFile { name, most });
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(ArchiveError::Tar)?;
        if usize::try_from(entry.size()).ok() != Some(content.len()) {
            let cut = std::io::ErrorKind::UnexpectedEof.into();
            return Err(ArchiveError::Tar(cut));
        }
        supported(&name)?;
        if files.insert(name.clone(), content).is_some() {
            return Err(ArchiveError::Duplicate(name));
        }
    }
    // Blocks of nothing fill a tar file up.
    if rest.iter().any(|b| *b != 0) {
        return Err(ArchiveError::Trailing(rest.len()));
    }
    Ok(files)
}

/// Most bytes of a file: what is parsed takes many times its size.
fn most(name: &str) -> u64 {
    match base(name) {
        MANIFEST => 1 << 20,
        SIGNATURES => 8 << 20,
        "data.json" => 32 << 20,
        _ => MOST_UNPACKED as u64,
    }
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    if bytes.len() > MOST_PACKED {
        return Err(ArchiveError::TooLarge {
            what: "more",
            most: MOST_PACKED,
        });
    }
    let expanded = bytes.len().saturating_mul(MOST_EXPANSION).max(ALWAYS);
    let most = expanded.min(MOST_UNPACKED);
    let mut rest = bytes;
    let mut tar = Vec::new();
    let mut gzip = GzDecoder::new(&mut rest).take(most as u64 + 1);
    gzip.read_to_end(&mut tar).map_err(ArchiveError::Gzip)?;
    if tar.len() > most {
        return Err(match most {
            MOST_UNPACKED => ArchiveError::TooLarge {
                what: "more when it is unpacked",
                most,
            },
            _ => ArchiveError::Expands(MOST_EXPANSION),
        });
    }
    if !rest.is_empty() {
        return Err(ArchiveError::Trailing(rest.len()));
    }
    Ok(tar)
}

/// The name without the slash that `opa build` puts before it, or the `./` of `tar`.
fn name(full: &str) -> Result<String, ArchiveError> {
    let refused = |reason| ArchiveError::Name {
        name: full.to_owned(),
        reason,
    };
    if full.len() > LONGEST_NAME {
        return Err(refused("it is too long"));
    }
    if full.contains('\\') {
        return Err(refused("it has a backslash"));
    }
    if full.chars().any(char::is_control) {
        return Err(refused("it has a control character"));
    }
    let name = full
        .strip_prefix('/')
        .or_else(|| full.strip_prefix("./"))
        .unwrap_or(full);
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.is_empty() || name == "." {
        return Ok(String::new());
    }
    for part in name.split('/') {
        match part {
            ".." => return Err(refused("it leads out of the bundle")),
            "" | "." => return Err(refused("it has an empty part")),
            _ => {}
        }
    }
    Ok(name.to_owned())
}

/// Refuses what OPA would load and this project does not: left out in silence, it would be missed.
fn supported(name: &str) -> Result<(), ArchiveError> {
    let reason = match base(name) {
        "policy.wasm" => "it is a policy compiled by OPA: build the bundle with `--target rego`",
        "plan.json" => "it is a plan for OPA's compilers: build the bundle with `--target rego`",
        "data.yaml" | "data.yml" => "only JSON is read: write it as data.json",
        "patch.json" => "it is a delta bundle: only whole ones are read",
        _ if name.ends_with(MANIFEST) && name != MANIFEST => "OPA would take it for the manifest",
        _ if name.ends_with("signatures.json") && name != SIGNATURES => {
            "OPA would take it for the signatures"
        }
        _ => return Ok(()),
    };
    Err(ArchiveError::Unsupported {
        name: name.to_owned(),
        reason,
    })
}
