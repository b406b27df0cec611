//! Reading.

use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::QueryBuilder;

use crate::error::{StoreError, failed};
use crate::pool::{Store, reading};
use crate::record::{Checkpoint, Counters, FileId, Gap, GapRow, Kind, NodeStatus, key};

/// A stored decision.
#[derive(Debug, Clone, Serialize)]
pub struct Stored {
    /// Its kind.
    pub kind: Kind,
    /// When the request began, in milliseconds since 1970.
    pub time_ms: i64,
    /// The gateway's node id, or what labels an OPA.
    pub node: String,
    /// The policies' revision.
    pub revision: String,
    /// The caller's tenant.
    pub tenant: Option<String>,
    /// What came of it.
    pub outcome: String,
    /// The status of the response.
    pub response_code: Option<i64>,
    /// How long the request took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// How much of it was the gateway's own, in microseconds.
    pub own_us: Option<i64>,
    /// Values that were masked.
    pub masked: i64,
    /// The store that a guard stands before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The region of that store, or of its bucket or database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_region: Option<String>,
    /// The line, JSON, as it was written, but for what the mask policy took.
    pub line: Box<RawValue>,
}

/// Which decisions are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// From this time on, in milliseconds since 1970.
    pub since_unix_ms: Option<i64>,
    /// Before this time.
    pub until_unix_ms: Option<i64>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Of this node.
    pub node: Option<String>,
    /// Of this revision.
    pub revision: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Of the guards before this store.
    pub store: Option<String>,
}

/// Where a list goes on.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// How many at most.
    pub limit: u32,
    /// `next` of the answer before.
    pub cursor: Option<&'a str>,
}

/// A part of a list, the newest first.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// The decisions.
    pub decisions: Vec<Stored>,
    /// Where the list goes on, if it does.
    pub next: Option<String>,
}

type Row = (
    i64,
    i64,
    i64,
    String,
    String,
    Option<String>,
    String,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    i64,
    Option<String>,
    Option<String>,
    String,
);

const SELECT: &str = "SELECT seq, kind, time_ms, node, revision, tenant, outcome, response_code, \
                      duration_ms, own_us, masked, store, store_region, line FROM decisions";

fn stored(row: Row) -> Result<Stored, StoreError> {
    let (
        _,
        kind,
        time_ms,
        node,
        revision,
        tenant,
        outcome,
        response_code,
        duration_ms,
        own_us,
        masked,
        store,
        store_region,
        line,
    ) = row;
    Ok(Stored {
        kind: Kind::of(kind).ok_or(StoreError::Damaged("a kind of decision"))?,
        time_ms,
        node,
        revision,
        tenant,
        outcome,
        response_code,
        duration_ms,
        own_us,
        masked,
        store,
        store_region,
        line: RawValue::from_string(line).map_err(|_| StoreError::Damaged("a line"))?,
    })
}

