//! Setting the demo up and taking it down.

mod ask;
mod setup;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use gateway::run::{Envoy, EnvoyOptions};
use tokio::process::{Child, Command};
use upstream::personas;
use upstream::tokens::Issuer;
use upstream::{Region, Upstream};

pub use ask::Caller;
pub use setup::{PERIOD_S, Setup};

use super::side::Side;
use crate::client;
use crate::config::Config;
use crate::fleet;
use crate::proofs::passphrase::PASSPHRASE_ENV;
use crate::release::drill::Yard;
use setup::{Proving, checkout, configuration, port, random, turn};

/// One region of the demo.
pub struct RegionStage {
    /// Its name.
    pub name: String,
    /// The gateway.
    pub listen: SocketAddr,
    /// The gateway's administration port.
    pub admin: SocketAddr,
    /// The region's data, while it is served.
    upstream: Option<Upstream>,
    /// Where it is served.
    address: SocketAddr,
    /// The gateway's process.
    pub envoy: Option<Envoy>,
    /// The gateway's access log.
    pub access_log: PathBuf,
    /// A second server of the same data, that takes over when the first is down.
    pub secondary: Option<Upstream>,
    /// The stores and what is before them.
    pub side: Side,
}

impl RegionStage {
    /// The region's upstream.
    ///
    /// # Errors
    /// It was stopped.
    pub fn upstream(&self) -> anyhow::Result<&Upstream> {
        self.upstream
            .as_ref()
            .with_context(|| format!("the upstream of {} is stopped", self.name))
    }

    /// Requests that the upstream has seen.
    pub fn requests(&self) -> u64 {
        self.upstream.as_ref().map_or(0, |u| u.stats().requests)
    }
}

/// The running demo.
pub struct Stage {
    directory: tempfile::TempDir,
    /// The regions, the EU first.
    pub regions: Vec<RegionStage>,
    /// Who signs tokens.
    pub issuer: Issuer,
    /// The conductor's xDS port.
    pub xds: SocketAddr,
    /// The conductor's HTTP port.
    pub api: SocketAddr,
    /// The root key of the pseudonyms, to look for where it must not be.
    pub key: String,
    /// That of the key that signs proofs.
    passphrase: String,
    conductor: Option<Child>,
}

fn tell(message: &str) {
    eprintln!("demo: {message}");
}

/// How long the filters' code may take to arrive and to be compiled.
const FILTERS_PATIENCE: Duration = Duration::from_secs(60);

impl Stage {
    /// Builds, finds and starts everything.
    ///
    /// # Errors
    /// A part can't be had.
    pub async fn start(setup: &Setup) -> anyhow::Result<Self> {
        let checkout = checkout()?;
        tell("building the filters (a minute or two, the first time)");
        let root = checkout.clone();
        let filters = tokio::task::spawn_blocking(move || {
            artifacts::build_filters(&root, &["residency", "masking", "guard"])
        })
        .await??;
        let target = checkout.join("target");
        let cache = target.clone();
        let binary = tokio::task::spawn_blocking(move || gateway::locate::locate(&cache, tell))
            .await?
            .context("looking for Envoy")?;
        tell(&format!("Envoy is {}", binary.display()));

        let directory = tempfile::Builder::new()
            .prefix("demo-")
            .tempdir_in(&target)?;
        let at = directory.path();
        artifacts::copy_directory(&checkout.join("policies"), &at.join("policies"))
            .context("can't copy the policies")?;
        std::fs::create_dir_all(at.join("filters"))?;
        let names = ["residency.wasm", "masking.wasm", "guard.wasm"];
        for (from, name) in filters.iter().zip(names) {
            std::fs::copy(from, at.join("filters").join(name))?;
        }
        let issuer = Issuer::generate();
        std::fs::write(at.join("jwks.json"), issuer.jwks())?;
        let key = random()?;

        // Between looking for free ports and taking them, no other demo may look.
        let turn = tokio::task::spawn_blocking(turn).await?;
        let xds = port(18000)?;
        let api = port(7080)?;
        let traces = port(4317)?;
        let access_logs = port(4318)?;
        let mut regions = Vec::new();
        for (region, offset) in Region::ALL.into_iter().zip(0u16..) {
            let upstream = Upstream::start(region, (Ipv4Addr::LOCALHOST, 0).into()).await?;
            regions.push(RegionStage {
                name: region.to_string(),
                listen: port(10_000 + offset)?,
                admin: port(9_901 + offset)?,
                access_log: at.join(format!("access-{region}.log")),
                address: upstream.address(),
                upstream: Some(upstream),
                envoy: None,
                secondary: match setup.secondaries {
                    true => Some(Upstream::start(region, (Ipv4Addr::LOCALHOST, 0).into()).await?),
                    false => None,
                },
                side: Side::start(region.as_str(), offset, at).await?,
            });
        }
        let proving = Proving::prepare(at, &issuer)?;
        let mut config = configuration(setup, xds, api, traces, access_logs, &regions)?;
        let yard = Yard::at(at);
        if setup.releases {
            config.push_str(yard.prepare(&at.join("policies"))?);
        }
        let proves = format!("{config}{}", proving.configuration);
        std::fs::write(at.join("prober.toml"), &proves)?;
        let served = if setup.proves { proves } else { config };
        std::fs::write(at.join("conductor.toml"), served)?;
        let mut stage = Self {
            directory,
            regions,
            issuer,
            xds,
            api,
            key,
            passphrase: proving.passphrase,
            conductor: None,
        };
        if setup.releases {
            tell("releasing the policies for the first time");
            yard.first().await?;
        }
        stage.start_conductor().await?;
        for region in 0..stage.regions.len() {
            stage.start_gateway(region, &binary).await?;
        }
        stage.start_sides(&binary).await?;
        drop(turn);
        stage.in_force().await?;
        Ok(stage)
    }

