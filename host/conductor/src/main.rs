//! The conductor: configures a fleet of gateways, and shows what it does.

/// Prints a line, as [`say`] does.
macro_rules! line {
    ($($argument:tt)*) => {
        $crate::say(&format!("{}\n", format_args!($($argument)*)))
    };
}
pub(crate) use line;

mod alarm;
mod api;
mod bootstrap;
mod bundle;
mod bundles;
mod claims;
mod client;
mod code;
mod config;
mod decisions;
mod demo;
mod directory;
mod explain;
mod fleet;
mod ingest;
mod key;
mod last_good;
mod metrics;
mod module;
mod peers;
mod probe;
mod proofs;
mod pseudonym;
mod release;
mod serve;
mod status;
mod tenant;
mod warrant;
mod watch;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

/// Guardrails for multi-tenant GraphQL APIs: residency and masking, enforced in Envoy.
#[derive(Parser)]
#[command(name = "conductor", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything on this machine: three regions with a gateway each, upstreams, tokens.
    #[command(after_help = "Example: conductor demo --check")]
    Demo(DemoArgs),
    /// Runs the control plane: watches the policies and pushes them to the gateways.
    #[command(after_help = "Example: conductor serve --config conductor.toml")]
    Serve(ServeArgs),
    /// Says what would be masked or denied for a request, and why. Needs no gateway.
    ///
    /// With the id of a decision: what was masked or denied, who asked, and why, in the words of the
    /// rules that were in force then. It ends with 1 if no such decision is stored.
    ///
    /// Ends with 0 if the request would be allowed, and with 1 if it would be denied or can't be
    /// parsed. A recorded case may well be one that is denied: it ends with 1 if its `want.json` says
    /// otherwise (`allow`), else with 0. What can't be read ends with 2.
    #[command(
        after_help = "Example: conductor explain --query '{ people { email phone } }' \
        --claims '{\"sub\":\"ann\",\"tenant\":\"acme\",\"roles\":[\"analyst\"],\
        \"purposes\":[\"support\"]}' --purpose support\n         \
        conductor explain --all --case policies/cases/masking/rest_list\n         \
        conductor explain dec_9f86d081884c7d659a2feaa0c55ad015 --config conductor.toml"
    )]
    Explain(ExplainArgs),
    /// Prints the bootstrap of a gateway or sidecar: what its Envoy is started with.
    #[command(after_help = "Example: conductor bootstrap --config conductor.toml --region eu")]
    Bootstrap(BootstrapArgs),
    /// Prints the configuration that a filter is given under these policies.
    #[command(after_help = "Example: conductor filter-config masking --region eu > masking.json")]
    FilterConfig(FilterConfigArgs),
    /// Makes, verifies, compares and tests bundles: policies as one signed file.
    #[command(after_help = "Example: conductor bundle build --help")]
    Bundle(bundle::BundleArgs),
    /// Asks a conductor who has which configuration.
    #[command(after_help = "Example: conductor xds status --help")]
    Xds(status::XdsArgs),
    /// Looks pseudonyms up, for who holds the keys; each look-up is recorded.
    #[command(after_help = "Example: conductor pseudonym find --help")]
    Pseudonym(pseudonym::PseudonymArgs),
    /// Issues, verifies, revokes and lists warrants, which open a border for a tenant's data.
    #[command(after_help = "Example: conductor warrant issue --help")]
    Warrant(warrant::WarrantArgs),
    /// Shuts a tenant out everywhere, and lets it in again.
    #[command(after_help = "Example: conductor tenant quarantine --help")]
    Tenant(tenant::TenantArgs),
    /// Probes where tenants' data goes, and signs what was seen.
    #[command(after_help = "Example: conductor probe run --help")]
    Probe(probe::ProbeArgs),
    /// Reads decision logs into the store.
    #[command(after_help = "Example: conductor decisions ingest --help")]
    Decisions(decisions::DecisionsArgs),
    /// Checks residency proofs offline, and keeps the keys that sign them.
    #[command(after_help = "Example: conductor proofs verify --help")]
    Proofs(proofs::ProofsArgs),
}

/// Arguments of `demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Send a scripted set of requests, print what was expected and seen, and end: 0 if all is as
    /// expected, else 1.
    #[arg(long)]
    check: bool,
    /// With --check: print the table as JSON.
    #[arg(long, requires = "check")]
    json: bool,
    /// How gateways get the filters' code: from a file, or from the conductor by HTTP.
    #[arg(long, value_enum, default_value_t = config::Delivery::Path)]
    delivery: config::Delivery,
    /// The variant of the xDS protocol that the gateways speak.
    #[arg(long, value_parser = ["delta", "sotw"], default_value = "delta")]
    xds: String,
}

/// Arguments of `serve`.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Read the configuration and the policies, try them, say what is wrong, and end.
    #[arg(long)]
    check_config: bool,
}

