//! Decisions into the store: the logs of gateways and sidecars, what they stream, what OPAs send; and what is
//! wrong with that.

mod convert;
mod drops;
mod http;
mod shelf;
mod sink;
mod starts;
mod steady;
mod upkeep;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alert::run::Alerts;
use anyhow::Context;
use axum::middleware::from_fn;
use bundle::Bundle;
use decisions::{DecisionsConfig, MaskPolicy};
use peer::Acceptor;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::peers;

pub use http::router;
#[cfg(test)]
pub use shelf::Refusals;
pub use shelf::{Policies, Seen, Shelf};
pub use sink::StoreSink;

/// Everything that reads decisions, ready to run.
pub struct Ingest {
    config: DecisionsConfig,
    sources: Vec<PathBuf>,
    /// The gateways' and sidecars' logs and administration ports.
    writers: Vec<(String, SocketAddr)>,
    mask: Option<MaskPolicy>,
    sink: StoreSink,
    opa: Option<Port>,
    grpc: Option<Port>,
    revisions: mpsc::UnboundedReceiver<Arc<Bundle>>,
}

/// A port, and what asks for certificates there.
struct Port {
    listener: TcpListener,
    acceptor: Option<Acceptor>,
}

impl Port {
    async fn bind(
        config: &Config,
        address: SocketAddr,
        what: &str,
        protocol: &[u8],
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("can't listen on {address} ({what})"))?;
        let acceptor = peers::acceptor(config, protocol)?;
        Ok(Self { listener, acceptor })
    }
}

/// Where policies are handed in that gateways are served, to be kept with the decisions.
#[derive(Clone)]
pub struct Keeper(mpsc::UnboundedSender<Arc<Bundle>>);

impl Keeper {
    /// These are served now.
    pub fn keep(&self, bundle: &Bundle) {
        // Who ends keeps nothing more.
        let _ = self.0.send(Arc::new(bundle.clone()));
    }
}

/// The mask policy, if one is configured.
///
/// # Errors
/// It can't be used.
pub fn mask(config: &Config) -> anyhow::Result<Option<MaskPolicy>> {
    let mask = config.decisions.mask.as_deref().map(MaskPolicy::load);
    mask.transpose().context("`decisions.mask` can't be used")
}

/// The logs that are read: those of the gateways and sidecars that are on this machine, and those that are
/// named.
pub fn sources(config: &Config) -> Vec<PathBuf> {
    let mut sources: Vec<PathBuf> = Vec::new();
    let gateways = config.gateways.iter().map(|gateway| &gateway.access_log);
    let sidecars = config.sidecars.iter().map(|sidecar| &sidecar.access_log);
    for path in gateways.chain(sidecars).chain(&config.decisions.sources) {
        // A log that is a pipe or a terminal is another's to read, as is one whose directory only the
        // gateway's machine knows.
        let file = std::fs::metadata(path).map_or(true, |m| m.is_file());
        let here = path.is_absolute() && path.parent().is_some_and(std::path::Path::is_dir);
        if !file || !here {
            tracing::info!(path = %path.display(), "no log file of this machine: it is not read");
        } else if !sources.contains(path) {
            sources.push(path.clone());
        }
    }
    sources
}

/// What the Envoys themselves say is missing, until `over` is true.
pub async fn look_after(
    sink: StoreSink,
    writers: Vec<(String, SocketAddr)>,
    over: watch::Receiver<bool>,
) {
    tokio::join!(
        drops::look(sink.clone(), writers.clone(), over.clone()),
        starts::look(sink, writers, over),
    );
}

/// Who writes logs, and where Envoys tell what they dropped of them.
pub fn writers(config: &Config) -> Vec<(String, SocketAddr)> {
    let gateways = config.gateways.iter().map(|g| (&g.access_log, g.admin));
    let sidecars = config.sidecars.iter().map(|s| (&s.access_log, s.admin));
    let of = |(log, admin): (&PathBuf, _)| (log.display().to_string(), admin);
    gateways.chain(sidecars).map(of).collect()
}

