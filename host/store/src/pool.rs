use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::config::{StoreConfig, sqlite_path};
use crate::error::StoreError;
use crate::migrate;

/// How long a connection waits for another's transaction to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: Pool,
    pub(crate) retain_days: u32,
}

#[derive(Debug, Clone)]
pub(crate) enum Pool {
    /// SQLite has one writer at a time: one connection is the writer, the others read.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// Runs the same code on the connections of either database.
macro_rules! reading {
    ($store:expr, $pool:ident => $body:expr) => {
        match &$store.pool {
            $crate::pool::Pool::Sqlite { read: $pool, .. } => $body,
            $crate::pool::Pool::Postgres($pool) => $body,
        }
    };
}
macro_rules! writing {
    ($store:expr, $pool:ident => $body:expr) => {
        match &$store.pool {
            $crate::pool::Pool::Sqlite { write: $pool, .. } => $body,
            $crate::pool::Pool::Postgres($pool) => $body,
        }
    };
}
pub(crate) use {reading, writing};

impl Store {
    /// Opens the store, makes it if there is none, and brings its tables up to date. Several processes
    /// may do so at once.
    ///
    /// # Errors
    /// The URL is none, the database can't be reached or written, or is of a newer program.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        Self::connect(config, true).await
    }

    /// Opens a store that must be there.
    ///
    /// # Errors
    /// As [`Store::open`]; there is none.
    pub async fn open_existing(config: &StoreConfig) -> Result<Self, StoreError> {
        Self::connect(config, false).await
    }

    async fn connect(config: &StoreConfig, create: bool) -> Result<Self, StoreError> {
        let url = config.url.as_deref().unwrap_or_default();
        let pool = if let Some(path) = sqlite_path(url) {
            if path.as_os_str().is_empty() {
                return Err(StoreError::Url("names no file".to_owned()));
            }
            sqlite(path, create)
                .await
                .map_err(|source| StoreError::Open {
                    place: path.display().to_string(),
                    source: Box::new(source),
                })?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = postgres(url, &config.password_env)?;
            let place = format!(
                "{}@{}:{}/{}",
                options.get_username(),
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            );
            let pool = PgPoolOptions::new()
                .max_connections(8)
                .acquire_timeout(PATIENCE)
                .connect_with(options)
                .await
                .map_err(|source| StoreError::Open {
                    place,
                    source: Box::new(source),
                })?;
            Pool::Postgres(pool)
        } else {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(StoreError::Url(format!(
                "begins with `{scheme}`: it must be `sqlite:PATH` or `postgres://USER@HOST/DATABASE`"
            )));
        };
        let store = Self {
            pool,
            retain_days: config.retain_days,
        };
        migrate::up(&store).await?;
        Ok(store)
    }

    /// Ends all connections in order.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

/// A commit is on the disk when it returns (`FULL`): what has no log file behind it, such as what an OPA
/// sends, is answered only then.
async fn sqlite(path: &std::path::Path, create: bool) -> Result<Pool, sqlx::Error> {
    if create {
        // Who called what is for the conductor's user and group; SQLite gives its other files the same mode.
        let mut options = std::fs::File::options();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        // If it is there, it stays as it is; if it can't be made, SQLite says why.
        let _ = options.write(true).create_new(true).open(path);
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        // Of a new database: lines are long, and each page of a transaction is two writes.
        .page_size(16_384)
        .pragma("cache_size", "-65536")
        // 8 MB: what is committed and not yet moved into the database takes room of the disk as well.
        .pragma("wal_autocheckpoint", "500")
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging();
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .connect_with(options.clone())
        .await?;
    let read = SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options);
    Ok(Pool::Sqlite { write, read })
}

fn postgres(url: &str, password_env: &str) -> Result<PgConnectOptions, StoreError> {
    // The text of the URL may hold a password, and the driver's error the text.
    let authority = url.split("://").nth(1).unwrap_or_default();
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let query = url.split_once('?').map_or("", |(_, query)| query);
    if user.contains(':') || query.split('&').any(|q| q.starts_with("password=")) {
        return Err(StoreError::Url(format!(
            "holds a password: put it into the environment as {password_env}"
        )));
    }
    let mut options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Url("is no URL of PostgreSQL".to_owned()))?
        .application_name("conductor")
        .disable_statement_logging();
    if let Ok(password) = std::env::var(password_env) {
        options = options.password(&password);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wrong_url_is_told_without_its_password() {
        for (url, says) in [
            ("", "sqlite:PATH"),
            ("sqlite:", "names no file"),
            ("mysql://u:secret@h/d", "mysql"),
            ("postgres://u:secret@h/d", "CONDUCTOR_STORE_PASSWORD"),
            ("postgres://h/d?password=secret", "CONDUCTOR_STORE_PASSWORD"),
            ("postgres://[::secret", "no URL"),
            ("sqlite:/no/such/directory/d.db", "/no/such/directory/d.db"),
        ] {
            let config = StoreConfig {
                url: Some(url.to_owned()),
                ..StoreConfig::default()
            };
            let error = Store::open(&config).await.unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
