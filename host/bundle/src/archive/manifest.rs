//! `.manifest`: the revision, and what part of all data the bundle speaks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::config::strict;
use engine::policy::{PolicySource, package};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ArchiveError;
use crate::tree::Tree;

/// The manifest of a bundle, as far as this project reads it; the rest stays unread.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What people enter about the bundle.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The version of the language of its modules: 1.
    #[serde(default)]
    pub rego_version: Option<u8>,
    /// Modules that are of another version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub file_rego_versions: BTreeMap<String, u8>,
    /// What it is called: of those made here that of its content, `r-…`.
    #[serde(default)]
    pub revision: String,
    /// The paths of packages and data (`a/b`) that it speaks for, it alone; one empty one is all.
    #[serde(default)]
    pub roots: Option<Vec<String>>,
}

impl Manifest {
    /// Reads it.
    ///
    /// # Errors
    /// It is no manifest, of modules in Rego v0, or has roots that overlap.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut manifest: Self =
            strict::from_slice(bytes).map_err(|e| ArchiveError::Manifest(e.to_string()))?;
        let of_files = manifest.file_rego_versions.values().copied();
        if manifest
            .rego_version
            .into_iter()
            .chain(of_files)
            .any(|v| v != 1)
        {
            return Err(ArchiveError::Manifest(
                "its modules, or some of them, are of Rego v0 or of a version that is not known; only v1 is read here: \
                 `opa fmt --rego-v1` rewrites those of v0"
                    .into(),
            ));
        }
        for root in manifest.roots.iter_mut().flatten() {
            *root = root.trim_matches('/').to_owned();
        }
        let roots = manifest.roots();
        for (at, a) in roots.iter().enumerate() {
            for b in roots.iter().skip(at + 1) {
                if contains(a, b) || contains(b, a) {
                    return Err(ArchiveError::Roots((*a).to_owned(), (*b).to_owned()));
                }
            }
        }
        Ok(manifest)
    }

    /// The roots: all there is, where the manifest names none.
    #[must_use]
    pub fn roots(&self) -> Vec<&str> {
        match &self.roots {
            None => vec![""],
            Some(roots) => roots.iter().map(String::as_str).collect(),
        }
    }

    /// Looks whether every package and all data are inside the roots.
    ///
    /// # Errors
    /// One is not, or a file can't be parsed.
    pub(super) fn permits(&self, origin: &Path, files: &Tree) -> Result<(), ArchiveError> {
        let roots = self.roots();
        let outside = |name: &str, what: String| ArchiveError::Outside {
            name: name.to_owned(),
            what,
            roots: format!("[{}]", roots.join(", ")),
        };
        let policy = crate::load::policy(origin, files).map_err(Box::new)?;
        for module in &policy.modules {
            let package = package(module)?;
            if !roots.iter().any(|root| contains(root, &package.join("/"))) {
                let what = format!("the package {}", package.join("."));
                return Err(outside(&module.path, what));
            }
        }
        match stray(&policy.data, "", &roots) {
            None => Ok(()),
            Some(at) => Err(outside("data.json", format!("the data at `{at}`"))),
        }
    }
}

/// The roots that files need: the first parts of their packages and data.
pub(super) fn roots_of(policy: &PolicySource) -> Result<Vec<String>, ArchiveError> {
    let mut roots = BTreeSet::new();
    for module in &policy.modules {
        roots.extend(package(module)?.into_iter().next());
    }
    if let Value::Object(data) = &policy.data {
        roots.extend(data.keys().cloned());
    }
    Ok(roots.into_iter().collect())
}

/// Whether one path is the other, or above it.
fn contains(root: &str, path: &str) -> bool {
    root.is_empty()
        || path
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The first path of data that no root contains and that leads to none.
fn stray(value: &Value, at: &str, roots: &[&str]) -> Option<String> {
    if !at.is_empty() && roots.iter().any(|root| contains(root, at)) || roots.contains(&"") {
        return None;
    }
    let Value::Object(members) = value else {
        return Some(at.to_owned());
    };
    if !at.is_empty() && !roots.iter().any(|root| contains(at, root)) {
        return Some(at.to_owned());
    }
    members.iter().find_map(|(name, value)| {
        let at = match at {
            "" => name.clone(),
            at => format!("{at}/{name}"),
        };
        stray(value, &at, roots)
    })
}
