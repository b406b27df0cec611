//! The conductor's configuration file.

mod ports;
mod probe;
mod release;
mod sidecar;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

pub(crate) use probe::probe_role;
pub use probe::{Agent, Probe};
pub use release::Release;
pub use sidecar::{Listener, Sidecar};

/// The file, as it is written. Paths are relative to the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The policy directory.
    pub policies: PathBuf,
    /// Where the conductor keeps what gateways read from it.
    pub state: PathBuf,
    /// The filters' code.
    pub filters: Filters,
    /// The xDS server.
    #[serde(default)]
    pub xds: xds::Config,
    /// The HTTP server: state, metrics, filters' code.
    #[serde(default)]
    pub api: Api,
    /// The receiver of the gateways' spans. Without it gateways report none.
    #[serde(default)]
    pub traces: Option<Traces>,
    /// Who is told when something is wrong.
    #[serde(default)]
    pub alerts: alert::Config,
    /// Where decisions are kept.
    #[serde(default)]
    pub store: store::StoreConfig,
    /// Which decisions are read: without it, those in the gateways' access logs on this machine.
    #[serde(default)]
    pub decisions: decisions::DecisionsConfig,
    /// Whose tokens gateways believe.
    pub jwt: Jwt,
    /// Under which names gateways reach the conductor, if not at the addresses where it listens.
    #[serde(default)]
    pub advertise: Advertise,
    /// The gateways, one a region.
    pub gateways: Vec<Gateway>,
    /// The sidecars, one a region.
    #[serde(default)]
    pub sidecars: Vec<Sidecar>,
    /// The probe agents, one a region.
    #[serde(default)]
    pub agents: Vec<Agent>,
    /// The prober. Without it nothing is proven.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// The release train. Without it what is in the policy directory is for everybody, at once.
    #[serde(default)]
    pub release: Option<Release>,
    /// The bundle server. Without it nobody is given bundles.
    #[serde(default)]
    pub bundles: Option<Bundles>,
}

/// The filters' code.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    /// The residency filter's module.
    pub residency: PathBuf,
    /// The masking filter's module.
    pub masking: PathBuf,
    /// The guard's module. Needed if there are sidecars.
    #[serde(default)]
    pub guard: Option<PathBuf>,
    /// How gateways get it.
    #[serde(default)]
    pub delivery: Delivery,
    /// Where it is served by HTTP, beside the HTTP server: with `[xds.tls]` to nodes that show certificates.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
}

/// How gateways get the filters' code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// From a file on their machine.
    #[default]
    Path,
    /// From the conductor, by HTTP, checked by SHA-256.
    Http,
}

/// The HTTP server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Where it listens.
    pub listen: SocketAddr,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 7080).into(),
        }
    }
}

/// The bundle server (OPA's bundle API).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundles {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// The receiver of spans (OTLP by gRPC).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// Where it listens.
    #[serde(default = "Traces::default_listen")]
    pub listen: SocketAddr,
    /// Of requests without a trace context of their own, how many of a hundred gateways report.
    #[serde(default = "Traces::default_sampling")]
    pub sampling_percent: f64,
    /// Spans that are kept.
    #[serde(default = "Traces::default_keep")]
    pub keep: usize,
}

impl Traces {
    fn default_listen() -> SocketAddr {
        ([127, 0, 0, 1], 4317).into()
    }

    fn default_sampling() -> f64 {
        1.0
    }

    fn default_keep() -> usize {
        50_000
    }
}

/// The conductor as gateways see it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Advertise {
    /// The xDS server.
    pub xds: Option<gateway::spec::HostPort>,
    /// The HTTP server.
    pub api: Option<gateway::spec::HostPort>,
    /// The receiver of spans.
    pub traces: Option<gateway::spec::HostPort>,
    /// What the certificate of the conductor's ports names, if not `xds.host`: a DNS name, an address, or a
    /// SPIFFE ID.
    pub xds_server_name: Option<String>,
    /// The access log service.
    pub decisions: Option<gateway::spec::HostPort>,
    /// The port of the filters' code (`filters.listen`).
    pub filters: Option<gateway::spec::HostPort>,
}

/// The issuer of tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud`: one of these.
    pub audiences: Vec<String>,
    /// A file with the issuer's keys (JWKS).
    pub jwks_file: PathBuf,
}

