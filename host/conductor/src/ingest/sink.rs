//! What reads decisions meets what stores them.

use std::collections::BTreeMap;
use std::sync::Arc;

use alert::run::Alerts;
use alert::{Alert, Severity};
use decisions::{Batch, Checkpoint, Sink, SinkError};
use store::GapRow;

use super::convert;
use super::shelf::Shelf;

/// Decisions are missing, or may be.
pub const LOST: &str = "DecisionsLost";

/// Somebody sends decisions that are not its own.
pub const REFUSED: &str = "DecisionsRefused";

/// Decisions wait to be stored.
pub const NOT_STORED: &str = "DecisionsNotStored";

/// What the names begin with under which the conductor remembers something itself.
pub const OWN: &str = " ";

/// A store that decisions are handed to.
#[derive(Clone)]
pub struct StoreSink {
    shelf: Arc<Shelf>,
    alerts: Alerts,
}

impl StoreSink {
    /// Into this store; what is wrong goes to these alerts.
    pub fn new(shelf: Arc<Shelf>, alerts: Alerts) -> Self {
        Self { shelf, alerts }
    }

    /// Keeps what the conductor itself has to remember, where it keeps what nodes say of themselves.
    pub async fn remember(&self, what: &str, now_ms: i64, text: &str) -> Result<(), SinkError> {
        let store = self.shelf.store().await?;
        Ok(store
            .node_status(&format!("{OWN}{what}"), now_ms, text)
            .await?)
    }

    /// What was remembered last.
    pub async fn remembered(&self, what: &str) -> Result<Option<String>, SinkError> {
        let nodes = self.shelf.store().await?.node_statuses().await?;
        let is = |node: &str| node.strip_prefix(OWN) == Some(what);
        Ok(nodes.into_iter().find(|n| is(&n.node)).map(|n| n.status))
    }

    /// The store.
    pub fn shelf(&self) -> Arc<Shelf> {
        self.shelf.clone()
    }

    /// The alerts.
    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// A gap was recorded.
    pub fn lost(&self, row: &GapRow) {
        let GapRow { source, gap } = row;
        self.alerts.raise(Alert {
            name: LOST.into(),
            severity: Severity::Warning,
            about: of(source),
            summary: format!("decisions of {source} are missing, or may be"),
            description: format!("{} at byte {}: {} ({})", gap.file, gap.at, gap.detail, gap.why),
            runbook: "/api/decisions lists the gaps with where and why; look there in the log. The alert \
                      ends when no gap was found for an hour"
                .into(),
        });
    }
}

/// A source as the subject of an alert.
pub fn of(source: &str) -> BTreeMap<String, String> {
    [("source".to_owned(), source.to_owned())].into()
}

impl Sink for StoreSink {
    async fn checkpoints(&self, source: &str) -> Result<Vec<Checkpoint>, SinkError> {
        let known = self.shelf.store().await?.checkpoints(source).await?;
        Ok(known.into_iter().map(convert::from_store).collect())
    }

    async fn commit(&self, batch: Batch) -> Result<(), SinkError> {
        let store = self.shelf.store().await?;
        let batch = convert::to_store(batch);
        let committed = store.commit(&batch).await?;
        if committed.gaps > 0
            && let Some(gap) = batch.gaps.last()
        {
            self.lost(&GapRow {
                source: batch.source,
                gap: gap.clone(),
            });
        }
        Ok(())
    }

    async fn node_status(&self, node: &str, time_ms: i64, status: &str) -> Result<(), SinkError> {
        let store = self.shelf.store().await?;
        // Nobody is called as what the conductor remembers.
        let node = node.trim_start();
        Ok(store.node_status(node, time_ms, status).await?)
    }

    fn trouble(&self, source: &str, what: Option<&str>) {
        if !self.shelf.trouble(source, what) {
            return;
        }
        match what {
            Some(what) => self.alerts.raise(Alert {
                name: NOT_STORED.into(),
                severity: Severity::Critical,
                about: of(source),
                summary: format!("decisions of {source} are not stored"),
                description: what.to_owned(),
                runbook:
                    "nothing is lost while the log file stays: reading goes on where it ended once \
                          the store and the log can be used again. Look for space, rights, and the \
                          database"
                        .into(),
            }),
            None => self.alerts.resolve(NOT_STORED, &of(source)),
        }
    }

    fn refused(&self, sender: &str, why: &str) {
        tracing::warn!(sender, "decisions refused: {why}");
        self.shelf.refused(sender, why);
        self.alerts.raise(Alert {
            name: REFUSED.into(),
            severity: Severity::Warning,
            about: from(sender),
            summary: format!("decisions that {sender} sends are refused"),
            description: why.to_owned(),
            runbook: "a node sends decisions in the name of another, or its certificate is that of another: \
                      /api/decisions lists who was refused. The alert ends when nothing was refused for an \
                      hour"
                .into(),
        });
    }
}

/// A sender as the subject of an alert.
pub fn from(sender: &str) -> BTreeMap<String, String> {
    [("sender".to_owned(), sender.to_owned())].into()
}
