//! What is left behind, and what is not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use upstream::{Fault, personas, queries};

use super::{ADMIN, Seen, VIEWER, at, leaks, query};
use crate::demo::stage::Stage;

/// The last decision in a gateway's access log that fits, once one is there.
pub(super) async fn decision(
    stage: &Stage,
    fits: impl Fn(&Value) -> bool,
) -> anyhow::Result<(String, Value)> {
    let log = &stage.region("eu")?.access_log;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let found = text.lines().rev().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let decision: Value = serde_json::from_str(line["decision"].as_str()?).ok()?;
            fits(&decision).then_some(decision)
        });
        if let Some(found) = found {
            return Ok((text, found));
        }
        if Instant::now() > deadline {
            return Ok((text, Value::Null));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) async fn records(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let auditor = &personas::AUDITOR_ACME;
    stage
        .ask("eu", auditor, "audit", query(VIEWER), &[])
        .await?;
    let (log, record) = decision(stage, |d| {
        d["subject"] == auditor.name && d["surface"] == "graphql"
    })
    .await?;
    seen.note(
        "the decision in the access log",
        "id, sets, counts; no value, no token",
        format!(
            "{} mask={} redact={}",
            at(&record, "/decisionId"),
            record["maskSet"],
            record["redactSet"]
        ),
        at(&record, "/decisionId").starts_with("dec_")
            && record["tenant"] == "acme"
            && record["maskSet"] == json!(["Person.birthDate", "Person.email", "Person.phone"])
            && record["redactSet"] == json!(["Person.nationalId"])
            && record["revealed"] == json!(["Person.salary"])
            && record["counts"]["Person.email"] == 1
            && leaks(&log) == 0
            && !log.contains("eyJ"),
    );
    let upstream = stage.region("eu")?.upstream()?;
    upstream.set_fault(Some(Fault::Huge { megabytes: 64 }));
    stage
        .abandon("eu", ADMIN, "administration", queries::EVERYTHING.body())
        .await?;
    upstream.set_fault(None);
    let (_, record) = decision(stage, |d| {
        d["outcome"] == "incomplete" && d["subject"] == ADMIN.name
    })
    .await?;
    seen.note(
        "the decision of a client that hangs up",
        "incomplete, with what was revealed",
        format!("{} reveals {}", record["outcome"], record["revealed"]),
        record["subject"] == ADMIN.name
            && record["revealed"]
                .as_array()
                .is_some_and(|r| r.contains(&json!("Person.email"))),
    );
    let mut copies = 0;
    for region in &stage.regions {
        if let Some(envoy) = &region.envoy {
            let dump = envoy.config_dump().await?.to_string();
            copies += usize::from(dump.contains(&stage.key));
            anyhow::ensure!(
                dump.contains("IG_MASK_KEYS"),
                "the dump holds the configuration"
            );
        }
    }
    seen.note(
        "the mask key in any /config_dump",
        "0 gateways",
        format!("{copies} gateways"),
        copies == 0,
    );
    Ok(())
}
