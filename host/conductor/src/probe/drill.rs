//! The failover drill: a region's servers are killed under load, one after the other, then the whole
//! region, and what others noticed of it is counted where it would have arrived.

mod load;

use std::time::{Duration, Instant};

use probe::{Prober, Verdict};
use serde::Serialize;
use serde_json::json;

use super::{DrillArgs, Fleet, directory, regions};
use crate::demo::{Check, Setup, Stage, table};
use crate::{End, say};

use load::{Load, Phase};

/// The region that goes down.
const REGION: &str = "eu";

/// How long a secondary may take to take over, and a region to be known as down.
const TAKEOVER: Duration = Duration::from_millis(1_500);

/// What came of a drill.
#[derive(Serialize)]
struct Report {
    region: &'static str,
    phases: Vec<Phase>,
    checks: Vec<Check>,
}

/// What of a region's data others have seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Elsewhere {
    requests: u64,
    bytes: u64,
    connections: u64,
    store_bytes: u64,
}

/// Runs the drill.
///
/// # Errors
/// A part can't be had.
pub async fn run(args: &DrillArgs) -> anyhow::Result<End> {
    let setup = Setup {
        secondaries: true,
        ..Setup::unproven()
    };
    let mut stage = Stage::start(&setup).await?;
    let report = drill(&mut stage, Duration::from_secs(args.seconds)).await;
    stage.stop().await;
    let report = report?;
    if args.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        line!(
            "{:44} {:>8} {:>6} {:>6} {:>8} {:>8} {:>12}  probes",
            "phase",
            "requests",
            "200",
            "503",
            "p50 ms",
            "p99 ms",
            "first 200 ms"
        )?;
        for phase in &report.phases {
            line!("{phase}")?;
        }
        table::print(&report.checks);
    }
    match report.checks.iter().all(|c| c.passed) {
        true => Ok(End::Done),
        false => Ok(End::Failed),
    }
}

async fn drill(stage: &mut Stage, phase: Duration) -> anyhow::Result<Report> {
    let before = elsewhere(stage);
    let load = Load::start(stage, REGION)?;
    let mut nonces = Vec::new();
    let mut phases = Vec::new();
    let mut during = async |stage: &Stage, name: &'static str| -> anyhow::Result<Phase> {
        let began = Instant::now();
        let verdicts = probes(stage, &mut nonces).await?;
        tokio::time::sleep(phase.saturating_sub(began.elapsed())).await;
        Ok(load.phase(name, began, verdicts))
    };

    phases.push(during(stage, "all is well").await?);
    stage.stop_upstream(REGION).await?;
    phases.push(during(stage, "the primary is killed").await?);
    if let Some(secondary) = stage.region_mut(REGION)?.secondary.take() {
        secondary.shutdown().await;
    }
    stage.region_mut(REGION)?.side.kill_stores().await;
    phases.push(during(stage, "the whole region is killed, its stores too").await?);
    stage.restart_upstream(REGION).await?;
    stage.region_mut(REGION)?.side.restart_stores().await?;
    phases.push(during(stage, "its primary and its stores are back").await?);
    load.stop().await;

    let after = elsewhere(stage);
    let crossed = Elsewhere {
        requests: after.requests - before.requests,
        bytes: after.bytes - before.bytes,
        connections: after.connections - before.connections,
        store_bytes: after.store_bytes - before.store_bytes,
    };
    let strayed = nonces.iter().filter(|nonce| {
        let mut others = stage.regions.iter().filter(|r| r.name != REGION);
        others.any(|r| r.side.stores.holds(nonce))
    });
    let checks = judge(&phases, crossed, strayed.count(), nonces.len());
    Ok(Report {
        region: REGION,
        phases,
        checks,
    })
}

/// What was asked at the upstreams and stores of other regions so far, counted there.
fn elsewhere(stage: &Stage) -> Elsewhere {
    let mut all = Elsewhere::default();
    for region in stage.regions.iter().filter(|r| r.name != REGION) {
        let primary = region.upstream().ok();
        for upstream in primary.into_iter().chain(&region.secondary) {
            let stats = upstream.stats();
            all.requests += stats.requests;
            all.bytes += stats.bytes_received + stats.bytes_served;
        }
        let stats = region.side.stores.stats();
        all.connections += stats.connections;
        all.store_bytes += stats.bytes_received + stats.bytes_served;
    }
    all
}

