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

/// Files by their names, which are paths with slashes, without one before them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Vec<u8>>);

impl Tree {
    /// Reads those files of a directory that are part of the policy: modules, data, schema, settings
    /// and the filters' code. Hidden files and directories are not.
    ///
    /// # Errors
    /// A file or directory can't be read.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let mut files = Vec::new();
        list(path, &mut files)?;
        let mut tree = Self::default();
        for file in files {
            let inside = file.strip_prefix(path).unwrap_or(&file);
            let parts: Vec<_> = inside
                .components()
                .map(|c| c.as_os_str().to_string_lossy())
                .collect();
            let name = parts.join("/");
            if is_policy(&name) {
                let bytes = std::fs::read(&file).map_err(|source| BundleError::Read {
                    path: file.clone(),
                    source,
                })?;
                tree.0.insert(name, bytes);
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
            match std::fs::read(&path) {
                Ok(code) => {
                    found = true;
                    self.0.insert(filter_file(name), code);
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(BundleError::Read { path, source }),
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

fn list(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), BundleError> {
    let unreadable = |source| BundleError::Read {
        path: path.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() && !hidden {
            list(&entry.path(), files)?;
        } else if !hidden {
            files.push(entry.path());
        }
    }
    Ok(())
}
