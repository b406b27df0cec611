//! The tables. A migration is never changed once it was released; another is added behind it.

use sqlx::{AssertSqlSafe, Connection};

use crate::error::{StoreError, failed};
use crate::pool::{Pool, Store};

/// Statements; `BYTES` and `SERIAL` stand for what each database calls them.
struct Migration {
    both: &'static str,
    /// After those.
    sqlite: &'static str,
}

const MIGRATIONS: [Migration; 2] = [
    Migration {
        both: "
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
        sqlite: "",
    },
    Migration {
        // The decisions of guards.
        both: "
ALTER TABLE decisions ADD COLUMN store TEXT;
ALTER TABLE decisions ADD COLUMN store_region TEXT;
",
        // Ids are random: in an index that begins with them each batch writes most pages again, the more the
        // larger it is. A decision has one time, so what is new stands at the end of this one. Without
        // NULL, of which no two are the same. Who looks an id up goes through it, from its end on.
        sqlite: "
UPDATE decisions SET beside = X'' WHERE beside IS NULL;
DROP INDEX decisions_id;
DROP INDEX decisions_beside;
DROP INDEX decisions_time;
CREATE UNIQUE INDEX decisions_once ON decisions (time_ms, id, kind, beside);
",
    },
];

/// The name of the lock that migrations hold in PostgreSQL.
const LOCK: i64 = 0x006d_6165_7374_726f;

pub(crate) async fn up(store: &Store) -> Result<(), StoreError> {
    let fail = failed("bring its tables up to date");
    const MADE: &str = "CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY)";
    const NEWEST: &str = "SELECT COALESCE(MAX(version), 0) FROM migrations";
    const DONE: &str = "INSERT INTO migrations (version) VALUES ($1)";
    macro_rules! run {
        ($transaction:expr, $statements:expr, $bytes:expr, $serial:expr) => {{
            let mut transaction = $transaction;
            sqlx::raw_sql(MADE)
                .execute(&mut *transaction)
                .await
                .map_err(&fail)?;
            let found: i64 = sqlx::query_scalar(NEWEST)
                .fetch_one(&mut *transaction)
                .await
                .map_err(&fail)?;
            for (version, migration) in after(found)? {
                let statements: fn(&Migration) -> String = $statements;
                let sql = statements(migration)
                    .replace("BYTES", $bytes)
                    .replace("SERIAL", $serial);
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
                |migration| [migration.both, migration.sqlite].concat(),
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
                |migration| migration.both.to_owned(),
                "BYTEA",
                "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
            )
        }
    }
}

/// What is to be done after a version.
fn after(found: i64) -> Result<Vec<(i64, &'static Migration)>, StoreError> {
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let numbered = (1..).zip(&MIGRATIONS);
    Ok(numbered.filter(|(version, _)| *version > found).collect())
}

#[cfg(test)]
mod tests {
    use sqlx::SqliteConnection;

    use super::*;
    use crate::suite::{batch, decision};
    use crate::{Filter, Kind, Page, StoreConfig};

    #[tokio::test]
    async fn what_an_older_program_stored_is_there_still_and_known() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("old.db").display());
        let mut old = SqliteConnection::connect(&format!("{url}?mode=rwc"))
            .await
            .unwrap();
        let [first, ..] = &MIGRATIONS;
        let tables = first.both.replace("BYTES", "BLOB");
        let tables = tables.replace("SERIAL", "INTEGER PRIMARY KEY");
        let version = "CREATE TABLE migrations (version BIGINT PRIMARY KEY); INSERT INTO migrations VALUES (1)";
        for sql in [tables.as_str(), version] {
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
                .execute(&mut old)
                .await
                .unwrap();
        }
        for (number, beside) in [(1, decision(1).beside), (2, None)] {
            let d = decision(number);
            sqlx::query(
                "INSERT INTO decisions (id, kind, beside, time_ms, node, revision, outcome, masked, line) \
                 VALUES ($1, 1, $2, $3, $4, $5, $6, 0, '{}')",
            )
            .bind(crate::record::key(&d.id))
            .bind(beside.as_deref().map(crate::record::key))
            .bind(d.time_ms)
            .bind(d.node)
            .bind(d.revision)
            .bind(d.outcome)
            .execute(&mut old)
            .await
            .unwrap();
        }
        old.close().await.unwrap();

        let config = StoreConfig {
            url: Some(url),
            ..StoreConfig::default()
        };
        let store = Store::open(&config).await.unwrap();
        let mut again = batch(1..4);
        again.decisions[1].beside = None;
        let committed = store.commit(&again).await.unwrap();
        assert_eq!((committed.stored, committed.duplicates), (1, 2));
        for id in [decision(1).id, decision(2).id] {
            let found = store.decision(&id).await.unwrap().unwrap();
            assert_eq!((found.kind, found.store), (Kind::Gateway, None));
        }
        let beside = decision(1).beside.unwrap();
        assert!(store.decision(&beside).await.unwrap().is_some());
        let page = Page {
            limit: 10,
            cursor: None,
        };
        let all = store.list(&Filter::default(), page).await.unwrap();
        assert_eq!(all.decisions.len(), 3);
    }
}
