//! The tables. A migration is never changed once it was released; another is added behind it.

use sqlx::{AssertSqlSafe, Connection};

use crate::error::{StoreError, failed};
use crate::pool::{Pool, Store};

/// `BYTES` and `SERIAL` stand for what each database calls them.
const MIGRATIONS: [&str; 2] = [
    "
CREATE TABLE decisions (
    seq SERIAL,
    id BYTES NOT NULL,
    kind BIGINT NOT NULL,
    beside BYTES,
    time_ms BIGINT NOT NULL,
    node TEXT NOT NULL,
    revision TEXT NOT NULL,
    tenant TEXT,
    outcome TEXT NOT NULL,
    response_code BIGINT,
    duration_ms BIGINT,
    own_us BIGINT,
    masked BIGINT NOT NULL,
    line TEXT NOT NULL
);
CREATE UNIQUE INDEX decisions_id ON decisions (id, kind);
CREATE INDEX decisions_beside ON decisions (beside) WHERE beside IS NOT NULL;
CREATE INDEX decisions_time ON decisions (time_ms, seq);
CREATE TABLE sources (
    source TEXT PRIMARY KEY,
    lines BIGINT NOT NULL DEFAULT 0,
    stored BIGINT NOT NULL DEFAULT 0,
    duplicates BIGINT NOT NULL DEFAULT 0,
    malformed BIGINT NOT NULL DEFAULT 0,
    undecided BIGINT NOT NULL DEFAULT 0,
    dropped BIGINT NOT NULL DEFAULT 0,
    mask_failures BIGINT NOT NULL DEFAULT 0,
    gaps BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE checkpoints (
    source TEXT NOT NULL,
    dev BIGINT NOT NULL,
    ino BIGINT NOT NULL,
    at BIGINT NOT NULL,
    head BYTES NOT NULL,
    head_len BIGINT NOT NULL,
    done BIGINT NOT NULL,
    PRIMARY KEY (source, dev, ino)
);
CREATE TABLE gaps (
    seq SERIAL,
    source TEXT NOT NULL,
    file TEXT NOT NULL,
    at BIGINT NOT NULL,
    why TEXT NOT NULL,
    detail TEXT NOT NULL,
    sample TEXT NOT NULL,
    time_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX gaps_place ON gaps (source, file, at, why);
CREATE INDEX gaps_time ON gaps (time_ms);
CREATE TABLE revisions (
    revision TEXT PRIMARY KEY,
    first_ms BIGINT NOT NULL,
    policies BYTES NOT NULL
);
CREATE TABLE node_status (
    node TEXT PRIMARY KEY,
    time_ms BIGINT NOT NULL,
    status TEXT NOT NULL
);
",
    // The decisions of guards.
    "
ALTER TABLE decisions ADD COLUMN store TEXT;
ALTER TABLE decisions ADD COLUMN store_region TEXT;
",
];

/// The name of the lock that migrations hold in PostgreSQL.
const LOCK: i64 = 0x006d_6165_7374_726f;

pub(crate) async fn up(store: &Store) -> Result<(), StoreError> {
    let fail = failed("bring its tables up to date");
    const MADE: &str = "CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY)";
    const NEWEST: &str = "SELECT COALESCE(MAX(version), 0) FROM migrations";
    const DONE: &str = "INSERT INTO migrations (version) VALUES ($1)";
    macro_rules! run {
        ($transaction:expr, $bytes:expr, $serial:expr) => {{
            let mut transaction = $transaction;
            sqlx::raw_sql(MADE)
                .execute(&mut *transaction)
                .await
                .map_err(&fail)?;
            let found: i64 = sqlx::query_scalar(NEWEST)
                .fetch_one(&mut *transaction)
                .await
                .map_err(&fail)?;
            for (version, sql) in after(found)? {
                let sql = sql.replace("BYTES", $bytes).replace("SERIAL", $serial);
                sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut *transaction)
                    .await
                    .map_err(&fail)?;
                sqlx::query(DONE)
                    .bind(version)
                    .execute(&mut *transaction)
                    .await
                    .map_err(&fail)?;
            }
            transaction.commit().await.map_err(&fail)
        }};
    }
    match &store.pool {
        Pool::Sqlite { write, .. } => {
            let mut connection = write.acquire().await.map_err(&fail)?;
            // What is up to date needs no write: a store on a read-only disk can be read.
            let found: Result<i64, _> =
                sqlx::query_scalar(NEWEST).fetch_one(&mut *connection).await;
            if let Ok(found) = found
                && after(found)?.is_empty()
            {
                return Ok(());
            }
            // Of two that begin at once, one waits here.
            run!(
                connection
                    .begin_with("BEGIN IMMEDIATE")
                    .await
                    .map_err(&fail)?,
                "BLOB",
                "INTEGER PRIMARY KEY"
            )
        }
        Pool::Postgres(pool) => {
            let mut transaction = pool.begin().await.map_err(&fail)?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(LOCK)
                .execute(&mut *transaction)
                .await
                .map_err(&fail)?;
            run!(
                transaction,
                "BYTEA",
                "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
            )
        }
    }
}

/// What is to be done after a version.
fn after(found: i64) -> Result<Vec<(i64, &'static str)>, StoreError> {
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let numbered = (1..).zip(MIGRATIONS);
    Ok(numbered.filter(|(version, _)| *version > found).collect())
}
