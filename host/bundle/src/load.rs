use std::path::{Path, PathBuf};

use engine::config::{
    MaskingConfig, MaskingLimits, MaskingSettings, ResidencyConfig, default_cache_entries,
    default_claims, default_error_codes, strict,
};
use engine::graphql::{self, Document};
use engine::guard::{GuardConfig, GuardLimits, StoreConfig};
use engine::policy::{Module, PolicySource};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::BundleError;
use crate::archive::Archive;
use crate::tree::{self, Tree};

/// A loaded policy directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Where it was read from.
    pub path: PathBuf,
    /// `r-` and 12 hexadecimal digits of the SHA-256 of all that it holds.
    pub revision: String,
    /// Modules and data.
    pub policy: PolicySource,
    /// The schema, as SDL.
    pub schema: String,
    /// How the rules are applied: mode, ways of GraphQL over HTTP, routes (`masking.json`), and the
    /// operations of `persisted-queries.json`.
    pub settings: MaskingSettings,
}

/// The manifest that Apollo's tools write, as far as it is needed.
#[derive(Debug, serde::Deserialize)]
struct Manifest {
    format: String,
    version: u32,
    operations: Vec<PersistedOperation>,
}

#[derive(Debug, serde::Deserialize)]
struct PersistedOperation {
    id: String,
    body: String,
}

impl Bundle {
    /// Reads a directory. Files are taken in the order of their paths, so that the same content
    /// has the same revision everywhere.
    ///
    /// # Errors
    /// A file can't be read or parsed, or data files contradict each other.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        Self::from_tree(path, &Tree::read(path)?)
    }

    /// Reads a directory, or an archive if it is a file. Whoever needs to know who made the archive
    /// has verified it before.
    ///
    /// # Errors
    /// As [`Bundle::read`], or the file is no bundle.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        if !path.is_file() {
            return Self::read(path);
        }
        Self::from_archive(&Archive::read(path)?)
    }

    /// Takes the files of an archive. The revision is that of its content, whatever its manifest says.
    ///
    /// # Errors
    /// As [`Bundle::read`], or it holds no schema, or something outside of its roots.
    pub fn from_archive(archive: &Archive) -> Result<Self, BundleError> {
        let checked = archive.check();
        checked.map_err(|error| match error {
            crate::ArchiveError::Content(error) => *error,
            error => BundleError::Archive {
                path: archive.origin().to_owned(),
                error,
            },
        })?;
        if archive.files().get(tree::SCHEMA).is_none() {
            return Err(BundleError::NoSchema {
                path: archive.origin().to_owned(),
            });
        }
        Self::from_tree(archive.origin(), archive.files())
    }

    /// Takes files that were read from `path`, which stands in errors only.
    ///
    /// # Errors
    /// A file is missing or can't be parsed, or data files contradict each other.
    pub fn from_tree(path: &Path, tree: &Tree) -> Result<Self, BundleError> {
        let policy = policy(path, tree)?;
        if policy.modules.is_empty() {
            return Err(BundleError::NoModules {
                path: path.to_owned(),
            });
        }
        let schema = text(path, tree, tree::SCHEMA)?.to_owned();
        let settings = settings(path, tree)?;
        let revision = revision(&policy, &schema, &settings);
        Ok(Self {
            settings,
            path: path.to_owned(),
            revision,
            policy,
            schema,
        })
    }

    /// The masking filter's configuration for the gateways of a region.
    pub fn masking(&self, region: &str, graphql_paths: &[String]) -> MaskingConfig {
        MaskingConfig {
            revision: self.revision.clone(),
            region: region.to_owned(),
            policy: self.policy.clone(),
            schema: self.schema.clone(),
            graphql_paths: graphql_paths.to_vec(),
            graphql: self.settings.graphql.clone(),
            routes: self.settings.routes.clone(),
            mode: self.settings.mode,
            trusted_headers: [
                engine::residency::CLUSTER_HEADER,
                engine::residency::TENANT_HEADER,
                engine::residency::REGION_HEADER,
                engine::residency::OPERATIONS_HEADER,
                engine::context::CONTEXT_HEADER,
            ]
            .map(str::to_owned)
            .into(),
            claims: default_claims(),
            keys_env: "IG_MASK_KEYS".into(),
            error_codes: default_error_codes(),
            response_headers: Vec::new(),
            limits: MaskingLimits::default(),
        }
    }

    /// The residency filter's configuration for the gateways of a region.
    pub fn residency(
        &self,
        region: &str,
        clusters: &[(String, String)],
        graphql_paths: &[String],
    ) -> ResidencyConfig {
        ResidencyConfig {
            revision: self.revision.clone(),
            region: region.to_owned(),
            policy: self.policy.clone(),
            clusters: clusters.iter().cloned().collect(),
            graphql_paths: graphql_paths.to_vec(),
            claims: default_claims(),
            keys_env: "IG_CONTEXT_KEYS".into(),
            token_lifetime_s: engine::context::LIFETIME_S,
            trace: false,
            cache_entries: default_cache_entries(),
        }
    }

    /// The configuration of a guard in a region, before a store to which a cluster leads.
    pub fn guard(&self, region: &str, store: StoreConfig, cluster: &str) -> GuardConfig {
        GuardConfig {
            revision: self.revision.clone(),
            region: region.to_owned(),
            policy: self.policy.clone(),
            store,
            cluster: cluster.to_owned(),
            keys_env: "IG_CONTEXT_KEYS".into(),
            limits: GuardLimits::default(),
        }
    }
}

