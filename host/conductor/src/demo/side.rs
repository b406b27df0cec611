//! What is behind a region's gateway beside the upstream: stores, the sidecar with guards before them,
//! and the agent that opens them for probes.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use gateway::run::{Envoy, EnvoyOptions, free_port_or};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use upstream::stores::{Data, Stores};

use crate::config::Config;
use crate::fleet;

/// The store side of a region.
pub struct Side {
    /// The region.
    region: String,
    /// The stores.
    pub stores: Stores,
    /// The sidecar's administration port.
    admin: SocketAddr,
    /// Its listeners: before PostgreSQL, the object store and the graph.
    listeners: [SocketAddr; 3],
    /// The agent, for gateways and for the prober.
    agent: [SocketAddr; 2],
    access_log: PathBuf,
    sidecar: Option<Envoy>,
    serving: Option<(Arc<Notify>, JoinHandle<()>)>,
}

impl Side {
    /// Starts the stores of a region, and finds ports for the rest.
    ///
    /// # Errors
    /// A port can't be had.
    pub async fn start(region: &str, offset: u16, directory: &Path) -> anyhow::Result<Self> {
        let port = |wanted: u16| -> anyhow::Result<SocketAddr> {
            Ok((Ipv4Addr::LOCALHOST, free_port_or(wanted + offset)?).into())
        };
        Ok(Self {
            region: region.to_owned(),
            stores: Stores::start(region).await?,
            admin: port(9_911)?,
            listeners: [port(15_432)?, port(15_900)?, port(15_747)?],
            agent: [port(7_180)?, port(7_190)?],
            access_log: directory.join(format!("sidecar-{region}.log")),
            sidecar: None,
            serving: None,
        })
    }

    /// Where services find the stores.
    pub fn doors(&self) -> String {
        let [postgres, objects, graph] = self.listeners;
        format!("postgres {postgres}  s3 http://{objects}  neo4j http://{graph}")
    }

    /// Where services find PostgreSQL, the object store and the graph.
    pub fn listeners(&self) -> [SocketAddr; 3] {
        self.listeners
    }

    /// The part of the configuration that is about them.
    pub fn configuration(&self, xds_variant: &str) -> String {
        let stores = &self.stores;
        let [postgres, objects, graph] = self.listeners;
        let [listen, control] = self.agent;
        let mut text = format!(
            "\n[[sidecars]]\nregion = \"{}\"\nadmin = \"{}\"\naccess_log = {:?}\n\
             xds_variant = \"{xds_variant}\"\n",
            self.region, self.admin, self.access_log
        );
        for (name, kind, listen, store, whose) in [
            (
                "people",
                "postgres",
                postgres,
                stores.postgres.address(),
                "databases = [{ name = \"{tenant}\" }]",
            ),
            (
                "objects",
                "s3",
                objects,
                stores.objects.address(),
                "hosts = [\"127.0.0.1\"]\nbuckets = [{ name = \"{tenant}-files\" }]",
            ),
            (
                "graph",
                "neo4j",
                graph,
                stores.graph.address(),
                "databases = [{ name = \"{tenant}\" }]",
            ),
        ] {
            let _ = write!(
                text,
                "[[sidecars.listeners]]\nname = \"{name}\"\nkind = \"{kind}\"\nlisten = \"{listen}\"\n\
                 endpoints = [{{ address = \"{store}\" }}]\n{whose}\n"
            );
        }
        let _ = write!(
            text,
            "\n[[agents]]\nregion = \"{}\"\nlisten = \"{listen}\"\ncontrol = \"{control}\"\nstores = [\n  \
             {{ name = \"people\", kind = \"postgres\", address = \"{postgres}\", database = \"{{tenant}}\", \
             user = \"{{tenant}}\" }},\n  \
             {{ name = \"objects\", kind = \"s3\", address = \"{objects}\", bucket = \"{{tenant}}-files\" }},\n  \
             {{ name = \"graph\", kind = \"neo4j\", address = \"{graph}\", database = \"{{tenant}}\" }},\n]\n",
            self.region
        );
        text
    }

    /// Starts the sidecar and the agent.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn serve(
        &mut self,
        config: &Config,
        binary: &Path,
        work: &Path,
        keys: &str,
    ) -> anyhow::Result<()> {
        std::fs::create_dir_all(work)?;
        let sidecar = config.sidecars.iter().find(|s| s.region == self.region);
        let sidecar = sidecar.context("the region has no sidecar")?;
        let bootstrap = fleet::sidecar::bootstrap(config, sidecar, None, None)?;
        let mut options =
            EnvoyOptions::new(binary.to_owned(), bootstrap, work.to_owned(), self.admin);
        options.concurrency = 1;
        options.env = vec![(fleet::CONTEXT_KEYS_ENV.into(), keys.to_owned())];
        let envoy = Envoy::start(&options)
            .await
            .with_context(|| format!("starting the sidecar of {}", self.region))?;
        self.sidecar = Some(envoy);
        let agent = config.agents.iter().find(|a| a.region == self.region);
        let agent = agent.context("the configuration has no such agent")?;
        let public = TcpListener::bind(agent.listen).await?;
        let control = TcpListener::bind(agent.control).await?;
        let settings = agent.settings();
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let serving = tokio::spawn(async move {
            let stop = async move { stopped.notified().await };
            if let Err(error) = agent::run::serve(public, control, settings, stop).await {
                tracing::error!("an agent ended: {error}");
            }
        });
        self.serving = Some((stop, serving));
        Ok(())
    }

    /// The sidecar's process, if it runs.
    pub fn sidecar(&mut self) -> Option<&mut Envoy> {
        self.sidecar.as_mut()
    }

    /// Kills the stores, as when a region goes down.
    pub async fn kill_stores(&mut self) {
        self.stores.postgres.kill().await;
        self.stores.objects.kill().await;
        self.stores.graph.kill().await;
    }

    /// Starts them again, with what was in them.
    ///
    /// # Errors
    /// A port is taken.
    pub async fn restart_stores(&mut self) -> anyhow::Result<()> {
        self.stores.postgres.restart(Data::Kept).await?;
        self.stores.objects.restart(Data::Kept).await?;
        self.stores.graph.restart(Data::Kept).await?;
        Ok(())
    }

    /// Ends everything but the sidecar, which is given back to be stopped.
    pub async fn stop(mut self) -> Option<Envoy> {
        if let Some((stop, serving)) = self.serving.take() {
            stop.notify_waiters();
            let _ = serving.await;
        }
        let sidecar = self.sidecar.take();
        self.stores.shutdown().await;
        sidecar
    }
}
