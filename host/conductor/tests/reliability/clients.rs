//! Clients that keep asking, each on one connection at a time, and remember which answers they got whole.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use upstream::personas::ANALYST_ACME;

use crate::world::{PATIENCE, World};

/// Clients at once.
pub const CLIENTS: usize = 4;

pub struct Clients {
    whole: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    pub fn start(world: &World, pause: Duration) -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let token = ANALYST_ACME.token(&world.issuer, now);
        let whole: Arc<Mutex<Vec<String>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..CLIENTS).map(|client| {
            let (whole, stop, token) = (Arc::clone(&whole), Arc::clone(&stop), token.clone());
            let gateway = world.gateway;
            std::thread::spawn(move || {
                let mut asked = 0;
                while !stop.load(Ordering::Relaxed) {
                    let each = |name: &str| {
                        whole.lock().unwrap().push(name.to_owned());
                        std::thread::sleep(pause);
                        !stop.load(Ordering::Relaxed)
                    };
                    if connection(gateway, &token, client, &mut asked, each).is_none() {
                        // Nobody is there.
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
            })
        });
        Self {
            threads: threads.collect(),
            whole,
            stop,
        }
    }

    /// Answers that came whole, by the name that each request had.
    pub fn count(&self) -> usize {
        self.whole.lock().unwrap().len()
    }

    /// Waits for so many more.
    pub async fn more(&self, more: usize) {
        let wanted = self.count() + more;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.count() < wanted {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{} of {wanted}",
                self.count()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends them; all answers that came whole.
    pub fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        std::mem::take(&mut self.whole.lock().unwrap())
    }
}

/// Asks on one connection until it breaks or `each` says that it is enough.
fn connection(
    gateway: SocketAddr,
    token: &str,
    client: usize,
    asked: &mut u64,
    each: impl Fn(&str) -> bool,
) -> Option<()> {
    let mut stream = TcpStream::connect(gateway).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut answers = BufReader::new(stream.try_clone().ok()?);
    let body = r#"{"query":"{ viewer { name email phone } }"}"#;
    loop {
        *asked += 1;
        let name = format!("client-{client}-{asked}");
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: g\r\nuser-agent: {name}\r\nauthorization: Bearer {token}\r\n\
             x-ig-purpose: analytics\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let status = answer(&mut answers)?;
        // Without its filters a gateway that has just begun refuses, and decides nothing.
        if status == 200 && !each(&name) {
            return Some(());
        }
    }
}

/// Reads an answer to its end; its status.
fn answer(from: &mut impl BufRead) -> Option<u16> {
    let line = |from: &mut dyn BufRead| {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        line.ends_with('\n').then(|| line.trim_end().to_owned())
    };
    let status = line(from)?.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(from)?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(text) = header.strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        }
        chunked |= header == "transfer-encoding: chunked";
    }
    loop {
        if chunked {
            length = usize::from_str_radix(&line(from)?, 16).ok()? + 2;
        }
        let mut piece = vec![0; length];
        from.read_exact(&mut piece).ok()?;
        if !chunked || length == 2 {
            return Some(status);
        }
    }
}