/// Modules and data.
pub(crate) fn policy(path: &Path, tree: &Tree) -> Result<PolicySource, BundleError> {
    let mut names: Vec<&str> = tree.iter().map(|(name, _)| name).collect();
    // By the parts of their paths, which is another order than that of their texts.
    names.sort_by(|a, b| Path::new(a).cmp(Path::new(b)));
    let mut policy = PolicySource {
        modules: Vec::new(),
        data: Value::Object(Map::new()),
    };
    for name in names {
        if tree::is_module(name) {
            policy.modules.push(Module {
                path: name.to_owned(),
                text: text(path, tree, name)?.to_owned(),
            });
        } else if tree::base(name) == "data.json" {
            let file = path.join(name);
            let value = text(path, tree, name)?;
            let value = serde_json::from_str(value).map_err(|error| BundleError::Json {
                path: file.clone(),
                error,
            })?;
            let keys = name.split('/').rev().skip(1);
            let value = keys.fold(value, |inner, key| {
                Value::Object(Map::from_iter([(key.to_owned(), inner)]))
            });
            merge(&mut policy.data, value, "")
                .map_err(|key| BundleError::Conflict { path: file, key })?;
        }
    }
    Ok(policy)
}

/// `masking.json` and `persisted-queries.json`, if they are there.
fn settings(path: &Path, tree: &Tree) -> Result<MaskingSettings, BundleError> {
    let file = path.join(tree::SETTINGS);
    let mut settings: MaskingSettings = match tree.get(tree::SETTINGS) {
        None => MaskingSettings::default(),
        Some(_) => strict::from_slice(text(path, tree, tree::SETTINGS)?.as_bytes())
            .map_err(|error| BundleError::Settings { path: file, error })?,
    };
    let file = path.join(tree::PERSISTED);
    if tree.get(tree::PERSISTED).is_some() {
        let manifest = text(path, tree, tree::PERSISTED)?;
        let manifest: Manifest =
            strict::from_slice(manifest.as_bytes()).map_err(|error| BundleError::Settings {
                path: file.clone(),
                error,
            })?;
        if (manifest.format.as_str(), manifest.version) != ("apollo-persisted-query-manifest", 1) {
            return Err(BundleError::Manifest {
                path: file,
                reason: "its format is not apollo-persisted-query-manifest, version 1".into(),
            });
        }
        let limits = MaskingLimits::default();
        let limits = graphql::Limits {
            tokens: limits.query_tokens,
            depth: limits.query_depth,
        };
        for operation in manifest.operations {
            if let Err(error) = Document::parse(&operation.body, limits) {
                return Err(BundleError::Manifest {
                    path: file,
                    reason: format!("the body of the operation `{}`: {error}", operation.id),
                });
            }
            let known = settings
                .graphql
                .manifest
                .insert(operation.id.clone(), operation.body);
            if known.is_some() {
                return Err(BundleError::Manifest {
                    path: file,
                    reason: format!("the id `{}` stands twice", operation.id),
                });
            }
        }
    }
    Ok(settings)
}

