//! Writing: what was read of a source, and how far, in one transaction.

use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection};

use crate::error::{StoreError, failed};
use crate::pool::{Pool, Store, writing};
use crate::record::{Batch, Committed, Decision, key, text};

const COLUMNS: &str = "id, kind, beside, time_ms, node, revision, tenant, outcome, response_code, \
                       duration_ms, own_us, masked, store, store_region, line";
const WIDTH: usize = 15;

/// Rows of one statement. Few sizes, so that each is prepared once.
const ROWS: [usize; 4] = [128, 32, 8, 1];

const ADD: &str = "INSERT INTO sources (source, lines, stored, duplicates, malformed, undecided, \
    dropped, mask_failures, gaps) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
    ON CONFLICT (source) DO UPDATE SET lines = sources.lines + excluded.lines, \
    stored = sources.stored + excluded.stored, \
    duplicates = sources.duplicates + excluded.duplicates, \
    malformed = sources.malformed + excluded.malformed, \
    undecided = sources.undecided + excluded.undecided, \
    dropped = sources.dropped + excluded.dropped, \
    mask_failures = sources.mask_failures + excluded.mask_failures, \
    gaps = sources.gaps + excluded.gaps";

const CHECKPOINT: &str = "INSERT INTO checkpoints (source, dev, ino, at, head, head_len, done) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source, dev, ino) DO UPDATE SET \
    at = excluded.at, head = excluded.head, head_len = excluded.head_len, done = excluded.done";

const FORGET: &str = "DELETE FROM checkpoints WHERE source = $1 AND dev = $2 AND ino = $3";

const GAP: &str = "INSERT INTO gaps (source, file, at, why, detail, sample, time_ms) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source, file, at, why) DO NOTHING";

/// The rest of a transaction, which is the same in both databases.
macro_rules! rest {
    ($batch:expr, $transaction:expr, $stored:expr, $fail:expr) => {{
        let (batch, stored) = ($batch, $stored);
        let mut gaps = 0;
        for gap in &batch.gaps {
            let done = sqlx::query(GAP)
                .bind(text(&batch.source))
                .bind(text(&gap.file))
                .bind(gap.at)
                .bind(text(&gap.why))
                .bind(text(&gap.detail))
                .bind(text(&gap.sample))
                .bind(gap.time_ms)
                .execute(&mut *$transaction)
                .await
                .map_err($fail)?;
            gaps += done.rows_affected();
        }
        for checkpoint in &batch.checkpoints {
            sqlx::query(CHECKPOINT)
                .bind(text(&batch.source))
                .bind(checkpoint.file.dev.cast_signed())
                .bind(checkpoint.file.ino.cast_signed())
                .bind(checkpoint.at.cast_signed())
                .bind(checkpoint.head.as_slice())
                .bind(checkpoint.head_len.cast_signed())
                .bind(i64::from(checkpoint.done))
                .execute(&mut *$transaction)
                .await
                .map_err($fail)?;
        }
        for file in &batch.forget {
            sqlx::query(FORGET)
                .bind(text(&batch.source))
                .bind(file.dev.cast_signed())
                .bind(file.ino.cast_signed())
                .execute(&mut *$transaction)
                .await
                .map_err($fail)?;
        }
        let committed = Committed {
            stored,
            duplicates: (batch.decisions.len() as u64).saturating_sub(stored),
            gaps,
        };
        sqlx::query(ADD)
            .bind(text(&batch.source))
            .bind(batch.lines.cast_signed())
            .bind(committed.stored.cast_signed())
            .bind(committed.duplicates.cast_signed())
            .bind(batch.malformed.cast_signed())
            .bind(batch.undecided.cast_signed())
            .bind(batch.dropped.cast_signed())
            .bind(batch.mask_failures.cast_signed())
            .bind(committed.gaps.cast_signed())
            .execute(&mut *$transaction)
            .await
            .map_err($fail)?;
        committed
    }};
}

impl Store {
    /// Stores a batch, all of it or nothing. Decisions and gaps that are known are not stored again.
    ///
    /// # Errors
    /// The database refuses or can't be reached. If it ended in the middle, nobody knows whether the batch
    /// is stored: ask [`Store::checkpoints`], and read on from there.
    pub async fn commit(&self, batch: &Batch) -> Result<Committed, StoreError> {
        let fail = failed("store decisions");
        match &self.pool {
            Pool::Sqlite { write, .. } => {
                let mut connection = write.acquire().await.map_err(&fail)?;
                let committed = commit(&mut connection, batch).await;
                if committed.is_err() {
                    // A full disk ends SQLite's transaction without the driver, which would begin none on
                    // this connection any more.
                    connection.close_on_drop();
                }
                committed
            }
            Pool::Postgres(pool) => {
                let mut transaction = pool.begin().await.map_err(&fail)?;
                let stored = postgres(&mut transaction, &batch.decisions)
                    .await
                    .map_err(&fail)?;
                let committed = rest!(batch, transaction, stored, &fail);
                transaction.commit().await.map_err(&fail)?;
                Ok(committed)
            }
        }
    }

    /// Notes what a node says of itself; the last word stays.
    ///
    /// # Errors
    /// The database refuses or can't be reached.
    pub async fn node_status(
        &self,
        node: &str,
        time_ms: i64,
        status: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO node_status (node, time_ms, status) VALUES ($1, $2, $3) \
            ON CONFLICT (node) DO UPDATE SET time_ms = excluded.time_ms, status = excluded.status";
        writing!(self, pool => {
            let query = sqlx::query(SQL).bind(text(node)).bind(time_ms).bind(text(status));
            query.execute(pool).await.map_err(failed("note a node's status"))?;
        });
        Ok(())
    }
}

