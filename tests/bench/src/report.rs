//! The report: printed for people, and as JSON for whatever compares runs.

use serde_json::{Value, json};

use crate::aims::{self, Aim};
use crate::load::Load;
use crate::loading::Times;
use crate::results::{Results, Row, ratio};
use crate::variants::{Masked, Way};

/// What added times are told as shares of.
const YARDSTICKS: [(Way, Masked, &str); 3] = [
    (Way::CopyThrough, Masked::Not, "copy-through"),
    (Way::Lua, Masked::Redact, "Lua"),
    (Way::ExtProcBuffered, Masked::Redact, "ext_proc"),
];

/// Prints everything, ratios and aims first.
pub fn print(results: &Results) {
    let loads = loads(results);
    if loads.contains(&Load::USUAL) {
        print_ratios(results, Load::USUAL);
    }
    print_aims(&aims::all(results));
    for load in loads {
        print_load(results, load);
    }
    print_costs(results);
    print_memory(results);
    print_loading(results);
    if !results.missing.is_empty() {
        println!("\nNot measured");
        for sentence in &results.missing {
            println!("  {sentence}");
        }
    }
}

fn loads(results: &Results) -> Vec<Load> {
    let mut loads: Vec<Load> = results.rows.iter().map(|r| r.load).collect();
    loads.dedup();
    loads
}

fn title(load: Load) -> String {
    format!("{}, {} masked values", load.size(), load.values)
}

fn print_ratios(results: &Results, load: Load) {
    println!(
        "\n{}: what each adds to the median, as a share of what another adds",
        title(load)
    );
    println!("(in brackets: quartiles of the rounds' shares)\n");
    print!("{:24} {:>9}", "", "added µs");
    for (_, _, name) in YARDSTICKS {
        print!(" {:>22}", format!("of {name}'s"));
    }
    println!();
    for row in results.rows.iter().filter(|r| r.load == load) {
        if matches!(
            (row.way, row.masked),
            (Way::NoFilter, _) | (Way::Apollo, Masked::Not)
        ) {
            continue;
        }
        print!("{:24} {:9.1}", row.name(), row.added_p50);
        for (way, masked, _) in YARDSTICKS {
            let other = results.row(load, way, masked);
            let text = other.and_then(|other| ratio(row, other)).map(|ratio| {
                let (low, high) = ratio.quartiles;
                format!("{:.2} ({low:.2}–{high:.2})", ratio.value)
            });
            print!(" {:>22}", text.unwrap_or_default());
        }
        println!();
    }
}

/// Prints aims, and what was seen.
pub fn print_aims(aims: &[Aim]) {
    println!("\nAims\n");
    println!("{:62} {:>10} {:>10}", "", "at most", "seen");
    for aim in aims {
        let number = |n: f64| {
            let digits = if aim.unit == "ms" { 1 } else { 2 };
            format!("{n:.digits$} {}", aim.unit).trim_end().to_owned()
        };
        println!(
            "{:62} {:>10} {:>10}  {}",
            aim.what,
            number(aim.most),
            aim.seen.map(number).unwrap_or_default(),
            aim.verdict()
        );
    }
}

fn print_load(results: &Results, load: Load) {
    println!("\n{} (times in µs)\n", title(load));
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9} {:>8}",
        "", "p50", "p95", "p99", "added p50", "added p95", "requests/s", "VM MiB", "n"
    );
    for row in results.rows.iter().filter(|r| r.load == load) {
        let per_second = row.per_second.map(|n| format!("{n:.0}"));
        println!(
            "{:24} {:10.1} {:10.1} {:10.1} {:10.1} {:10.1} {:>10} {:>9} {:8}",
            row.name(),
            row.p50,
            row.p95,
            row.p99,
            row.added_p50,
            row.added_p95,
            per_second.unwrap_or_default(),
            row.vm_memory.map(mib).unwrap_or_default(),
            row.requests
        );
    }
}

/// Callbacks that an exchange has, and how tables name them.
const CALLBACKS: [(&str, &str); 4] = [
    ("proxy_on_request_headers", "request head"),
    ("proxy_on_request_body", "request body"),
    ("proxy_on_response_headers", "response head"),
    ("proxy_on_response_body", "response body"),
];

fn print_costs(results: &Results) {
    println!(
        "\n{} in the harness, caches warm: thousands of instructions, and host calls\n",
        title(Load::USUAL)
    );
    print!("{:24} {:>10} {:>10}", "", "host calls", "all");
    for (_, name) in CALLBACKS {
        print!(" {name:>14}");
    }
    println!();
    for (name, figures) in &results.costs {
        let thousands = |fuel: u64| format!("{:.1}", fuel as f64 / 1000.0);
        print!(
            "{name:24} {:10} {:>10}",
            figures.host_call_count(),
            thousands(figures.fuel)
        );
        for (callback, _) in CALLBACKS {
            print!(" {:>14}", thousands(figures.fuel_of(callback)));
        }
        println!();
    }
    for (name, figures) in &results.costs {
        let calls: Vec<String> = figures
            .host_calls
            .iter()
            .filter(|(_, n)| **n > 0)
            .map(|(call, n)| format!("{n} {}", call.trim_start_matches("proxy_")))
            .collect();
        println!("{name}: {}", calls.join(", "));
    }
}

