//! What stands beside a bundle: its bill of materials, and the statement of how it was made.
//!
//! The statement is signed by the bundle's key and names the archive and the bill by their hashes.

mod dsse;
mod provenance;
mod sbom;

pub use dsse::{Envelope, pae};
pub use provenance::{BUILD_TYPE, BUILDER, Source};

use crate::archive::VerifyError;
use crate::key::{PublicKeys, SigningKey};
use crate::{Archive, ArchiveError, BuildOptions};

/// What the name of the bill of materials ends with, behind the bundle's own.
pub const SBOM: &str = ".cdx.json";
/// What the name of the provenance ends with, behind the bundle's own.
pub const PROVENANCE: &str = ".intoto.json";

/// The two files beside a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// CycloneDX 1.6 in JSON.
    pub sbom: Vec<u8>,
    /// An in-toto Statement v1 with SLSA provenance v1, in a DSSE envelope.
    pub provenance: Vec<u8>,
}

/// Writes what stands beside a bundle of the file name `name`, which was made of `sources`. The same
/// bundle, options and key give the same bytes.
///
/// # Errors
/// Something can't be written as JSON.
pub fn attest(
    archive: &Archive,
    name: &str,
    sources: &[Source],
    options: &BuildOptions,
    key: &SigningKey,
) -> Result<Beside, ArchiveError> {
    let written = |e: serde_json::Error| ArchiveError::Manifest(e.to_string());
    let lines = |value: &serde_json::Value| -> Result<Vec<u8>, ArchiveError> {
        let mut text = serde_json::to_vec_pretty(value).map_err(written)?;
        text.push(b'\n');
        Ok(text)
    };
    let sbom = lines(&sbom::sbom(archive, name, options.source_date))?;
    let statement = provenance::statement(archive, name, &sbom, sources, options, key.id());
    let statement = serde_json::to_vec(&statement).map_err(written)?;
    let envelope = dsse::sign(&statement, key);
    Ok(Beside {
        provenance: lines(&serde_json::to_value(envelope).map_err(written)?)?,
        sbom,
    })
}

/// Checks what stands beside a bundle of the file name `name`, as far as it is there. The bill by
/// itself is nobody's word: it must say what is in the bundle, and be the one that the provenance names.
///
/// # Errors
/// One of them can't be read, is not signed by somebody who is believed, or is of another bundle.
pub fn verify(
    archive: &Archive,
    name: &str,
    sbom: Option<&[u8]>,
    provenance: Option<&[u8]>,
    keys: &PublicKeys,
) -> Result<(), VerifyError> {
    let beside = |end: &str| {
        let name = format!("{name}{end}");
        move |reason: String| VerifyError::Beside { name, reason }
    };
    if let Some(text) = sbom {
        sbom::check(archive, text).map_err(beside(SBOM))?;
    }
    let Some(text) = provenance else {
        return Ok(());
    };
    let check = || {
        let statement = dsse::open(text, keys)?;
        provenance::check(&statement, archive, &format!("{name}{SBOM}"), sbom)
    };
    check().map_err(beside(PROVENANCE))
}

#[cfg(test)]
mod tests;
