//! The files of a bundle, in memory: read from a policy directory or from an archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::BundleError;

/// The upstream's schema.
pub const SCHEMA: &str = "schema.graphql";
/// How the rules are applied.
pub const SETTINGS: &str = "masking.json";
/// The persisted queries, as Apollo's tools write them.
pub const PERSISTED: &str = "persisted-queries.json";
/// The filters whose code a bundle may carry, as `filters/NAME.wasm`.
pub const FILTERS: [&str; 3] = ["residency", "masking", "guard"];

/// Directories within directories. More are there only where links lead in a circle.
const DEPTH: usize = 32;

/// Files by their names, which are paths with slashes, without one before them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Vec<u8>>);

impl Tree {
    /// Reads those files of a directory that are part of the policy: modules, data, schema, settings
    /// and the filters' code. Hidden files and directories are not. Links are followed.
    ///
    /// # Errors
    /// A file or directory can't be read, is something else (a pipe would have no end), or is data in YAML,
    /// which is not read.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let mut files = Vec::new();
        list(path, DEPTH, &mut files)?;
        let mut tree = Self::default();
        for file in files {
            let inside = file.strip_prefix(path).unwrap_or(&file);
            let parts: Vec<_> = inside
                .components()
                .map(|c| c.as_os_str().to_string_lossy())
                .collect();
            let name = parts.join("/");
            if is_policy(&name) {
                tree.0.insert(name, read(&file)?);
            } else if ["data.yaml", "data.yml"].contains(&base(&name)) {
                return Err(BundleError::Yaml { path: file });
            }
        }
        Ok(tree)
    }

    /// Adds the filters' code from a directory, as far as it is there.
    ///
    /// # Errors
    /// None of the filters is there, or one can't be read.
    pub fn add_filters(&mut self, directory: &Path) -> Result<(), BundleError> {
        let mut found = false;
        for name in FILTERS {
            let path = directory.join(format!("{name}.wasm"));
            match read(&path) {
                Ok(code) => {
                    found = true;
                    self.0.insert(filter_file(name), code);
                }
                Err(BundleError::Read { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if found {
            return Ok(());
        }
        Err(BundleError::NoFilters {
            path: directory.to_owned(),
        })
    }

    /// A file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The code of a filter, if the bundle carries it.
    #[must_use]
    pub fn filter(&self, name: &str) -> Option<&[u8]> {
        self.get(&filter_file(name))
    }

    /// Puts a file in, and returns what stood there.
    pub fn insert(&mut self, name: impl Into<String>, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.0.insert(name.into(), bytes)
    }

    /// All files in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(n, b)| (n.as_str(), b.as_slice()))
    }

    /// All files in the order of their names.
    pub fn into_files(self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.0.into_iter()
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>, B: Into<Vec<u8>>> FromIterator<(N, B)> for Tree {
    fn from_iter<I: IntoIterator<Item = (N, B)>>(files: I) -> Self {
        let files = files.into_iter();
        Self(files.map(|(n, b)| (n.into(), b.into())).collect())
    }
}

fn filter_file(name: &str) -> String {
    format!("filters/{name}.wasm")
}

/// The last part of a file's name.
pub(crate) fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Whether a file is a Rego module.
pub(crate) fn is_module(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e == "rego")
}

/// Whether a file of a policy directory is part of the policy.
fn is_policy(name: &str) -> bool {
    is_module(name)
        || base(name) == "data.json"
        || [SCHEMA, SETTINGS, PERSISTED].contains(&name)
        || FILTERS.iter().any(|f| name == filter_file(f))
}

/// A file's content.
fn read(path: &Path) -> Result<Vec<u8>, BundleError> {
    let unreadable = |source| BundleError::Read {
        path: path.to_owned(),
        source,
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(BundleError::NoFile {
            path: path.to_owned(),
        });
    }
    std::fs::read(path).map_err(unreadable)
}

fn list(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), BundleError> {
    let unreadable = |source| BundleError::Read {
        path: path.to_owned(),
        source,
    };
    let Some(depth) = depth.checked_sub(1) else {
        return Err(BundleError::Deep {
            path: path.to_owned(),
        });
    };
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden {
            continue;
        }
        let path = entry.path();
        // A link that leads nowhere is looked at as a file, whose error names it.
        if std::fs::metadata(&path).is_ok_and(|m| m.is_dir()) {
            list(&path, depth, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_and_what_is_no_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(at("policies/ig")).unwrap();
        std::fs::create_dir(at("elsewhere")).unwrap();
        std::fs::write(at("elsewhere/data.json"), r#"{"acme": {}}"#).unwrap();
        std::fs::write(at("elsewhere/a.rego"), "package a").unwrap();
        // As a mounted ConfigMap: hidden directories, and links into them.
        std::fs::create_dir(at("policies/..2026")).unwrap();
        std::fs::write(at("policies/..2026/b.rego"), "package b").unwrap();
        symlink("..2026", at("policies/..data")).unwrap();
        symlink("..data/b.rego", at("policies/b.rego")).unwrap();
        symlink(at("elsewhere"), at("policies/ig/quarantine")).unwrap();
        std::fs::write(at("policies/notes.txt"), "").unwrap();
        let names = |tree: &Tree| tree.iter().map(|(n, _)| n.to_owned()).collect::<Vec<_>>();
        let tree = Tree::read(&at("policies")).unwrap();
        let want = ["b.rego", "ig/quarantine/a.rego", "ig/quarantine/data.json"];
        assert_eq!(names(&tree), want);

        symlink(at("policies"), at("elsewhere/circle")).unwrap();
        let circle = Tree::read(&at("policies")).unwrap_err().to_string();
        assert!(circle.contains("in a circle"), "{circle}");
        std::fs::remove_file(at("elsewhere/circle")).unwrap();

        symlink("nowhere", at("policies/c.rego")).unwrap();
        let nowhere = Tree::read(&at("policies")).unwrap_err().to_string();
        assert!(nowhere.contains("c.rego"), "{nowhere}");
        std::fs::remove_file(at("policies/c.rego")).unwrap();

        let made = std::process::Command::new("mkfifo")
            .arg(at("policies/d.rego"))
            .status();
        assert!(made.unwrap().success());
        let pipe = Tree::read(&at("policies")).unwrap_err().to_string();
        assert!(
            pipe.contains("d.rego") && pipe.contains("is no file"),
            "{pipe}"
        );
        std::fs::remove_file(at("policies/d.rego")).unwrap();

        std::fs::write(at("policies/ig/data.yaml"), "a: 1").unwrap();
        let yaml = Tree::read(&at("policies")).unwrap_err().to_string();
        assert!(yaml.contains("data.json"), "{yaml}");
    }
}
