//! The handshake: four bytes that name the protocol and four versions of four bytes, answered by one
//! version, or by a manifest of versions of which the client then chooses (since 5.7).

/// The first bytes of every connection.
const MAGIC: [u8; 4] = [0x60, 0x60, 0xb0, 0x17];

/// Bytes of a client's handshake.
const REQUEST: usize = 20;

/// Bytes of an answer that tell its kind.
pub(super) const ANSWER: usize = 4;

/// The answer that begins a manifest.
const MANIFEST: [u8; 4] = [0, 0, 1, 0xff];

/// Bytes of a number in base 128.
const LONGEST_NUMBER: usize = 10;

/// The oldest version that is served: HELLO and GOODBYE are of it.
const OLDEST: u8 = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub major: u8,
    pub minor: u8,
}

/// A server's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Version(Version),
    Manifest,
}

/// Why a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("this is not Bolt, or it is encrypted: the guard is local and takes `bolt://`")]
    Alien,
    #[error("the store speaks no version that the client knows")]
    None,
    #[error("Bolt before version {OLDEST} is not served")]
    Old,
    #[error("the client's choice of a version is malformed")]
    Choice,
}

/// Whether the client's handshake is whole.
pub(super) fn request(bytes: &[u8]) -> Result<bool, HandshakeError> {
    if bytes.iter().zip(MAGIC).any(|(got, want)| *got != want) {
        return Err(HandshakeError::Alien);
    }
    match bytes.len() {
        0..REQUEST => Ok(false),
        REQUEST => Ok(true),
        // More may only follow the answer.
        _ => Err(HandshakeError::Alien),
    }
}

/// What the server has answered, if that is whole.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<Answer>, HandshakeError> {
    match bytes.first_chunk::<ANSWER>() {
        None => Ok(None),
        Some(&MANIFEST) => Ok(Some(Answer::Manifest)),
        Some([0, 0, 0, 0]) => Err(HandshakeError::None),
        Some(version) => self::version(*version).map(|v| Some(Answer::Version(v))),
    }
}

/// The client's choice of a manifest, a version and capabilities in base 128, and its size.
pub(super) fn choice(bytes: &[u8]) -> Result<Option<(Version, usize)>, HandshakeError> {
    let Some((chosen, rest)) = bytes.split_first_chunk::<ANSWER>() else {
        return Ok(None);
    };
    let chosen = version(*chosen)?;
    match rest.iter().take(LONGEST_NUMBER).position(|b| b & 0x80 == 0) {
        Some(at) => Ok(Some((chosen, ANSWER + at + 1))),
        None if rest.len() < LONGEST_NUMBER => Ok(None),
        None => Err(HandshakeError::Choice),
    }
}

fn version(bytes: [u8; 4]) -> Result<Version, HandshakeError> {
    match bytes {
        [0, _, minor, major] if (OLDEST..=0xfe).contains(&major) => Ok(Version { major, minor }),
        [0, ..] => Err(HandshakeError::Old),
        _ => Err(HandshakeError::Choice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the Neo4j Python driver 6.0 sends it: the manifest, 5.8 down to 5.0, 4.4 down to 4.2, 3.0.
    const PYTHON: &[u8] = b"\x60\x60\xb0\x17\0\0\x01\xff\0\x08\x08\x05\0\x02\x04\x04\0\0\0\x03";

    #[test]
    fn a_driver_is_recognised_byte_by_byte() {
        for cut in 0..PYTHON.len() {
            assert_eq!(request(&PYTHON[..cut]), Ok(false), "{cut}");
        }
        assert_eq!(request(PYTHON), Ok(true));
        for alien in [
            &b"G"[..],
            b"\x16\x03\x01",
            b"\x60\x60\xb1",
            b"\x60\x60\xb0\x18",
        ] {
            assert_eq!(request(alien), Err(HandshakeError::Alien));
        }
        assert!(request(&[PYTHON, b"x"].concat()).is_err());
    }

    #[test]
    fn answers_and_choices_are_told_apart() {
        let version = |major, minor| Version { major, minor };
        for (bytes, want) in [
            (&b"\0\0\x04"[..], Ok(None)),
            (b"\0\0\x04\x05", Ok(Some(Answer::Version(version(5, 4))))),
            (b"\0\0\x01\xff", Ok(Some(Answer::Manifest))),
            (b"\0\0\0\0", Err(HandshakeError::None)),
            (b"\0\0\0\x02", Err(HandshakeError::Old)),
            (b"HTTP", Err(HandshakeError::Choice)),
        ] {
            assert_eq!(answer(bytes), want, "{bytes:?}");
        }
        for (bytes, want) in [
            (&b"\0\0\x08\x05"[..], Ok(None)),
            (b"\0\0\x08\x05\0", Ok(Some((version(5, 8), 5)))),
            (b"\0\0\x08\x05\x81\x01\0\x02", Ok(Some((version(5, 8), 6)))),
            (b"\0\0\x08\x05\x81", Ok(None)),
            (
                b"\0\0\x08\x05\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81",
                Err(HandshakeError::Choice),
            ),
        ] {
            assert_eq!(choice(bytes), want, "{bytes:?}");
        }
    }
}
