//! A small server of Bolt, which answers every query with one record, `{x: 1}`, and notes what it got.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How the server chooses a version.
#[derive(Debug, Clone, Copy)]
pub enum Handshake {
    /// It answers with one: major and minor.
    Version(u8, u8),
    /// It answers with a manifest of this one, of which the client chooses.
    Manifest(u8, u8),
}

/// A running server. Dropping it ends it.
pub struct Graph {
    /// Where it is.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Graph {
    /// Starts one.
    ///
    /// # Panics
    /// There is no port.
    pub async fn start(handshake: Handshake) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let noted = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let noted = noted.clone();
                let at = {
                    let mut all = noted.lock().expect("no poison");
                    all.push(Vec::new());
                    all.len() - 1
                };
                let note = move |tag: u8| noted.lock().expect("no poison")[at].push(tag);
                tokio::spawn(async move {
                    // A client that goes away is no fault.
                    let _ = serve(stream, handshake, note).await;
                });
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// The tags of the messages that each connection has brought.
    ///
    /// # Panics
    /// A connection's task has panicked.
    pub fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("no poison").clone()
    }
}

const SUCCESS: u8 = 0x70;
const RECORD: u8 = 0x71;

async fn serve(
    mut stream: TcpStream,
    handshake: Handshake,
    note: impl Fn(u8),
) -> std::io::Result<()> {
    let mut request = [0; 20];
    stream.read_exact(&mut request).await?;
    match handshake {
        Handshake::Version(major, minor) => stream.write_all(&[0, 0, minor, major]).await?,
        Handshake::Manifest(major, minor) => {
            let manifest = [0, 0, 1, 0xff, 1, 0, 0, minor, major, 0];
            stream.write_all(&manifest).await?;
            let mut choice = [0; 5];
            stream.read_exact(&mut choice).await?;
            assert_eq!(choice, [0, 0, minor, major, 0], "the client's choice");
        }
    }
    loop {
        let message = message(&mut stream).await?;
        let tag = message.get(1).copied().unwrap_or_default();
        note(tag);
        match tag {
            // GOODBYE
            0x02 => return Ok(()),
            // HELLO
            0x01 => {
                let metadata = [
                    &b"\xa2\x86server\x8cNeo4j/5.26.0"[..],
                    b"\x8dconnection_id\x81b",
                ];
                send(&mut stream, SUCCESS, &metadata.concat()).await?;
            }
            // RUN
            0x10 => {
                send(
                    &mut stream,
                    SUCCESS,
                    b"\xa2\x86fields\x91\x81x\x87t_first\x00",
                )
                .await?
            }
            // PULL
            0x3f => {
                send(&mut stream, RECORD, b"\x91\x01").await?;
                send(&mut stream, SUCCESS, b"\xa2\x84type\x81r\x86t_last\x00").await?;
            }
            _ => send(&mut stream, SUCCESS, b"\xa0").await?,
        }
    }
}

async fn message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let size = usize::from(stream.read_u16().await?);
        if size == 0 && !message.is_empty() {
            return Ok(message);
        }
        let start = message.len();
        message.resize(start + size, 0);
        stream.read_exact(&mut message[start..]).await?;
    }
}

async fn send(stream: &mut TcpStream, tag: u8, field: &[u8]) -> std::io::Result<()> {
    let message = [&[0xb1, tag][..], field].concat();
    let size = u16::try_from(message.len()).expect("a short message");
    let bytes = [&size.to_be_bytes()[..], &message, &[0, 0]].concat();
    stream.write_all(&bytes).await
}
