//! `conductor xds status`: who has which configuration, since when, and who refuses what.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::Value;

use crate::{End, client, plain, say};

/// What of a version is shown.
const SHORT: usize = 12;

/// Arguments of `xds`.
#[derive(Args)]
pub struct XdsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says which node has which configuration since when, what is parked and why.
    ///
    /// Ends with 0, or with --check with 1 if something is parked, refused or not settled, and with 2 if the conductor
    /// does not answer.
    #[command(after_help = "Example: conductor xds status --conductor 127.0.0.1:7080 --check")]
    Status(StatusArgs),
}

/// Arguments of `xds status`.
#[derive(Args)]
struct StatusArgs {
    /// The conductor's HTTP port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080")]
    conductor: SocketAddr,
    /// End with 1 if something is parked, or a node has not all that its group is to have.
    #[arg(long)]
    check: bool,
    /// Print JSON, as /api/xds has it.
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// The conductor does not answer, or something else answers in its place.
pub async fn run(args: &XdsArgs) -> anyhow::Result<End> {
    let Command::Status(args) = &args.command;
    let answer = client::send(args.conductor, "GET", "/api/xds", &[], String::new()).await?;
    ensure!(
        answer.status == 200,
        "{} answers /api/xds with {}",
        args.conductor,
        answer.status
    );
    let status: Value = serde_json::from_str(&answer.body).with_context(|| {
        format!(
            "what {} answers is no status of a conductor's",
            args.conductor
        )
    })?;
    ensure!(
        status["groups"].is_object() && status["streams"].is_array(),
        "what {} answers is no status of a conductor's",
        args.conductor
    );
    if args.json {
        say(&format!("{status:#}\n"))?;
    } else {
        say(&page(&status, Timestamp::now()))?;
    }
    Ok(match args.check && !is_well(&status) {
        true => End::Failed,
        false => End::Done,
    })
}

fn streams(status: &Value) -> impl Iterator<Item = &Value> {
    status["streams"].as_array().into_iter().flatten()
}

fn groups(status: &Value) -> impl Iterator<Item = (&String, &Value)> {
    status["groups"].as_object().into_iter().flatten()
}

/// Whether nothing is parked, each group is served what it was offered, and each node has it.
fn is_well(status: &Value) -> bool {
    let served = groups(status).all(|(_, group)| {
        group["rolled_back"] == false && group["parked"].as_array().is_some_and(Vec::is_empty)
    });
    served && streams(status).all(|stream| state(stream) == "settled")
}

/// Whether a node has answered all that it was sent, and accepted it.
fn state(stream: &Value) -> &'static str {
    let mut types = stream["types"].as_object().into_iter().flatten();
    match types.any(|(_, of_type)| of_type["refused"] == true) {
        true => "refuses",
        false if stream["settled"] == true => "settled",
        false => "not settled",
    }
}

/// A table of groups and one of nodes, and what is parked.
fn page(status: &Value, now: Timestamp) -> String {
    let mut page = String::new();
    let mut rows = vec![row([
        "group",
        "nodes",
        "offered",
        "served",
        "last good",
        "state",
    ])];
    for (name, group) in groups(status) {
        let note = match (group["rolled_back"] == true, &group["unproven"]) {
            (true, _) => "rolled back",
            (false, Value::Array(unproven)) if !unproven.is_empty() => "not accepted by all yet",
            _ => "",
        };
        rows.push(row([
            name,
            &group["streams"].to_string(),
            &snapshot(&group["offered"]),
            &snapshot(&group["served"]),
            &snapshot(&group["last_good"]),
            note,
        ]));
    }
    table(&mut page, &rows);
    let mut rows = vec![row([
        "node", "group", "protocol", "has", "since", "state", "identity",
    ])];
    for stream in streams(status) {
        let has = &stream["has"];
        rows.push(row([
            text(&stream["node"]),
            text(&stream["group"]),
            text(&stream["variant"]),
            &snapshot(has),
            &ago(&has["since_unix_ms"], now),
            state(stream),
            text(&stream["identity"]),
        ]));
    }
    page.push('\n');
    table(&mut page, &rows);
    let parked = groups(status).flat_map(|(name, group)| {
        let parked = group["parked"].as_array().into_iter().flatten();
        parked.map(move |parked| (name, parked))
    });
    for (name, parked) in parked {
        let resources = parked["resources"].as_object();
        let resources: Vec<String> = resources
            .into_iter()
            .flatten()
            .map(|(name, version)| format!("{name} {}", short(text(version))))
            .collect();
        let _ = writeln!(
            page,
            "\nparked in {name} {}: {} ({})\n  {} said: {}",
            ago(&parked["since_unix_ms"], now),
            resources.join(", "),
            kind(text(&parked["type_url"])),
            text(&parked["node"]),
            said(&parked["error"]),
        );
    }
    for stream in streams(status) {
        for (type_url, of) in stream["types"].as_object().into_iter().flatten() {
            let nack = &of["last_nack"];
            if nack.is_object() {
                let later = of["acked"]["unix_ms"].as_u64() > nack["unix_ms"].as_u64();
                let _ = writeln!(
                    page,
                    "\nlast refusal of {} {}: {}{}\n  {}",
                    text(&stream["node"]),
                    ago(&nack["unix_ms"], now),
                    kind(type_url),
                    if later { ", accepted since" } else { "" },
                    said(&nack["error"]),
                );
            }
        }
    }
    if let Some(refused) = status["refused"].as_u64().filter(|refused| *refused > 0) {
        let _ = writeln!(page, "\nnodes refused since the start: {refused}");
    }
    page
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    let cell = |text: &str| match text {
        "" => "-".to_owned(),
        text => plain(text),
    };
    cells.map(cell).into()
}

