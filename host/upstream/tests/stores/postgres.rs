//! PostgreSQL by a client of its own.

use std::net::SocketAddr;

use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, error::SqlState};
use upstream::stores::Postgres;

use crate::free;

pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS ig_sentinel (nonce text PRIMARY KEY, \
    tenant text NOT NULL, written_at timestamptz NOT NULL DEFAULT now())";

pub async fn connect(address: SocketAddr, database: &str) -> Client {
    let (client, connection) = Config::new()
        .host(address.ip().to_string())
        .port(address.port())
        .user("app")
        .dbname(database)
        .options("-c ig.context=a.b.c")
        .connect(NoTls)
        .await
        .expect("a session");
    tokio::spawn(connection);
    client
}

/// The rows, of one column, and how many the command tag says.
pub async fn ask(client: &Client, sql: &str) -> (Vec<String>, u64) {
    let (mut rows, mut count) = (Vec::new(), None);
    let messages = client.simple_query(sql).await;
    for message in messages.unwrap_or_else(|error| panic!("{sql:.99}: {error:?}")) {
        match message {
            SimpleQueryMessage::Row(row) => rows.push(row.get(0).expect("a value").to_owned()),
            SimpleQueryMessage::CommandComplete(tag) => count = Some(tag),
            _ => {}
        }
    }
    (rows, count.unwrap_or_default())
}

async fn refused(client: &Client, sql: &str, state: &SqlState) -> String {
    let error = client.simple_query(sql).await.expect_err(sql);
    assert_eq!(error.code(), Some(state), "{sql}");
    error.as_db_error().expect("the server's").message().into()
}

fn row(value: &str) -> (Vec<String>, u64) {
    (vec![value.to_owned()], 1)
}

#[tokio::test]
async fn every_statement_does_what_it_says() {
    let store = Postgres::start("eu", free()).await.expect("a port");
    let client = connect(store.address(), "acme").await;
    let none = (vec![], 0);
    assert_eq!(ask(&client, TABLE).await, none);
    assert_eq!(ask(&client, TABLE).await, none, "it may be there");
    let insert = "INSERT INTO ig_sentinel (nonce, tenant) VALUES ('n1', 'acme')";
    assert_eq!(ask(&client, insert).await, (vec![], 1));
    let other = "insert into IG_SENTINEL(nonce,tenant) values('it''s', 'ümlaut');";
    assert_eq!(ask(&client, other).await, (vec![], 1));
    let tenant = "SELECT tenant FROM ig_sentinel WHERE nonce = 'n1'";
    assert_eq!(ask(&client, tenant).await, row("acme"));
    let quoted = "SELECT tenant FROM ig_sentinel WHERE nonce = 'it''s'";
    assert_eq!(ask(&client, quoted).await, row("ümlaut"));
    let nonces = "SELECT nonce FROM ig_sentinel";
    assert_eq!(
        ask(&client, nonces).await,
        (vec!["it's".into(), "n1".into()], 2)
    );
    assert!(store.holds("n1") && store.holds("it's") && !store.holds("n2"));
    assert_eq!(store.sentinels("acme"), 1);
    assert_eq!(store.sentinels(""), 0);
    let delete = "DELETE FROM ig_sentinel WHERE nonce = 'n1'";
    assert_eq!(ask(&client, delete).await, (vec![], 1));
    assert_eq!(ask(&client, delete).await, none);
    assert_eq!(ask(&client, tenant).await, none);
    assert!(!store.holds("n1"));
    let region = "SELECT current_setting('cluster_name');";
    assert_eq!(ask(&client, region).await, row("eu"));
    assert_eq!(ask(&client, " ; ").await, none);
    assert_eq!(store.stats().requests, 12);
    assert_eq!(store.stats().connections, 1);
}

#[tokio::test]
async fn databases_are_apart() {
    let store = Postgres::start("eu", free()).await.expect("a port");
    let acme = connect(store.address(), "acme").await;
    let globex = connect(store.address(), "globex").await;
    ask(&acme, TABLE).await;
    let tenant = "SELECT tenant FROM ig_sentinel WHERE nonce = 'n'";
    refused(&globex, tenant, &SqlState::UNDEFINED_TABLE).await;
    ask(&globex, TABLE).await;
    for (client, tenant) in [(&acme, "acme"), (&globex, "globex")] {
        let insert = format!("INSERT INTO ig_sentinel (nonce, tenant) VALUES ('n', '{tenant}')");
        ask(client, &insert).await;
    }
    assert_eq!(ask(&acme, tenant).await, row("acme"));
    assert_eq!(ask(&globex, tenant).await, row("globex"));
    assert_eq!(store.sentinels("n"), 2);
    // A second client of a database finds what the first has written.
    let again = connect(store.address(), "acme").await;
    assert_eq!(ask(&again, tenant).await, row("acme"));
}

#[tokio::test]
async fn what_is_not_known_is_refused_and_the_session_goes_on() {
    let store = Postgres::start("eu", free()).await.expect("a port");
    let client = connect(store.address(), "acme").await;
    let insert = "INSERT INTO ig_sentinel (nonce, tenant) VALUES ('n', 't')";
    for sql in [
        insert,
        "SELECT nonce FROM ig_sentinel",
        "SELECT tenant FROM ig_sentinel WHERE nonce = 'n'",
        "DELETE FROM ig_sentinel WHERE nonce = 'n'",
    ] {
        refused(&client, sql, &SqlState::UNDEFINED_TABLE).await;
    }
    ask(&client, TABLE).await;
    ask(&client, insert).await;
    let twice = refused(&client, insert, &SqlState::UNIQUE_VIOLATION).await;
    assert!(twice.contains("ig_sentinel_pkey"), "{twice}");
    for sql in [
        "SELECT 1",
        "DROP TABLE ig_sentinel",
        "DELETE FROM ig_sentinel",
        "SELECT nonce FROM ig_sentinel; SELECT nonce FROM ig_sentinel",
        "SELECT current_setting('data_directory')",
        "SELECT tenant FROM ig_sentinel WHERE nonce = 'n' OR 'a' = 'a'",
        "BEGIN",
    ] {
        let why = refused(&client, sql, &SqlState::FEATURE_NOT_SUPPORTED).await;
        assert!(why.contains("This store knows"), "{why}");
    }
    let error = client.query("SELECT 1", &[]).await.expect_err("extended");
    assert_eq!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED));
    assert_eq!(
        ask(&client, "SELECT nonce FROM ig_sentinel").await,
        row("n")
    );
}

#[tokio::test]
async fn a_statement_may_have_a_mebibyte_and_a_full_store_says_so() {
    let store = Postgres::start("eu", free()).await.expect("a port");
    let client = connect(store.address(), "acme").await;
    ask(&client, TABLE).await;
    let long = "x".repeat((1 << 20) - 100);
    let insert =
        |n: u32| format!("INSERT INTO ig_sentinel (nonce, tenant) VALUES ('{n}', '{long}')");
    for n in 0..63 {
        ask(&client, &insert(n)).await;
    }
    refused(&client, &insert(63), &SqlState::DISK_FULL).await;
    assert!(!store.holds("63"));
    ask(&client, "DELETE FROM ig_sentinel WHERE nonce = '7'").await;
    ask(&client, &insert(63)).await;
    let too_long = format!("SELECT '{long}{long}'");
    let error = client.simple_query(&too_long).await.expect_err("too long");
    assert_eq!(error.code(), Some(&SqlState::PROTOCOL_VIOLATION));
}