    /// Starts sidecars and agents.
    async fn start_sides(&mut self, binary: &Path) -> anyhow::Result<()> {
        let config = self.config()?;
        let (directory, keys) = (self.directory().to_owned(), self.context_keys());
        for region in &mut self.regions {
            let work = directory.join(format!("sidecar-{}", region.name));
            region.side.serve(&config, binary, &work, &keys).await?;
        }
        tell("a sidecar guards the stores of each region");
        Ok(())
    }

    /// The configuration that the conductor serves.
    ///
    /// # Errors
    /// It can't be read.
    pub fn config(&self) -> anyhow::Result<Config> {
        Config::read(&self.directory().join("conductor.toml"))
    }

    /// The configuration with a prober, whether the conductor is one or not.
    ///
    /// # Errors
    /// It can't be read.
    pub fn prober(&self) -> anyhow::Result<Config> {
        Config::read(&self.directory().join("prober.toml"))
    }

    /// The keys of context tokens, as gateways and guards get them.
    pub fn context_keys(&self) -> String {
        format!("demo:{}", self.key)
    }

    /// The folder of the proofs that the conductor makes.
    pub fn proofs(&self) -> PathBuf {
        self.directory().join("proofs")
    }

    /// The directory with everything that the demo writes.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The demo's copy of the policies.
    pub fn policies(&self) -> PathBuf {
        self.directory().join("policies")
    }