/// A file's text.
fn text<'t>(path: &Path, tree: &'t Tree, name: &str) -> Result<&'t str, BundleError> {
    let unreadable = |source| BundleError::Read {
        path: path.join(name),
        source,
    };
    let bytes = tree.get(name);
    let bytes = bytes.ok_or_else(|| unreadable(std::io::ErrorKind::NotFound.into()))?;
    std::str::from_utf8(bytes)
        .map_err(|e| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, e)))
}

/// Lays `from` into `into`; two values for one place are an error, which names the place.
fn merge(into: &mut Value, from: Value, at: &str) -> Result<(), String> {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                let at = if at.is_empty() {
                    key.clone()
                } else {
                    format!("{at}.{key}")
                };
                match into.get_mut(&key) {
                    Some(standing) => merge(standing, value, &at)?,
                    None => {
                        into.insert(key, value);
                    }
                }
            }
            Ok(())
        }
        _ => Err(if at.is_empty() {
            "data".into()
        } else {
            at.to_owned()
        }),
    }
}

fn revision(policy: &PolicySource, schema: &str, settings: &MaskingSettings) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    for module in &policy.modules {
        part(&module.path);
        part(&module.text);
    }
    // serde_json keeps object members sorted, so equal data has one text.
    part(&policy.data.to_string());
    part(schema);
    // What says nothing else than the defaults is as good as not there.
    if *settings != MaskingSettings::default() {
        part(&serde_json::to_string(settings).unwrap_or_default());
    }
    let digest = hash.finalize();
    let hex: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
    format!("r-{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn settings_are_objects_and_manifests_hold_documents() {
        let good = r#"{"format": "apollo-persisted-query-manifest", "version": 1, "operations":
            [{"id": "a", "name": "A", "type": "query", "body": "query A { a }"}]}"#;
        let read = |file: &str, text: &str| {
            let dir = directory(&[
                ("m.rego", "package ig.masking"),
                ("schema.graphql", "type Query { a: Int }"),
                (file, text),
            ]);
            Bundle::read(dir.path())
                .map(|b| b.settings)
                .map_err(|e| e.to_string())
        };
        let manifest = "persisted-queries.json";
        assert_eq!(
            read(manifest, good).unwrap().graphql.manifest["a"],
            "query A { a }"
        );
        let settings = "masking.json";
        let object = "expected an object";
        for (file, text, want) in [
            (settings, "[]", object),
            (settings, r#"["shadow"]"#, object),
            (settings, r#"{"graphql": []}"#, object),
            (settings, r#"{"routes": [["a", "/a"]]}"#, object),
            (manifest, "[]", object),
            (
                manifest,
                r#"["apollo-persisted-query-manifest", 1, []]"#,
                object,
            ),
            (
                manifest,
                &good.replace(r#"{"id""#, r#"["a", "{ a }"], {"id""#),
                object,
            ),
            (
                manifest,
                &good.replace("{ a }", "{ a"),
                "the body of the operation `a`: ",
            ),
        ] {
            let error = read(file, text).expect_err(text);
            assert!(
                error.contains(file) && error.contains(want),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn data_stands_under_the_path_of_its_directory() {
        let dir = directory(&[
            ("ig/m.rego", "package ig.masking"),
            ("ig/data.json", r#"{"a": {"x": 1}}"#),
            ("ig/a/data.json", r#"{"y": 2}"#),
            ("cases/one/input.json", "not even JSON"),
            (".git/data.json", "not even JSON"),
            ("schema.graphql", "type Query { a: Int }"),
        ]);
        let bundle = Bundle::read(dir.path()).unwrap();
        assert_eq!(
            bundle.policy.data,
            serde_json::json!({"ig": {"a": {"x": 1, "y": 2}}})
        );
        assert_eq!(bundle.policy.modules[0].path, "ig/m.rego");
        assert_eq!(Bundle::read(dir.path()).unwrap().revision, bundle.revision);
        std::fs::write(dir.path().join("ig/a/data.json"), r#"{"y": 3}"#).unwrap();
        assert_ne!(Bundle::read(dir.path()).unwrap().revision, bundle.revision);
        std::fs::write(dir.path().join("ig/a/data.json"), r#"{"x": 1}"#).unwrap();
        let error = Bundle::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("`ig.a.x`"), "{error}");
        std::fs::write(dir.path().join("ig/a/data.json"), "{").unwrap();
        let error = Bundle::read(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("ig/a/data.json is not JSON") && error.contains("line 1"),
            "{error}"
        );
    }
}
