//! A sigstore bundle v0.3 of a proof, in the JSON form of its protobuf messages
//! (`sigstore_bundle.proto` and `sigstore_common.proto` of sigstore/protobuf-specs).

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::key::{PublicKey, Signature};

/// The media type of the version.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: &'static str,
    verification_material: VerificationMaterial,
    message_signature: MessageSignature,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial {
    public_key: PublicKeyIdentifier,
}

/// The hint is what sigstore's own clients write: the base64 of the SHA-256 of the SPKI in DER.
#[derive(Serialize)]
struct PublicKeyIdentifier {
    hint: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature {
    message_digest: HashOutput,
    signature: String,
}

#[derive(Serialize)]
struct HashOutput {
    algorithm: &'static str,
    digest: String,
}

/// The bundle of a signature of these bytes, for people to read, with a line end.
pub fn bundle(
    payload: &[u8],
    signature: &Signature,
    key: &PublicKey,
) -> Result<Vec<u8>, serde_json::Error> {
    let bundle = Bundle {
        media_type: MEDIA_TYPE,
        verification_material: VerificationMaterial {
            public_key: PublicKeyIdentifier {
                hint: BASE64_STANDARD.encode(key.digest()),
            },
        },
        message_signature: MessageSignature {
            message_digest: HashOutput {
                algorithm: "SHA2_256",
                digest: BASE64_STANDARD.encode(Sha256::digest(payload)),
            },
            signature: signature.base64(),
        },
    };
    let mut text = serde_json::to_vec_pretty(&bundle)?;
    text.push(b'\n');
    Ok(text)
}
