//! A tenant that is shut out, by the command of the runbook.

use anyhow::Context;
use serde_json::Value;
use tokio::process::Command;
use upstream::personas;

use super::{ANALYST, SOON, Seen, VIEWER, query};
use crate::demo::stage::Stage;

/// Runs `conductor tenant …` and returns what it says.
async fn tenant(stage: &Stage, arguments: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new(std::env::current_exe()?)
        .arg("tenant")
        .args(arguments)
        .arg("--policies")
        .arg(stage.policies())
        .args(["--conductor", &stage.api.to_string(), "--json"])
        .output()
        .await?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("conductor tenant {arguments:?}: {said}")
    })
}

pub(super) async fn quarantine(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let shut = tenant(stage, &["quarantine", "acme", "--reason", "a drill"]).await?;
    // At once: the command has waited until every gateway had it.
    let other = &personas::ANALYST_GLOBEX;
    let denied = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
        .await?;
    let served = stage
        .ask("eu", other, "analytics", query(VIEWER), &[])
        .await?;
    let ms = shut["gateways"]["ms"].as_u64().unwrap_or(u64::MAX);
    let (shut_code, other_status) = (denied.code(), served.status);
    let open = tenant(stage, &["release", "acme"]).await?;
    let again = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
        .await?;
    seen.note(
        "a tenant in quarantine, and released",
        &format!(
            "denied everywhere in under {} s, others served, then served",
            SOON.as_secs()
        ),
        format!(
            "{} {shut_code} after {ms} ms at {} gateways, others {other_status}, then {}",
            denied.status, shut["gateways"]["count"], again.status
        ),
        denied.status == 403
            && shut_code == "TENANT_QUARANTINED"
            && u128::from(ms) < SOON.as_millis()
            && other_status == 200
            && open["gateways"]["all"] == true
            && again.status == 200,
    );
    Ok(())
}
