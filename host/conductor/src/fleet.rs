//! From configuration and policies to what each gateway is served.

pub mod sidecar;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bundle::{Bundle, Tree};
use engine::config::{Format, RouteConfig};
use engine::policy::Surface;
use gateway::GatewaySpec;
use gateway::identity::TlsSpec;
use gateway::spec::{
    EndpointSpec, FilterSpec, HostPort, JwtSpec, RouteSpec, TracingSpec, Variant, WasmSource,
    XdsSpec,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::config::{Config, Delivery, Gateway};
use crate::release::content::{Content, Wanted};
use crate::{End, FilterConfigArgs, say};

/// The environment variable with the mask keys, in the gateway's environment.
pub const KEYS_ENV: &str = "IG_MASK_KEYS";

/// The environment variable with the keys of context tokens, in the gateway's environment and in that
/// of the guards of its region.
pub const CONTEXT_KEYS_ENV: &str = "IG_CONTEXT_KEYS";

/// A filter's code, by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// The file, named after its content: Envoy looks at a path once.
    pub path: PathBuf,
}

/// The code of the filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterCode {
    /// The residency filter's.
    pub residency: Code,
    /// The masking filter's.
    pub masking: Code,
    /// The guard's, if there are sidecars.
    pub guard: Option<Code>,
}

impl FilterCode {
    /// Takes the modules of a release, and from files what it does not bring along, and lays each into
    /// the state directory under its hash.
    ///
    /// # Errors
    /// A module can't be read or written, or is no Wasm module.
    pub fn keep(config: &Config, released: &Tree) -> anyhow::Result<Self> {
        let keep = |name: &str, module: &Path| match released.filter(name) {
            Some(bytes) => keep(bytes, &config.state, name)
                .with_context(|| format!("the {name} filter of the release can't be used")),
            None => {
                let bytes = std::fs::read(module).with_context(|| {
                    format!("can't read the {name} filter {}", module.display())
                })?;
                keep(&bytes, &config.state, name).with_context(|| {
                    format!("the {name} filter {} can't be used", module.display())
                })
            }
        };
        Ok(Self {
            residency: keep("residency", &config.filters.residency)?,
            masking: keep("masking", &config.filters.masking)?,
            guard: match &config.filters.guard {
                Some(guard) => Some(keep("guard", guard)?),
                None => None,
            },
        })
    }
}

impl FilterCode {
    /// SHA-256 of each filter's code.
    pub fn hashes(&self) -> BTreeMap<&'static str, String> {
        let guard = self.guard.as_ref().map(|guard| ("guard", guard));
        [("residency", &self.residency), ("masking", &self.masking)]
            .into_iter()
            .chain(guard)
            .map(|(name, code)| (name, code.sha256.clone()))
            .collect()
    }

    /// Stands for code that nothing is to fetch: the modules of a release are looked at, nothing is written.
    ///
    /// # Errors
    /// A module of the release is no Wasm module.
    pub fn looked_at(config: &Config, released: &Tree) -> anyhow::Result<Self> {
        let look = |name: &str, module: &Path| {
            if let Some(bytes) = released.filter(name) {
                crate::module::check(bytes)
                    .with_context(|| format!("the {name} filter of the release can't be used"))?;
            }
            anyhow::Ok(Code {
                sha256: "0".repeat(64),
                path: module.to_owned(),
            })
        };
        let guard = config.filters.guard.as_deref();
        Ok(Self {
            residency: look("residency", &config.filters.residency)?,
            masking: look("masking", &config.filters.masking)?,
            guard: guard.map(|guard| look("guard", guard)).transpose()?,
        })
    }
}

/// The file of the code of that hash, in force or not: a group that is taken back needs what it had.
pub fn kept(state: &Path, sha256: &str) -> Option<PathBuf> {
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    let ending = format!("-{sha256}.wasm");
    let mut files = std::fs::read_dir(directory(state))
        .ok()
        .filter(|_| is_hash)?
        .flatten();
    files
        .find(|file| file.file_name().to_string_lossy().ends_with(&ending))
        .map(|file| file.path())
}

fn directory(state: &Path) -> PathBuf {
    state.join("filters")
}

fn keep(bytes: &[u8], state: &Path, name: &str) -> anyhow::Result<Code> {
    crate::module::check(bytes)?;
    let sha256: String = Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let directory = directory(state);
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("can't make {}", directory.display()))?;
    let path = directory.join(format!("{name}-{sha256}.wasm"));
    // A disk that failed may have kept the name alone.
    if !std::fs::read(&path).is_ok_and(|there| there == bytes) {
        let draft = directory.join(format!(".{name}-{}", std::process::id()));
        if let Err(error) = replace(&path, &draft, bytes) {
            let _ = std::fs::remove_file(&draft);
            return Err(error).with_context(|| format!("can't write {}", path.display()));
        }
    }
    Ok(Code { sha256, path })
}

