//! The client: one HTTP/1.1 connection that asks again and again.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::load;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes at a time; an answer is not kept unless it is asked for.
const CHUNK: usize = 262_144;

/// A connection.
pub struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    chunk: Vec<u8>,
    reading: Reading,
}

/// What is known of an answer that is under way.
#[derive(Default)]
struct Reading {
    head: Vec<u8>,
    body: Option<Framing>,
    kept: Option<Vec<u8>>,
}

enum Framing {
    Left(usize),
    /// Up to the last chunk: the bytes that came last.
    Chunked(Vec<u8>),
}

const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

impl Reading {
    /// Takes bytes of the answer; `true` once it is whole.
    fn take(&mut self, mut bytes: &[u8]) -> anyhow::Result<bool> {
        if self.body.is_none() {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let Some(end) = memchr::memmem::find(&self.head, b"\r\n\r\n") else {
                return Ok(false);
            };
            bytes = &bytes[end + 4 - before..];
            self.head.truncate(end + 4);
            self.body = Some(framing(&self.head)?);
        }
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        match &mut self.body {
            Some(Framing::Left(left)) => {
                *left = left
                    .checked_sub(bytes.len())
                    .context("the answer is longer than its content-length")?;
                Ok(*left == 0)
            }
            Some(Framing::Chunked(tail)) => {
                let new = &bytes[bytes.len().saturating_sub(LAST_CHUNK.len())..];
                tail.extend_from_slice(new);
                let surplus = tail.len().saturating_sub(LAST_CHUNK.len());
                tail.drain(..surplus);
                Ok(tail == LAST_CHUNK)
            }
            None => Ok(false),
        }
    }
}

fn framing(head: &[u8]) -> anyhow::Result<Framing> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    match value("content-length") {
        Some(length) => Ok(Framing::Left(length.parse().context("a content-length")?)),
        // Of an empty body, the last chunk's mark begins with the head's blank line.
        None if value("transfer-encoding").is_some() => Ok(Framing::Chunked(b"\r\n".to_vec())),
        None => anyhow::bail!("an answer without length: {head}"),
    }
}

/// An answer that was kept.
pub struct Answer {
    /// Status line and headers.
    pub head: String,
    /// The body, without the marks of chunks.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects. `load` is named in a header, for upstreams that choose their answer by it.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(address: SocketAddr, load: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // Polling keeps a processor awake: else most of what is measured is how long an idle one
        // takes to wake up, which differs from machine to machine and minute to minute.
        stream.set_nonblocking(true)?;
        let body = load::request();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             x-load: {load}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Self {
            stream,
            request: request.into_bytes(),
            chunk: vec![0; CHUNK],
            reading: Reading::default(),
        })
    }

    /// Asks and waits for the whole answer.
    ///
    /// # Errors
    /// No whole answer came.
    pub fn ask(&mut self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.send()?;
        self.wait()?;
        Ok(started.elapsed())
    }

    /// Asks and returns the answer.
    ///
    /// # Errors
    /// No whole answer came.
    pub fn ask_and_keep(&mut self) -> anyhow::Result<Answer> {
        self.send()?;
        self.reading.kept = Some(Vec::new());
        self.wait()?;
        let body = self.reading.kept.take().unwrap_or_default();
        let body = match self.reading.body {
            Some(Framing::Chunked(_)) => join_chunks(&body)?,
            _ => body,
        };
        let head = String::from_utf8_lossy(&self.reading.head).into_owned();
        Ok(Answer { head, body })
    }

    /// Sends the request.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self) -> anyhow::Result<()> {
        self.reading = Reading::default();
        let written = self.stream.write(&self.request)?;
        anyhow::ensure!(
            written == self.request.len(),
            "the request does not fit the socket"
        );
        Ok(())
    }

    /// Reads what is there; `true` once the answer is whole.
    ///
    /// # Errors
    /// The connection ended, or what came is no answer.
    pub fn poll(&mut self) -> anyhow::Result<bool> {
        match self.stream.read(&mut self.chunk) {
            Ok(0) => {
                let head = String::from_utf8_lossy(&self.reading.head);
                anyhow::bail!("the connection ended within the answer {head}")
            }
            Ok(n) => self.reading.take(&self.chunk[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.poll()? {
            anyhow::ensure!(
                Instant::now() < deadline,
                "no answer in {} s",
                PATIENCE.as_secs()
            );
            std::hint::spin_loop();
        }
        Ok(())
    }
}

/// A body without the marks of its chunks (RFC 9112, section 7.1).
fn join_chunks(mut bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(bytes.len());
    loop {
        let line = memchr::memmem::find(bytes, b"\r\n").context("a chunk without a size")?;
        let size = std::str::from_utf8(&bytes[..line])?;
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        if size == 0 {
            return Ok(body);
        }
        let start = line + 2;
        let chunk = bytes
            .get(start..start + size)
            .context("a chunk cut short")?;
        body.extend_from_slice(chunk);
        bytes = bytes.get(start + size + 2..).context("a chunk cut short")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<bool> {
        let mut reading = Reading::default();
        pieces
            .iter()
            .map(|piece| reading.take(piece).expect("an answer"))
            .collect()
    }

    #[test]
    fn an_answer_ends_where_its_framing_says() {
        let head: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(read(&[head, b"ab", b"cd"]), [false, false, true]);
        assert_eq!(read(&[&[head, b"abcd"].concat()]), [true]);
        let head: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(
            read(&[head, b"2\r\nab\r\n0\r", b"\n\r\n"]),
            [false, false, true]
        );
        assert_eq!(read(&[head, b"0\r\n\r\n"]), [false, true]);
        let (first, second) = head.split_at(head.len() - 2);
        assert_eq!(read(&[first, second, b"0\r\n\r\n"]), [false, false, true]);
    }

    #[test]
    fn chunks_are_joined() {
        let body = join_chunks(b"2\r\nab\r\na\r\n0123456789\r\n0\r\n\r\n").expect("chunks");
        assert_eq!(body, b"ab0123456789");
    }
}
