//! What differs between two bundles, each a directory or an archive.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::schema::{Schema, Shape};
use serde::Serialize;
use serde_json::Value;

use crate::archive::structured::hash;
use crate::replay::{self, Rules};
use crate::tree::Tree;
use crate::{Archive, Bundle, BundleError, MANIFEST, SCHEMA};

/// Names that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// Only the new bundle has them.
    pub added: Vec<String>,
    /// Only the old one has them.
    pub removed: Vec<String>,
    /// Both have them, and they are not the same.
    pub changed: Vec<String>,
}

impl Names {
    /// Whether none differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn of<V: PartialEq>(old: &BTreeMap<String, V>, new: &BTreeMap<String, V>) -> Self {
        let mut names = Self::default();
        let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in all {
            match (old.get(name), new.get(name)) {
                (None, _) => names.added.push(name.clone()),
                (_, None) => names.removed.push(name.clone()),
                (Some(a), Some(b)) if a != b => names.changed.push(name.clone()),
                _ => {}
            }
        }
        names
    }
}

/// A place of the data whose value differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataChange {
    /// `a/b/c`
    pub path: String,
    /// Its value in the old bundle, if it has one.
    pub old: Option<Value>,
    /// Its value in the new one, if it has one.
    pub new: Option<Value>,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The revisions of the old and the new one's content; none of a bundle without a schema.
    pub revisions: [Option<String>; 2],
    /// Files, by what is signed of them. The manifest counts where both have one.
    pub files: Names,
    /// Data, place by place.
    pub data: Vec<DataChange>,
    /// Coordinates of the schema: with their types and what directives mask.
    pub schema: Names,
    /// Settings (`masking.json`, `persisted-queries.json`): name, the old one's, the new one's.
    pub settings: Vec<(String, String, String)>,
    /// What is decided otherwise, by coordinate; none if one of them has no schema.
    pub rules: Option<Rules>,
}

impl Diff {
    /// Whether the two hold the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.files.is_empty()
    }
}

/// One of two bundles.
struct Side {
    files: Tree,
    bundle: Option<Bundle>,
    data: Value,
}

impl Side {
    fn open(path: &Path) -> Result<Self, BundleError> {
        let files = match path.is_file() {
            true => {
                let archive = Archive::read(path)?;
                let checked = archive.check();
                checked.map_err(|error| BundleError::Archive {
                    path: path.to_owned(),
                    error,
                })?;
                archive.files().clone()
            }
            false => Tree::read(path)?,
        };
        let bundle = match files.get(SCHEMA) {
            // A directory without one is none; an archive is one that `opa build` made.
            None if path.is_file() => None,
            _ => Some(Bundle::from_tree(path, &files)?),
        };
        Ok(Self {
            data: crate::load::policy(path, &files)?.data,
            files,
            bundle,
        })
    }

    fn schema(&self) -> BTreeMap<String, String> {
        let schema = self.bundle.as_ref().map(|b| Schema::parse(&b.schema));
        // One that does not parse has no coordinates; its file differs all the same.
        let Some(Ok(schema)) = schema else {
            return BTreeMap::new();
        };
        let mut coordinates = BTreeMap::new();
        for (_, ty) in schema.types() {
            for field in ty.fields() {
                let written = written(&schema, field.shape);
                coordinates.insert(format!("{}.{}", ty.name, field.name), written);
            }
        }
        for directive in schema.directives() {
            if let Some(written) = coordinates.get_mut(&*directive.coordinate) {
                written.push_str(" @mask ");
                written.push_str(directive.strategy.name());
            }
        }
        coordinates
    }
}

/// A field's type as SDL has it.
fn written(schema: &Schema, shape: Shape) -> String {
    let named = schema.get(shape.named).map_or("", |t| &t.name);
    let mut text = named.to_owned();
    for depth in (0..=shape.lists).rev() {
        if depth < shape.lists {
            text = format!("[{text}]");
        }
        if !shape.nullable_at(depth) {
            text.push('!');
        }
    }
    text
}

