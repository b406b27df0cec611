//! Decision lines from a gateway's log into SQLite, on one core: what is read in a second.
//!
//! The log is written before; lines have the keys and the size of a gateway's. The store is the one that the
//! conductor uses, with its settings: each batch is on the disk when it counts.

#[path = "../../../host/conductor/src/ingest/convert.rs"]
mod convert;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use decisions::{Batch, Checkpoint, DecisionsConfig, MaskPolicy, Sink, SinkError};
use serde_json::json;
use store::{Store, StoreConfig};
use tokio::sync::watch;

/// Lines a second.
const AIM: f64 = 50_000.0;

/// Set in the process that is bound to one core.
const BOUND: &str = "BENCH_INGEST_BOUND";

const MASK: &str = "package system.log\n\
    mask contains \"/input/client\"\n\
    mask contains {\"op\": \"upsert\", \"path\": \"/input/decision/subject\", \"value\": \"-\"} if \
    input.input.decision.subject\n";

#[derive(Clone)]
struct Into(Option<Store>);

impl Sink for Into {
    async fn checkpoints(&self, source: &str) -> Result<Vec<Checkpoint>, SinkError> {
        let known = match &self.0 {
            Some(store) => store.checkpoints(source).await?,
            None => Vec::new(),
        };
        Ok(known.into_iter().map(convert::from_store).collect())
    }

    async fn commit(&self, batch: Batch) -> Result<(), SinkError> {
        if let Some(store) = &self.0 {
            store.commit(&convert::to_store(batch)).await?;
        }
        Ok(())
    }

    async fn node_status(&self, _: &str, _: i64, _: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn trouble(&self, source: &str, what: Option<&str>) {
        if let Some(what) = what {
            eprintln!("{source}: {what}");
        }
    }
}

/// A number that looks like chance.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn line(number: u64) -> String {
    let id = |salt: u64| {
        format!(
            "dec_{:016x}{:016x}",
            mixed(number ^ salt),
            mixed(number + salt)
        )
    };
    let decision = json!({"decisionId": id(1 << 60), "outcome": "allowed", "tenant": format!("tenant-{}",
        number % 1_000), "subject": format!("subject-{}", number % 50_000), "roles": ["analyst"],
        "purpose": "analytics", "region": "eu", "revision": "r-0123456789ab", "surface": "graphql",
        "operation": {"name": "People", "kind": "query", "hash": format!("{:064x}", number % 40)},
        "maskSet": ["Person.birthDate", "Person.email", "Person.phone"], "redactSet":
        ["Person.nationalId"], "revealed": ["Person.salary"], "reason": "role!=admin",
        "counts": {"Person.birthDate": 20, "Person.email": 20, "Person.nationalId": 20,
        "Person.phone": 20}, "classes": {"contact": 40, "identity": 40}, "dropped": 0,
        "mismatched": 0});
    let residency = json!({"decisionId": id(1 << 61), "outcome": "allowed", "tenant":
        format!("tenant-{}", number % 1_000), "home": "eu", "regionSrc": "eu", "regionDst": "eu",
        "revision": "r-0123456789ab", "reason": "the tenant's own region"});
    let (second, ms) = (number / 1_000 % 60, number % 1_000);
    json!({"authority": "api.example", "bytes_received": 180, "bytes_sent": 4_211, "client":
        "10.1.2.3", "decision": decision.to_string(), "duration_ms": number % 90, "method": "POST",
        "node": "gateway-eu", "own_after_us": number % 400, "own_before_us": number % 700, "path":
        "/graphql", "protocol": "HTTP/1.1", "region": "eu", "request_duration_ms": 0, "request_id":
        format!("{:08x}-1c2d-4e5f-8a9b-{:012x}", number, mixed(number) >> 16), "residency":
        residency.to_string(), "response_code": 200, "response_code_details": "via_upstream",
        "response_duration_ms": number % 80, "response_flags": "-", "route": "graphql", "time":
        format!("2026-11-27T17:{:02}:{second:02}.{ms:03}Z", number / 60_000 % 60), "traceparent":
        format!("00-{:032x}-{:016x}-01", mixed(number), number), "upstream_cluster": "region-eu",
        "upstream_host": "10.1.9.9:8080", "upstream_transport_failure": null, "user_agent":
        "bench/1.0"})
    .to_string()
}