    /// Starts the conductor, also after it was killed.
    ///
    /// # Errors
    /// It does not serve.
    pub async fn start_conductor(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::create(self.directory().join("conductor.log"))?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg("--config")
            .arg(self.directory().join("conductor.toml"))
            .env(fleet::CONTEXT_KEYS_ENV, self.context_keys())
            .env(PASSPHRASE_ENV, &self.passphrase)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // A Ctrl-C in the terminal is for the demo, which ends its parts in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("can't start the conductor")?;
        let healthy = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                if let Some(status) = child.try_wait()? {
                    bail!("the conductor ended with {status}");
                }
                let answer = client::send(self.api, "GET", "/healthz", &[], String::new()).await;
                if answer.is_ok_and(|a| a.status == 200) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let log =
            || std::fs::read_to_string(self.directory().join("conductor.log")).unwrap_or_default();
        match healthy {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.context(log())),
            Err(_) => bail!("the conductor does not answer; its log:\n{}", log()),
        }
        self.conductor = Some(child);
        tell(&format!(
            "the conductor serves xDS on {} and HTTP on {}",
            self.xds, self.api
        ));
        Ok(())
    }

    /// Starts the gateway of a region, by its place in the list.
    async fn start_gateway(&mut self, region: usize, binary: &Path) -> anyhow::Result<()> {
        let config = Config::read(&self.directory().join("conductor.toml"))?;
        let directory = self.directory().to_owned();
        let (Some(region), Some(gateway)) =
            (self.regions.get_mut(region), config.gateways.get(region))
        else {
            bail!("there is no such region");
        };
        let work = directory.join(format!("envoy-{}", region.name));
        std::fs::create_dir_all(&work)?;
        let bootstrap = fleet::bootstrap(&config, gateway, None, None)?;
        let mut options = EnvoyOptions::new(binary.to_owned(), bootstrap, work, region.admin);
        options.env = [fleet::KEYS_ENV, fleet::CONTEXT_KEYS_ENV]
            .map(|variable| (variable.into(), format!("demo:{}", self.key)))
            .into();
        let envoy = Envoy::start(&options)
            .await
            .with_context(|| format!("starting the gateway of {}", region.name))?;
        listening(&envoy, self.api)
            .await
            .with_context(|| format!("the gateway of {}", region.name))?;
        region.envoy = Some(envoy);
        tell(&format!(
            "the gateway of {} serves on {}",
            region.name, region.listen
        ));
        Ok(())
    }

    /// Waits until every gateway answers somebody of its region, and every sidecar has its guards: they
    /// listen before the filters' code is there, and deny till then.
    async fn in_force(&self) -> anyhow::Result<()> {
        for (place, region) in self.regions.iter().enumerate() {
            if !self.answers(place).await? {
                bail!(
                    "the gateway of {} does not let requests through its filters",
                    region.name
                );
            }
        }
        let deadline = tokio::time::Instant::now() + FILTERS_PATIENCE;
        for region in &self.regions {
            let group = fleet::sidecar::group(&region.name);
            loop {
                let xds = self.api("/api/xds").await?;
                let of = &xds["groups"][&group];
                if !of["served"].is_null() && of["served"] == of["last_good"] {
                    break;
                }
                if tokio::time::Instant::now() > deadline {
                    bail!("the sidecar of {} has no guards: {of}", region.name);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Whether a gateway lets somebody of its region through before long.
    async fn answers(&self, region: usize) -> anyhow::Result<bool> {
        let body = r#"{"query":"{ __typename }"}"#;
        let name = self.regions.get(region).map_or("", |r| r.name.as_str());
        let persona = match name {
            "us" => &personas::ANALYST_INITECH,
            "apac" => &personas::ANALYST_HOOLI,
            _ => &personas::ANALYST_ACME,
        };
        let deadline = tokio::time::Instant::now() + FILTERS_PATIENCE;
        while tokio::time::Instant::now() < deadline {
            let answer = self
                .ask(name, persona, "analytics", body.to_owned(), &[])
                .await?;
            if answer.status == 200 {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }

    /// The region of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn region(&self, name: &str) -> anyhow::Result<&RegionStage> {
        self.regions
            .iter()
            .find(|r| r.name == name)
            .with_context(|| format!("no region {name}"))
    }

    /// The same, to change it.
    ///
    /// # Errors
    /// There is none.
    pub fn region_mut(&mut self, name: &str) -> anyhow::Result<&mut RegionStage> {
        self.regions
            .iter_mut()
            .find(|r| r.name == name)
            .with_context(|| format!("no region {name}"))
    }

    /// Kills the conductor, as a crash would.
    ///
    /// # Errors
    /// The operating system refuses.
    pub async fn kill_conductor(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.conductor.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Stops a region's upstream.
    ///
    /// # Errors
    /// There is no such region.
    pub async fn stop_upstream(&mut self, name: &str) -> anyhow::Result<()> {
        let upstream = self.region_mut(name)?.upstream.take();
        if let Some(upstream) = upstream {
            upstream.shutdown().await;
        }
        Ok(())
    }

    /// Starts a stopped upstream again, where it was.
    ///
    /// # Errors
    /// There is no such region, or its port is taken.
    pub async fn restart_upstream(&mut self, name: &str) -> anyhow::Result<()> {
        let region = self.region_mut(name)?;
        let upstream = Upstream::start(name.parse()?, region.address).await?;
        region.upstream = Some(upstream);
        Ok(())
    }

    /// Requests that the running upstreams have seen.
    pub fn requests(&self) -> u64 {
        self.regions.iter().map(RegionStage::requests).sum()
    }

    /// Waits for Ctrl-C, or for a part that ends by itself.
    ///
    /// # Errors
    /// A part ended.
    pub async fn wait(&mut self) -> anyhow::Result<()> {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            let ended = self
                .conductor
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten();
            if let Some(status) = ended {
                tell(&format!(
                    "the conductor ended with {status}: the gateways go on without it"
                ));
                self.conductor = None;
            }
            for region in &mut self.regions {
                if let Some(envoy) = &mut region.envoy
                    && let Some(status) = envoy.exited()?
                {
                    bail!(
                        "the gateway of {} ended with {status}:\n{}",
                        region.name,
                        envoy.log_tail()
                    );
                }
                if let Some(envoy) = region.side.sidecar()
                    && let Some(status) = envoy.exited()?
                {
                    bail!(
                        "the sidecar of {} ended with {status}:\n{}",
                        region.name,
                        envoy.log_tail()
                    );
                }
            }
        }
    }

    /// Ends everything and removes what the demo wrote.
    pub async fn stop(mut self) {
        tell("stopping");
        let _ = self.kill_conductor().await;
        for region in self.regions {
            let sidecar = region.side.stop().await;
            for envoy in region.envoy.into_iter().chain(sidecar) {
                let _ = envoy.stop(Duration::from_secs(3)).await;
            }
            for upstream in region.upstream.into_iter().chain(region.secondary) {
                upstream.shutdown().await;
            }
        }
    }
}

/// Waits until a gateway has taken its listener: one whose port was taken meanwhile is ready too,
/// but refuses its configuration.
async fn listening(envoy: &Envoy, api: SocketAddr) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let active = envoy
            .stats()
            .await?
            .get("listener_manager.total_listeners_active")
            .copied();
        if active == Some(1) {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            let status = client::send(api, "GET", "/api/xds", &[], String::new())
                .await?
                .json();
            bail!(
                "it does not listen; the control plane says {}",
                status["groups"]
            );
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
