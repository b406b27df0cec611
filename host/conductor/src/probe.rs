//! Residency probes: `probe run`, `probe watch`, `probe agent` and the failover drill.

mod drill;
mod log;
mod record;
mod token;
pub(crate) mod watch;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use bundle::Bundle;
use clap::{Args, Subcommand};
use probe::plan::Tenant;
use proof::Journal;
use proof::residency::{Period, Verdict};
use serde_json::json;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::proofs::passphrase::passphrase;
use crate::release::content::Wanted;
use crate::{End, demo, say};

pub(crate) use record::Summary;
pub(crate) use watch::Watch;
pub(crate) use world::Fleet;

/// Arguments of `probe`.
#[derive(Args)]
pub(crate) struct ProbeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Probes every tenant once and signs what was seen: 0 if every proof is a PASS, else 1.
    #[command(
        after_help = "Example: conductor probe run --demo --out proofs\n         IG_CONTEXT_KEYS=… \
        IG_PROOF_PASSPHRASE=… conductor probe run --config conductor.toml"
    )]
    Run(RunArgs),
    /// Probes every tenant once a period until it is told to stop; `serve` with a [probe] does so too.
    #[command(after_help = "Example: conductor probe watch --config conductor.toml")]
    Watch(WatchArgs),
    /// Runs the agent of a region, which opens the region's stores through its sidecar.
    #[command(after_help = "Example: conductor probe agent --config conductor.toml --region eu")]
    Agent(AgentArgs),
    /// Kills a region's servers under load, one after the other, and counts what crosses its border:
    /// 0 if nothing does and the others take over, else 1. Everything on this machine.
    #[command(after_help = "Example: conductor probe drill --json")]
    Drill(DrillArgs),
}

#[derive(Args)]
struct RunArgs {
    /// The conductor's configuration file (TOML), with a [probe].
    #[arg(long, value_name = "FILE", required_unless_present = "demo")]
    config: Option<PathBuf>,
    /// Start three regions with gateways, sidecars and stores on this machine, and probe those.
    #[arg(long, conflicts_with = "config", requires = "out")]
    demo: bool,
    /// Where the proofs go: an empty or new folder. With --config a copy of the whole log.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only this tenant; may be given several times.
    #[arg(long = "tenant", value_name = "TENANT", conflicts_with = "demo")]
    tenants: Vec<String>,
    /// A file whose first line is the passphrase of the key; else it is in IG_PROOF_PASSPHRASE.
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    passphrase_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct WatchArgs {
    /// The conductor's configuration file (TOML), with a [probe].
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A file whose first line is the passphrase of the key; else it is in IG_PROOF_PASSPHRASE.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Args)]
struct AgentArgs {
    /// The conductor's configuration file (TOML), with [[agents]].
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The region.
    #[arg(long)]
    region: String,
}

