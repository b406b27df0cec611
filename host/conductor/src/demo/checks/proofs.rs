//! Residency proofs that appear by themselves, and what happens when they can't.

use std::time::{Duration, Instant};

use proof::folder::Contents;
use proof::verify::{Given, verify};
use serde_json::Value;
use upstream::stores::{Data, Postgres};

use super::pushes::alerting;
use super::{Seen, at};
use crate::demo::stage::{PERIOD_S, Stage};

/// Until a proof of the next period is there: this one's rest, the next one, and its probes.
const PATIENCE: Duration = Duration::from_secs(6 * PERIOD_S as u64);

/// How the proofs stand, once they fit.
async fn summary(stage: &Stage, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let summary = stage.api("/api/proofs").await?;
        if fits(&summary) || Instant::now() > deadline {
            return Ok(summary);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a check of the folder says: the number of faults, and the first.
fn faults(contents: &Contents) -> (usize, String) {
    let report = verify(contents, Given::default());
    let first = report.faults.first().map(ToString::to_string);
    (report.faults.len(), first.unwrap_or_default())
}

pub(super) async fn proofs(stage: &mut Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let tenants = 6;
    let all = summary(stage, |s| s["verdicts"]["PASS"] == tenants).await?;
    seen.note(
        "a signed residency proof of every tenant",
        "6 PASS",
        format!("{} of {}", all["verdicts"], at(&all, "/period")),
        all["verdicts"] == serde_json::json!({"PASS": tenants}),
    );

    let mut contents = proof::read_folder(&stage.proofs())
        .map_err(|(path, error)| anyhow::anyhow!("{}: {error}", path.display()))?;
    let (count, first) = faults(&contents);
    let payload = contents.files.get_mut("acme.payload.json");
    if let Some(byte) = payload.and_then(|bytes| bytes.last_mut()) {
        *byte ^= 1;
    }
    let (changed, named) = faults(&contents);
    seen.note(
        "the folder of proofs, checked offline, and after a byte was changed",
        "no fault, then one that names the file",
        format!("{count} {first}, then {changed}: {named}"),
        count == 0 && changed > 0 && named.contains("acme.payload.json"),
    );

    let postgres = &mut stage.region_mut("us")?.side.stores.postgres;
    postgres.kill().await;
    let impostor = Postgres::start("apac", postgres.address()).await?;
    let bad = summary(stage, |s| s["verdicts"]["FAIL"] == 2).await?;
    let breach = alerting(stage, "ResidencyBreach", true).await?;
    impostor.shutdown().await;
    let postgres = &mut stage.region_mut("us")?.side.stores.postgres;
    postgres.restart(Data::Kept).await?;
    seen.note(
        "a database of APAC where that of the US should be",
        "2 tenants FAIL, the reason, and an alert",
        format!(
            "{} {} firing={breach}",
            bad["verdicts"], bad["tenants"]["initech"]["findings"]
        ),
        bad["verdicts"] == serde_json::json!({"FAIL": 2, "PASS": 4})
            && bad["tenants"]["initech"]["findings"]
                .to_string()
                .contains("says that it is in `apac`")
            && breach,
    );

    let graph = &mut stage.region_mut("us")?.side.stores.graph;
    graph.kill().await;
    let lost = summary(stage, |s| s["verdicts"]["UNKNOWN"] == 2).await?;
    let during = alerting(stage, "ResidencyUnproven", true).await?;
    let graph = &mut stage.region_mut("us")?.side.stores.graph;
    graph.restart(Data::Kept).await?;
    let back = summary(stage, |s| s["verdicts"]["PASS"] == tenants).await?;
    let after = alerting(stage, "ResidencyUnproven", false).await?;
    seen.note(
        "a store of the US that is down, and back",
        "2 tenants UNKNOWN and an alert, then PASS and none",
        format!(
            "{} firing={during}, then {} firing={after}",
            lost["verdicts"], back["verdicts"]
        ),
        lost["verdicts"] == serde_json::json!({"PASS": 4, "UNKNOWN": 2})
            && during
            && back["verdicts"]["PASS"] == tenants
            && !after,
    );
    Ok(())
}
