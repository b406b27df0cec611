//! Keys as the environment has them: `KEYID:BASE64[,KEYID:BASE64…]`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes that a key has at the least.
const LEAST: usize = 32;

/// Why a key text is refused. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{noun} key {number} {fault}")]
pub struct KeyError {
    /// What the keys are for.
    pub noun: &'static str,
    /// Which one it is, counted from 1.
    pub number: usize,
    /// What is wrong with it.
    pub fault: KeyFault,
}

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// No colon.
    Form,
    /// An id of other characters.
    Id,
    /// The id of a key before it.
    Twice,
    /// Not base64, or too short.
    Key,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "is not KEYID:BASE64",
            Self::Id => "has an id that is not 1 to 16 letters, digits, `-` or `_`",
            Self::Twice => "has an id that stands twice",
            Self::Key => "must be at least 32 bytes in base64",
        })
    }
}

/// Reads a text and makes something of the bytes of every key, by its id. `noun` names the keys
/// in errors.
///
/// # Errors
/// A key is malformed, or nothing can be made of it.
pub(crate) fn parse<K>(
    noun: &'static str,
    text: &str,
    make: impl Fn(&[u8]) -> Option<K>,
) -> Result<Vec<(Box<str>, K)>, KeyError> {
    let mut keys: Vec<(Box<str>, K)> = Vec::new();
    for (number, part) in (1..).zip(text.split(',')) {
        let wrong = |fault| KeyError {
            noun,
            number,
            fault,
        };
        let (id, key) = part.trim().split_once(':').ok_or(wrong(KeyFault::Form))?;
        if !is_id(id) {
            return Err(wrong(KeyFault::Id));
        }
        if keys.iter().any(|(known, _)| **known == *id) {
            return Err(wrong(KeyFault::Twice));
        }
        let key = key.trim_end_matches('=');
        let bytes = URL_SAFE_NO_PAD.decode(key);
        let made = bytes
            .or_else(|_| STANDARD_NO_PAD.decode(key))
            .ok()
            .filter(|bytes| bytes.len() >= LEAST)
            .and_then(|bytes| make(&bytes));
        keys.push((id.into(), made.ok_or(wrong(KeyFault::Key))?));
    }
    Ok(keys)
}

/// Whether a text can be a key's id.
pub(crate) fn is_id(id: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=pseudonym::KEY_ID).contains(&id.len()) && id.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_keys_and_never_repeats_them() {
        let key = URL_SAFE_NO_PAD.encode([0xfb; 32]);
        let standard = STANDARD_NO_PAD.encode([0xfb; 32]);
        let read = parse("test", &format!("k2:{key}, k1:{standard}="), |k| {
            Some(k.to_vec())
        });
        let want = ["k2", "k1"].map(|id| (id.into(), vec![0xfb; 32]));
        assert_eq!(read.unwrap(), want);
        for (text, number, fault) in [
            ("", 1, KeyFault::Form),
            ("secretsecret", 1, KeyFault::Form),
            (&*format!("k1:{key},"), 2, KeyFault::Form),
            (&*format!("k 1:{key}"), 1, KeyFault::Id),
            (&*format!(":{key}"), 1, KeyFault::Id),
            (&*format!("seventeen-letters:{key}"), 1, KeyFault::Id),
            (&*format!("k1:{key},k1:{key}"), 2, KeyFault::Twice),
            ("k1:c2hvcnQ", 1, KeyFault::Key),
            ("k1:***", 1, KeyFault::Key),
            (
                "k1:not base64 at all, and long enough to be a key",
                1,
                KeyFault::Key,
            ),
        ] {
            let error = parse("test", text, |_| Some(())).unwrap_err();
            assert_eq!((error.number, error.fault), (number, fault), "{text}");
            let said = error.to_string();
            assert!(said.starts_with(&format!("test key {number} ")), "{said}");
            assert!(!said.contains("secret"));
        }
        // Nothing can be made of it.
        let error = parse::<()>("test", &format!("k1:{key}"), |_| None).unwrap_err();
        assert_eq!(error.fault, KeyFault::Key);
    }
}