/// Arguments of `probe drill`.
#[derive(Args)]
pub(crate) struct DrillArgs {
    /// How long each phase lasts, in seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(2..=60))]
    seconds: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Does what is asked.
///
/// # Errors
/// The configuration can't be used, or a part can't be had.
pub(crate) async fn run(args: &ProbeArgs) -> anyhow::Result<End> {
    match &args.command {
        Command::Run(args) => once(args).await,
        Command::Watch(args) => watch::alone(&args.config, args.passphrase_file.as_deref()).await,
        Command::Agent(args) => serve_agent(args).await,
        Command::Drill(args) => drill::run(args).await,
    }
}

async fn once(args: &RunArgs) -> anyhow::Result<End> {
    let (Some(file), false) = (&args.config, args.demo) else {
        let out = args.out.as_deref().context("--out is needed")?;
        return demo::probe(out, args.json).await;
    };
    let config = Config::read(file)?;
    let settings = config.probe.as_ref();
    let settings = settings.with_context(|| format!("{} has no [probe]", file.display()))?;
    let key = proof::KeyFiles::current(&settings.keys)
        .read(&passphrase(args.passphrase_file.as_deref())?)?;
    let mut journal = Journal::open(&settings.proofs, key)?;
    let fleet = Fleet::of(&config, config.api.listen)?;
    let mut directory = directory(&config)?;
    let tenants = &mut directory.tenants;
    if !args.tenants.is_empty() {
        for name in &args.tenants {
            if !tenants.iter().any(|t| t.name == *name) {
                bail!("the policies have no tenant `{name}`");
            }
        }
        tenants.retain(|t| args.tenants.contains(&t.name));
    }
    let now = jiff::Timestamp::now();
    let period = Period::at(now, settings.schedule.every_s)?;
    let ended = probe_once(
        &settings.schedule,
        fleet,
        directory,
        &config,
        period,
        &mut journal,
        args.json,
    )
    .await;
    if let Some(out) = &args.out {
        journal.export(out)?;
    }
    ended
}

/// Probes tenants, adds their proofs to a journal, and prints them.
///
/// # Errors
/// The journal can't be written.
pub(crate) async fn probe_once(
    schedule: &probe::Config,
    fleet: Fleet,
    mut directory: Directory,
    config: &Config,
    period: Period,
    journal: &mut Journal,
    as_json: bool,
) -> anyhow::Result<End> {
    let mut due = Vec::new();
    // What was not probed now holds or does not as it was found before.
    let mut before_passed = true;
    for tenant in std::mem::take(&mut directory.tenants) {
        before_passed &= record::can_be_proven(&tenant.name);
        if journal.covers(&tenant.name, period) {
            let verdict = journal.latest(&tenant.name).map(|p| p.statement.verdict);
            before_passed &= verdict == Some(Verdict::Pass);
            eprintln!(
                "{}: {period} has its proof already, {}: nothing was probed",
                tenant.name,
                verdict.map_or("UNKNOWN", record::name)
            );
        } else {
            due.push(tenant);
        }
    }
    directory.tenants = due;
    let again = || self::directory(config);
    let regions = regions(config);
    let all = record::probe(schedule, fleet, directory, again, regions, period, journal).await?;
    if as_json {
        say(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        for proof in &all {
            let statement = &proof.statement;
            let stores: Vec<String> = statement
                .stores
                .iter()
                .map(|s| format!("{} {}", s.kind, s.region))
                .collect();
            line!(
                "{:8} {:16} {} → {}  {}",
                json!(statement.verdict).as_str().unwrap_or_default(),
                statement.tenant,
                statement.writes.src,
                statement.writes.dst,
                stores.join(", ")
            )?;
            for finding in &statement.findings {
                line!("         {finding}")?;
            }
        }
    }
    match before_passed && all.iter().all(|p| p.statement.verdict == Verdict::Pass) {
        true => Ok(End::Done),
        false => Ok(End::Failed),
    }
}

/// The tenants at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// The revision of the policies that name them.
    pub revision: String,
    /// The tenants as a release has them that some nodes have before the others.
    pub early: Vec<Tenant>,
}

/// The tenants of the policies, as the directory has them now.
///
/// # Errors
/// The policies can't be used.
pub(crate) fn directory(config: &Config) -> anyhow::Result<Directory> {
    let wanted = Wanted::read(config)?;
    // One that can't be used is nowhere in force.
    let early = wanted.canary.and_then(|canary| canary.content.ok());
    let bundle = Wanted::in_force(wanted.stable)?;
    Ok(Directory {
        tenants: tenants(&bundle)?,
        revision: bundle.revision.clone(),
        early: early
            .and_then(|content| tenants(&content.bundle).ok())
            .unwrap_or_default(),
    })
}

fn tenants(bundle: &Bundle) -> anyhow::Result<Vec<Tenant>> {
    let data = &bundle.policy.data;
    let directory = engine::residency::Directory::read(data)?;
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
    let entries = data.pointer("/ig/tenants").and_then(|t| t.as_object());
    let shut_out = data.pointer("/ig/quarantine");
    let tenants = entries.into_iter().flatten().filter_map(|(name, entry)| {
        let home = directory.home(name, now)?.to_owned();
        let listed = entry.get("regions").and_then(|r| r.as_array());
        let listed = listed.into_iter().flatten().filter_map(|r| r.as_str());
        Some(Tenant {
            name: name.clone(),
            regions: listed.map(Into::into).chain([home.clone()]).collect(),
            home,
            quarantined: shut_out.is_some_and(|q| q.get(name).is_some()),
        })
    });
    Ok(tenants.collect())
}

/// The stores of each region, as its agents know them.
pub(crate) fn regions(config: &Config) -> probe::plan::Regions {
    let agents = config.agents.iter();
    agents
        .map(|agent| {
            let stores = agent.stores.iter().map(|store| probe::plan::Store {
                name: store.name().to_owned(),
                kind: json!(store.kind()).as_str().unwrap_or_default().to_owned(),
            });
            (agent.region.clone(), stores.collect())
        })
        .collect()
}

async fn serve_agent(args: &AgentArgs) -> anyhow::Result<End> {
    let config = Config::read(&args.config)?;
    let agent = config.agents.iter().find(|a| a.region == args.region);
    let agent = agent.with_context(|| {
        let regions: Vec<&str> = config.agents.iter().map(|a| a.region.as_str()).collect();
        format!(
            "there is no agent of region `{}`: use {}",
            args.region,
            regions.join(", ")
        )
    })?;
    let bind = async |address: SocketAddr, what: &str| {
        TcpListener::bind(address)
            .await
            .with_context(|| format!("can't listen on {address} ({what})"))
    };
    let public = bind(agent.listen, "listen").await?;
    let control = bind(agent.control, "control").await?;
    tracing::info!(region = agent.region, public = %agent.listen, control = %agent.control, "the agent serves");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    agent::run::serve(public, control, agent.settings(), stop).await?;
    Ok(End::Done)
}
