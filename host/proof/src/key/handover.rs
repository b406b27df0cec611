//! The document by which one key hands over to the next. Both sign it: who trusts either key can
//! follow to the other.

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{PublicKey, Signature, SigningKey};
use crate::canonical;
use crate::error::CanonicalError;

/// What the keys of this crate are for; a handover says it.
pub const PURPOSE: &str = "residency-proofs";

/// What the document says that it is.
const KIND: &str = "ig-key-handover/v1";

/// A key in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedKey {
    /// Its id.
    pub key_id: String,
    /// Its SPKI in DER, in base64.
    pub public_key: String,
}

/// One key hands over to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    #[serde(flatten)]
    body: Body,
    signatures: Signatures,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    kind: String,
    purpose: String,
    old: NamedKey,
    new: NamedKey,
    time: Timestamp,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Signatures {
    old: Signature,
    new: Signature,
}

/// Why a handover does not hold.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// It is another document, or for keys of another purpose.
    #[error("it is no handover of keys for {PURPOSE}")]
    Kind,
    /// A key in it can't be read, or has not the id that stands beside it.
    #[error("its {which} key is none, or has another id than it says")]
    Key {
        /// `old` or `new`.
        which: &'static str,
    },
    /// The keys are the same.
    #[error("it hands over from a key to itself")]
    Same,
}

impl NamedKey {
    fn of(key: &PublicKey) -> Self {
        Self {
            key_id: key.id().to_owned(),
            public_key: BASE64_STANDARD.encode(key.spki()),
        }
    }

    fn key(&self) -> Option<PublicKey> {
        let der = BASE64_STANDARD.decode(&self.public_key).ok()?;
        let key = PublicKey::from_spki(&der).ok()?;
        // SPKI has compressed points too: one key has one form here.
        (Self::of(&key) == *self).then_some(key)
    }
}

impl Handover {
    /// Signs a handover with both keys.
    ///
    /// # Errors
    /// It can't be written as canonical JSON.
    pub fn sign(
        old: &SigningKey,
        new: &SigningKey,
        time: Timestamp,
        reason: &str,
    ) -> Result<Self, CanonicalError> {
        let body = Body {
            kind: KIND.to_owned(),
            purpose: PURPOSE.to_owned(),
            old: NamedKey::of(old.public()),
            new: NamedKey::of(new.public()),
            time,
            reason: reason.to_owned(),
        };
        let payload = canonical::to_vec(&body)?;
        Ok(Self {
            body,
            signatures: Signatures {
                old: old.sign(&payload),
                new: new.sign(&payload),
            },
        })
    }

    /// The signed bytes: canonical JSON without `signatures`.
    ///
    /// # Errors
    /// It can't be written as canonical JSON.
    pub fn payload(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::to_vec(&self.body)
    }

    /// The old and the new key. Whether they signed it is asked of [`Handover::signatures`].
    ///
    /// # Errors
    /// It is of another kind or purpose, or a key in it is none.
    pub fn keys(&self) -> Result<(PublicKey, PublicKey), HandoverError> {
        if self.body.kind != KIND || self.body.purpose != PURPOSE {
            return Err(HandoverError::Kind);
        }
        let old = self.body.old.key();
        let new = self.body.new.key();
        let old = old.ok_or(HandoverError::Key { which: "old" })?;
        let new = new.ok_or(HandoverError::Key { which: "new" })?;
        if old == new {
            return Err(HandoverError::Same);
        }
        Ok((old, new))
    }

    /// The signatures of the old and the new key.
    #[must_use]
    pub fn signatures(&self) -> (&Signature, &Signature) {
        (&self.signatures.old, &self.signatures.new)
    }

    /// When it was made.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.body.time
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.body.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_handover_says_what_it_is_and_for_which_keys() {
        let old = SigningKey::generate().unwrap();
        let new = SigningKey::generate().unwrap();
        let time = "2026-11-27T09:30:00Z".parse().unwrap();
        let handover = Handover::sign(&old, &new, time, "yearly").unwrap();
        let keys = handover.keys().unwrap();
        assert_eq!((&keys.0, &keys.1), (old.public(), new.public()));
        assert_eq!((handover.time(), handover.reason()), (time, "yearly"));
        let payload = handover.payload().unwrap();
        let (by_old, by_new) = handover.signatures();
        assert!(old.public().signed(&payload, by_old) && new.public().signed(&payload, by_new));
        assert!(!old.public().signed(&payload, by_new));

        let right = serde_json::to_value(&handover).unwrap();
        assert_eq!(right["purpose"], "residency-proofs");
        // The same key in another form: SPKI may hold a compressed point.
        let der = BASE64_STANDARD.decode(right["old"]["publicKey"].as_str().unwrap());
        let der = der.unwrap();
        let (head, point) = (&der[..26], &der[26..]);
        let mut compressed = head.to_vec();
        compressed[1] -= 32;
        compressed[24] -= 32;
        compressed.push(2 + (point[64] & 1));
        compressed.extend(&point[1..33]);
        assert_eq!(&PublicKey::from_spki(&compressed).unwrap(), old.public());
        let changed = |pointer: &str, value: Value| {
            let mut json = right.clone();
            *json.pointer_mut(pointer).unwrap() = value;
            let handover: Handover = serde_json::from_value(json).unwrap();
            handover.keys().unwrap_err().to_string()
        };
        for (pointer, value, want) in [
            ("/kind", json!("ig-key-handover/v2"), "no handover"),
            ("/purpose", json!("warrants"), "no handover"),
            ("/old/keyId", json!(new.public().id()), "old key"),
            ("/new/keyId", json!(""), "new key"),
            ("/old/publicKey", json!("AAAA"), "old key"),
            (
                "/old/publicKey",
                json!(BASE64_STANDARD.encode(&compressed)),
                "old key",
            ),
            ("/old", right["new"].clone(), "to itself"),
        ] {
            let error = changed(pointer, value);
            assert!(error.contains(want), "{pointer}: {error}");
        }
    }
}
