//! The messages of an opening: chunks with their sizes before them, ended by an empty one.

use super::super::decide::{Denial, DenialKind};
use super::handshake::Version;
use super::packstream::{Reader, Unreadable, write_map, write_string};

/// GOODBYE as one chunk. The server answers it by closing the connection.
pub(super) const GOODBYE: &[u8] = b"\0\x02\xb0\x02\0\0";

const HELLO: u8 = 0x01;
const LOGON: u8 = 0x6a;
const FAILURE: u8 = 0x7f;

/// The first version in which a failure has a GQL status.
const GQL_SINCE: Version = Version { major: 5, minor: 7 };

/// The mark of the token in a user agent.
const MARK: &[u8] = b"ig.context=";
/// Its entry in a routing context, or in the parameters of an authentication.
const ENTRY: &[u8] = b"ig_context";

/// Who a client says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Greeting {
    /// HELLO, with the token that it brings.
    Hello(Option<Vec<u8>>),
    /// LOGON, with the token that it brings.
    Logon(Option<Vec<u8>>),
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error("a message is malformed")]
    Layout,
    #[error("a client must say HELLO, and LOGON from version 5.1 on, before anything else")]
    Order,
    #[error("a message gives the context token twice")]
    Twice,
}

impl From<Unreadable> for MessageError {
    fn from(_: Unreadable) -> Self {
        Self::Layout
    }
}

/// The message at the start of the bytes and its size, if it is whole.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Greeting, usize)>, MessageError> {
    let Some((message, size)) = unchunk(bytes) else {
        return Ok(None);
    };
    let mut reader = Reader(&message);
    let (fields, tag) = reader.structure()?;
    let greeting: fn(_) -> _ = match (fields, tag) {
        (1, HELLO) => Greeting::Hello,
        (1, LOGON) => Greeting::Logon,
        _ => return Err(MessageError::Order),
    };
    let token = token(&mut reader)?;
    match reader.0 {
        [] => Ok(Some((greeting(token), size))),
        _ => Err(MessageError::Layout),
    }
}

/// The message's bytes, and how many they were in chunks. Empty chunks before it keep a connection alive.
fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let (size, after) = rest.split_first_chunk::<2>()?;
        let (chunk, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        rest = after;
        message.extend_from_slice(chunk);
        if chunk.is_empty() && !message.is_empty() {
            return Some((message, bytes.len() - rest.len()));
        }
    }
}

/// The token in a map of HELLO or LOGON.
fn token(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, MessageError> {
    let mut found: Option<Vec<u8>> = None;
    let mut find = |token: Vec<u8>| match found.replace(token) {
        Some(_) => Err(MessageError::Twice),
        None => Ok(()),
    };
    for _ in 0..reader.map()? {
        let key = reader.string()?;
        match key {
            b"user_agent" if reader.at_string() => {
                let agent = reader.string()?;
                let words = agent.split(u8::is_ascii_whitespace);
                words
                    .filter_map(|w| w.strip_prefix(MARK))
                    .try_for_each(|t| find(t.to_vec()))?;
            }
            b"routing" | b"parameters" if reader.at_map() => {
                for _ in 0..reader.map()? {
                    match reader.string()? {
                        ENTRY if reader.at_string() => find(reader.string()?.to_vec())?,
                        _ => reader.skip()?,
                    }
                }
            }
            _ => reader.skip()?,
        }
    }
    Ok(found)
}

/// The FAILURE of a denial, in chunks.
pub(super) fn failure(version: Version, denial: &Denial, decision_id: &str) -> Vec<u8> {
    let (code, status, means) = match denial.kind {
        DenialKind::Context => (
            "Neo.ClientError.Security.Unauthorized",
            "42NFF",
            "error: syntax error or access rule violation - permission/access denied",
        ),
        DenialKind::Rules => (
            "Neo.ClientError.Security.Forbidden",
            "42NFF",
            "error: syntax error or access rule violation - permission/access denied",
        ),
        DenialKind::Malformed => (
            "Neo.ClientError.Request.Invalid",
            "08N06",
            "error: connection exception - protocol error",
        ),
        DenialKind::Failed => (
            "Neo.DatabaseError.General.UnknownError",
            "50N42",
            "error: general processing exception - unexpected error",
        ),
    };
    let text = format!(
        "{} ({}, decision {decision_id})",
        denial.message, denial.code
    );
    let mut message = vec![0xb1, FAILURE];
    let mut entries = vec![("message", text.as_str())];
    if version >= GQL_SINCE {
        entries.extend([
            ("neo4j_code", code),
            ("gql_status", status),
            ("description", means),
        ]);
    } else {
        entries.push(("code", code));
    }
    write_map(
        &mut message,
        u8::try_from(entries.len()).unwrap_or_default(),
    );
    for (key, value) in entries {
        write_string(&mut message, key);
        write_string(&mut message, value);
    }
    let mut chunks = Vec::with_capacity(message.len() + 4);
    for chunk in message.chunks(usize::from(u16::MAX)) {
        chunks.extend(u16::try_from(chunk.len()).unwrap_or_default().to_be_bytes());
        chunks.extend_from_slice(chunk);
    }
    chunks.extend([0, 0]);
    chunks
}

#[cfg(test)]
mod tests;
