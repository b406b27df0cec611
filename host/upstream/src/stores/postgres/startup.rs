//! How a connection begins: packets without a type, of a length of four bytes that counts itself and
//! a code of four.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::answer::Report;

/// The longest packet, in bytes: `MAX_STARTUP_PACKET_LENGTH` of `src/include/libpq/pqcomm.h`.
const LONGEST: u32 = 10_000;

/// The longest name of a database, in bytes: PostgreSQL's `NAMEDATALEN` less its end.
const LONGEST_NAME: usize = 63;

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// How a connection goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Session(Startup),
    Refused(Report),
    /// A request to cancel, which has no answer; or nothing that this protocol knows.
    Closed,
}

/// What is read of a StartupMessage.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Startup {
    pub user: String,
    pub database: String,
    /// Whether the client would speak a newer version of the protocol.
    pub newer: bool,
    /// Options of the protocol that are not known here.
    pub options: Vec<String>,
}

/// Reads up to the startup message; says no to encryption as often as PostgreSQL would.
pub(super) async fn open(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<Opening> {
    let mut asked = Vec::new();
    loop {
        let length = stream.read_u32().await?;
        if !(8..=LONGEST).contains(&length) {
            return Ok(Opening::Closed);
        }
        let code = stream.read_u32().await?;
        let mut packet = Vec::new();
        let left = u64::from(length - 8);
        let read = stream.take(left).read_to_end(&mut packet).await?;
        if u64::try_from(read) != Ok(left) {
            return Ok(Opening::Closed);
        }
        match code {
            TLS | GSS if packet.is_empty() && !asked.contains(&code) => {
                asked.push(code);
                stream.write_all(b"N").await?;
                stream.flush().await?;
            }
            TLS | GSS | CANCEL => return Ok(Opening::Closed),
            _ => {
                return Ok(match startup(code, &packet) {
                    Ok(startup) => Opening::Session(startup),
                    Err(report) => Opening::Refused(report),
                });
            }
        }
    }
}

fn startup(version: u32, packet: &[u8]) -> Result<Startup, Report> {
    let (major, minor) = (version >> 16, version & 0xffff);
    if major != 3 {
        return Err(Report::new(
            "0A000",
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"),
        ));
    }
    let layout = || Report::new("08P01", "invalid startup packet layout");
    let packet = std::str::from_utf8(packet).map_err(|_| layout())?;
    let packet = packet.strip_suffix("\0\0").ok_or_else(layout)?;
    let (mut user, mut database, mut options) = ("", "", Vec::new());
    let mut parts = packet.split('\0');
    while let Some(name) = parts.next() {
        let value = parts.next().ok_or_else(layout)?;
        match name {
            "" => return Err(layout()),
            "user" => user = value,
            "database" => database = value,
            "replication" if !matches!(value, "0" | "f" | "n" | "off" | "no" | "false") => {
                return Err(Report::new("0A000", "this store is not replicated"));
            }
            _ if name.starts_with("_pq_.") => options.push(name.to_owned()),
            // Settings: none changes what is answered.
            _ => {}
        }
    }
    if user.is_empty() {
        let message = "no PostgreSQL user name specified in startup packet";
        return Err(Report::new("28000", message));
    }
    let database = if database.is_empty() { user } else { database };
    if database.len() > LONGEST_NAME {
        return Err(Report::new("42622", "the database's name is too long"));
    }
    Ok(Startup {
        user: user.to_owned(),
        database: database.to_owned(),
        newer: minor > 0,
        options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(version: u32, packet: &[u8]) -> Result<Startup, &'static str> {
        startup(version, packet).map_err(|report| report.state)
    }

    #[test]
    fn a_startup_names_user_and_database() {
        let startup = |user: &str, database: &str| Startup {
            user: user.into(),
            database: database.into(),
            newer: false,
            options: Vec::new(),
        };
        for (packet, want) in [
            (
                &b"user\0app\0database\0acme\0\0"[..],
                startup("app", "acme"),
            ),
            (b"user\0app\0\0", startup("app", "app")),
            (
                b"user\0app\0database\0\0options\0-c ig.context=a.b\0\0",
                startup("app", "app"),
            ),
            (b"replication\0off\0user\0app\0\0", startup("app", "app")),
        ] {
            assert_eq!(state(3 << 16, packet), Ok(want));
        }
        let newer = Startup {
            newer: true,
            options: vec!["_pq_.x".into()],
            ..startup("app", "app")
        };
        let packet = b"user\0app\0_pq_.x\0y\0\0";
        assert_eq!(state(3 << 16 | 2, packet), Ok(newer));
    }

    #[test]
    fn what_is_no_startup_is_refused_by_its_state() {
        let long = [&b"user\0"[..], &[b'a'; 64], b"\0\0"].concat();
        for (version, packet, want) in [
            (2 << 16, &b"user\0app\0\0"[..], "0A000"),
            (0, b"", "0A000"),
            (3 << 16, b"", "08P01"),
            (3 << 16, b"\0", "08P01"),
            (3 << 16, b"\0\0", "08P01"),
            (3 << 16, b"user\0app\0", "08P01"),
            (3 << 16, b"user\0app\0database\0\0", "08P01"),
            (3 << 16, b"user\0\xff\0\0", "08P01"),
            (3 << 16, b"user\0\0\0", "28000"),
            (3 << 16, b"database\0acme\0\0", "28000"),
            (3 << 16, b"user\0app\0replication\0database\0\0", "0A000"),
            (3 << 16, &long, "42622"),
        ] {
            assert_eq!(state(version, packet), Err(want), "{packet:?}");
        }
    }
}
