//! What was decided is stored, by whatever way it came, and can be explained.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;
use upstream::personas;

use super::{Seen, VIEWER, at, query};
use crate::demo::stage::Stage;

/// How long a decision may take from the gateway into the store: gateways write their logs every ten
/// seconds.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn decisions(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let auditor = &personas::AUDITOR_ACME;
    let answer = stage
        .ask("eu", auditor, "audit", query(VIEWER), &[])
        .await?;
    let deadline = Instant::now() + PATIENCE;
    let stored = loop {
        let listed = stage
            .api("/api/decisions?tenant=acme&node=gateway-eu&outcome=allowed&limit=1000")
            .await?;
        let of = |d: &&Value| {
            let record: Option<Value> = at(d, "/line/decision").parse().ok();
            record.is_some_and(|r| r["subject"] == auditor.name && r["surface"] == "graphql")
        };
        let found = listed["decisions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(of);
        if let Some(found) = found {
            break found.clone();
        }
        if Instant::now() > deadline {
            break Value::Null;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let record: Value = at(&stored, "/line/decision").parse().unwrap_or_default();
    let id = at(&record, "/decisionId").to_owned();
    seen.note(
        "a decision in the store",
        "with tenant, node, revision and what it took",
        format!("{id} of {}", at(&stored, "/tenant")),
        answer.status == 200
            && id.starts_with("dec_")
            && at(&stored, "/revision").starts_with("r-")
            && stored["own_us"].is_u64()
            && stored["masked"].as_u64().is_some_and(|n| n > 0),
    );
    let output = Command::new(std::env::current_exe()?)
        .args(["explain", &id, "--config"])
        .arg(stage.directory().join("conductor.toml"))
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rule = text.lines().find(|line| line.contains("is said by"));
    seen.note(
        "a stored decision, explained",
        "the rule of that revision",
        rule.unwrap_or("no rule").to_owned(),
        output.status.success()
            && text.contains(auditor.name)
            && text.contains("rules from store")
            && rule.is_some_and(|line| line.contains("ig/masking.rego line")),
    );
    // The gateway of `us` streams its log beside the file: each decision once, whichever came first.
    let deadline = Instant::now() + PATIENCE;
    let (file, stream) = loop {
        let told = stage.api("/api/decisions?limit=1").await?;
        let count = |end: &str| {
            let sources = told["sources"].as_array().into_iter().flatten();
            let of = sources.filter(|s| at(s, "/source").ends_with(end));
            of.map(|s| {
                let count = |key: &str| s[key].as_u64().unwrap_or_default();
                (count("stored"), count("stored") + count("duplicates"))
            })
            .next()
            .unwrap_or_default()
        };
        let (file, stream) = (count("access-us.log"), count("grpc:gateway-us"));
        if once(file, stream) || Instant::now() > deadline {
            break (file, stream);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    seen.note(
        "a log by file and by gRPC",
        "the same decisions, each stored once",
        format!(
            "{} by file, {} by gRPC, {} stored",
            file.1,
            stream.1,
            file.0 + stream.0
        ),
        once(file, stream),
    );
    Ok(())
}

/// Whether of two ways, each with what was stored and what was read, one brought nothing that the other did
/// not, and both brought something: the file comes in pieces, so that it is behind.
fn once(file: (u64, u64), stream: (u64, u64)) -> bool {
    file.1 > 0 && stream.1 > 0 && file.0 + stream.0 == file.1.max(stream.1)
}
