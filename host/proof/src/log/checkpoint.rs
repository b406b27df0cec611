//! A checkpoint: origin, size and root of the tree, signed as a note (C2SP `tlog-checkpoint` and
//! `signed-note`, signature type 0x02).

use base64::{Engine, prelude::BASE64_STANDARD};

use super::Hash;
use crate::key::{PublicKey, Signature, SigningKey};

/// The log's name: the origin of its checkpoints, and the name of its key in their notes.
pub const ORIGIN: &str = "maestro-conductor/residency-proofs";

/// What a signature line of a note begins with.
const DASH: &str = "\u{2014} ";
/// How many bytes of a key's hash stand before a note's signature.
const HINT_BYTES: usize = 4;

/// The tree at a size, and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many leaves it has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    hint: [u8; HINT_BYTES],
    signature: Signature,
}

/// Why a text is no checkpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not the text of a checkpoint with one signature, in the one form that this crate writes.
    #[error("it is no checkpoint of {ORIGIN} with one signature of an ECDSA key")]
    Form,
}

impl Checkpoint {
    /// Signs the tree of this size and root.
    #[must_use]
    pub fn sign(size: u64, root: Hash, key: &SigningKey) -> Self {
        Self {
            size,
            root,
            hint: hint(key.public()),
            signature: key.sign(body(size, &root).as_bytes()),
        }
    }

    /// Reads a note; it must have the one form that [`Checkpoint::to_note`] writes.
    ///
    /// # Errors
    /// It has another.
    pub fn from_note(text: &str) -> Result<Self, CheckpointError> {
        let read = || {
            let rest = text.strip_prefix(ORIGIN)?.strip_prefix('\n')?;
            let (size, rest) = rest.split_once('\n')?;
            let (root, rest) = rest.split_once("\n\n")?;
            let signature = rest.strip_prefix(DASH)?.strip_prefix(ORIGIN)?;
            let signature = signature.strip_prefix(' ')?.strip_suffix('\n')?;
            let signature = BASE64_STANDARD.decode(signature).ok()?;
            let (hint, der) = signature.split_first_chunk()?;
            let checkpoint = Self {
                size: size.parse().ok()?,
                root: BASE64_STANDARD.decode(root).ok()?.try_into().ok()?,
                hint: *hint,
                signature: Signature::from_der(der).ok()?,
            };
            (checkpoint.to_note() == text).then_some(checkpoint)
        };
        read().ok_or(CheckpointError::Form)
    }

    /// The signed note.
    #[must_use]
    pub fn to_note(&self) -> String {
        let signature = [&self.hint[..], self.signature.der()].concat();
        let signature = BASE64_STANDARD.encode(signature);
        format!("{}\n{DASH}{ORIGIN} {signature}\n", self.text())
    }

    /// The text that is signed: without the blank line and the signature.
    #[must_use]
    pub fn text(&self) -> String {
        body(self.size, &self.root)
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Whether the note says that this key signed it.
    #[must_use]
    pub fn names(&self, key: &PublicKey) -> bool {
        self.hint == hint(key)
    }

    /// Whether this key signed it.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.names(key) && key.signed(self.text().as_bytes(), &self.signature)
    }
}

fn body(size: u64, root: &Hash) -> String {
    format!("{ORIGIN}\n{size}\n{}\n", BASE64_STANDARD.encode(root))
}

/// For ECDSA keys, the first bytes of the SHA-256 of the SPKI in DER.
fn hint(key: &PublicKey) -> [u8; HINT_BYTES] {
    let [a, b, c, d, ..] = *key.digest();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_a_signed_note() {
        let key = SigningKey::generate().unwrap();
        let checkpoint = Checkpoint::sign(7, [3; 32], &key);
        let note = checkpoint.to_note();
        let lines: Vec<&str> = note.split('\n').collect();
        let root = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";
        assert_eq!(
            lines[..4],
            ["maestro-conductor/residency-proofs", "7", root, ""]
        );
        let [_, name, signature] = lines[4].split(' ').collect::<Vec<_>>()[..] else {
            panic!("{note}")
        };
        assert_eq!((lines.len(), lines[5], name), (6, "", ORIGIN));
        let bytes = BASE64_STANDARD.decode(signature).unwrap();
        let id: String = bytes[..4].iter().map(|b| format!("{b:02x}")).collect();
        assert!(key.public().id().starts_with(&id));
        let der = Signature::from_der(&bytes[4..]).unwrap();
        assert!(
            key.public()
                .signed((lines[..3].join("\n") + "\n").as_bytes(), &der)
        );

        assert_eq!(Checkpoint::from_note(&note).unwrap(), checkpoint);
        assert!(checkpoint.is_signed_by(key.public()));
        let other = SigningKey::generate().unwrap();
        assert!(!checkpoint.is_signed_by(other.public()));
    }

    #[test]
    fn a_note_has_one_form() {
        let key = SigningKey::generate().unwrap();
        let note = Checkpoint::sign(7, [3; 32], &key).to_note();
        let signature = note.lines().last().unwrap();
        for text in [
            String::new(),
            note.trim_end().to_owned(),
            note.replace("\n7\n", "\n07\n"),
            note.replace("\n7\n", "\n+7\n"),
            note.replace("\n7\n", "\n-7\n"),
            note.replace("AwM=", "AwN="),
            note.replace("\n\n", "\nextension\n\n"),
            note.replace("\n\n", "\n\n\n"),
            note.replace('\u{2014}', "-"),
            note.replace("residency", "Residency"),
            note.replace('\n', "\r\n"),
            format!("{note}{signature}\n"),
            format!("{note}\n"),
            format!(" {note}"),
        ] {
            assert_eq!(
                Checkpoint::from_note(&text),
                Err(CheckpointError::Form),
                "{text}"
            );
        }
    }
}