/// Puts a file in its place, on the disk when this returns.
fn replace(path: &Path, draft: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(draft, path)?;
    match path.parent() {
        Some(directory) => std::fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// What a gateway is, under these policies.
pub fn spec(
    config: &Config,
    gateway: &Gateway,
    code: &FilterCode,
    bundle: &Bundle,
    jwks: &str,
    probes: Option<&RouteConfig>,
) -> anyhow::Result<GatewaySpec> {
    let cluster = (
        gateway.region.clone(),
        gateway::cluster_name(&gateway.region),
    );
    let mut residency = bundle.residency(&gateway.region, &[cluster], &gateway.graphql_paths);
    residency.trace = config.traces.is_some();
    let mut masking = bundle.masking(&gateway.region, &gateway.graphql_paths);
    masking
        .response_headers
        .clone_from(&gateway.response_headers);
    let wasm = |code: &Code| source(config, code);
    let routes = masking
        .routes
        .iter()
        .map(|route| RouteSpec {
            name: route.name.clone(),
            path: route.path.clone(),
            streams: route.surface == Surface::Export,
        })
        .collect();
    let agents = config.agents.iter().filter(|a| a.region == gateway.region);
    let agents: Vec<EndpointSpec> = agents
        .map(|agent| EndpointSpec {
            address: agent.listen,
            priority: 0,
        })
        .collect();
    if !agents.is_empty() {
        masking.routes.extend(probes.cloned());
    }
    Ok(GatewaySpec {
        region: gateway.region.clone(),
        node_id: format!("gateway-{}", gateway.region),
        node_cluster: "gateway".into(),
        listen: gateway.listen,
        admin: gateway.admin,
        xds: xds_spec(config, gateway.xds_variant),
        api: code_port(config),
        paths: gateway.graphql_paths.clone(),
        routes,
        agents,
        probe_role: crate::config::probe_role(config),
        endpoints: gateway.endpoints.clone(),
        health_check: gateway.health_check.clone(),
        jwt: JwtSpec {
            issuer: config.jwt.issuer.clone(),
            audiences: config.jwt.audiences.clone(),
            jwks: jwks.to_owned(),
            forward: false,
        },
        filters: vec![
            FilterSpec {
                name: "residency".into(),
                wasm: wasm(&code.residency)?,
                vm_id: "residency".into(),
                configuration: serde_json::to_string(&residency)?,
                env_keys: vec![CONTEXT_KEYS_ENV.into()],
                allow_on_headers_stop_iteration: false,
            },
            FilterSpec {
                name: "masking".into(),
                wasm: wasm(&code.masking)?,
                vm_id: "masking".into(),
                configuration: serde_json::to_string(&masking)?,
                env_keys: vec![KEYS_ENV.into()],
                allow_on_headers_stop_iteration: true,
            },
        ],
        tracing: config.traces.as_ref().map(|traces| TracingSpec {
            server: config
                .advertise
                .traces
                .clone()
                .unwrap_or_else(|| traces.listen.into()),
            sampling_percent: traces.sampling_percent,
        }),
        access_log: gateway.access_log.clone(),
        access_log_service: access_log_service(config, gateway.access_log_service),
        limits: gateway.limits.clone(),
    })
}

/// Where access logs are streamed to, by an Envoy that does.
fn access_log_service(config: &Config, streams: bool) -> Option<HostPort> {
    let listen = config.decisions.grpc_listen.filter(|_| streams)?;
    let advertised = config.advertise.decisions.clone();
    Some(advertised.unwrap_or_else(|| listen.into()))
}

/// How masking filters see probes, if there are agents: what is sent says where a sentinel is, and there
/// is no answer.
///
/// # Errors
/// The policies' schema can't be used.
pub fn probes(config: &Config, bundle: &Bundle) -> anyhow::Result<Option<RouteConfig>> {
    if config.agents.is_empty() {
        return Ok(None);
    }
    let schema = engine::schema::Schema::parse(&bundle.schema)?;
    let query = schema
        .root(engine::schema::OperationKind::Query)
        .and_then(|id| schema.get(id))
        .context("the schema has no queries")?;
    let nothing = ["run", "store", "op", "nonce"].map(|name| (name.to_owned(), json!([])));
    Ok(Some(RouteConfig {
        name: "probe".into(),
        path: gateway::PROBE_PATH.into(),
        methods: vec!["POST".into()],
        surface: Surface::Rest,
        format: Format::Json,
        of: query.name.to_string(),
        at: String::new(),
        pass: Vec::new(),
        columns: Default::default(),
        compared: nothing.into_iter().collect(),
    }))
}

/// Where an Envoy finds the xDS server, and what it is told of certificates; its own are for its bootstrap.
fn xds_spec(config: &Config, variant: Variant) -> XdsSpec {
    XdsSpec {
        server: advertised(config),
        variant,
        tls: None,
        others_secured: config.xds.tls.is_some(),
    }
}

/// Where an Envoy finds the xDS server.
pub(crate) fn advertised(config: &Config) -> HostPort {
    let xds = config.advertise.xds.clone();
    xds.unwrap_or_else(|| config.xds.listen.into())
}

/// Where an Envoy finds the filters' code. The HTTP server has no certificates: where nodes are asked for
/// them, code comes from its own port alone.
fn code_port(config: &Config) -> Option<HostPort> {
    let advertise = &config.advertise;
    let (named, listen) = match config.filters.listen {
        Some(listen) => (&advertise.filters, listen),
        None if config.xds.tls.is_some() => return None,
        None => (&advertise.api, config.api.listen),
    };
    Some(named.clone().unwrap_or_else(|| listen.into()))
}

/// Where an Envoy finds a filter's code.
///
/// # Errors
/// It comes by HTTP, and there is no port for it.
fn source(config: &Config, code: &Code) -> anyhow::Result<WasmSource> {
    Ok(match config.filters.delivery {
        Delivery::Path => WasmSource::Local {
            path: code.path.clone(),
        },
        Delivery::Http => {
            let port = code_port(config).context("there is no port for the filters' code")?;
            let scheme = match config.xds.tls {
                Some(_) => "https",
                None => "http",
            };
            WasmSource::Http {
                url: format!(
                    "{scheme}://{}:{}/filters/{}.wasm",
                    port.host, port.port, code.sha256
                ),
                sha256: code.sha256.clone(),
            }
        }
    })
}

/// The snapshot that a gateway is served, labelled with the policies' revision.
pub fn snapshot(spec: &GatewaySpec, revision: &str) -> anyhow::Result<xds::Snapshot> {
    let planned =
        gateway::plan(spec).with_context(|| format!("the gateway of region {}", spec.region))?;
    labelled(planned, revision)
}

fn labelled(planned: Vec<gateway::Planned>, revision: &str) -> anyhow::Result<xds::Snapshot> {
    let resources = planned
        .into_iter()
        .map(|p| xds::Resource::new(p.type_url, p.name, p.bytes));
    Ok(xds::Snapshot::new(resources)?.labelled(revision))
}

/// Prints the configuration of a filter.
pub fn print_filter_config(args: &FilterConfigArgs) -> anyhow::Result<End> {
    let bundle = Bundle::open(&args.policies)?;
    bundle::examine(&bundle)?;
    let regions = bundle.policy.data.pointer("/ig/regions");
    let regions = regions.and_then(|r| r.as_object());
    if !regions.is_some_and(|r| r.contains_key(&args.region)) {
        let known: Vec<&str> = regions
            .into_iter()
            .flat_map(|r| r.keys())
            .map(String::as_str)
            .collect();
        bail!(
            "the policies in {} have no region `{}`: use {}",
            args.policies.display(),
            args.region,
            known.join(", ")
        );
    }
    let mut config = if args.filter == "masking" {
        serde_json::to_string_pretty(&bundle.masking(&args.region, &args.paths))?
    } else {
        let cluster = (args.region.clone(), gateway::cluster_name(&args.region));
        serde_json::to_string_pretty(&bundle.residency(&args.region, &[cluster], &args.paths))?
    };
    config.push('\n');
    say(&config)?;
    Ok(End::Done)
}

/// The policies and the code that are for everybody: a bootstrap hangs on neither, but is planned like all
/// else. Before the first release it is the policy directory's.
fn in_force(config: &Config) -> anyhow::Result<(Bundle, FilterCode)> {
    let content = match Wanted::read(config)?.stable {
        Some(content) => content,
        None => Content::of_directory(&config.policies)?,
    };
    let code = FilterCode::keep(config, &content.filters)?;
    Ok((content.bundle, code))
}

/// The bootstrap of a gateway.
pub fn bootstrap(
    config: &Config,
    gateway: &Gateway,
    node_id: Option<&str>,
    tls: Option<TlsSpec>,
) -> anyhow::Result<String> {
    let (bundle, code) = in_force(config)?;
    let mut spec = spec(
        config,
        gateway,
        &code,
        &bundle,
        &jwks(config)?,
        probes(config, &bundle)?.as_ref(),
    )?;
    if let Some(id) = node_id {
        spec.node_id = id.to_owned();
    }
    spec.xds.tls = tls;
    Ok(gateway::bootstrap(&spec)?)
}

/// The issuer's keys.
pub fn jwks(config: &Config) -> anyhow::Result<String> {
    let file = &config.jwt.jwks_file;
    std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_the_disk_lost_is_written_again() {
        let (state, code) = (tempfile::tempdir().unwrap(), crate::module::trapping());
        let kept = keep(&code, state.path(), "masking").unwrap();
        std::fs::write(&kept.path, "").unwrap();
        assert_eq!(keep(&code, state.path(), "masking").unwrap(), kept);
        assert_eq!(std::fs::read(&kept.path).unwrap(), code);
        let files = std::fs::read_dir(directory(state.path())).unwrap();
        assert_eq!(files.count(), 1, "no draft is left");
    }
}
