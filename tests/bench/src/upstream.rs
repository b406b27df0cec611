//! The upstream of every variant but Apollo's: it answers every request with the body at hand.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A server with a thread a connection, for the life of the process.
pub struct Upstream {
    address: SocketAddr,
    response: Arc<Mutex<Arc<[u8]>>>,
}

impl Upstream {
    /// Starts it, with nothing to answer with yet.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let response = Arc::new(Mutex::new(whole(b"{}")));
        let shared = response.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Ok(Self { address, response })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the next request on it answers with this body.
    pub fn answer_with(&self, body: &[u8]) {
        *self.response.lock().unwrap_or_else(PoisonError::into_inner) = whole(body);
    }
}

fn whole(body: &[u8]) -> Arc<[u8]> {
    let mut response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    response.extend_from_slice(body);
    response.into()
}

fn serve(mut stream: TcpStream, response: &Mutex<Arc<[u8]>>) {
    // An upstream that is slower by Nagle's algorithm is still an upstream.
    let _ = stream.set_nodelay(true);
    let mut seen = Vec::new();
    let mut buffer = [0; 16_384];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..n]);
        // The requests end with the query's last bytes, whatever their framing.
        if seen.ends_with(b"}\"}") || seen.ends_with(b"0\r\n\r\n") {
            seen.clear();
            let response = response
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if stream.write_all(&response).is_err() {
                return;
            }
        }
    }
}