/// Arguments of `explain`.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// A decision of the past, as `x-ig-decision` and the access log name it. Needs --config or --store.
    #[arg(value_name = "DECISION", conflicts_with_all = ["query", "claims", "case", "all", "operation",
        "purpose", "data_region", "region", "warrant"])]
    decision: Option<String>,
    /// The conductor's configuration file (TOML), which names the store of decisions.
    #[arg(
        long,
        value_name = "FILE",
        requires = "decision",
        conflicts_with = "store"
    )]
    config: Option<PathBuf>,
    /// The store of decisions: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    #[arg(long, value_name = "URL", requires = "decision")]
    store: Option<String>,
    /// The GraphQL document, `@FILE`, or `-` for standard input.
    #[arg(long, value_name = "QUERY", required_unless_present_any = ["case", "decision"])]
    query: Option<String>,
    /// The verified claims: a JSON object, or `@FILE`.
    #[arg(long, value_name = "JSON", required_unless_present_any = ["case", "decision"])]
    claims: Option<String>,
    /// A recorded case: the request is that of its `input.json`, whatever it asks for.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["query", "claims", "operation", "purpose",
        "data_region", "region", "warrant"])]
    case: Option<PathBuf>,
    /// List every path and what happens to it, not only what is masked.
    #[arg(long)]
    all: bool,
    /// Which operation of the document runs.
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// What `x-ig-purpose` says.
    #[arg(long)]
    purpose: Option<String>,
    /// What `x-ig-data-region` says.
    #[arg(long, value_name = "REGION")]
    data_region: Option<String>,
    /// A file with the warrant that `x-ig-warrant` presents.
    #[arg(long, value_name = "FILE")]
    warrant: Option<PathBuf>,
    /// The region of the gateway that the request reaches; the tenant's own, if not given.
    #[arg(long)]
    region: Option<String>,
    /// The policy directory, or a bundle's file (which is not verified here): `policies`, if not given; of a decision, what the store keeps of its revision.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `bootstrap`.
#[derive(Args)]
pub(crate) struct BootstrapArgs {
    /// The conductor's configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The gateway's or sidecar's region.
    #[arg(long)]
    region: String,
    /// The node id, where several Envoys serve one region.
    #[arg(long)]
    node_id: Option<String>,
    /// The region's sidecar, not its gateway.
    #[arg(long)]
    sidecar: bool,
    /// Write `bootstrap.yaml` into this directory, and the SDS files that it needs where the control plane asks
    /// for certificates.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The directory in which those files will lie on the Envoy's machine, if it is another.
    #[arg(long, value_name = "DIR", requires = "output")]
    installed: Option<PathBuf>,
}

/// Arguments of `filter-config`.
#[derive(Args)]
pub(crate) struct FilterConfigArgs {
    /// The filter.
    #[arg(value_parser = ["masking", "residency"])]
    filter: String,
    /// The gateway's region.
    #[arg(long)]
    region: String,
    /// The policy directory, or a bundle's file (which is not verified here).
    #[arg(long, default_value = "policies", value_name = "DIR")]
    policies: PathBuf,
    /// A path that serves GraphQL; may be given several times.
    #[arg(long = "path", default_value = "/graphql", value_name = "PATH")]
    paths: Vec<String>,
}

/// How a command ended.
pub(crate) enum End {
    /// It did what it was asked.
    Done,
    /// What it checked does not hold.
    Failed,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("CONDUCTOR_LOG").unwrap_or_else(|_| {
            tracing_subscriber::EnvFilter::new("info,xds=error,tokio_postgres=warn,sqlx=warn")
        });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
    let ended = match cli.command {
        Command::Explain(args) => explain::run(&args),
        Command::Bootstrap(args) => bootstrap::run(&args),
        Command::FilterConfig(args) => fleet::print_filter_config(&args),
        Command::Bundle(args) => bundle::run(&args),
        Command::Pseudonym(args) => pseudonym::run(&args),
        Command::Warrant(args) => warrant::run(&args),
        Command::Tenant(args) => tenant::run(&args),
        Command::Proofs(args) => proofs::run(&args),
        Command::Decisions(args) => runtime().and_then(|r| r.block_on(decisions::run(&args))),
        Command::Serve(args) => runtime().and_then(|r| r.block_on(serve::run(&args))),
        Command::Probe(args) => runtime().and_then(|r| r.block_on(probe::run(&args))),
        Command::Xds(args) => runtime().and_then(|r| r.block_on(status::run(&args))),
        Command::Demo(args) => runtime().and_then(|r| r.block_on(demo::run(&args))),
    };
    match ended {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Failed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("conductor: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// What others say, in a line of ours: it must not move the cursor, begin another line, or turn letters round.
pub(crate) fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.replace(|c: char| c.is_control() || turns(c), "?")
}

/// Writes to standard output. Who reads it may have seen enough (`| head`), which is no fault.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("can't write to standard output"),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}
