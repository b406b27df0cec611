//! Residency probes: the agents beside the services, and the prober that asks through them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::Config;

/// The prober.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The folder of the proofs and their log.
    pub proofs: PathBuf,
    /// The directory of the key that signs them, as `conductor proofs keygen` makes it.
    pub keys: PathBuf,
    /// The private key of the prober's own tokens: EC P-256, PKCS#8 (PEM). Its public half must be in
    /// `jwt.jwks_file`.
    pub token_key: PathBuf,
    /// Under which id it stands there.
    pub token_kid: String,
    /// The role that the tokens state; gateways lead nobody else to the agents.
    #[serde(default = "default_role")]
    pub role: String,
    /// When and how probes run.
    #[serde(default)]
    pub schedule: probe::Config,
}

/// The probe agents of a region: a gateway leads to them, and they open stores as services do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The region.
    pub region: String,
    /// Where the region's gateways reach it.
    pub listen: SocketAddr,
    /// Where the prober asks what came of it.
    pub control: SocketAddr,
    /// Where the prober reaches the region's gateway, if not where it listens.
    #[serde(default)]
    pub gateway: Option<SocketAddr>,
    /// The stores, as the region's sidecar serves them.
    pub stores: Vec<agent::StoreConfig>,
    /// How long an operation may take, in milliseconds.
    #[serde(default = "default_limit_ms")]
    pub limit_ms: u64,
}

fn default_role() -> String {
    "probe".into()
}

/// The role whose tokens gateways lead to the agents.
pub(crate) fn probe_role(config: &Config) -> String {
    let probe = config.probe.as_ref();
    probe.map_or_else(default_role, |probe| probe.role.clone())
}

fn default_limit_ms() -> u64 {
    5_000
}

impl Agent {
    /// What the agent itself is told.
    pub fn settings(&self) -> agent::Config {
        agent::Config {
            stores: self.stores.clone(),
            limit_ms: self.limit_ms,
        }
    }
}

/// Makes paths absolute.
pub(super) fn place(config: &mut Config, base: &Path) {
    if let Some(probe) = &mut config.probe {
        for relative in [&mut probe.proofs, &mut probe.keys, &mut probe.token_key] {
            *relative = base.join(&*relative);
        }
    }
}

pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    for (i, agent) in config.agents.iter().enumerate() {
        let region = &agent.region;
        let mut before = config.agents.iter().take(i);
        ensure!(
            before.all(|a| a.region != *region),
            "region `{region}` has two [[agents]]: one configuration serves all agents of a region"
        );
        ensure!(
            config.gateways.iter().any(|g| g.region == *region),
            "region `{region}` has [[agents]] and no [[gateways]], so nothing leads to them"
        );
        ensure!(
            agent.listen.port() != 0 && agent.control.port() != 0,
            "the agent of region `{region}`: `listen` and `control` need a port"
        );
        agent
            .settings()
            .check()
            .with_context(|| format!("the agent of region `{region}`"))?;
    }
    if let Some(probe) = &config.probe {
        probe
            .schedule
            .check()
            .map_err(|problem| anyhow::anyhow!("[probe.schedule]: {problem}"))?;
        ensure!(
            !config.agents.is_empty(),
            "there is a [probe], but no [[agents]] to ask through"
        );
        for gateway in &config.gateways {
            let region = &gateway.region;
            let agent = config.agents.iter().find(|a| a.region == *region);
            ensure!(
                agent.is_some_and(|a| !a.stores.is_empty()),
                "there is a [probe], but region `{region}` has no [[agents]] with `stores`: nobody would \
                 try from there what must be refused"
            );
        }
        ensure!(
            config.traces.is_some(),
            "there is a [probe], but no [traces]: without spans nothing can be proven"
        );
    }
    Ok(())
}
