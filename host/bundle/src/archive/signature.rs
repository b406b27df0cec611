//! `.signatures.json`: one JWT (RFC 7519) by ES256 (RFC 7518, section 3.4) that lists all files with
//! their hashes.
//!
//! As OPA documents it (open-policy-agent/opa, docs "Bundles", "Signing"): the payload's `files` has
//! `name`, `hash` and `algorithm` of each file but `.signatures.json`, names without a slash before
//! them; the key's name is the header's `kid`, and the claim `keyid` for older ones.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::config::strict;
use p256::ecdsa::Signature;
use serde::{Deserialize, Serialize};

use super::structured::hash;
use super::{ArchiveError, VerifyError};
use crate::key::{PublicKeys, SigningKey};
use crate::tree::Tree;

const ALGORITHM: &str = "ES256";
const HASH: &str = "SHA-256";

#[derive(Debug, Serialize, Deserialize)]
struct Signatures {
    signatures: Vec<String>,
    /// Who else could verify them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    plugin: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    files: Vec<SignedFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
}

/// A file as it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedFile {
    /// Its name.
    pub name: String,
    /// The hash of its bytes, or of what they say where they are structured; hexadecimal.
    pub hash: String,
    /// `SHA-256`.
    pub algorithm: String,
}

/// What a signature says, whether or not it is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claimed {
    /// The name of the key.
    pub keyid: String,
    /// The algorithm.
    pub algorithm: String,
    /// What it is signed for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The files.
    pub files: Vec<SignedFile>,
}

/// The content of `.signatures.json` for these files.
pub(super) fn sign(
    files: &Tree,
    scope: &str,
    issued: Option<u64>,
    key: &SigningKey,
) -> Result<Vec<u8>, ArchiveError> {
    let file = |(name, bytes): (&str, &[u8])| -> Result<SignedFile, ArchiveError> {
        Ok(SignedFile {
            name: name.to_owned(),
            hash: hash(name, bytes).map_err(|e| not_json(name, &e))?,
            algorithm: HASH.to_owned(),
        })
    };
    let header = Header {
        alg: ALGORITHM.into(),
        kid: Some(key.id().to_owned()),
        typ: Some("JWT".into()),
    };
    let payload = Payload {
        files: files.iter().map(file).collect::<Result<_, _>>()?,
        iat: issued,
        keyid: Some(key.id().to_owned()),
        scope: scope.to_owned(),
    };
    let written = |e: serde_json::Error| ArchiveError::Signatures(e.to_string());
    let part = |json: serde_json::Result<Vec<u8>>| -> Result<String, ArchiveError> {
        Ok(URL_SAFE_NO_PAD.encode(json.map_err(written)?))
    };
    let signed = format!(
        "{}.{}",
        part(serde_json::to_vec(&header))?,
        part(serde_json::to_vec(&payload))?
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
    let signatures = Signatures {
        signatures: vec![format!("{signed}.{signature}")],
        plugin: String::new(),
    };
    serde_json::to_vec(&signatures).map_err(written)
}

fn not_json(name: &str, error: &serde_json::Error) -> ArchiveError {
    ArchiveError::Signatures(format!("`{name}` is no JSON: {error}"))
}

/// The parts of the only token.
struct Token {
    signed: String,
    header: Header,
    payload: Payload,
    signature: Signature,
}

impl Token {
    fn parse(file: &[u8]) -> Result<Self, String> {
        let Signatures { signatures, plugin } =
            strict::from_slice(file).map_err(|e| e.to_string())?;
        if !plugin.is_empty() {
            return Err(format!(
                "it is for the plugin `{plugin}`, which is not here"
            ));
        }
        let [token] = signatures.as_slice() else {
            return Err(format!(
                "it must hold one signature, and holds {}",
                signatures.len()
            ));
        };
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("a JWT has three parts".into());
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|e| e.to_string());
        let signature = decode(signature)?;
        Ok(Self {
            signed: format!("{header}.{payload}"),
            header: strict::from_slice(&decode(header)?).map_err(|e| e.to_string())?,
            payload: strict::from_slice(&decode(payload)?).map_err(|e| e.to_string())?,
            signature: Signature::from_slice(&signature)
                .map_err(|_| "the signature has not the form of ES256".to_owned())?,
        })
    }

    /// The key's name: the header's counts, as with OPA, and the claim must not say another.
    fn keyid(&self) -> Result<&str, VerifyError> {
        match (self.header.kid.as_deref(), self.payload.keyid.as_deref()) {
            (Some(a), Some(b)) if a != b => Err(VerifyError::Form(format!(
                "its header names the key `{a}`, and its claims `{b}`"
            ))),
            (Some(id), _) | (None, Some(id)) => Ok(id),
            (None, None) => Err(VerifyError::Form("it names no key".into())),
        }
    }
}

/// What the signature says.
///
/// # Errors
/// It is none.
pub(super) fn claimed(file: &[u8]) -> Result<Claimed, ArchiveError> {
    let read = |file| -> Result<Claimed, VerifyError> {
        let token = Token::parse(file).map_err(VerifyError::Form)?;
        Ok(Claimed {
            keyid: token.keyid()?.to_owned(),
            algorithm: token.header.alg,
            scope: token.payload.scope,
            files: token.payload.files,
        })
    };
    read(file).map_err(|e| ArchiveError::Signatures(e.to_string()))
}

/// Whether these are the files that somebody who is believed has signed; the name of the key.
pub(super) fn verify(
    file: Option<&[u8]>,
    files: &Tree,
    scope: &str,
    keys: &PublicKeys,
) -> Result<String, VerifyError> {
    let token = Token::parse(file.ok_or(VerifyError::Unsigned)?).map_err(VerifyError::Form)?;
    if token.header.alg != ALGORITHM {
        return Err(VerifyError::Algorithm(token.header.alg));
    }
    let keyid = token.keyid()?;
    keys.verify(keyid, token.signed.as_bytes(), &token.signature)
        .map_err(|unknown| match unknown {
            Some(name) => VerifyError::UnknownKey(name.to_owned()),
            None => VerifyError::Signature(keyid.to_owned()),
        })?;
    let keyid = keyid.to_owned();
    if token.payload.scope != scope {
        return Err(VerifyError::Scope {
            signed: token.payload.scope,
            want: scope.to_owned(),
        });
    }
    let mut signed = BTreeMap::new();
    for file in token.payload.files {
        if let Some(twice) = signed.insert(file.name.clone(), file) {
            return Err(VerifyError::Form(format!(
                "it lists `{}` twice",
                twice.name
            )));
        }
    }
    for (name, bytes) in files.iter() {
        let file = signed
            .remove(name)
            .ok_or_else(|| VerifyError::Added(name.to_owned()))?;
        if file.algorithm != HASH {
            return Err(VerifyError::Form(format!(
                "`{name}` is hashed by {}: only {HASH} is believed",
                file.algorithm
            )));
        }
        // Hexadecimal digits of either case are the same bytes.
        let seen = hash(name, bytes).map_err(|_| VerifyError::Changed(name.to_owned()))?;
        if !seen.eq_ignore_ascii_case(&file.hash) {
            return Err(VerifyError::Changed(name.to_owned()));
        }
    }
    match signed.into_keys().next() {
        Some(name) => Err(VerifyError::Missing(name)),
        None => Ok(keyid),
    }
}
