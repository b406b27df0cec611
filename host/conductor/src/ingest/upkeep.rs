//! What is done now and then: old decisions go, alerts end, policies are kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alert::{Alert, Severity};
use bundle::Bundle;
use tokio::sync::{mpsc, watch};

use super::shelf::{Policies, Shelf};
use super::sink::{LOST, NOT_STORED, REFUSED, StoreSink, from, of};
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

/// What is remembered of the clock.
const CLOCK: &str = "clock";

/// Looks after alerts and what is old.
pub async fn look(sink: StoreSink, mut over: watch::Receiver<bool>) {
    let mut looks = 0;
    let mut steady = None;
    let began = now_unix_ms();
    loop {
        end_refusals(&sink, began);
        // Sources of which an earlier conductor spoke have failed by then, if they do.
        if looks > 0 {
            end_troubles(&sink);
        }
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
    let known = match steady.take() {
        Some(known) => known,
        // What an earlier conductor saw.
        None => {
            let known = sink.remembered(CLOCK).await;
            let known = known.map_err(anyhow::Error::from_boxed)?;
            let known = known.and_then(|known| serde_json::from_str(&known).ok());
            known.unwrap_or_default()
        }
    };
    let known = steady.insert(known.look(now, Instant::now()));
    let text = serde_json::to_string(known)?;
    let kept = sink.remember(CLOCK, now, &text).await;
    kept.map_err(anyhow::Error::from_boxed)?;
    let about = [("clock".to_owned(), "conductor".to_owned())].into();
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

/// Ends the alerts of sources that store again, or of which an earlier conductor spoke and that say nothing.
fn end_troubles(sink: &StoreSink) {
    let shelf = sink.shelf();
    for entry in sink.alerts().entries() {
        let source = entry.alert.about.get("source");
        if entry.alert.name == NOT_STORED
            && let Some(source) = source.filter(|source| !shelf.is_troubled(source))
        {
            sink.alerts().resolve(NOT_STORED, &of(source));
        }
    }
}

/// Ends the alerts of those who were not refused for a while, which is not known of the time before `began`.
fn end_refusals(sink: &StoreSink, began: u64) {
    let refusals = sink.shelf().refusals();
    let news = now_unix_ms().saturating_sub(NEWS_MS.unsigned_abs());
    if began >= news {
        return;
    }
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

#[cfg(test)]
mod tests {
    use alert::Book;
    use alert::run::Alerts;
    use decisions::Sink;
    use store::StoreConfig;

    use super::*;

    fn sink(alerts: &Alerts) -> StoreSink {
        StoreSink::new(Arc::new(Shelf::new(StoreConfig::default())), alerts.clone())
    }

    fn firing(alerts: &Alerts) -> Vec<String> {
        let mut names: Vec<String> = alerts
            .entries()
            .iter()
            .filter(|e| e.status == alert::Status::Firing)
            .flat_map(|e| e.alert.about.values().cloned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_an_earlier_conductor_could_not_store_ends_with_what_this_one_sees() {
        let alerts = Alerts::new(Book::unkept());
        let before = sink(&alerts);
        before.trouble("eu.log", Some("the disk is full"));
        before.trouble("us.log", Some("the disk is full"));
        let now = sink(&alerts);
        now.trouble("us.log", Some("the disk is full"));
        assert_eq!(firing(&alerts), ["eu.log", "us.log"]);
        end_troubles(&now);
        assert_eq!(firing(&alerts), ["us.log"]);
        now.trouble("us.log", None);
        assert!(firing(&alerts).is_empty());
    }

    #[test]
    fn a_refusal_is_news_for_an_hour_whoever_saw_it() {
        let alerts = Alerts::new(Book::unkept());
        sink(&alerts).refused("spiffe://x/g1", "why");
        let now = sink(&alerts);
        let hour = NEWS_MS.unsigned_abs();
        end_refusals(&now, now_unix_ms() - hour / 2);
        assert_eq!(firing(&alerts), ["spiffe://x/g1"]);
        end_refusals(&now, now_unix_ms() - 2 * hour);
        assert!(firing(&alerts).is_empty());
        now.refused("spiffe://x/g2", "why");
        end_refusals(&now, now_unix_ms() - 2 * hour);
        assert_eq!(firing(&alerts), ["spiffe://x/g2"]);
    }
}
