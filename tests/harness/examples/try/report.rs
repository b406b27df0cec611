//! An outcome for people and for programs.

use harness::{Delivered, Headers, Metric, Outcome};
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// What came of an exchange, in sections.
pub fn text(outcome: &Outcome) -> String {
    let mut out = String::new();
    section(&mut out, "client received", &delivered(&outcome.downstream));
    section(&mut out, "upstream received", &delivered(&outcome.upstream));
    let list = |lines: Vec<String>| lines.join("\n");
    let replies = outcome.local_replies.iter().map(|record| {
        format!(
            "{} {} ({:?})",
            record.reply.status, record.reply.details, record.path
        )
    });
    section(&mut out, "local replies", &list(replies.collect()));
    section(
        &mut out,
        "log",
        &list(outcome.logs.iter().map(ToString::to_string).collect()),
    );
    let metrics = outcome.metrics.iter().map(|(name, metric)| match metric {
        Metric::Counter(value) => format!("{name} +{value}"),
        Metric::Gauge(value) => format!("{name} = {value}"),
        Metric::Histogram(histogram) => format!("{name} {:?}", histogram.values),
    });
    section(&mut out, "metrics", &list(metrics.collect()));
    let mut state: Vec<String> = outcome
        .info
        .filter_state
        .iter()
        .map(|(key, value)| {
            format!(
                "{} = {}",
                key.escape_debug(),
                String::from_utf8_lossy(value)
            )
        })
        .collect();
    if outcome.info.route_cache_clears > 0 {
        state.push(format!(
            "route looked up anew: {} times",
            outcome.info.route_cache_clears
        ));
    }
    section(&mut out, "filter state", &list(state));
    section(&mut out, "cost", &cost(outcome));
    let traps = outcome.traps.iter().map(|trap| {
        let frames = trap
            .backtrace
            .lines()
            .map(|line| format!("\n    at {line}"));
        format!(
            "{} in {}: {}{}",
            trap.vm_id,
            trap.callback,
            trap.message,
            frames.collect::<String>()
        )
    });
    section(&mut out, "traps", &list(traps.collect()));
    section(&mut out, "problems", &list(outcome.problems.clone()));
    out
}

fn section(out: &mut String, title: &str, body: &str) {
    if body.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}");
    for line in body.lines() {
        let _ = writeln!(out, "  {line}");
    }
}

fn delivered(delivered: &Delivered) -> String {
    let Some(headers) = &delivered.headers else {
        return "nothing".to_owned();
    };
    let mut out = String::new();
    let map = |out: &mut String, headers: &Headers| {
        for (name, value) in headers.iter() {
            let _ = writeln!(out, "{name}: {}", String::from_utf8_lossy(value));
        }
    };
    map(&mut out, headers);
    if !delivered.chunks.is_empty() {
        let _ = writeln!(out, "\n{}", delivered.text());
    }
    if let Some(trailers) = &delivered.trailers {
        let _ = writeln!(out);
        map(&mut out, trailers);
    }
    match &delivered.reset {
        Some(why) => {
            let _ = writeln!(out, "(cut: {why})");
        }
        None if !delivered.ended => out.push_str("(no end)\n"),
        None => {}
    }
    out
}

fn cost(outcome: &Outcome) -> String {
    let figures = &outcome.figures;
    let mut out = format!(
        "{} fuel, {} host calls, memory {} KiB (peak {})\n",
        figures.fuel,
        figures.host_call_count(),
        figures.memory / 1024,
        figures.memory_peak / 1024,
    );
    for callback in &figures.callbacks {
        let _ = writeln!(
            out,
            "filter {} {}: {} fuel, {} host calls",
            callback.filter, callback.name, callback.fuel, callback.host_calls
        );
    }
    for (name, count) in &figures.host_calls {
        let _ = writeln!(out, "{name} × {count}");
    }
    out
}

/// The same as JSON. Bytes that are no UTF-8 are replaced.
pub fn json(outcome: &Outcome) -> Json {
    let metrics: serde_json::Map<String, Json> = outcome
        .metrics
        .iter()
        .map(|(name, metric)| {
            let value = match metric {
                Metric::Counter(value) => json!({"counter": value}),
                Metric::Gauge(value) => json!({"gauge": value}),
                Metric::Histogram(histogram) => json!({"histogram": histogram.values}),
            };
            (name.to_owned(), value)
        })
        .collect();
    let state: serde_json::Map<String, Json> = outcome
        .info
        .filter_state
        .iter()
        .map(|(key, value)| (key.clone(), String::from_utf8_lossy(value).into()))
        .collect();
    let figures = &outcome.figures;
    json!({
        "downstream": end(&outcome.downstream),
        "upstream": end(&outcome.upstream),
        "local_replies": outcome.local_replies.iter().map(|record| json!({
            "status": record.reply.status,
            "details": record.reply.details,
            "path": format!("{:?}", record.path),
        })).collect::<Vec<_>>(),
        "logs": outcome.logs.iter().map(|line| json!({
            "level": line.level.to_string(),
            "vm_id": line.vm_id,
            "context": line.context,
            "message": line.message,
        })).collect::<Vec<_>>(),
        "metrics": metrics,
        "filter_state": state,
        "route_cache_clears": outcome.info.route_cache_clears,
        "cost": {
            "fuel": figures.fuel,
            "memory": figures.memory,
            "memory_peak": figures.memory_peak,
            "host_calls": figures.host_calls,
            "callbacks": figures.callbacks.iter().map(|callback| json!({
                "filter": callback.filter,
                "name": callback.name,
                "fuel": callback.fuel,
                "host_calls": callback.host_calls,
                "returned": callback.returned,
            })).collect::<Vec<_>>(),
        },
        "traps": outcome.traps.iter().map(|trap| json!({
            "vm_id": trap.vm_id,
            "callback": trap.callback,
            "message": trap.message,
            "backtrace": trap.backtrace.lines().collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "problems": outcome.problems,
    })
}

fn end(delivered: &Delivered) -> Json {
    let map = |headers: &Headers| -> Json {
        let pairs = headers.iter();
        pairs
            .map(|(name, value)| json!([name, String::from_utf8_lossy(value)]))
            .collect()
    };
    json!({
        "status": delivered.status(),
        "headers": delivered.headers.as_ref().map(map),
        "body": delivered.text(),
        "trailers": delivered.trailers.as_ref().map(map),
        "complete": delivered.is_complete(),
        "reset": delivered.reset,
    })
}
