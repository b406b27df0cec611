//! What gateways and sidecars could not write or send, as their Envoys count it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use decisions::{Batch, Gap, Sink};
use tokio::sync::watch;

use super::sink::StoreSink;
use crate::client;

/// How often they are asked.
const LOOK: Duration = Duration::from_secs(15);

/// How long one is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Envoy's counters of lines that came nowhere: to the access log service, and to a file.
const COUNTERS: [(&str, &str); 2] = [
    (
        "access_logs.grpc_access_log.logs_dropped",
        "lines could not be streamed",
    ),
    ("filesystem.write_failed", "writes to log files failed"),
];

const STATS: &str = "/stats?filter=logs_dropped%7Cfilesystem.write_failed";

/// Asks them, by their log and their administration port. One that does not answer says nothing.
pub async fn look(
    sink: StoreSink,
    writers: Vec<(String, SocketAddr)>,
    mut over: watch::Receiver<bool>,
) {
    let mut seen: BTreeMap<(SocketAddr, &str), u64> = BTreeMap::new();
    loop {
        for (log, admin) in &writers {
            let asked = client::send(*admin, "GET", STATS, &[], String::new());
            let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, asked).await else {
                continue;
            };
            for (name, what) in COUNTERS {
                let Some(count) = count(&answer.body, name) else {
                    continue;
                };
                let before = seen.get(&(*admin, name)).copied();
                if let Some(gap) = gap(before, count, *admin, what) {
                    let batch = Batch {
                        source: log.clone(),
                        gaps: vec![gap],
                        ..Batch::default()
                    };
                    if let Err(error) = sink.commit(batch).await {
                        // It is told at the next look.
                        tracing::warn!(%admin, "a gap can't be recorded yet: {error}");
                        continue;
                    }
                }
                seen.insert((*admin, name), count);
            }
        }
        let ended = over.wait_for(|over| *over);
        if tokio::time::timeout(LOOK, ended).await.is_ok() {
            return;
        }
    }
}

/// A counter's value in a page of `NAME: VALUE` lines.
fn count(page: &str, name: &str) -> Option<u64> {
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
    value.trim().parse().ok()
}

/// The gap that a counter tells: what came since it was last read, or all of it at first. A counter that
/// fell is that of a new Envoy.
fn gap(before: Option<u64>, count: u64, admin: SocketAddr, what: &str) -> Option<Gap> {
    let lost = match before {
        Some(before) if count >= before => count - before,
        _ => count,
    };
    let now = jiff::Timestamp::now().as_millisecond();
    (lost > 0).then(|| Gap {
        file: format!("Envoy at {admin}"),
        // At first the same count is the same gap, also for the next conductor.
        at: match before {
            None => count.cast_signed(),
            Some(_) => now,
        },
        why: "dropped",
        detail: format!("{lost} {what}"),
        sample: String::new(),
        time_ms: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_told_once() {
        let page = "access_logs.grpc_access_log.logs_dropped: 7\n\
                    filesystem.write_failed: x\nother.filesystem.write_failed: 3\n";
        let [(streamed, _), (written, _)] = COUNTERS;
        assert_eq!(
            (count(page, streamed), count(page, written)),
            (Some(7), None)
        );
        let admin = SocketAddr::from(([127, 0, 0, 1], 9901));
        for (before, count, lost) in [
            (None, 0, None),
            (None, 3, Some("3 x")),
            (Some(3), 3, None),
            (Some(3), 5, Some("2 x")),
            (Some(5), 1, Some("1 x")),
            (Some(5), 0, None),
        ] {
            let told = gap(before, count, admin, "x").map(|g| g.detail);
            assert_eq!(told.as_deref(), lost, "{before:?} {count}");
        }
    }
}
