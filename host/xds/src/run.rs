//! Serving: the socket and its end.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpConnectInfo, TcpIncoming};

use crate::cache::Cache;
use crate::config::Config;
use crate::error::ServeError;
use crate::peer::{Peer, Proof};
use crate::server::Ads;

/// Serves a cache on a bound socket, without encryption, until `shutdown` is done; then ends all streams.
/// Nodes are believed to be who they say they are.
///
/// # Errors
/// The transport failed.
pub async fn serve(
    listener: TcpListener,
    cache: Cache,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let peer_of = |info: &TcpConnectInfo| Peer {
        address: info.remote_addr(),
        proof: Proof::NotAsked,
    };
    serve_incoming(incoming, cache, config, peer_of, shutdown).await
}

/// Serves a cache on connections of any kind until `shutdown` is done; then ends all streams. `peer_of`
/// tells from what a connection knows of itself who is on its other side.
///
/// # Errors
/// The transport failed.
pub async fn serve_incoming<I, C, E>(
    incoming: I,
    cache: Cache,
    config: Config,
    peer_of: impl Fn(&C::ConnectInfo) -> Peer + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    I: Stream<Item = Result<C, E>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (close, closing) = watch::channel(false);
    let keepalive = Duration::from_secs(config.keepalive_seconds.max(1));
    let peer_of = move |extensions: &http::Extensions| match extensions.get::<C::ConnectInfo>() {
        Some(info) => peer_of(info),
        // No connection is without: but if one were, it would have proven nothing.
        None => Peer {
            address: None,
            proof: Proof::Failed {
                reason: "nothing is known of the connection".to_owned(),
            },
        },
    };
    let ads = Ads::new(cache, config, peer_of, closing);
    Server::builder()
        .http2_keepalive_interval(Some(keepalive))
        .http2_keepalive_timeout(Some(keepalive))
        .add_service(ads)
        .serve_with_incoming_shutdown(incoming, async move {
            shutdown.await;
            close.send_replace(true);
        })
        .await?;
    Ok(())
}
