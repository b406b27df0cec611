//! The packets with which a client may begin. They alone have no type byte: a length of four bytes,
//! which counts itself, and a code of four bytes come first.

/// The longest packet, in bytes: `MAX_STARTUP_PACKET_LENGTH` of `src/include/libpq/pqcomm.h`.
const LONGEST: usize = 10_000;

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// Lengths of a CancelRequest: with a key of 4 bytes, and since protocol 3.2 of up to 256.
const CANCEL_SIZES: std::ops::RangeInclusive<usize> = 16..=268;

/// A whole packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// CancelRequest.
    Cancel,
    /// SSLRequest.
    Tls,
    /// GSSENCRequest.
    Gss,
    /// StartupMessage of a protocol 3.x.
    Startup(Startup<'a>),
}

/// What is read of a StartupMessage.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Startup<'a> {
    pub user: &'a str,
    /// The user's name, if the client names none.
    pub database: &'a str,
    pub options: &'a str,
    pub application_name: &'a str,
    /// Whether the client asks for replication, of either kind.
    pub replication: bool,
}

/// Why a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum StartupError {
    #[error("this is not PostgreSQL's protocol")]
    Alien,
    #[error("the startup packet is longer than it may be here")]
    Long,
    #[error("the client went on before it was answered, or asked for encryption twice")]
    Unasked,
    #[error("only version 3 of the protocol is served")]
    Version,
    #[error("the startup packet is malformed")]
    Layout,
    #[error("the startup packet has no user")]
    NoUser,
    #[error("the startup packet gives a parameter twice")]
    Twice,
    #[error("the startup packet names no text in UTF-8")]
    Text,
}

impl StartupError {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Version => "VERSION_UNKNOWN",
            _ => "STARTUP_MALFORMED",
        }
    }

    /// Whether what came is so much like PostgreSQL that the client would understand an answer.
    pub(super) fn is_answered(self) -> bool {
        !matches!(self, Self::Alien | Self::Unasked)
    }
}

/// The packet at the start of the bytes and its size, if it is whole.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Packet<'_>, usize)>, StartupError> {
    let Some((length, rest)) = number(bytes) else {
        // Of what has another first byte than a small length, four bytes may never come.
        return match bytes.first() {
            Some(1..) => Err(StartupError::Alien),
            _ => Ok(None),
        };
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !(8..=LONGEST).contains(&length) {
        return Err(StartupError::Alien);
    }
    let Some((code, _)) = number(rest) else {
        return Ok(None);
    };
    match code {
        TLS | GSS if length != 8 => return Err(StartupError::Alien),
        CANCEL if !CANCEL_SIZES.contains(&length) => return Err(StartupError::Alien),
        TLS | GSS | CANCEL => {}
        _ if code >> 16 != 3 => return Err(StartupError::Version),
        _ => {}
    }
    let Some(packet) = bytes.get(8..length) else {
        return Ok(None);
    };
    let packet = match code {
        TLS => Packet::Tls,
        GSS => Packet::Gss,
        CANCEL => Packet::Cancel,
        _ => Packet::Startup(startup(packet)?),
    };
    Ok(Some((packet, length)))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// Pairs of texts, each ended by a zero byte, and one more zero byte.
fn startup(mut packet: &[u8]) -> Result<Startup<'_>, StartupError> {
    let (mut user, mut database, mut options, mut application_name, mut replication) =
        (None, None, None, None, None);
    loop {
        let name = text(&mut packet)?;
        if name.is_empty() {
            break;
        }
        let value = text(&mut packet)?;
        // PostgreSQL compares the first four exactly, settings without regard to case.
        let place = match name {
            b"user" => &mut user,
            b"database" => &mut database,
            b"options" => &mut options,
            b"replication" => &mut replication,
            _ if name.eq_ignore_ascii_case(b"application_name") => &mut application_name,
            _ => continue,
        };
        // PostgreSQL takes the last one.
        if place.replace(value).is_some() {
            return Err(StartupError::Twice);
        }
    }
    if !packet.is_empty() {
        return Err(StartupError::Layout);
    }
    let user = utf8(user)?;
    if user.is_empty() {
        return Err(StartupError::NoUser);
    }
    let database = match utf8(database)? {
        "" => user,
        database => database,
    };
    let no = [&b""[..], b"0", b"f", b"n", b"off", b"no", b"false"];
    Ok(Startup {
        user,
        database,
        options: utf8(options)?,
        application_name: utf8(application_name)?,
        // Spelled in any other way it is taken for a yes.
        replication: !no.contains(&replication.unwrap_or_default()),
    })
}

fn utf8(value: Option<&[u8]>) -> Result<&str, StartupError> {
    std::str::from_utf8(value.unwrap_or_default()).map_err(|_| StartupError::Text)
}

fn text<'a>(packet: &mut &'a [u8]) -> Result<&'a [u8], StartupError> {
    let end = packet
        .iter()
        .position(|b| *b == 0)
        .ok_or(StartupError::Layout)?;
    let (text, rest) = packet.split_at_checked(end).ok_or(StartupError::Layout)?;
    *packet = rest.get(1..).unwrap_or_default();
    Ok(text)
}

#[cfg(test)]
mod tests;