impl Store {
    /// The request on which a filter made this decision, with what the other filter decided about it; the
    /// newest if there are several.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn decision(&self, id: &str) -> Result<Option<Stored>, StoreError> {
        let row: Option<Row> = reading!(self, pool => {
            let mut query = QueryBuilder::new(SELECT);
            // SQLite finds it in the index alone, the newest first.
            query.push(" WHERE seq = (SELECT seq FROM decisions WHERE id = ").push_bind(key(id));
            query.push(" OR beside = ").push_bind(key(id));
            query.push(" ORDER BY time_ms DESC, seq DESC LIMIT 1)");
            query.build_query_as().fetch_optional(pool).await
        })
        .map_err(failed("find a decision"))?;
        row.map(stored).transpose()
    }

    /// Decisions, the newest first.
    ///
    /// # Errors
    /// The cursor is none; the database can't be read.
    pub async fn list(&self, filter: &Filter, page: Page<'_>) -> Result<Listed, StoreError> {
        let after = page.cursor.map(cursor).transpose()?;
        let limit = i64::from(page.limit);
        let mut rows: Vec<Row> = reading!(self, pool => {
            let mut query = QueryBuilder::new(SELECT);
            query.push(" WHERE 1 = 1");
            if let Some(kind) = filter.kind {
                query.push(" AND kind = ").push_bind(kind.number());
            }
            if let Some(since) = filter.since_unix_ms {
                query.push(" AND time_ms >= ").push_bind(since);
            }
            if let Some(until) = filter.until_unix_ms {
                query.push(" AND time_ms < ").push_bind(until);
            }
            for (column, value) in [
                ("tenant", &filter.tenant),
                ("node", &filter.node),
                ("revision", &filter.revision),
                ("outcome", &filter.outcome),
                ("store", &filter.store),
            ] {
                if let Some(value) = value {
                    query.push(" AND ").push(column).push(" = ").push_bind(value.clone());
                }
            }
            if let Some((time_ms, seq)) = after {
                query.push(" AND (time_ms, seq) < (").push_bind(time_ms);
                query.push(", ").push_bind(seq).push(")");
            }
            query.push(" ORDER BY time_ms DESC, seq DESC LIMIT ").push_bind(limit + 1);
            query.build_query_as().fetch_all(pool).await
        })
        .map_err(failed("list decisions"))?;
        let more = rows.len() > page.limit as usize;
        rows.truncate(page.limit as usize);
        let next = match rows.last() {
            Some((seq, _, time_ms, ..)) if more => Some(format!("{time_ms}.{seq}")),
            _ => None,
        };
        let decisions = rows.into_iter().map(stored).collect::<Result<_, _>>()?;
        Ok(Listed { decisions, next })
    }

    /// Lines of gateways as they were written, the newest first: for a replay. `node`: only this one's.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn lines(
        &self,
        since_unix_ms: i64,
        until_unix_ms: i64,
        node: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        reading!(self, pool => {
            let mut query = QueryBuilder::new("SELECT line FROM decisions WHERE kind = ");
            query.push_bind(Kind::Gateway.number());
            query.push(" AND time_ms >= ").push_bind(since_unix_ms);
            query.push(" AND time_ms < ").push_bind(until_unix_ms);
            if let Some(node) = node {
                query.push(" AND node = ").push_bind(node.to_owned());
            }
            query.push(" ORDER BY time_ms DESC, seq DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_scalar().fetch_all(pool).await
        })
        .map_err(failed("read lines"))
    }

    /// How far the files of a source were read.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn checkpoints(&self, source: &str) -> Result<Vec<Checkpoint>, StoreError> {
        const SQL: &str = "SELECT dev, ino, at, head, head_len, done FROM checkpoints \
                           WHERE source = $1 ORDER BY dev, ino";
        type Row = (i64, i64, i64, Vec<u8>, i64, i64);
        let rows: Vec<Row> = reading!(self, pool => {
            sqlx::query_as(SQL).bind(source).fetch_all(pool).await
        })
        .map_err(failed("read how far a source was read"))?;
        let read = |(dev, ino, at, head, head_len, done): Row| {
            Ok(Checkpoint {
                file: FileId {
                    dev: dev.cast_unsigned(),
                    ino: ino.cast_unsigned(),
                },
                at: at.cast_unsigned(),
                head: head
                    .try_into()
                    .map_err(|_| StoreError::Damaged("a checkpoint"))?,
                head_len: head_len.cast_unsigned(),
                done: done != 0,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// What came of each source.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn counters(&self) -> Result<Vec<Counters>, StoreError> {
        const SQL: &str = "SELECT source, lines, stored, duplicates, malformed, undecided, dropped, \
                           mask_failures, gaps FROM sources ORDER BY source";
        type Row = (String, i64, i64, i64, i64, i64, i64, i64, i64);
        let rows: Vec<Row> = reading!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await)
            .map_err(failed("read counters"))?;
        let read = |row: Row| {
            let (source, lines, stored, duplicates, malformed, undecided, dropped, fails, gaps) =
                row;
            Counters {
                source,
                lines,
                stored,
                duplicates,
                malformed,
                undecided,
                dropped,
                mask_failures: fails,
                gaps,
            }
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Gaps that were noticed from a time on, the newest first.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn gaps(&self, since_unix_ms: i64, limit: u32) -> Result<Vec<GapRow>, StoreError> {
        const SQL: &str = "SELECT source, file, at, why, detail, sample, time_ms FROM gaps \
                           WHERE time_ms >= $1 ORDER BY time_ms DESC, seq DESC LIMIT $2";
        type Row = (String, String, i64, String, String, String, i64);
        let rows: Vec<Row> = reading!(self, pool => {
            sqlx::query_as(SQL).bind(since_unix_ms).bind(i64::from(limit)).fetch_all(pool).await
        })
        .map_err(failed("read gaps"))?;
        let read = |(source, file, at, why, detail, sample, time_ms): Row| GapRow {
            source,
            gap: Gap {
                file,
                at,
                why,
                detail,
                sample,
                time_ms,
            },
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// What each node last said of itself.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn node_statuses(&self) -> Result<Vec<NodeStatus>, StoreError> {
        const SQL: &str = "SELECT node, time_ms, status FROM node_status ORDER BY node";
        let rows: Vec<(String, i64, String)> =
            reading!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await)
                .map_err(failed("read what nodes say"))?;
        let read = |(node, time_ms, status)| NodeStatus {
            node,
            time_ms,
            status,
        };
        Ok(rows.into_iter().map(read).collect())
    }
}

fn cursor(text: &str) -> Result<(i64, i64), StoreError> {
    let wrong = || StoreError::Cursor(text.to_owned());
    let (time_ms, seq) = text.split_once('.').ok_or_else(wrong)?;
    Ok((
        time_ms.parse().map_err(|_| wrong())?,
        seq.parse().map_err(|_| wrong())?,
    ))
}