async fn commit(connection: &mut SqliteConnection, batch: &Batch) -> Result<Committed, StoreError> {
    let fail = failed("store decisions");
    let begun = sqlx::Connection::begin_with(connection, "BEGIN IMMEDIATE").await;
    let mut transaction = begun.map_err(&fail)?;
    let stored = sqlite(&mut transaction, &batch.decisions)
        .await
        .map_err(&fail)?;
    let committed = rest!(batch, transaction, stored, &fail);
    transaction.commit().await.map_err(&fail)?;
    Ok(committed)
}

async fn sqlite(
    connection: &mut SqliteConnection,
    mut decisions: &[Decision],
) -> Result<u64, sqlx::Error> {
    let mut stored = 0;
    for rows in ROWS {
        if decisions.len() < rows {
            continue;
        }
        let sql = insert(rows);
        while let Some((some, others)) = decisions.split_at_checked(rows) {
            decisions = others;
            let mut query = sqlx::query(AssertSqlSafe(sql.as_str()));
            for d in some {
                query = query
                    .bind(key(&d.id))
                    .bind(d.kind.number())
                    // In the unique index nothing would be unlike itself.
                    .bind(d.beside.as_deref().map(key).unwrap_or_default())
                    .bind(d.time_ms)
                    .bind(text(&d.node))
                    .bind(text(&d.revision))
                    .bind(d.tenant.as_deref().map(text))
                    .bind(text(&d.outcome))
                    .bind(d.response_code)
                    .bind(d.duration_ms)
                    .bind(d.own_us)
                    .bind(d.masked)
                    .bind(d.store.as_deref().map(text))
                    .bind(d.store_region.as_deref().map(text))
                    .bind(d.line.as_str());
            }
            stored += query.execute(&mut *connection).await?.rows_affected();
        }
    }
    Ok(stored)
}

/// Parameters without numbers: SQLite looks a numbered one up by going through all before it.
fn insert(rows: usize) -> String {
    let row = format!("({})", ["?"; WIDTH].join(","));
    let values = vec![row.as_str(); rows].join(",");
    format!("INSERT INTO decisions ({COLUMNS}) VALUES {values} ON CONFLICT DO NOTHING")
}

async fn postgres(
    connection: &mut PgConnection,
    decisions: &[Decision],
) -> Result<u64, sqlx::Error> {
    if decisions.is_empty() {
        return Ok(0);
    }
    // Two that store the same in another order would wait for each other.
    let mut sorted: Vec<(Vec<u8>, &Decision)> = decisions.iter().map(|d| (key(&d.id), d)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    macro_rules! column {
        ($d:ident => $value:expr) => {
            sorted.iter().map(|(_, $d)| $value).collect::<Vec<_>>()
        };
    }
    let sql = format!(
        "INSERT INTO decisions ({COLUMNS}) SELECT * FROM UNNEST($1::bytea[], $2::bigint[], \
         $3::bytea[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], \
         $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::text[]) ON CONFLICT (id, kind) DO NOTHING"
    );
    let ids: Vec<Vec<u8>> = sorted.iter().map(|(key, _)| key.clone()).collect();
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(ids)
        .bind(column!(d => d.kind.number()))
        .bind(column!(d => d.beside.as_deref().map(key)))
        .bind(column!(d => d.time_ms))
        .bind(column!(d => text(&d.node).into_owned()))
        .bind(column!(d => text(&d.revision).into_owned()))
        .bind(column!(d => d.tenant.as_deref().map(|t| text(t).into_owned())))
        .bind(column!(d => text(&d.outcome).into_owned()))
        .bind(column!(d => d.response_code))
        .bind(column!(d => d.duration_ms))
        .bind(column!(d => d.own_us))
        .bind(column!(d => d.masked))
        .bind(column!(d => d.store.as_deref().map(|t| text(t).into_owned())))
        .bind(column!(d => d.store_region.as_deref().map(|t| text(t).into_owned())))
        .bind(column!(d => text(&d.line).into_owned()))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StoreConfig;
    use crate::record::Gap;

    #[tokio::test]
    async fn after_a_full_disk_it_is_stored_as_before() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("d.db").display());
        let config = StoreConfig {
            url: Some(url),
            ..StoreConfig::default()
        };
        let store = Store::open(&config).await.unwrap();
        let batch = |bytes: usize| Batch {
            source: "log".to_owned(),
            gaps: vec![Gap {
                file: "log".to_owned(),
                at: i64::try_from(bytes).unwrap(),
                why: "torn".to_owned(),
                detail: String::new(),
                sample: "x".repeat(bytes),
                time_ms: 1,
            }],
            ..Batch::default()
        };
        store.commit(&batch(1)).await.unwrap();
        // No page more than there are: as if there was no room for one.
        let Pool::Sqlite { write, .. } = &store.pool else {
            panic!("it is SQLite")
        };
        let full = sqlx::query("PRAGMA max_page_count = 1");
        full.execute(write).await.unwrap();
        let refused = store.commit(&batch(1_000_000)).await.unwrap_err();
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert!(why.contains("full"), "{why}");
        // That limit is the connection's, which is not used again.
        let stored = store.commit(&batch(2_000_000)).await.unwrap();
        assert_eq!(stored.gaps, 1);
        assert_eq!(
            store.gaps(0, 10).await.unwrap().len(),
            2,
            "and nothing by half"
        );
        store.close().await;
    }
}
