//! Tenants that are shut out everywhere, and let in again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bundle::Bundle;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{End, directory};

/// Arguments of `tenant`.
#[derive(Args)]
pub(crate) struct TenantArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Denies a tenant everything, at every gateway and guard.
    #[command(
        after_help = "Example: conductor tenant quarantine acme --reason 'RB-7: data seen in us' \
        --by ann --conductor 127.0.0.1:7080"
    )]
    Quarantine(QuarantineArgs),
    /// Ends a tenant's quarantine.
    #[command(after_help = "Example: conductor tenant release acme --conductor 127.0.0.1:7080")]
    Release(ReleaseArgs),
    /// Lists the tenants in quarantine.
    #[command(after_help = "Example: conductor tenant list --policies policies")]
    List(ListArgs),
}

#[derive(Args)]
struct QuarantineArgs {
    /// The tenant.
    tenant: String,
    /// Why; it stands in the policy data.
    #[arg(long)]
    reason: String,
    /// Who says so.
    #[arg(long)]
    by: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct ReleaseArgs {
    /// The tenant.
    tenant: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct ListArgs {
    /// The policy directory.
    #[arg(long, default_value = "policies", value_name = "DIR")]
    policies: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Where the policies are, and who serves them.
#[derive(Args)]
struct Place {
    /// The policy directory.
    #[arg(long, default_value = "policies", value_name = "DIR")]
    policies: PathBuf,
    /// The HTTP port of the conductor that serves this directory: waits until all its gateways have
    /// taken the change.
    #[arg(long, value_name = "ADDRESS")]
    conductor: Option<SocketAddr>,
    /// How long to wait, in seconds.
    #[arg(long, default_value_t = 10, requires = "conductor")]
    within: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const QUARANTINE: &str = "ig/quarantine/data.json";

/// Does what is asked.
///
/// # Errors
/// The policies can't be used.
pub(crate) fn run(args: &TenantArgs) -> anyhow::Result<End> {
    match &args.command {
        Command::Quarantine(args) => quarantine(args),
        Command::Release(args) => release(args),
        Command::List(args) => list(args),
    }
}

fn quarantine(args: &QuarantineArgs) -> anyhow::Result<End> {
    let policies = &args.place.policies;
    let known = tenants(policies)?;
    if !known.contains(&args.tenant) {
        bail!(
            "{} lists no tenant `{}`, so nothing lets it in: it has {}",
            policies.join("ig/tenants/data.json").display(),
            args.tenant,
            known.join(", ")
        );
    }
    let file = policies.join(QUARANTINE);
    let turn = directory::turn(&file)?;
    let mut shut_out = directory::read(&file)?;
    // Who is in quarantine stays there for the first reason.
    if !shut_out.contains_key(&args.tenant) {
        let since = jiff::Timestamp::now().round(jiff::Unit::Second)?;
        let mut entry = json!({"reason": args.reason, "since": since.to_string()});
        if let Some(by) = &args.by {
            entry["by"] = json!(by);
        }
        shut_out.insert(args.tenant.clone(), entry);
        directory::write(&file, &shut_out)?;
    }
    drop(turn);
    finish(&args.place, &args.tenant, true)
}

fn release(args: &ReleaseArgs) -> anyhow::Result<End> {
    let file = args.place.policies.join(QUARANTINE);
    let turn = directory::turn(&file)?;
    let mut shut_out = directory::read(&file)?;
    if shut_out.remove(&args.tenant).is_none() {
        bail!(
            "`{}` is not in quarantine: see {}",
            args.tenant,
            file.display()
        );
    }
    directory::write(&file, &shut_out)?;
    drop(turn);
    finish(&args.place, &args.tenant, false)
}

fn list(args: &ListArgs) -> anyhow::Result<End> {
    let shut_out = directory::read(&args.policies.join(QUARANTINE))?;
    if args.json {
        crate::line!("{}", serde_json::to_string_pretty(&shut_out)?)?;
    } else if shut_out.is_empty() {
        crate::line!("no tenant is in quarantine")?;
    }
    for (tenant, entry) in shut_out.iter().filter(|_| !args.json) {
        let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        crate::line!("{tenant}  since {}  {}", text("since"), text("reason"))?;
    }
    Ok(End::Done)
}

fn tenants(policies: &Path) -> anyhow::Result<Vec<String>> {
    let tenants = directory::read(&policies.join("ig/tenants/data.json"))?;
    Ok(tenants.keys().cloned().collect())
}

/// Says what is so now, once it is.
fn finish(place: &Place, tenant: &str, quarantined: bool) -> anyhow::Result<End> {
    let revision = Bundle::read(&place.policies)
        .context("the change is written, but the policies can't be used")?
        .revision;
    let change = Change {
        overlay: crate::release::content::laid_over(&place.policies)?,
        revision,
    };
    let reached = place
        .conductor
        .map(|conductor| reach(conductor, &change, place.within));
    let revision = &change.revision;
    let state = if quarantined {
        "in quarantine"
    } else {
        "released"
    };
    if place.json {
        let gateways = reached.as_ref().map(|r| match r {
            Ok(reached) => json!({"all": true, "count": reached.gateways, "ms": reached.ms}),
            Err(reason) => json!({"all": false, "reason": reason.to_string()}),
        });
        let shown = json!({
            "tenant": tenant, "quarantined": quarantined, "revision": revision,
            "gateways": gateways,
        });
        crate::line!("{}", serde_json::to_string_pretty(&shown)?)?;
    } else {
        crate::line!("{tenant} is {state} in revision {revision}")?;
        match &reached {
            None => crate::line!("gateways know within a push of it")?,
            Some(Ok(r)) => crate::line!("all {} gateways have it, after {} ms", r.gateways, r.ms)?,
            Some(Err(reason)) => crate::line!("not all gateways have it: {reason:#}")?,
        }
    }
    Ok(match reached {
        Some(Err(_)) => End::Failed,
        _ => End::Done,
    })
}

struct Reached {
    gateways: u64,
    ms: u128,
}

/// How nodes that have a change are told from those that don't.
struct Change {
    /// The revision of the directory, which is served where there are no releases.
    revision: String,
    /// What stands in the revision of a release that the directory's quarantine is laid over.
    overlay: Option<String>,
}

impl Change {
    fn is_in(&self, label: &str) -> bool {
        match crate::release::content::overlay_of(label) {
            None => label == self.revision,
            Some(overlay) => overlay == self.overlay.as_deref(),
        }
    }
}

/// Waits until every group of a conductor has proven a change.
fn reach(conductor: SocketAddr, change: &Change, within: u64) -> anyhow::Result<Reached> {
    let started = Instant::now();
    let mut last;
    loop {
        let status = get(conductor, "/api/xds")?;
        let groups = status["groups"]
            .as_object()
            .context("/api/xds has no groups")?;
        let behind: Vec<&str> = groups
            .iter()
            .filter(|(_, group)| {
                let label = group["last_good"]["label"].as_str();
                !label.is_some_and(|label| change.is_in(label))
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if behind.is_empty() && !groups.is_empty() {
            let streams = groups.values().filter_map(|g| g["streams"].as_u64());
            return Ok(Reached {
                gateways: streams.sum(),
                ms: started.elapsed().as_millis(),
            });
        }
        last = behind.join(", ");
        if started.elapsed() > Duration::from_secs(within) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let policies = get(conductor, "/api/policies")?;
    if let Some(reason) = policies["refused"].as_str() {
        bail!("the conductor refuses what is in the directory: {reason}");
    }
    bail!("without it after {within} s: {last}")
}

fn get(conductor: SocketAddr, path: &str) -> anyhow::Result<Value> {
    let url = format!("http://{conductor}{path}");
    let mut answer = ureq::get(&url)
        .config()
        .timeout_global(Some(Duration::from_secs(5)))
        .build()
        .call()
        .with_context(|| format!("can't ask the conductor at {conductor}"))?;
    let text = answer.body_mut().read_to_string()?;
    serde_json::from_str(&text).with_context(|| format!("{url} answers no JSON"))
}