/// Compares two bundles, each a directory or an archive.
///
/// # Errors
/// One of them can't be read, or does not load.
pub fn diff(old: &Path, new: &Path) -> Result<Diff, BundleError> {
    let (old, new) = (Side::open(old)?, Side::open(new)?);
    let both = [&old, &new].iter().all(|s| s.files.get(MANIFEST).is_some());
    let files = |side: &Side| -> BTreeMap<String, String> {
        let files = side.files.iter().filter(|(n, _)| both || *n != MANIFEST);
        files
            .map(|(n, b)| (n.to_owned(), hash(n, b).unwrap_or_default()))
            .collect()
    };
    let mut data = Vec::new();
    differences(Some(&old.data), Some(&new.data), "", &mut data);
    let (settings, rules) = match (&old.bundle, &new.bundle) {
        (Some(old), Some(new)) => (
            replay::settings(old, new),
            Some(replay::compare_callers(old, new)?),
        ),
        _ => (Vec::new(), None),
    };
    Ok(Diff {
        revisions: [&old, &new].map(|s| s.bundle.as_ref().map(|b| b.revision.clone())),
        files: Names::of(&files(&old), &files(&new)),
        data,
        schema: Names::of(&old.schema(), &new.schema()),
        settings,
        rules,
    })
}

fn differences(old: Option<&Value>, new: Option<&Value>, at: &str, found: &mut Vec<DataChange>) {
    if old == new {
        return;
    }
    let (Some(Value::Object(a)), Some(Value::Object(b))) = (old, new) else {
        found.push(DataChange {
            path: at.to_owned(),
            old: old.cloned(),
            new: new.cloned(),
        });
        return;
    };
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        let at = match at {
            "" => name.clone(),
            at => format!("{at}/{name}"),
        };
        differences(a.get(name), b.get(name), &at, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::key;
    use crate::{Archive, BuildOptions};

    fn policies() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
    }

    #[test]
    fn a_directory_and_its_archive_are_the_same() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("bundle.tar.gz");
        let files = Tree::read(&policies()).unwrap();
        let archive = Archive::build(&files, &BuildOptions::default(), &key()).unwrap();
        std::fs::write(&file, archive.bytes()).unwrap();
        let diff = diff(&policies(), &file).unwrap();
        assert!(diff.is_same(), "{diff:?}");
        assert!(diff.data.is_empty() && diff.schema.is_empty() && diff.settings.is_empty());
        let rules = diff.rules.unwrap();
        assert!(rules.is_empty() && rules.asked > 100);
        assert_eq!(diff.revisions[0], diff.revisions[1]);
    }

    #[test]
    fn what_differs_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let mut files = Tree::read(&policies()).unwrap();
        let text = |files: &Tree, name: &str| {
            String::from_utf8(files.get(name).unwrap().to_vec()).unwrap()
        };
        let fields = text(&files, "ig/fields/data.json");
        let mut fields: Value = serde_json::from_str(&fields).unwrap();
        fields["Person.salary"]["strategy"] = "partial".into();
        files.insert("ig/fields/data.json", fields.to_string().into_bytes());
        let schema = text(&files, SCHEMA) + "\nextend type Query { extra: [String!] }\n";
        files.insert(SCHEMA, schema.into_bytes());
        files.insert("ig/extra.rego", b"package ig.extra\n".to_vec());
        for (name, bytes) in files.iter() {
            let path = scratch.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let diff = diff(&policies(), scratch.path()).unwrap();
        assert!(!diff.is_same());
        assert_eq!(diff.files.added, ["ig/extra.rego"]);
        assert_eq!(
            diff.files.changed,
            ["ig/fields/data.json", "schema.graphql"]
        );
        assert_eq!(diff.data.len(), 1);
        assert_eq!(diff.data[0].path, "ig/fields/Person.salary/strategy");
        assert_eq!(diff.schema.added, ["Query.extra"]);
        let rules = diff.rules.unwrap();
        let loosened: Vec<&str> = rules.loosened.iter().map(|c| &*c.coordinate).collect();
        assert!(
            loosened.iter().all(|c| *c == "Person.salary"),
            "{loosened:?}"
        );
        assert!(rules.loosened[0].new.starts_with("partial"), "{rules:?}");
        assert!(rules.loosened[0].examples[0].contains("role"), "{rules:?}");
    }
}
