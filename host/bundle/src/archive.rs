//! A bundle as one file: the format of OPA's bundles, a gzip tar with a manifest and signatures.
//!
//! What is written here is the same to the byte for the same files and key; what is read may come from
//! anybody.

mod error;
mod manifest;
mod pack;
mod signature;
pub(crate) mod structured;
mod unpack;

pub use error::{ArchiveError, VerifyError};
pub use manifest::Manifest;
pub use signature::{Claimed, SignedFile};
use unpack::MOST_PACKED;
pub use unpack::{MANIFEST, SIGNATURES};

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::key::{PublicKeys, SigningKey};
use crate::tree::Tree;
use crate::{Bundle, BundleError};

/// A bundle's archive, unpacked in memory. Its form has been looked at. Whether its signature holds only
/// [`Archive::verify`] says; no rule in it is parsed before that, or before somebody asks for it.
#[derive(Debug, Clone)]
pub struct Archive {
    origin: PathBuf,
    bytes: Vec<u8>,
    digest: String,
    manifest: Manifest,
    files: Tree,
    signatures: Option<Vec<u8>>,
}

/// What a bundle says beside its files.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// The paths of packages and data that it speaks for; if there is none, the first parts of those
    /// that it has.
    pub roots: Vec<String>,
    /// What people enter about it.
    pub metadata: Map<String, Value>,
    /// What it is signed for, which whoever verifies it must ask for.
    pub scope: String,
    /// The time to write into the signature, in seconds since 1970; none if there is none.
    pub source_date: Option<u64>,
}

impl Archive {
    /// Makes a bundle of files, and signs it. The same files, options and key give the same bytes.
    ///
    /// # Errors
    /// The files make no policy, are outside of the roots, or can't be packed.
    pub fn build(
        files: &Tree,
        options: &BuildOptions,
        key: &SigningKey,
    ) -> Result<Self, ArchiveError> {
        let origin = Path::new("the bundle");
        let bundle = Bundle::from_tree(origin, files).map_err(Box::new)?;
        let roots = match options.roots.as_slice() {
            [] => manifest::roots_of(&bundle.policy)?,
            roots => roots.to_vec(),
        };
        let manifest = Manifest {
            metadata: options.metadata.clone(),
            rego_version: Some(1),
            revision: bundle.revision,
            roots: Some(roots),
            ..Manifest::default()
        };
        let manifest = serde_json::to_vec(&manifest);
        let manifest = manifest.map_err(|e| ArchiveError::Manifest(e.to_string()))?;
        let mut files = files.clone();
        files.insert(MANIFEST, manifest);
        // What is signed is what they say: written in that one way there is no other of them.
        let mut files = as_signed(&files).map_err(|e| ArchiveError::Manifest(e.to_string()))?;
        let signatures = signature::sign(&files, &options.scope, options.source_date, key)?;
        files.insert(SIGNATURES, signatures);
        // What is made must be what can be read.
        let archive = Self::parse(&pack::pack(&files)?)?;
        archive.check()?;
        Ok(archive)
    }

    /// Reads an archive's file.
    ///
    /// # Errors
    /// It can't be read, or is no bundle.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let mut archive =
            Self::parse(&Self::bytes_of(path)?).map_err(|error| refused(path, error))?;
        path.clone_into(&mut archive.origin);
        Ok(archive)
    }

    /// Reads the bytes of an archive's file, whatever they are, but no more than an archive may have.
    ///
    /// # Errors
    /// It can't be read, is no file, or has too many.
    pub fn bytes_of(path: &Path) -> Result<Vec<u8>, BundleError> {
        let unreadable = |source| BundleError::Read {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::metadata(path).map_err(unreadable)?;
        if !file.is_file() {
            return Err(BundleError::NoFile {
                path: path.to_owned(),
            });
        }
        if file.len() > MOST_PACKED as u64 {
            let (what, most) = ("more", MOST_PACKED);
            return Err(refused(path, ArchiveError::TooLarge { what, most }));
        }
        std::fs::read(path).map_err(unreadable)
    }

    /// Reads an archive's bytes, whoever made them.
    ///
    /// # Errors
    /// They are no bundle; see [`ArchiveError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut files = Tree::default();
        let mut special = [None, None];
        for (name, content) in unpack::unpack(bytes)?.into_files() {
            match name.as_str() {
                MANIFEST => special[0] = Some(content),
                SIGNATURES => special[1] = Some(content),
                _ => {
                    files.insert(name, content);
                }
            }
        }
        let [manifest, signatures] = special;
        let origin = PathBuf::from("the bundle");
        let text = manifest.ok_or(ArchiveError::NoManifest)?;
        let manifest = Manifest::parse(&text)?;
        files.insert(MANIFEST, text);
        Ok(Self {
            origin,
            digest: structured::hex(&Sha256::digest(bytes)),
            bytes: bytes.to_vec(),
            manifest,
            files,
            signatures,
        })
    }

    /// Parses its modules and data, and looks whether all of them are inside of its roots.
    ///
    /// # Errors
    /// A file can't be parsed, or is outside of the roots.
    pub fn check(&self) -> Result<(), ArchiveError> {
        self.manifest.permits(&self.origin, &self.files)
    }

    /// Whether somebody who is believed has signed exactly these files, without a scope, and they are what
    /// a bundle may hold.
    ///
    /// # Errors
    /// Why not; where a file is at fault it is named.
    pub fn verify(&self, keys: &PublicKeys) -> Result<Verified, VerifyError> {
        self.verify_for("", keys)
    }

    /// As [`Archive::verify`], for a scope.
    ///
    /// # Errors
    /// As there, or it is signed for another scope.
    pub fn verify_for(&self, scope: &str, keys: &PublicKeys) -> Result<Verified, VerifyError> {
        let keyid = signature::verify(self.signatures.as_deref(), &self.files, scope, keys)?;
        self.check()
            .map_err(|e| VerifyError::Content(e.to_string()))?;
        let canonical = as_signed(&self.files).is_ok_and(|mut all| {
            all.insert(SIGNATURES, self.signatures.clone().unwrap_or_default());
            pack::pack(&all).is_ok_and(|bytes| bytes == self.bytes)
        });
        Ok(Verified { keyid, canonical })
    }

    /// What the signature says, if there is one: nothing of it is verified.
    ///
    /// # Errors
    /// It has another form.
    pub fn claimed(&self) -> Result<Option<Claimed>, ArchiveError> {
        self.signatures
            .as_deref()
            .map(signature::claimed)
            .transpose()
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The SHA-256 of its bytes, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its files, the manifest among them, the signatures not.
    #[must_use]
    pub fn files(&self) -> &Tree {
        &self.files
    }

    /// Where it was read from, for errors.
    #[must_use]
    pub fn origin(&self) -> &Path {
        &self.origin
    }
}

/// The files as they are signed: structured ones in one way, all others as they are.
fn as_signed(files: &Tree) -> Result<Tree, serde_json::Error> {
    let written = |(name, bytes)| Ok((name, structured::canonical(name, bytes)?.into_owned()));
    files.iter().map(written).collect()
}

/// A bundle whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The name of the key that signed it.
    pub keyid: String,
    /// Whether its bytes are those that this program makes of these files. Else the files are as signed,
    /// and the archive around them is of another tool, or was changed.
    pub canonical: bool,
}

fn refused(path: &Path, error: ArchiveError) -> BundleError {
    BundleError::Archive {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests;