fn write(path: &Path, lines: u64) -> anyhow::Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    for number in 0..lines {
        writeln!(file, "{}", line(number))?;
    }
    file.flush()?;
    Ok(std::fs::metadata(path)?.len())
}

async fn run(
    what: &str,
    path: &Path,
    lines: u64,
    store: Option<&Path>,
    mask: Option<MaskPolicy>,
) -> anyhow::Result<f64> {
    let bytes = std::fs::metadata(path)?.len();
    let store = match store {
        Some(path) => {
            let config = StoreConfig {
                url: Some(format!("sqlite:{}", path.display())),
                ..StoreConfig::default()
            };
            Some(Store::open(&config).await?)
        }
        None => None,
    };
    let (_ended, over) = watch::channel(false);
    let sink = Into(store.clone());
    let config = DecisionsConfig::default();
    let (begun, used) = (Instant::now(), processor()?);
    decisions::run::follow(path.to_owned(), &config, mask, sink, true, over).await?;
    let (seconds, used) = (begun.elapsed().as_secs_f64(), processor()? - used);
    let speed = lines as f64 / seconds;
    println!(
        "{what:36} {lines:>8} lines  {:>6.1} MB  {seconds:>6.2} s {speed:>8.0} lines/s  \
         {used:>6.2} s of the core: {:>8.0} lines/s",
        bytes as f64 / 1e6,
        lines as f64 / used
    );
    if let Some(store) = store {
        let counters = store.counters().await?;
        let stored = counters.first().map_or(0, |c| c.stored);
        anyhow::ensure!(
            stored.cast_unsigned() == lines,
            "{stored} of {lines} are stored"
        );
        store.close().await;
    }
    Ok(speed)
}

/// Seconds of a processor that this process has used: on a machine that does other things too, what counts.
fn processor() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat
        .rsplit_once(')')
        .context("/proc/self/stat has another form")?;
    // After the name: utime and stime are the 12th and 13th, in hundredths (proc_pid_stat(5)).
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.map(|t| t.parse().unwrap_or(0)).sum();
    Ok(ticks as f64 / 100.0)
}

fn main() -> anyhow::Result<()> {
    if std::env::var_os(BOUND).is_none() {
        // All threads on one core: the reader's, the database's and the runtime's.
        let mut bound = Command::new("taskset");
        bound.args(["-c", "0"]).arg(std::env::current_exe()?);
        let status = bound
            .args(std::env::args().skip(1))
            .env(BOUND, "1")
            .status();
        let status = status.context("this benchmark needs `taskset` (util-linux)")?;
        std::process::exit(status.code().unwrap_or(1));
    }
    let lines = match std::env::args().any(|a| a == "--quick") {
        true => 50_000,
        false => 500_000,
    };
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let at = |name: &str| directory.path().join(name);
    write(&at("all.log"), lines)?;
    write(&at("some.log"), lines / 20)?;
    std::fs::write(at("mask.rego"), MASK)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        run("read and parsed", &at("all.log"), lines, None, None).await?;
        let speed = run(
            "into SQLite",
            &at("all.log"),
            lines,
            Some(&at("all.db")),
            None,
        )
        .await?;
        let mask = MaskPolicy::load(&at("mask.rego"))?;
        let (log, db) = (at("some.log"), at("some.db"));
        run(
            "through a mask policy, into SQLite",
            &log,
            lines / 20,
            Some(&db),
            Some(mask),
        )
        .await?;
        let verdict = if speed >= AIM { "met" } else { "missed" };
        println!("the aim of {AIM:.0} lines/s on one core is {verdict}");
        Ok(())
    })
}
