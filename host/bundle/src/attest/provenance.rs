//! How a bundle was made: an in-toto Statement (in-toto/attestation, spec/v1/statement.md) whose
//! predicate is SLSA provenance v1 (slsa.dev/spec/v1.0/provenance).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::archive::structured::hex;
use crate::json::{member, put};
use crate::{Archive, BuildOptions};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// What kind of build it is; `externalParameters` are `metadata`, `roots`, `scope` and `sourceDate`, and
/// `resolvedDependencies` the files that went in.
pub const BUILD_TYPE: &str = "urn:x-ig:bundle-build:v1";
/// Who builds: `conductor bundle build`, wherever it runs.
pub const BUILDER: &str = "urn:x-ig:conductor";

/// A file that went into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in the bundle.
    pub name: String,
    /// The SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

impl Source {
    /// All files of a directory, in the order of their names.
    #[must_use]
    pub fn of(files: &crate::Tree) -> Vec<Self> {
        let source = |(name, bytes): (&str, &[u8])| Self {
            name: name.to_owned(),
            sha256: hex(&Sha256::digest(bytes)),
        };
        files.iter().map(source).collect()
    }
}

pub(super) fn statement(
    archive: &Archive,
    name: &str,
    sbom: &[u8],
    sources: &[Source],
    options: &BuildOptions,
    keyid: &str,
) -> Value {
    let file = |name: &str, sha256: &str| json!({"name": name, "digest": {"sha256": sha256}});
    let dependencies: Vec<Value> = sources.iter().map(|s| file(&s.name, &s.sha256)).collect();
    let mut parameters = json!({"metadata": options.metadata, "roots": archive.manifest().roots()});
    if !options.scope.is_empty() {
        put(&mut parameters, "scope", options.scope.as_str());
    }
    let mut metadata = json!({"invocationId": archive.manifest().revision});
    if let Some(date) = options.source_date {
        put(&mut parameters, "sourceDate", date);
        let date = super::sbom::moment(date);
        put(&mut metadata, "startedOn", date.as_str());
        put(&mut metadata, "finishedOn", date);
    }
    json!({
        "_type": STATEMENT,
        "subject": [file(name, archive.digest())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters,
                "internalParameters": {"keyid": keyid},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"conductor": env!("CARGO_PKG_VERSION")}},
                "metadata": metadata,
                "byproducts": [file(&format!("{name}{}", super::SBOM), &hex(&Sha256::digest(sbom)))],
            },
        },
    })
}

pub(super) fn check(
    statement: &[u8],
    archive: &Archive,
    sbom_name: &str,
    sbom: Option<&[u8]>,
) -> Result<(), String> {
    let statement: Value =
        serde_json::from_slice(statement).map_err(|e| format!("it holds no statement: {e}"))?;
    for (pointer, want) in [
        ("/_type", STATEMENT),
        ("/predicateType", PREDICATE),
        ("/predicate/buildDefinition/buildType", BUILD_TYPE),
        ("/predicate/runDetails/builder/id", BUILDER),
    ] {
        let seen = statement.pointer(pointer).unwrap_or(&Value::Null);
        if seen != want {
            return Err(format!("its {pointer} is {seen}, not {want}"));
        }
    }
    let digest = |of: &Value| {
        let digest = member(member(of, "digest"), "sha256");
        digest.as_str().map(str::to_owned)
    };
    let subjects = member(&statement, "subject").as_array().map(Vec::as_slice);
    let Some([subject]) = subjects else {
        return Err("it must be about one file".into());
    };
    if digest(subject).as_deref() != Some(archive.digest()) {
        return Err("it is about another bundle".into());
    }
    let byproducts = statement.pointer("/predicate/runDetails/byproducts");
    let byproducts = byproducts.and_then(Value::as_array);
    let named = byproducts.into_iter().flatten().find(|b| {
        member(b, "name")
            .as_str()
            .is_some_and(|n| n.ends_with(super::SBOM))
    });
    if let (Some(named), Some(sbom)) = (named, sbom)
        && digest(named) != Some(hex(&Sha256::digest(sbom)))
    {
        return Err(format!("it names another {sbom_name}"));
    }
    Ok(())
}
