//! What reads decisions meets what stores them.

use std::collections::BTreeMap;
use std::sync::Arc;

use alert::run::Alerts;
use alert::{Alert, Severity};
use decisions::{Batch, Checkpoint, Kind, Record, Sink, SinkError};
use store::{Gap, GapRow};

use super::shelf::Shelf;

/// Decisions are missing, or may be.
pub const LOST: &str = "DecisionsLost";

/// Decisions wait to be stored.
const NOT_STORED: &str = "DecisionsNotStored";

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
        Ok(known.into_iter().map(from_store).collect())
    }

    async fn commit(&self, batch: Batch) -> Result<(), SinkError> {
        let store = self.shelf.store().await?;
        let batch = to_store(batch);
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
}

fn from_store(known: store::Checkpoint) -> Checkpoint {
    Checkpoint {
        file: decisions::FileId {
            dev: known.file.dev,
            ino: known.file.ino,
        },
        at: known.at,
        head: known.head,
        head_len: known.head_len,
        done: known.done,
    }
}

fn file(id: decisions::FileId) -> store::FileId {
    store::FileId {
        dev: id.dev,
        ino: id.ino,
    }
}

fn to_store(batch: Batch) -> store::Batch {
    let checkpoint = |c: Checkpoint| store::Checkpoint {
        file: file(c.file),
        at: c.at,
        head: c.head,
        head_len: c.head_len,
        done: c.done,
    };
    let gap = |g: decisions::Gap| Gap {
        file: g.file,
        at: g.at,
        why: g.why.to_owned(),
        detail: g.detail,
        sample: g.sample,
        time_ms: g.time_ms,
    };
    store::Batch {
        source: batch.source,
        decisions: batch.records.into_iter().map(decision).collect(),
        checkpoints: batch.checkpoints.into_iter().map(checkpoint).collect(),
        forget: batch.forget.into_iter().map(file).collect(),
        gaps: batch.gaps.into_iter().map(gap).collect(),
        lines: batch.lines,
        malformed: batch.malformed,
        undecided: batch.undecided,
        dropped: batch.dropped,
        mask_failures: batch.mask_failures,
    }
}

fn decision(record: Record) -> store::Decision {
    store::Decision {
        id: record.id,
        kind: match record.kind {
            Kind::Gateway => store::Kind::Gateway,
            Kind::Undecided => store::Kind::Undecided,
            Kind::Opa => store::Kind::Opa,
        },
        beside: record.beside,
        time_ms: record.time_ms,
        node: record.node,
        revision: record.revision,
        tenant: record.tenant,
        outcome: record.outcome,
        response_code: record.response_code,
        duration_ms: record.duration_ms,
        own_us: record.own_us,
        masked: record.masked,
        line: record.line,
    }
}
