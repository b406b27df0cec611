//! The store of decisions in a real PostgreSQL: what it must do, and what it must survive.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use decisions::{Batch, Checkpoint, DecisionsConfig, Sink, SinkError};
use serde_json::json;
use store::{Store, StoreConfig, suite};
use stores::postgres::{Postgres, psql};
use stores::{convert, until};
use tokio::sync::watch;

fn config(postgres: &Postgres) -> StoreConfig {
    StoreConfig {
        url: Some(format!("postgres://app@{}/decisions", postgres.address)),
        ..StoreConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_does_what_a_store_must() {
    let postgres = Postgres::start(Ipv4Addr::LOCALHOST.into(), &["decisions"]).await;
    let owner = format!(
        "host={} port={} user=app dbname=decisions",
        postgres.address.ip(),
        postgres.address.port()
    );
    let config = config(&postgres);
    let empty = async || {
        let sql = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
        let (_, error) = psql(&owner.replace("user=app", "user=owner"), sql).await;
        assert!(!error.contains("ERROR"), "{error}");
        let grant = "GRANT ALL ON SCHEMA public TO app";
        psql(&owner.replace("user=app", "user=owner"), grant).await;
        Store::open(&config).await.unwrap()
    };
    suite::all(&config, empty).await;
    let wrong = StoreConfig {
        url: Some(format!("postgres://nobody@{}/decisions", postgres.address)),
        ..config
    };
    let error = Store::open(&wrong).await.unwrap_err().to_string();
    assert!(error.contains("nobody@127.0.0.1"), "{error}");
}

#[derive(Clone)]
struct Through {
    store: Store,
    failures: Arc<AtomicU64>,
}

impl Sink for Through {
    async fn checkpoints(&self, source: &str) -> Result<Vec<Checkpoint>, SinkError> {
        let known = self.store.checkpoints(source).await?;
        Ok(known.into_iter().map(convert::from_store).collect())
    }

    async fn commit(&self, batch: Batch) -> Result<(), SinkError> {
        self.store.commit(&convert::to_store(batch)).await?;
        Ok(())
    }

    async fn node_status(&self, _: &str, _: i64, _: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn trouble(&self, _: &str, what: Option<&str>) {
        if what.is_some() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn line(id: u64) -> String {
    let decision = json!({"decisionId": format!("dec_{id:032x}"), "outcome": "allowed",
        "tenant": "acme", "revision": "r-1", "counts": {}});
    json!({"decision": decision.to_string(), "node": "gateway-eu",
        "time": "2026-11-27T17:00:00.123Z"})
    .to_string()
        + "\n"
}

/// Appends and rotates until it is told to stop; how many lines that were.
async fn write(log: &Path, stop: &AtomicBool) -> u64 {
    let mut id = 0;
    let open = || File::options().create(true).append(true).open(log).unwrap();
    let mut file = open();
    let mut rotated = 1_000;
    while !stop.load(Ordering::Relaxed) {
        let lines: String = (id..id + 10).map(line).collect();
        file.write_all(lines.as_bytes()).unwrap();
        id += 10;
        if id % 5_000 == 0 {
            rotated -= 1;
            std::fs::rename(log, format!("{}.{rotated}", log.display())).unwrap();
            file = open();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_loses_and_doubles_nothing() {
    let mut postgres = Postgres::start(Ipv4Addr::LOCALHOST.into(), &["decisions"]).await;
    let store = Store::open(&config(&postgres)).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let sink = Through {
        store: store.clone(),
        failures: Arc::default(),
    };
    let (ended, over) = watch::channel(false);
    let settings = DecisionsConfig {
        poll_ms: 5,
        ..DecisionsConfig::default()
    };
    let (source, through) = (log.clone(), sink.clone());
    let reading = tokio::spawn(async move {
        decisions::run::follow(source, &settings, None, through, false, over).await
    });
    let stop = Arc::new(AtomicBool::new(false));
    let (path, told) = (log.clone(), stop.clone());
    let writing = tokio::spawn(async move { write(&path, &told).await });
    let stored = async || {
        let counters = store.counters().await.ok()?;
        counters.first().map(|c| (c.lines, c.stored))
    };
    for _ in 0..3 {
        let (_, before) = until("decisions", &stored).await;
        until("more decisions", async || {
            stored().await.filter(|(_, now)| *now > before)
        })
        .await;
        postgres.kill();
        let failed = sink.failures.load(Ordering::Relaxed);
        until("a failure", async || {
            (sink.failures.load(Ordering::Relaxed) > failed).then_some(())
        })
        .await;
        postgres.restart().await;
    }
    stop.store(true, Ordering::Relaxed);
    let written = writing.await.unwrap().cast_signed();
    // Nothing is lost, and what was read twice was counted once.
    until("all decisions", async || {
        let of = stored().await;
        eprintln!("{of:?} of {written}");
        of.filter(|of| *of == (written, written))
    })
    .await;
    let (connection, count) = (
        format!(
            "host={} port={} user=app dbname=decisions",
            postgres.address.ip(),
            postgres.address.port()
        ),
        "SELECT COUNT(*), COUNT(DISTINCT id) FROM decisions",
    );
    let (counted, error) = psql(&connection, count).await;
    assert_eq!(counted, format!("{written}|{written}"), "{error}");
    ended.send(true).unwrap();
    reading.await.unwrap().unwrap();
    assert!(store.gaps(i64::MIN, 10).await.unwrap().is_empty());
}