/// Probes the region's tenants, and notes their sentinels.
async fn probes(stage: &Stage, nonces: &mut Vec<String>) -> anyhow::Result<Vec<Verdict>> {
    let config = stage.prober()?;
    let fleet = Fleet::with_keys(&config, stage.api, |_| Some(stage.context_keys()))?;
    let schedule = config.probe.as_ref().map(|p| p.schedule.clone());
    let prober = Prober::new(schedule.unwrap_or_default(), regions(&config), fleet);
    let mut ours = directory(&config)?.tenants;
    ours.retain(|t| t.home == REGION);
    let mut verdicts = Vec::new();
    prober
        .run(ours, |probed| {
            nonces.push(probed.nonce);
            verdicts.push(probed.judgement.verdict);
        })
        .await;
    Ok(verdicts)
}

fn judge(phases: &[Phase], crossed: Elsewhere, strayed: usize, sentinels: usize) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut note = |name: &'static str, expected: &str, seen: String, passed: bool| {
        checks.push(Check {
            name,
            expected: expected.to_owned(),
            seen,
            passed,
        });
    };
    if let [well, primary, region, back] = phases {
        note(
            "all is well",
            "200 for all, proofs pass",
            format!("{} of {}, {}", well.ok, well.requests, well.probes),
            well.requests > 0 && well.ok == well.requests && well.all(Verdict::Pass),
        );
        note(
            "the secondary of the region takes over",
            &format!("within {} ms, proofs pass", TAKEOVER.as_millis()),
            format!(
                "{} ms without an answer, {} of {} answered, {}",
                primary.dark_ms, primary.ok, primary.requests, primary.probes
            ),
            primary.ok > 0
                && primary.dark_ms <= millis(TAKEOVER)
                && primary.ok + primary.unavailable == primary.requests
                && primary.all(Verdict::Pass),
        );
        note(
            "without any server of the region nothing is served",
            "503 for all, nothing is proven",
            format!(
                "{} × 200 (the last after {} ms), {} × 503 of {}, {}",
                region.ok, region.last_ok_ms, region.unavailable, region.requests, region.probes
            ),
            region.unavailable > 0
                && region.last_ok_ms <= millis(TAKEOVER)
                && region.ok + region.unavailable == region.requests
                && region.all(Verdict::Unknown),
        );
        note(
            "the region is back",
            "served again, proofs pass",
            format!(
                "after {} ms, {} of {}, {}",
                back.first_ok_ms.unwrap_or_default(),
                back.ok,
                back.requests,
                back.probes
            ),
            back.first_ok_ms.is_some() && back.all(Verdict::Pass),
        );
    }
    let strangers: usize = phases.iter().map(|p| p.strangers).sum();
    note(
        "answers of another region's servers",
        "0",
        strangers.to_string(),
        strangers == 0,
    );
    note(
        "requests and bytes at other regions' upstreams",
        "0 and 0",
        format!("{} and {}", crossed.requests, crossed.bytes),
        (crossed.requests, crossed.bytes) == (0, 0),
    );
    note(
        "connections and bytes at other regions' stores",
        "0 and 0",
        format!("{} and {}", crossed.connections, crossed.store_bytes),
        (crossed.connections, crossed.store_bytes) == (0, 0),
    );
    note(
        "sentinels in other regions' stores",
        "0",
        format!("{strayed} of {sentinels}"),
        strayed == 0 && sentinels > 0,
    );
    checks
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The verdicts, counted.
fn counted(verdicts: &[Verdict]) -> String {
    let count = |verdict| verdicts.iter().filter(|v| **v == verdict).count();
    json!({
        "PASS": count(Verdict::Pass), "UNKNOWN": count(Verdict::Unknown), "FAIL": count(Verdict::Fail),
    })
    .as_object()
    .into_iter()
    .flatten()
    .filter(|(_, n)| **n != 0)
    .map(|(name, n)| format!("{n} {name}"))
    .collect::<Vec<_>>()
    .join(", ")
}