impl Ingest {
    /// Reads the mask policy and binds the listeners.
    ///
    /// # Errors
    /// The mask policy can't be used, or a port is taken.
    pub async fn prepare(
        config: &Config,
        alerts: Alerts,
    ) -> anyhow::Result<(Self, Keeper, Arc<Shelf>)> {
        let shelf = Arc::new(Shelf::new(config.store.clone()));
        let (opa, grpc) = (config.decisions.opa_listen, config.decisions.grpc_listen);
        let opa = match opa {
            Some(at) => Some(Port::bind(config, at, "decisions.opa_listen", peer::HTTP1).await?),
            None => None,
        };
        let grpc = match grpc {
            Some(at) => Some(Port::bind(config, at, "decisions.grpc_listen", peer::H2).await?),
            None => None,
        };
        let (keep, revisions) = mpsc::unbounded_channel();
        let ingest = Self {
            sources: match config.decisions.ingest {
                true => sources(config),
                false => Vec::new(),
            },
            writers: match config.decisions.ingest {
                true => writers(config),
                false => Vec::new(),
            },
            mask: mask(config)?,
            config: config.decisions.clone(),
            sink: StoreSink::new(shelf.clone(), alerts),
            opa,
            grpc,
            revisions,
        };
        Ok((ingest, Keeper(keep), shelf))
    }

    /// Where OPAs report what they decided and how they are, on a port that [`peers::serve`] serves.
    pub fn reports(&self) -> axum::Router {
        decisions::router(self.sink.clone(), self.mask.clone()).layer(from_fn(peers::tell_sender))
    }

    /// What asks for certificates, by port.
    pub fn acceptors(&self) -> Vec<(&'static str, Acceptor)> {
        let of = |name, port: &Option<Port>| Some((name, port.as_ref()?.acceptor.clone()?));
        let ports = [of("opa", &self.opa), of("decisions", &self.grpc)];
        ports.into_iter().flatten().collect()
    }

    /// Runs until `stop` is done. A batch that is being stored is stored to its end.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) {
        let (ended, over) = watch::channel(false);
        let reports = self.reports();
        let mut tasks = JoinSet::new();
        for source in self.sources {
            let (config, mask) = (self.config.clone(), self.mask.clone());
            let (sink, over) = (self.sink.clone(), over.clone());
            tasks.spawn(async move {
                let followed = decisions::run::follow(source, &config, mask, sink, false, over);
                if let Err(error) = followed.await {
                    tracing::error!("a log is not read any more: {error}");
                }
            });
        }
        let wait = |over: &watch::Receiver<bool>| {
            let mut over = over.clone();
            async move {
                let _ = over.wait_for(|ended| *ended).await;
            }
        };
        if let Some(Port { listener, acceptor }) = self.opa {
            let serving = peers::serve(listener, acceptor, reports, wait(&over));
            tasks.spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!("OPA's decisions are not received any more: {error}");
                }
            });
        }
        if let Some(Port { listener, acceptor }) = self.grpc {
            let (sink, mask) = (self.sink.clone(), self.mask.clone());
            let stopped = wait(&over);
            // Streams are open for as long as gateways live: they are not waited for.
            let cut = wait(&over);
            tasks.spawn(async move {
                tokio::select! {
                    served = receive(listener, acceptor, sink, mask, stopped) => if let Err(error) = served {
                        tracing::error!("access logs are not received any more: {error:#}");
                    },
                    () = cut => {}
                }
            });
        }
        tasks.spawn(upkeep::revisions(
            self.sink.shelf(),
            self.revisions,
            over.clone(),
        ));
        tasks.spawn(upkeep::look(self.sink.clone(), over.clone()));
        tasks.spawn(look_after(self.sink.clone(), self.writers, over.clone()));
        stop.await;
        let _ = ended.send(true);
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(2), all)
            .await
            .is_err()
        {
            // As a crash would end it: what is stored is stored with its checkpoint.
            tracing::warn!(
                "a batch of decisions was not stored in time: it is read again next time"
            );
        }
    }
}

/// Receives what gateways stream.
async fn receive(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    sink: StoreSink,
    mask: Option<MaskPolicy>,
    stopped: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    match acceptor {
        None => decisions::serve_access_log_service(listener, sink, mask, stopped).await?,
        Some(acceptor) => {
            let incoming = acceptor.accept(listener)?;
            let sender = peers::sender;
            decisions::serve_access_log_service_incoming(incoming, sender, sink, mask, stopped)
                .await?;
        }
    }
    Ok(())
}
