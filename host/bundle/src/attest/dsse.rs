//! The Dead Simple Signing Envelope (secure-systems-lab/dsse, envelope.md and protocol.md, v1.0.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::config::strict;
use p256::ecdsa::Signature;
use serde::{Deserialize, Serialize};

use crate::key::{PublicKeys, SigningKey};

/// What is in the envelope (in-toto/attestation, spec/v1/envelope.md).
const TYPE: &str = "application/vnd.in-toto+json";

/// An envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// What is inside, in base64.
    pub payload: String,
    /// What kind of thing that is.
    pub payload_type: String,
    /// Who says it.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// The key's name.
    #[serde(default)]
    pub keyid: String,
    /// ECDSA over the SHA-256 of [`pae`], ASN.1 in DER, in base64: as `cosign` and `openssl` have it.
    pub sig: String,
}

/// The bytes that are signed: `PAE(type, body)` of the protocol.
#[must_use]
pub fn pae(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn sign(body: &[u8], key: &SigningKey) -> Envelope {
    let signature = key.sign(&pae(TYPE, body)).to_der();
    Envelope {
        payload: STANDARD.encode(body),
        payload_type: TYPE.to_owned(),
        signatures: vec![EnvelopeSignature {
            keyid: key.id().to_owned(),
            sig: STANDARD.encode(signature.as_bytes()),
        }],
    }
}

/// What is inside, if somebody who is believed says so.
pub(super) fn open(text: &[u8], keys: &PublicKeys) -> Result<Vec<u8>, String> {
    let envelope: Envelope =
        strict::from_slice(text).map_err(|e| format!("it is no DSSE envelope: {e}"))?;
    if envelope.payload_type != TYPE {
        return Err(format!("it holds {}, not {TYPE}", envelope.payload_type));
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|e| e.to_string());
    let body = decode(&envelope.payload)?;
    let [signature] = envelope.signatures.as_slice() else {
        let count = envelope.signatures.len();
        return Err(format!("it must have one signature, and has {count}"));
    };
    let der = Signature::from_der(&decode(&signature.sig)?)
        .map_err(|_| "its signature has not the form of ECDSA".to_owned())?;
    match keys.verify(&signature.keyid, &pae(TYPE, &body), &der) {
        Ok(()) => Ok(body),
        Err(Some(name)) => Err(format!(
            "it is signed by the key `{name}`, which is not among those that are believed"
        )),
        Err(None) => Err(format!(
            "its signature is none of the key `{}`",
            signature.keyid
        )),
    }
}
