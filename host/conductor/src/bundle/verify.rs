//! `bundle verify`

use std::path::Path;

use anyhow::Context;
use bundle::attest::{self, PROVENANCE, SBOM};
use bundle::key::PublicKeys;
use bundle::{Archive, BundleError, VerifyError};
use serde_json::json;

use super::{VerifyArgs, beside, file_name, public_keys};
use crate::End;

/// What was found where all holds.
struct Held {
    archive: Archive,
    keyid: String,
    sbom: bool,
    provenance: bool,
}

pub fn run(args: &VerifyArgs) -> anyhow::Result<End> {
    let keys = public_keys(&args.public_key, args.keyid.as_deref())?;
    let held = match Archive::read(&args.bundle) {
        Ok(archive) => holds(args, archive, &keys)?.map_err(|e| e.to_string()),
        // What is no bundle any more was changed.
        Err(BundleError::Archive { error, .. }) => Err(error.to_string()),
        Err(other) => return Err(other.into()),
    };
    let name = args.bundle.display();
    match held {
        Ok(held) if args.json => {
            let report = json!({
                "holds": true, "keyid": held.keyid, "digest": held.archive.digest(),
                "revision": held.archive.manifest().revision, "files": held.archive.files().len(),
                "sbom": held.sbom, "provenance": held.provenance,
            });
            line!("{report:#}")?;
        }
        Ok(held) => {
            let papers = match (held.sbom, held.provenance) {
                (true, true) => "the bill of materials and the provenance beside it are its own",
                (true, false) => {
                    "the bill of materials beside it is its own; there is no provenance"
                }
                (false, true) => {
                    "the provenance beside it is its own; there is no bill of materials"
                }
                (false, false) => "no bill of materials and no provenance stand beside it",
            };
            line!(
                "{name} holds: revision {}, {} files, signed by {}; {papers}",
                held.archive.manifest().revision,
                held.archive.files().len(),
                held.keyid
            )?;
        }
        Err(reason) if args.json => {
            line!("{:#}", json!({"holds": false, "reason": reason}))?;
            return Ok(End::Failed);
        }
        Err(reason) => {
            line!("{name} does not hold: {reason}")?;
            return Ok(End::Failed);
        }
    }
    Ok(End::Done)
}

/// Whether the bundle and what stands beside it hold.
fn holds(
    args: &VerifyArgs,
    archive: Archive,
    keys: &PublicKeys,
) -> anyhow::Result<Result<Held, VerifyError>> {
    let name = file_name(&args.bundle);
    let sbom = paper(&beside(&args.bundle, SBOM))?;
    let provenance = paper(&beside(&args.bundle, PROVENANCE))?;
    let check = || -> Result<String, VerifyError> {
        let verified = archive.verify_for(&args.scope, keys)?;
        if !verified.canonical && !args.repacked {
            return Err(VerifyError::Repacked);
        }
        for (end, paper) in [(SBOM, &sbom), (PROVENANCE, &provenance)] {
            if args.provenance && paper.is_none() {
                return Err(VerifyError::Beside {
                    name: format!("{name}{end}"),
                    reason: "it is not there".into(),
                });
            }
        }
        attest::verify(
            &archive,
            &name,
            sbom.as_deref(),
            provenance.as_deref(),
            keys,
        )?;
        Ok(verified.keyid)
    };
    Ok(match check() {
        Ok(keyid) => Ok(Held {
            keyid,
            sbom: sbom.is_some(),
            provenance: provenance.is_some(),
            archive,
        }),
        Err(error) => Err(error),
    })
}

/// A file that may be there.
fn paper(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("can't read {}", path.display())),
    }
}
