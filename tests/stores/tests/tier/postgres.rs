//! PostgreSQL's own clients through the guard: psql and tokio-postgres.

use std::net::SocketAddr;

use serde_json::json;
use stores::postgres::{Postgres, psql};
use stores::sidecar::{Sidecar, Store};
use stores::{claims, sign, until, warranted};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

fn store(name: &'static str, region: &str, address: SocketAddr) -> Store {
    Store {
        name,
        config: json!({
            "kind": "postgres", "name": name, "region": region,
            "objects": [{"name": "{tenant}"}], "users": [{"name": "app"}],
        }),
        address,
    }
}

fn connection(address: SocketAddr, database: &str, token: &str) -> String {
    format!(
        "host={} port={} user=app dbname={database} sslmode=disable gssencmode=disable \
         options='-c ig.context={token}'",
        address.ip(),
        address.port()
    )
}

/// Waits for a line of the access log with this code and tenant, and looks where it led.
async fn expect(sidecar: &Sidecar, listener: &str, code: &str, tenant: &str, cluster: &str) {
    let what = format!("line of {listener} with code `{code}` for {tenant}");
    let line = until(&what, async || {
        sidecar.log().into_iter().find(|line| {
            line["listener"] == listener
                && line["egress"]["code"].as_str().unwrap_or("") == code
                && line["egress"]["tenant"] == tenant
        })
    })
    .await;
    let outcome = if code.is_empty() { "allowed" } else { "denied" };
    assert_eq!(line["egress"]["outcome"], outcome, "{line}");
    assert_eq!(line["upstream_cluster"], cluster, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_reaches_its_own_database_in_its_own_region() {
    let (eu, us) = tokio::join!(
        Postgres::start([127, 0, 1, 1].into(), &["acme", "globex", "initech"]),
        Postgres::start([127, 0, 2, 1].into(), &["acme", "initech"]),
    );
    let stores = [
        store("pg-eu", "eu", eu.address),
        store("pg-us", "us", us.address),
    ];
    let sidecar = Sidecar::start(&stores, 10_000).await;
    let [to_eu, to_us] = ["pg-eu", "pg-us"].map(|name| sidecar.address(name));
    let before = [eu.connections(), us.connections()];

    // Let in: psql, and the store sees which request it is.
    let acme = sign(&claims("acme", "eu"));
    let sql = "SELECT current_database(), current_setting('ig.context') <> ''";
    let (out, error) = psql(&connection(to_eu, "acme", &acme), sql).await;
    assert_eq!(
        (out.as_str(), error.as_str()),
        ("acme|t", ""),
        "{}",
        sidecar.envoy_log()
    );
    expect(&sidecar, "pg-eu", "", "acme", "store-pg-eu").await;

    // Let in: tokio-postgres, by the application's name; a large answer passes whole.
    let config = format!(
        "host={} port={} user=app dbname=acme",
        to_eu.ip(),
        to_eu.port()
    );
    let mut config: tokio_postgres::Config = config.parse().unwrap();
    config.application_name(format!("test ig.context={acme}"));
    let (client, running) = config.connect(NoTls).await.unwrap();
    let running = tokio::spawn(running);
    let row = client
        .query_one("SELECT repeat('x', 3000000), $1::int4", &[&7])
        .await
        .unwrap();
    assert_eq!(
        (row.get::<_, &str>(0).len(), row.get::<_, i32>(1)),
        (3_000_000, 7)
    );

    // Cancelling by the key that the server gave.
    let token = client.cancel_token();
    let (slept, cancelled) = tokio::join!(client.batch_execute("SELECT pg_sleep(60)"), async {
        until("query to cancel", async || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND query NOT LIKE '%count%'";
            let (out, _) = psql(&connection(to_eu, "acme", &acme), sql).await;
            (out == "1").then_some(())
        })
        .await;
        token.cancel_query(NoTls).await
    });
    assert!(cancelled.is_ok());
    assert_eq!(slept.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    drop(client);
    running.await.unwrap().unwrap();
    let allowed = eu.connections() - before[0];

    // Refused, in PostgreSQL's own words.
    let initech = sign(&claims("initech", "us"));
    let forged = format!("{}x", sign(&claims("acme", "eu")));
    let mut old = claims("acme", "eu");
    (old.iat, old.exp) = (old.iat - 1_000, old.iat - 500);
    let weak = sign(&warranted("initech", &["read"]));
    for (address, database, token, code, words) in [
        (
            to_eu,
            "globex",
            acme.as_str(),
            "OBJECT_FOREIGN",
            "another tenant's",
        ),
        (
            to_eu,
            "postgres",
            &acme,
            "OBJECT_FOREIGN",
            "another tenant's",
        ),
        (to_eu, "acme", "", "CONTEXT_MISSING", "no context token"),
        (to_eu, "acme", &forged, "CONTEXT_", "context token"),
        (to_eu, "acme", &sign(&old), "CONTEXT_EXPIRED", "has expired"),
        (
            to_eu,
            "initech",
            &initech,
            "CROSS_REGION",
            "another region than the store",
        ),
        (
            to_eu,
            "initech",
            &weak,
            "CROSS_REGION",
            "not for this operation",
        ),
        (to_us, "acme", &acme, "CROSS_REGION", "another region"),
        (
            to_us,
            "initech",
            &initech,
            "CROSS_REGION",
            "another region than this guard",
        ),
    ] {
        let (out, error) = psql(&connection(address, database, token), "SELECT 1").await;
        assert_eq!(out, "", "{code}");
        assert!(
            error.contains("FATAL") && error.contains("28000") | error.contains(words),
            "{code}: {error}"
        );
        assert!(error.contains(words), "{code}: {error}");
        let config = connection(address, database, token).replace("gssencmode=disable ", "");
        let refused = tokio_postgres::connect(&config, NoTls).await.err().unwrap();
        let refused = refused
            .as_db_error()
            .unwrap_or_else(|| panic!("{code}: {refused}"));
        assert_eq!(
            refused.code(),
            &SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        );
        assert!(refused.message().contains(words), "{refused:?}");
        assert!(
            refused
                .detail()
                .is_some_and(|d| d.starts_with(code) && d.contains("decision dec_"))
        );
    }
    expect(&sidecar, "pg-eu", "OBJECT_FOREIGN", "acme", "refusal").await;
    expect(&sidecar, "pg-us", "CROSS_REGION", "initech", "refusal").await;
    // No store was bothered with it, that of the other region never.
    assert_eq!(eu.connections() - before[0], allowed);
    assert_eq!(us.connections(), before[1]);

    // Over the border, under a warrant that is for all that a connection can do.
    let strong = sign(&warranted("initech", &["read", "write", "delete"]));
    for (address, name) in [(to_us, "pg-us"), (to_eu, "pg-eu")] {
        let (out, error) = psql(&connection(address, "initech", &strong), "SELECT 1").await;
        assert_eq!((out.as_str(), error.as_str()), ("1", ""), "{name}");
    }
    let line = until("line with the warrant", async || {
        let lines = sidecar.log();
        lines
            .into_iter()
            .rfind(|l| l["egress"]["warrant"] == "wrt_test" && l["egress"]["outcome"] == "allowed")
    })
    .await;
    assert_eq!(
        line["egress"]["reason"],
        "warrant wrt_test of us-court, case C-1"
    );
    assert_eq!(us.connections(), before[1] + 1);

    let [allowed, denied, malformed] = sidecar.counts().await;
    assert!(allowed >= 6, "{allowed}");
    assert_eq!((denied, malformed), (18, 0));
}