/// A node's reason, indented.
fn said(reason: &Value) -> String {
    let lines: Vec<String> = text(reason).trim_end().lines().map(plain).collect();
    lines.join("\n  ")
}

fn table(page: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        page.push_str(cells.join("  ").trim_end());
        page.push('\n');
    }
}

/// The label and the beginning of the version.
fn snapshot(value: &Value) -> String {
    let version = short(text(&value["version"]));
    match text(&value["label"]) {
        "" => version.to_owned(),
        label => format!("{label} ({version})"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn short(version: &str) -> &str {
    version.get(..SHORT).unwrap_or(version)
}

/// A type in the words of the protocol: `Listener`.
fn kind(type_url: &str) -> &str {
    type_url.rsplit('.').next().unwrap_or(type_url)
}

/// How long ago that was, in its largest unit.
fn ago(unix_ms: &Value, now: Timestamp) -> String {
    let Some(then) = unix_ms.as_i64() else {
        return String::new();
    };
    let seconds = now.as_millisecond().saturating_sub(then).max(0) / 1_000;
    let (count, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "min"),
        3_600..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit} ago")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        let good = json!({"version": "0123456789abcdef", "label": "r-1"});
        let next = json!({"version": "fedcba9876543210", "label": "r-2"});
        json!({
            "groups": {
                "eu": {
                    "offered": next, "served": good, "last_good": good, "rolled_back": true,
                    "parked": [{
                        "type_url": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
                        "resources": {"masking": "aaaabbbbccccdddd"}, "error": "no such module\n",
                        "node": "gateway-eu", "since_unix_ms": 1_000,
                    }],
                    "unproven": [], "streams": 1,
                },
                "us": {
                    "offered": good, "served": good, "last_good": null, "rolled_back": false,
                    "parked": [], "unproven": ["x/y"], "streams": 1,
                },
            },
            "streams": [
                {
                    "node": "gateway-eu", "group": "eu", "variant": "delta", "settled": true,
                    "identity": "spiffe://example.org/region/eu/gateway/gateway-eu",
                    "has": {"version": "0123456789abcdef", "label": "r-1", "since_unix_ms": 100_000},
                    "types": {"type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig": {
                        "acked": {"version": "1", "unix_ms": 5_000},
                        "last_nack": {"version": "2", "resources": [], "error": "no such module",
                            "unix_ms": 1_000},
                    }},
                },
                {
                    "node": "gate\u{1b}way-us", "group": "us", "variant": "sotw", "settled": false,
                    "identity": null, "has": null, "types": {},
                },
            ],
            "refused": 2,
        })
    }

    #[test]
    fn a_person_can_read_it() {
        let now = Timestamp::from_millisecond(7_201_000).unwrap();
        insta::assert_snapshot!(page(&status(), now));
    }

    #[test]
    fn what_is_parked_or_not_settled_is_not_well() {
        assert!(!is_well(&status()));
        let mut mended = status();
        mended["groups"]["eu"]["parked"] = json!([]);
        mended["groups"]["eu"]["rolled_back"] = json!(false);
        assert!(!is_well(&mended), "one is not settled");
        mended["streams"][1]["settled"] = json!(true);
        assert!(is_well(&mended));
        let mut refusing = mended.clone();
        let types = &mut refusing["streams"][1]["types"];
        types["type.googleapis.com/envoy.config.listener.v3.Listener"]["refused"] = json!(true);
        assert!(!is_well(&refusing), "it has not what it was sent");
        assert!(page(&refusing, Timestamp::now()).contains("refuses"));
        mended["groups"]["us"]["rolled_back"] = json!(true);
        assert!(!is_well(&mended));
    }
}
