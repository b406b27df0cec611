//! The folder of a log: its files, and what must be in those that follow from it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `entries.jsonl` | the entries of the log, one a line: all proofs of all tenants and periods |
//! | `checkpoint` | size and root of their tree, signed |
//! | `conductor.pub` | the key in force (SPKI PEM) |
//! | `KEYID.pub` | a key that handed over |
//! | `TENANT.proof.json` | the tenant's latest proof |
//! | `TENANT.payload.json` | its signed bytes |
//! | `TENANT.sig` | its signature: the base64 of the DER |
//! | `TENANT.sigstore.json` | its sigstore bundle |
//!
//! There is no list of the files: all but the first two follow from the log byte for byte, so that a
//! file that is changed, missing or foreign shows.

use std::collections::BTreeMap;

use crate::error::CanonicalError;
use crate::key::{KeyError, PublicKey};
use crate::log::{History, Tenant};
use crate::residency;

/// The entries of the log.
pub const ENTRIES: &str = "entries.jsonl";
/// The checkpoint of the log.
pub const CHECKPOINT: &str = "checkpoint";
/// The key in force.
pub const PUBLIC_KEY: &str = "conductor.pub";

/// The longest name of a file that file systems take, without the longest ending of ours and what a
/// file has while it is written.
const LONGEST_STEM: usize = 220;

/// Files and what is in them, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What is in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its regular files.
    pub files: Files,
    /// What else is there: directories, links, devices, and names that are not UTF-8.
    pub others: Vec<String>,
}

/// The name that the files of a tenant begin with: its own, where bytes other than letters, digits,
/// `-`, `_` and inner dots are written as `%` and two hexadecimal digits. None, where that is empty or
/// too long for the name of a file.
#[must_use]
pub fn stem(tenant: &str) -> Option<String> {
    let mut stem = String::new();
    for (n, byte) in tenant.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && n > 0) {
            stem.push(char::from(byte));
        } else {
            stem.push_str(&format!("%{byte:02X}"));
        }
    }
    (!stem.is_empty() && stem.len() <= LONGEST_STEM).then_some(stem)
}

/// The file of a key that handed over.
#[must_use]
pub fn retired_key(key: &PublicKey) -> String {
    format!("{}.pub", key.id())
}

/// The files of a tenant's latest proof.
///
/// # Errors
/// The proof can't be written as JSON.
pub fn of_tenant(tenant: &Tenant) -> Result<Files, CanonicalError> {
    let proof = &tenant.proof;
    let Some(stem) = stem(&proof.statement.tenant) else {
        return Ok(Files::new());
    };
    let payload = proof.payload()?;
    let mut readable = serde_json::to_vec_pretty(proof).map_err(CanonicalError)?;
    readable.push(b'\n');
    let signature = proof.signature.base64() + "\n";
    let bundle = residency::bundle(&payload, &proof.signature, &tenant.key);
    Ok(Files::from([
        (format!("{stem}.proof.json"), readable),
        (format!("{stem}.payload.json"), payload),
        (format!("{stem}.sig"), signature.into_bytes()),
        (
            format!("{stem}.sigstore.json"),
            bundle.map_err(CanonicalError)?,
        ),
    ]))
}

/// The files of the keys.
///
/// # Errors
/// A key can't be written.
pub fn of_keys(history: &History) -> Result<Files, KeyError> {
    let mut files = Files::from([(PUBLIC_KEY.to_owned(), history.key().to_pem()?.into_bytes())]);
    for key in history.retired() {
        files.insert(retired_key(key), key.to_pem()?.into_bytes());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_names_its_files_and_no_other() {
        for (tenant, want) in [
            ("acme", Some("acme")),
            ("acme-2.eu_X", Some("acme-2.eu_X")),
            (".hidden", Some("%2Ehidden")),
            ("../../etc/passwd", Some("%2E.%2F..%2Fetc%2Fpasswd")),
            ("a%2Fb", Some("a%252Fb")),
            ("zürich", Some("z%C3%BCrich")),
            ("a b\n", Some("a%20b%0A")),
            ("", None),
        ] {
            assert_eq!(stem(tenant).as_deref(), want, "{tenant}");
        }
        assert!(stem(&"x".repeat(LONGEST_STEM)).is_some());
        assert_eq!(stem(&"x".repeat(LONGEST_STEM + 1)), None);
    }
}
