//! Gateways that were started anew. What an Envoy has answered and not written yet dies with it, and nobody
//! can say of a process that is gone whether that was anything: so each new one is a gap, unless the old one
//! was taken out of service (`POST /healthcheck/fail`) before it ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use decisions::{Batch, Gap, Sink};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::sink::StoreSink;
use crate::client;

/// How often they are asked.
const LOOK: Duration = Duration::from_secs(5);

/// How long one is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a process counts as young, in seconds: so long it is asked at each look when exactly it began,
/// for which Envoy goes through all of its configuration.
const YOUNG_S: u64 = 60;

const STATS: &str = "/stats?filter=%5Eserver%5C.(state%7Cuptime)%24";

/// When the bootstrap was read: once in the life of a process, to the millisecond.
const STARTED: &str = "/config_dump?mask=last_updated";

/// Envoy's number for a server that was told to fail its health checks.
const DRAINING: u64 = 1;

/// A process of a gateway's, as it was last seen; kept in the store, for the next conductor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    /// When it began, by its own clock.
    started: String,
    /// Whether it was taken out of service.
    draining: bool,
}

/// Looks after gateways, by their log and their administration port. One that does not answer says nothing.
pub async fn look(
    sink: StoreSink,
    gateways: Vec<(String, SocketAddr)>,
    mut over: watch::Receiver<bool>,
) {
    let mut seen: BTreeMap<SocketAddr, (Process, u64)> = BTreeMap::new();
    loop {
        for (log, admin) in &gateways {
            let now = process(*admin, seen.get(admin)).await;
            if let Some(now) = now {
                match note(&sink, log, *admin, seen.get(admin), &now.0).await {
                    Ok(()) => {
                        seen.insert(*admin, now);
                        continue;
                    }
                    // It is told at a later look.
                    Err(error) => tracing::warn!(%admin, "a gap can't be recorded yet: {error}"),
                }
            }
            // A process that was not seen in between may be another, however long it runs.
            if let Some((_, uptime)) = seen.get_mut(admin) {
                *uptime = u64::MAX;
            }
        }
        let ended = over.wait_for(|over| *over);
        if tokio::time::timeout(LOOK, ended).await.is_ok() {
            return;
        }
    }
}

/// The process that answers now, and since how many seconds it runs.
async fn process(admin: SocketAddr, before: Option<&(Process, u64)>) -> Option<(Process, u64)> {
    let page = ask(admin, STATS).await?;
    let figure = |name: &str| {
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
        value.trim().parse::<u64>().ok()
    };
    let (state, uptime) = (figure("server.state")?, figure("server.uptime")?);
    let started = match before {
        Some((process, then)) if uptime >= YOUNG_S.max(*then) => process.started.clone(),
        _ => started(&ask(admin, STARTED).await?)?,
    };
    let draining = state == DRAINING;
    Some((Process { started, draining }, uptime))
}

async fn ask(admin: SocketAddr, path: &str) -> Option<String> {
    let asked = client::send(admin, "GET", path, &[], String::new());
    let answer = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    (answer.status == 200).then_some(answer.body)
}

/// When a process read its bootstrap, by its dump of the configuration.
fn started(dump: &str) -> Option<String> {
    let dump: serde_json::Value = serde_json::from_str(dump).ok()?;
    let configs = dump.get("configs")?.as_array()?;
    let of_bootstrap = |c: &&serde_json::Value| {
        let of = c.get("@type").and_then(|t| t.as_str());
        of.is_some_and(|t| t.ends_with(".BootstrapConfigDump"))
    };
    let bootstrap = configs.iter().find(of_bootstrap)?;
    let started = bootstrap.get("last_updated")?.as_str()?;
    unix_ms(started)?;
    Some(started.to_owned())
}

fn unix_ms(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_millisecond())
}

async fn note(
    sink: &StoreSink,
    log: &str,
    admin: SocketAddr,
    before: Option<&(Process, u64)>,
    now: &Process,
) -> Result<(), decisions::SinkError> {
    let name = format!("Envoy at {admin}");
    let before = match before {
        Some((before, _)) => Some(before.clone()),
        // What an earlier conductor saw.
        None => {
            let known = sink.remembered(&name).await?;
            known.and_then(|known| serde_json::from_str(&known).ok())
        }
    };
    if before.as_ref() == Some(now) {
        return Ok(());
    }
    let time_ms = jiff::Timestamp::now().as_millisecond();
    if let Some(gap) = gap(before.as_ref(), now, &name, time_ms) {
        let batch = Batch {
            source: log.to_owned(),
            gaps: vec![gap],
            ..Batch::default()
        };
        sink.commit(batch).await?;
    }
    let status = serde_json::to_string(now)?;
    sink.remember(&name, time_ms, &status).await
}

/// The gap before a process: where it is another than before, and that one was in service.
fn gap(before: Option<&Process>, now: &Process, name: &str, time_ms: i64) -> Option<Gap> {
    let before = before.filter(|b| b.started != now.started && !b.draining)?;
    Some(Gap {
        file: name.to_owned(),
        // The same start is the same gap, whoever sees it.
        at: unix_ms(&now.started).unwrap_or(time_ms),
        why: "restarted",
        detail: format!(
            "the process of {} was followed by that of {}: what it had answered and not written yet is missing",
            before.started, now.started
        ),
        sample: String::new(),
        time_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_a_gap_unless_the_old_one_was_out_of_service() {
        let process = |started: &str, draining| Process {
            started: started.to_owned(),
            draining,
        };
        let (old, drained) = (
            process("2026-11-27T20:50:18.424Z", false),
            process("2026-11-27T20:50:18.424Z", true),
        );
        let new = process("2026-11-27T20:51:00.001Z", false);
        let told = |before: Option<&Process>, now| gap(before, now, "Envoy", 7).map(|g| g.at);
        assert_eq!(told(None, &new), None);
        assert_eq!(told(Some(&old), &old), None);
        assert_eq!(told(Some(&old), &drained), None);
        assert_eq!(told(Some(&drained), &new), None);
        assert_eq!(
            told(Some(&old), &new),
            unix_ms(&new.started),
            "by whoever it is seen"
        );
    }

    #[test]
    fn the_bootstrap_says_when_a_process_began() {
        let dump = r#"{"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump"},
            {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
             "last_updated": "2026-11-27T20:50:18.424Z"}]}"#;
        assert_eq!(started(dump).as_deref(), Some("2026-11-27T20:50:18.424Z"));
        let soon = dump.replace("2026-11-27T20:50:18.424Z", "soon");
        for none in ["", "{}", r#"{"configs": [{"@type": 7}]}"#, &soon] {
            assert_eq!(started(none), None);
        }
    }
}
