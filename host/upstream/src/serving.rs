//! A port: what listens on it, and the connections that it has taken.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use crate::Error;

/// A port that is served. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<Infallible>,
    accepting: JoinHandle<()>,
}

impl Serving {
    /// Listens, and does this with every connection; port 0 takes any free port.
    pub(crate) async fn start<C>(
        address: SocketAddr,
        connection: impl Fn(TcpStream) -> C + Send + 'static,
    ) -> Result<Self, Error>
    where
        C: Future<Output = ()> + Send + 'static,
    {
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (stop, stopped) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, connection, stopped));
        Ok(Self {
            address,
            stop,
            accepting,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops at once: the port is free and every connection closed when this returns.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        // A panic of the server is not the caller's: it is gone, as asked for.
        _ = self.accepting.await;
    }
}

/// Accepts until stopped; then the set's end ends every connection.
async fn accept<C>(
    listener: TcpListener,
    connection: impl Fn(TcpStream) -> C + Send + 'static,
    mut stopped: oneshot::Receiver<Infallible>,
) where
    C: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // One connection failed, or the table of open files is full: it may empty.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
            _ = &mut stopped => break,
        };
        // Without it a small piece waits for the acknowledgement of the one before.
        _ = stream.set_nodelay(true);
        connections.spawn(connection(stream));
    }
    drop(listener);
    connections.shutdown().await;
}

/// Answers the HTTP of a connection, of either version.
pub(crate) async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
) {
    // The peer's or a fault's broken connection ends here.
    _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
}
