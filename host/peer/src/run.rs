//! Connections: handshakes, each on its own, and the streams that come out of them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use crate::certificate::{Identity, identity_of};
use crate::config::Config;
use crate::credentials::{Credentials, Look, RELOAD};
use crate::error::{IdentityError, TlsError};
use crate::open::{Cut, Open};

/// Connections whose handshake is done and that nobody has taken yet.
const WAITING: usize = 64;

/// How long it is waited after the operating system could give no connection.
const BREATH: Duration = Duration::from_millis(100);

/// Does handshakes with certificates from files. Clones share it.
#[derive(Clone)]
pub struct Acceptor {
    credentials: Arc<Credentials>,
    counters: Arc<Counters>,
    open: Arc<Open>,
}

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    nameless: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    reloaded: AtomicU64,
    not_reloaded: AtomicU64,
    ended: AtomicU64,
}

/// What became of connections and files, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Handshakes that were done.
    pub accepted: u64,
    /// Of those, with a certificate that names no node.
    pub nameless: u64,
    /// Handshakes that failed: no certificate, or one of another authority, or expired.
    pub refused: u64,
    /// Handshakes that took too long.
    pub timed_out: u64,
    /// Changes of the files that were put into force.
    pub reloaded: u64,
    /// Changes of the files that could not be used.
    pub not_reloaded: u64,
    /// Connections that were ended: their certificate expired, or its authority is believed no longer.
    pub ended: u64,
}

/// What is known of a connection.
#[derive(Clone, Debug)]
pub struct ConnectInfo {
    /// The other side's address.
    pub address: SocketAddr,
    /// The identity that it proved, or why its certificate has none.
    pub identity: Result<Identity, IdentityError>,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct PeerStream {
    stream: Box<TlsStream<TcpStream>>,
    info: ConnectInfo,
    cut: Cut,
}

/// Connections as they come. Dropping it ends the accepting.
#[derive(Debug)]
pub struct Incoming {
    streams: mpsc::Receiver<PeerStream>,
    address: SocketAddr,
}

impl Acceptor {
    /// An acceptor that offers these protocols by ALPN ([`crate::H2`], [`crate::HTTP1`]).
    ///
    /// # Errors
    /// The files can't be used.
    pub fn new(config: Config, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        Ok(Self {
            credentials: Arc::new(Credentials::read(config, protocols)?),
            counters: Arc::default(),
            open: Arc::default(),
        })
    }

    /// What became of connections and files.
    pub fn figures(&self) -> Figures {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            accepted: of(&self.counters.accepted),
            nameless: of(&self.counters.nameless),
            refused: of(&self.counters.refused),
            timed_out: of(&self.counters.timed_out),
            reloaded: of(&self.counters.reloaded),
            not_reloaded: of(&self.counters.not_reloaded),
            ended: of(&self.counters.ended),
        }
    }

    /// Accepts connections, and looks after the files, until the [`Incoming`] is dropped. Has to be called in a
    /// Tokio runtime.
    ///
    /// # Errors
    /// The socket has no address: it is none.
    pub fn accept(&self, listener: TcpListener) -> io::Result<Incoming> {
        let address = listener.local_addr()?;
        let (sender, streams) = mpsc::channel(WAITING);
        tokio::spawn(self.clone().watch(sender.clone()));
        tokio::spawn(self.clone().listen(listener, sender));
        Ok(Incoming { streams, address })
    }

    async fn watch(self, sender: mpsc::Sender<PeerStream>) {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(RELOAD) => {}
            }
            let mut changed = false;
            match self.credentials.look() {
                Look::Unchanged => {}
                Look::Reloaded => {
                    changed = true;
                    self.counters.reloaded.fetch_add(1, Ordering::Relaxed);
                    let certificate = &self.credentials.config().certificate;
                    tracing::info!(certificate = %certificate.display(), "certificates changed: in force");
                }
                Look::Refused(error) => {
                    self.counters.not_reloaded.fetch_add(1, Ordering::Relaxed);
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(cause, "certificates changed, and can't be used: {error}");
                }
            }
            // Many signatures take the processor for a while: not on a thread that serves.
            let acceptor = self.clone();
            let _ = tokio::task::spawn_blocking(move || acceptor.end_stale(changed)).await;
        }
    }

    /// Ends the connections whose certificate is not good any more.
    fn end_stale(&self, changed: bool) {
        for due in self.open.due(changed, UnixTime::now()) {
            let Err(error) = self.credentials.verify(&due.chain, UnixTime::now()) else {
                continue;
            };
            if self.open.end(due.id) {
                self.counters.ended.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(address = %due.address, "connection ended, its certificate is good no longer: {error}");
            }
        }
    }

    async fn listen(self, listener: TcpListener, sender: mpsc::Sender<PeerStream>) {
        let permits = self.credentials.config().max_handshakes.max(1);
        let permits = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        loop {
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (listener.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                () = sender.closed() => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, address)) => {
                    let (acceptor, sender) = (self.clone(), sender.clone());
                    tokio::spawn(async move {
                        let stream = acceptor.shake(stream, address).await;
                        drop(permit);
                        if let Some(stream) = stream {
                            // Nobody takes connections any more: then this one ends too.
                            let _ = sender.send(stream).await;
                        }
                    });
                }
                Err(error) => {
                    // Too many open files, say, or a client that was gone again.
                    tracing::warn!("can't accept a connection: {error}");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    async fn shake(&self, stream: TcpStream, address: SocketAddr) -> Option<PeerStream> {
        let config = self.credentials.config();
        let patience = Duration::from_secs(config.handshake_seconds.max(1));
        let _ = stream.set_nodelay(true);
        let acceptor = TlsAcceptor::from(self.credentials.server());
        let stream = match tokio::time::timeout(patience, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%address, "TLS handshake refused: {error}");
                return None;
            }
            Err(_) => {
                self.counters.timed_out.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%address, "no TLS handshake within {} s", patience.as_secs());
                return None;
            }
        };
        let (_, connection) = stream.get_ref();
        let chain = connection.peer_certificates().unwrap_or_default();
        let cut = Open::enter(&self.open, address, chain);
        // The files may have changed since the handshake began, when this one was not looked at yet.
        self.credentials
            .verify(chain, UnixTime::now())
            .inspect_err(|error| {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%address, "TLS handshake refused: {error}");
            })
            .ok()?;
        let identity = chain
            .first()
            .ok_or(IdentityError::NoCertificate)
            .and_then(|leaf| identity_of(leaf, &config.trust_domain));
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = &identity {
            self.counters.nameless.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%address, "{error}");
        }
        Some(PeerStream {
            stream: Box::new(stream),
            info: ConnectInfo { address, identity },
            cut,
        })
    }
}

impl Incoming {
    /// The next connection.
    ///
    /// # Errors
    /// Accepting has ended.
    pub async fn next(&mut self) -> io::Result<PeerStream> {
        let next = self.streams.recv().await;
        next.ok_or_else(|| io::Error::other("no connections are accepted any more"))
    }

    /// Where connections are accepted.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Stream for Incoming {
    type Item = io::Result<PeerStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.streams.poll_recv(context).map(|next| next.map(Ok))
    }
}

impl PeerStream {
    /// What is known of the connection.
    pub fn info(&self) -> &ConnectInfo {
        &self.info
    }
}

impl Connected for PeerStream {
    type ConnectInfo = ConnectInfo;

    fn connect_info(&self) -> ConnectInfo {
        self.info.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cut.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.cut.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