fn print_memory(results: &Results) {
    if !results.resident.is_empty() {
        println!("\nResident memory of an Envoy with this filter only, MiB\n");
        println!(
            "{:24} {:>8} {:>14} {:>16} {:>13}",
            "", "idle", "2000 × 12 KB", "then 3 × 16 MB", "then 100 MB"
        );
        for (name, resident) in &results.resident {
            let text = |bytes: Option<u64>| bytes.map(|b| mib(b as usize)).unwrap_or_default();
            println!(
                "{name:24} {:>8} {:>14} {:>16} {:>13}",
                text(Some(resident.idle)),
                text(Some(resident.usual)),
                text(resident.large),
                text(resident.huge)
            );
        }
    }
    if !results.streams.is_empty() {
        println!("\nVM memory after bodies with 2000 masked values, in the harness, MiB\n");
        println!(
            "{:24} {:>10} {:>10} {:>13}",
            "", "pieces", "16 MB", "then 100 MB"
        );
        for stream in &results.streams {
            println!(
                "{:24} {:>10} {:>10} {:>13}",
                stream.variant,
                format!("{} KiB", stream.piece / 1024),
                mib(stream.large),
                mib(stream.huge)
            );
        }
    }
}

fn print_loading(results: &Results) {
    let Some(loading) = &results.loading else {
        return;
    };
    println!(
        "\nLoading a configuration of {} KB: {} types, 500 rules; ms\n",
        loading.bytes / 1000,
        loading.types
    );
    print_times(&loading.times);
}

/// Prints how long a configuration took to load.
pub fn print_times(times: &Times) {
    let ms = |d: &std::time::Duration| format!("{:.1}", d.as_secs_f64() * 1000.0);
    println!("{:44} {:>8}", "the engine, natively", ms(&times.native));
    println!("{:44} {:>8}", "on_configure, wasmtime", ms(&times.harness));
    let threads: Vec<String> = times.envoy.iter().map(ms).collect();
    println!(
        "{:44} {:>8}",
        "on_configure, Envoy (once a thread)",
        threads.join(", ")
    );
    println!(
        "{:44} {:>8}",
        "before that: V8 compiles the module",
        ms(&times.compiling)
    );
}

/// The same as JSON.
pub fn times_json(times: &Times) -> Value {
    let ms = |d: &std::time::Duration| d.as_secs_f64() * 1000.0;
    json!({
        "native_ms": ms(&times.native), "wasmtime_ms": ms(&times.harness),
        "envoy_ms": times.envoy.iter().map(ms).collect::<Vec<_>>(),
        "v8_compiles_ms": ms(&times.compiling),
    })
}

fn mib(bytes: usize) -> String {
    format!("{:.1}", bytes as f64 / Load::MB as f64)
}

/// Everything as JSON.
pub fn json(results: &Results) -> Value {
    let aims: Vec<Value> = aims::all(results).iter().map(aim_json).collect();
    let rows: Vec<Value> = results
        .rows
        .iter()
        .map(|row| row_json(results, row))
        .collect();
    let resident: Vec<Value> = results
        .resident
        .iter()
        .map(|(name, r)| {
            json!({
                "variant": name, "idle_bytes": r.idle, "after_12_kb_bytes": r.usual,
                "after_16_mb_bytes": r.large, "after_100_mb_bytes": r.huge,
            })
        })
        .collect();
    let streams: Vec<Value> = results
        .streams
        .iter()
        .map(|s| {
            json!({
                "variant": s.variant, "piece_bytes": s.piece, "after_16_mb_bytes": s.large,
                "after_100_mb_bytes": s.huge,
            })
        })
        .collect();
    let modules: Vec<Value> = results
        .modules
        .iter()
        .map(|(name, bytes)| json!({"module": name, "bytes": bytes}))
        .collect();
    let costs: Vec<Value> = results
        .costs
        .iter()
        .map(|(name, figures)| {
            json!({"variant": name, "fuel": figures.fuel, "host_calls": figures.host_calls})
        })
        .collect();
    let loading = results.loading.as_ref().map(|l| {
        let mut json = times_json(&l.times);
        json["bytes"] = l.bytes.into();
        json["types"] = l.types.into();
        json["rules"] = crate::loading::RULES.into();
        json
    });
    json!({
        "aims": aims, "rows": rows, "resident": resident, "streams": streams,
        "costs": costs, "modules": modules, "loading": loading, "missing": results.missing,
    })
}

/// An aim as JSON.
pub fn aim_json(aim: &Aim) -> Value {
    json!({
        "what": aim.what, "at_most": aim.most, "unit": aim.unit, "seen": aim.seen,
        "quartiles": aim.quartiles, "verdict": aim.verdict(),
    })
}

fn row_json(results: &Results, row: &Row) -> Value {
    let mut value = json!({
        "variant": row.name(), "bytes": row.load.bytes, "values": row.load.values,
        "strategy": row.masked.strategy(), "requests": row.requests,
        "p50_us": row.p50, "p95_us": row.p95, "p99_us": row.p99,
        "added_p50_us": row.added_p50, "added_p95_us": row.added_p95,
        "requests_per_second": row.per_second, "vm_bytes": row.vm_memory,
    });
    for (way, masked, name) in YARDSTICKS {
        let other = results.row(row.load, way, masked);
        if let Some(ratio) = other.and_then(|other| ratio(row, other)) {
            value[format!("of_{}", name.replace('-', "_").to_lowercase())] =
                json!({"ratio": ratio.value, "quartiles": ratio.quartiles});
        }
    }
    value
}
