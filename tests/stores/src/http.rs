//! The least of an HTTP client and server: a request a connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Sends a request, as it is written here, and gives status and body.
///
/// # Panics
/// There is no answer that is HTTP.
pub async fn send(address: SocketAddr, line: &str, headers: &[(&str, &str)]) -> (u16, String) {
    send_body(address, line, headers, "").await
}

/// The same with a body.
///
/// # Panics
/// There is no answer that is HTTP.
pub async fn send_body(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let mut text = format!("{line} HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("it is read");
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.expect("an answer");
    let back = String::from_utf8_lossy(&back).into_owned();
    let (head, body) = back.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// A server that answers every request and notes its head. Dropping it ends it.
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts one that answers with this JSON text.
    ///
    /// # Panics
    /// There is no port.
    pub async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = heads.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away is no fault.
                tokio::spawn(serve(stream, answer, noted.clone()));
            }
        });
        Self {
            address,
            heads,
            task,
        }
    }

    /// The heads of all requests so far.
    ///
    /// # Panics
    /// A connection's task has panicked.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no poison").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &str,
    heads: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    heads.lock().expect("no poison").push(head);
    let length = answer.len();
    let text = format!(
        "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{answer}"
    );
    stream.write_all(text.as_bytes()).await
}
