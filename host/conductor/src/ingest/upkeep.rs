//! What is done now and then: old decisions go, alerts end, policies are kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alert::{Alert, Severity};
use bundle::Bundle;
use tokio::sync::{mpsc, watch};

use super::shelf::{Policies, Shelf};
use super::sink::{LOST, REFUSED, StoreSink, from, of};
use super::steady::Steady;
use crate::release::now_unix_ms;

/// How often alerts are looked after.
const LOOK: Duration = Duration::from_secs(60);

/// How many looks are between two deletions of what is old.
const LOOKS: u32 = 10;

/// How long a gap is news, in milliseconds.
const NEWS_MS: i64 = 60 * 60 * 1_000;

/// How long is waited before something is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps the policies of each revision.
pub async fn revisions(
    shelf: Arc<Shelf>,
    mut served: mpsc::UnboundedReceiver<Arc<Bundle>>,
    mut over: watch::Receiver<bool>,
) {
    loop {
        let bundle = tokio::select! {
            bundle = served.recv() => bundle,
            _ = over.wait_for(|over| *over) => None,
        };
        let Some(bundle) = bundle else {
            return;
        };
        loop {
            match keep(&shelf, &bundle).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(
                        revision = bundle.revision,
                        "the policies of a revision are not kept yet: {error:#}"
                    );
                }
            }
            let ended = over.wait_for(|over| *over);
            if tokio::time::timeout(RETRY, ended).await.is_ok() {
                return;
            }
        }
    }
}

async fn keep(shelf: &Shelf, bundle: &Arc<Bundle>) -> anyhow::Result<()> {
    let owned = bundle.clone();
    let text = tokio::task::spawn_blocking(move || serde_json::to_string(&Policies::of(&owned)));
    let text = text.await??;
    let store = shelf.store().await?;
    let now = jiff::Timestamp::now().as_millisecond();
    Ok(store.keep_revision(&bundle.revision, &text, now).await?)
}

/// The clock jumped.
const JUMPED: &str = "ClockJumped";

/// Under which name the store keeps what is known of the clock.
const NODE: &str = "conductor";

/// Looks after alerts and what is old.
pub async fn look(sink: StoreSink, mut over: watch::Receiver<bool>) {
    let mut looks = 0;
    let mut steady = None;
    loop {
        end_refusals(&sink);
        if let Err(error) = once(&sink, &mut steady, looks % LOOKS == 0).await {
            tracing::warn!("the store of decisions is not looked after: {error:#}");
        }
        looks = looks.wrapping_add(1);
        let ended = over.wait_for(|over| *over);
        if tokio::time::timeout(LOOK, ended).await.is_ok() {
            return;
        }
    }
}

/// How the clock goes, as far as is known.
async fn clock(sink: &StoreSink, steady: &mut Option<Steady>, now: i64) -> anyhow::Result<bool> {
    let shelf = sink.shelf();
    let store = shelf.store().await?;
    let known = match steady.take() {
        Some(known) => known,
        // What an earlier conductor saw.
        None => {
            let nodes = store.node_statuses().await?;
            let own = nodes.into_iter().find(|n| n.node == NODE);
            let known = own.and_then(|n| serde_json::from_str(&n.status).ok());
            known.unwrap_or_default()
        }
    };
    let known = steady.insert(known.look(now, Instant::now()));
    store
        .node_status(NODE, now, &serde_json::to_string(known)?)
        .await?;
    let about = [("clock".to_owned(), NODE.to_owned())].into();
    if known.is_believed() {
        sink.alerts().resolve(JUMPED, &about);
        return Ok(true);
    }
    sink.alerts().raise(Alert {
        name: JUMPED.into(),
        severity: Severity::Warning,
        about,
        summary: "the conductor's clock jumped ahead: nothing is deleted until it has gone steadily for a day"
            .into(),
        description: format!("no old decision is deleted for another {} s", known.waits_s()),
        runbook: "set the clock right, if it is wrong now; if it was wrong before, or the machine slept, wait"
            .into(),
    });
    Ok(false)
}

/// Ends the alerts of those who were not refused for a while.
fn end_refusals(sink: &StoreSink) {
    let refusals = sink.shelf().refusals();
    let news = now_unix_ms().saturating_sub(NEWS_MS.unsigned_abs());
    for entry in sink.alerts().entries() {
        let sender = entry.alert.about.get("sender");
        let is_news = |sender: &&String| {
            let last = refusals.last.get(*sender);
            last.is_some_and(|last| last.unix_ms >= news)
        };
        if entry.alert.name == REFUSED
            && let Some(sender) = sender.filter(|sender| !is_news(sender))
        {
            sink.alerts().resolve(REFUSED, &from(sender));
        }
    }
}

async fn once(sink: &StoreSink, steady: &mut Option<Steady>, delete: bool) -> anyhow::Result<()> {
    let shelf = sink.shelf();
    let store = shelf.store().await?;
    let now = jiff::Timestamp::now().as_millisecond();
    let gaps = store.gaps(now.saturating_sub(NEWS_MS), 10_000).await?;
    let mut told: Vec<&str> = Vec::new();
    for row in &gaps {
        // The newest of each source comes first.
        if !told.contains(&row.source.as_str()) {
            told.push(&row.source);
            sink.lost(row);
        }
    }
    for entry in sink.alerts().entries() {
        let source = entry.alert.about.get("source");
        if entry.alert.name == LOST
            && let Some(source) = source.filter(|s| !told.contains(&s.as_str()))
        {
            sink.alerts().resolve(LOST, &of(source));
        }
    }
    if clock(sink, steady, now).await? && delete {
        let deleted = store.retain(now).await?;
        if deleted > 0 {
            tracing::info!(deleted, "old decisions were deleted");
        }
    }
    Ok(())
}
