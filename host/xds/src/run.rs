//! Serving: the socket and its end.

use std::future::Future;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::cache::Cache;
use crate::config::Config;
use crate::error::ServeError;
use crate::server::Ads;

/// Serves a cache on a bound socket until `shutdown` is done; then ends all streams.
///
/// # Errors
/// The transport failed.
pub async fn serve(
    listener: TcpListener,
    cache: Cache,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (close, closing) = watch::channel(false);
    let keepalive = Duration::from_secs(config.keepalive_seconds.max(1));
    let ads = Ads::new(cache, config, closing);
    Server::builder()
        .http2_keepalive_interval(Some(keepalive))
        .http2_keepalive_timeout(Some(keepalive))
        .add_service(ads.into_service())
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            async move {
                shutdown.await;
                close.send_replace(true);
            },
        )
        .await?;
    Ok(())
}
