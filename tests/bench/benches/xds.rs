//! One tenant of 10,000 changes: how long until all sidecars have it, what travels, what the server holds.
//!
//! The sidecars are streams of one process on the loopback, the control plane is another process; both share
//! this machine's processors. `--streams N` takes one size only.

use std::path::Path;
use std::time::Instant;

use bench::fleet::{self, Fleet, Server};
use serde_json::{Value, json};

/// Changes of each size.
const ROUNDS: usize = 5;

/// Sizes, and how many streams share a connection: with 10,000 of them a process has no more ports and files
/// than it may.
const SIZES: [(usize, usize); 2] = [(1_000, 1), (10_000, 10)];

/// Of 1,000 sidecars, 99 of 100 shall have a change within this, in milliseconds.
const AIM_MS: f64 = 2_000.0;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let runtime = tokio::runtime::Runtime::new()?;
    fleet::raise_open_files()?;
    if arguments.iter().any(|a| a == "--serve") {
        return runtime.block_on(fleet::serve(&checkout));
    }
    let only = arguments
        .iter()
        .position(|a| a == "--streams")
        .and_then(|at| arguments.get(at + 1))
        .map(|number| number.parse::<usize>())
        .transpose()?;
    let mut rows = Vec::new();
    for (streams, on_each) in SIZES {
        if only.is_none_or(|only| only == streams) {
            rows.push(runtime.block_on(measure(streams, on_each))?);
        }
    }
    print(&rows);
    let out = checkout.join("target/bench");
    std::fs::create_dir_all(&out)?;
    let all = json!({"tenants": bench::tenants::COUNT, "rounds": ROUNDS, "sizes": rows});
    std::fs::write(out.join("xds.json"), format!("{all:#}\n"))?;
    Ok(())
}

async fn measure(streams: usize, on_each: usize) -> anyhow::Result<Value> {
    eprintln!("{streams} sidecars, {on_each} on a connection …");
    let mut server = Server::start().await?;
    let began = Instant::now();
    let mut fleet = Fleet::open(server.address, streams, on_each, &server.types).await?;
    let first = fleet.answers(streams * server.types.len()).await?;
    let start_ms = began.elapsed().as_secs_f64() * 1_000.0;
    server.settled(streams).await?;
    let mut latencies = Vec::new();
    let mut all = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    for round in 1..=ROUNDS {
        let began = Instant::now();
        server.push(round).await?;
        let answers = fleet.answers(streams).await?;
        latencies.extend(
            answers
                .iter()
                .map(|a| a.at.duration_since(began).as_secs_f64() * 1_000.0),
        );
        bytes = answers.iter().map(|a| a.bytes).sum::<usize>();
        let pushed = server.answer().await?;
        eprintln!("  round {round}: all have it after {:.0} ms", pushed.all_ms);
        all.push(pushed.all_ms);
        last = Some(pushed);
    }
    latencies.sort_by(f64::total_cmp);
    all.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let last = last.expect("there are rounds");
    Ok(json!({
        "streams": streams, "streamsOnAConnection": on_each,
        "startMs": start_ms, "startBytes": first.iter().map(|a| a.bytes).sum::<usize>(),
        "filterBytes": server.filter_bytes,
        "p50Ms": at(0.5), "p99Ms": at(0.99), "allMs": all,
        "bytesAChange": bytes, "bytesAChangeAndSidecar": bytes / streams,
        "residentBefore": server.resident_before,
        "resident": last.resident, "residentMost": last.resident_most,
    }))
}

fn print(rows: &[Value]) {
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap_or_default();
    let mb = |row: &Value, name: &str| number(row, name) / f64::from(1 << 20);
    println!(
        "\nOne of {} tenants changes: {ROUNDS} times\n",
        bench::tenants::COUNT
    );
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>11} {:>12} {:>12} {:>11} {:>11}",
        "sidecars",
        "start s",
        "p50 ms",
        "p99 ms",
        "all, worst",
        "a change MB",
        "each KB",
        "server MB",
        "at most MB"
    );
    for row in rows {
        let worst = row["allMs"].as_array().and_then(|all| all.last()?.as_f64());
        println!(
            "{:>9} {:>9.1} {:>9.0} {:>9.0} {:>11.0} {:>12.1} {:>12.1} {:>11.0} {:>11.0}",
            number(row, "streams"),
            number(row, "startMs") / 1_000.0,
            number(row, "p50Ms"),
            number(row, "p99Ms"),
            worst.unwrap_or_default(),
            mb(row, "bytesAChange"),
            number(row, "bytesAChangeAndSidecar") / 1_024.0,
            mb(row, "resident"),
            mb(row, "residentMost"),
        );
    }
    if let Some(row) = rows.first() {
        println!(
            "\nWhat travels is what changed of the filter's configuration, which has {:.0} KB, once a sidecar.",
            number(row, "filterBytes") / 1_024.0
        );
    }
    if let Some(row) = rows.iter().find(|row| number(row, "streams") == 1_000.0) {
        let met = number(row, "p99Ms") <= AIM_MS;
        let verdict = if met { "met" } else { "missed" };
        println!("aim: 1,000 sidecars, p99 within {AIM_MS:.0} ms: {verdict}");
    }
}
