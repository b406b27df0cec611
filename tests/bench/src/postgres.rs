//! A PostgreSQL that trusts everybody and knows one answer, and its client.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

/// Connections that are served at once.
const SERVED: usize = 16;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// ReadyForQuery, idle: what every answer ends with.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// A running server, for the life of the process.
pub struct Postgres {
    address: SocketAddr,
    closed: Arc<AtomicU64>,
}

impl Postgres {
    /// Starts it.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> std::io::Result<Self> {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
        let address = listener.local_addr()?;
        let closed = Arc::new(AtomicU64::new(0));
        for _ in 0..SERVED {
            let (listener, closed) = (listener.clone(), closed.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    // A client that goes away has been served.
                    let _ = serve(stream);
                    closed.fetch_add(1, Ordering::Release);
                }
            });
        }
        Ok(Self { address, closed })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections have ended.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Acquire)
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let welcome = [
        message(b'R', &[0, 0, 0, 0]),
        message(b'S', b"server_version\x0017.2\0"),
        message(b'S', b"client_encoding\0UTF8\0"),
        message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]),
        READY.to_vec(),
    ];
    let answer = [
        message(
            b'T',
            b"\0\x01n\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0",
        ),
        message(b'D', b"\0\x01\0\0\0\x011"),
        message(b'C', b"SELECT 1\0"),
        READY.to_vec(),
    ];
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    skip(&mut stream, length)?;
    stream.write_all(&welcome.concat())?;
    let answer = answer.concat();
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        stream.read_exact(&mut length)?;
        skip(&mut stream, length)?;
        match &kind {
            b"Q" => stream.write_all(&answer)?,
            _ => return Ok(()),
        }
    }
}

/// Reads the rest of a message, whose length counts itself.
fn skip(stream: &mut TcpStream, length: [u8; 4]) -> std::io::Result<()> {
    let rest = u32::from_be_bytes(length).saturating_sub(4).min(65_536);
    stream.read_exact(&mut vec![0; rest as usize])
}

/// A StartupMessage of protocol 3.0, with a context token.
pub fn startup(database: &str, token: &str) -> Vec<u8> {
    let options = format!("-c ig.context={token}");
    let mut body = vec![0, 3, 0, 0];
    for text in ["user", "app", "database", database, "options", &options] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body].concat()
}

/// A connection that is ready for queries.
pub struct Session {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Session {
    /// Connects and waits until the server is ready.
    ///
    /// # Errors
    /// It refuses, or nobody listens.
    pub fn connect(address: SocketAddr, startup: &[u8]) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // As the client of requests does.
        stream.set_nonblocking(true)?;
        let mut session = Self {
            stream,
            seen: Vec::with_capacity(1024),
        };
        session.send(startup)?;
        session.wait(b'R')?;
        Ok(session)
    }

    /// Asks for the answer.
    ///
    /// # Errors
    /// None comes.
    pub fn ask(&mut self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.send(b"Q\0\0\0\x0dSELECT 1\0")?;
        self.wait(b'T')?;
        Ok(started.elapsed())
    }

    fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.stream.write(bytes)?;
        anyhow::ensure!(written == bytes.len(), "a message does not fit the socket");
        Ok(())
    }

    /// Waits for an answer that begins with a message of this kind.
    fn wait(&mut self, kind: u8) -> anyhow::Result<()> {
        self.seen.clear();
        let deadline = Instant::now() + PATIENCE;
        let mut chunk = [0; 4096];
        while !self.seen.ends_with(READY) {
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => self.seen.extend(chunk.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                Err(e) => return Err(e.into()),
            }
            anyhow::ensure!(Instant::now() < deadline, "no answer");
        }
        let answered = self.seen.ends_with(READY) && self.seen.first() == Some(&kind);
        anyhow::ensure!(answered, "answered by {}", self.seen.escape_ascii());
        Ok(())
    }
}

/// How long it takes to connect. The connection's end is waited for as well, so that the next one has
/// the proxy for itself, but not timed.
///
/// # Errors
/// As [`Session::connect`].
pub fn connect(server: &Postgres, address: SocketAddr, startup: &[u8]) -> anyhow::Result<Duration> {
    let closed = server.closed();
    let started = Instant::now();
    let session = Session::connect(address, startup)?;
    let took = started.elapsed();
    drop(session);
    let deadline = Instant::now() + PATIENCE;
    while server.closed() == closed {
        anyhow::ensure!(Instant::now() < deadline, "the connection stays open");
        std::hint::spin_loop();
    }
    Ok(took)
}

/// The address of a listener, and whether its startup gets an answer.
///
/// # Errors
/// It does not.
pub fn check(address: SocketAddr, startup: &[u8], name: &str) -> anyhow::Result<()> {
    Session::connect(address, startup)
        .and_then(|mut session| session.ask())
        .map(drop)
        .with_context(|| format!("{name} does not lead to the store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_opened_asked_and_ended() {
        let server = Postgres::start().expect("a port");
        let startup = startup("acme", "a.b.c");
        check(server.address(), &startup, "the server itself").expect("an answer");
        connect(&server, server.address(), &startup).expect("a connection");
    }
}