/// The gateways of a region. Several Envoys may run with this configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The region.
    pub region: String,
    /// Where it serves clients.
    pub listen: SocketAddr,
    /// Envoy's administration port.
    pub admin: SocketAddr,
    /// Paths that serve GraphQL.
    #[serde(default = "default_paths")]
    pub graphql_paths: Vec<String>,
    /// The region's servers.
    pub endpoints: Vec<gateway::spec::EndpointSpec>,
    /// Whether and how they are checked.
    #[serde(default)]
    pub health_check: Option<gateway::spec::HealthCheckSpec>,
    /// The access log, on the gateway's machine.
    pub access_log: PathBuf,
    /// Whether it streams its access log to the conductor too (`decisions.grpc_listen`). What is streamed
    /// while nobody listens is lost; the file is the durable way.
    #[serde(default)]
    pub access_log_service: bool,
    /// Response headers of the upstream that pass beside the usual ones.
    #[serde(default)]
    pub response_headers: Vec<String>,
    /// The variant of the xDS protocol.
    #[serde(default)]
    pub xds_variant: gateway::spec::Variant,
    /// With which certificate it shows the control plane who it is: absolute paths on the gateway's machine.
    #[serde(default)]
    pub identity: Option<gateway::identity::IdentitySpec>,
    /// Sizes and times.
    #[serde(default)]
    pub limits: gateway::spec::Limits,
}

/// Reads a table in which what is a table is none of its values' list.
fn from_toml(text: &str) -> Result<Config, toml::de::Error> {
    engine::config::strict::from(toml::de::Deserializer::parse(text)?)
}

fn default_paths() -> Vec<String> {
    vec!["/graphql".into()]
}

impl Config {
    /// Reads a file and makes its paths absolute.
    ///
    /// # Errors
    /// It can't be read, has unknown or missing settings, or contradicts itself.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("can't read the configuration {}", path.display()))?;
        let mut config: Self =
            from_toml(&text).with_context(|| format!("in {}", path.display()))?;
        let path = std::path::absolute(path)?;
        let base = path.parent().unwrap_or(Path::new("/"));
        for relative in [
            &mut config.policies,
            &mut config.state,
            &mut config.filters.residency,
            &mut config.filters.masking,
            &mut config.jwt.jwks_file,
        ] {
            *relative = base.join(&*relative);
        }
        if let Some(guard) = &mut config.filters.guard {
            *guard = base.join(&*guard);
        }
        if let Some(tls) = &mut config.xds.tls {
            for relative in [&mut tls.certificate, &mut tls.key, &mut tls.client_ca] {
                *relative = base.join(&*relative);
            }
        }
        config.store = config.store.placed(base, &config.state);
        config.decisions = config.decisions.placed(base);
        probe::place(&mut config, base);
        if let Some(release) = &mut config.release {
            release.place(base);
        }
        let here = || format!("in {}", path.display());
        config.xds.check().with_context(here)?;
        if config.gateways.is_empty() {
            bail!("in {}: there are no [[gateways]]", path.display());
        }
        for (i, gateway) in config.gateways.iter().enumerate() {
            let wrong = |what: &str| {
                anyhow::anyhow!("in {}: region `{}`: {what}", path.display(), gateway.region)
            };
            if gateway.endpoints.is_empty() {
                return Err(wrong("there are no endpoints, so nothing could be served"));
            }
            for name in &gateway.response_headers {
                engine::config::response_header(name).map_err(|problem| {
                    wrong(&format!("`response_headers`: `{name}`: {problem}"))
                })?;
            }
            if gateway.listen.port() == 0 || gateway.admin.port() == 0 {
                return Err(wrong("`listen` and `admin` need a port"));
            }
            if gateway.access_log_service && config.decisions.grpc_listen.is_none() {
                return Err(wrong(
                    "`access_log_service` needs `decisions.grpc_listen`, where the conductor receives it",
                ));
            }
            if gateway.listen.port() == gateway.admin.port() {
                return Err(wrong("`listen` and `admin` have the same port"));
            }
            if config
                .gateways
                .iter()
                .take(i)
                .any(|g| g.region == gateway.region)
            {
                bail!(
                    "in {}: region `{}` has two [[gateways]]: one configuration serves all Envoys \
                     of a region",
                    path.display(),
                    gateway.region
                );
            }
        }
        if config.bundles.is_some() && config.release.is_none() {
            bail!(
                "in {}: there is a [bundles], but no [release]: only what was released is served there",
                path.display()
            );
        }
        ports::check(&config).with_context(here)?;
        sidecar::check(&config).with_context(|| format!("in {}", path.display()))?;
        probe::check(&config).with_context(|| format!("in {}", path.display()))?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
