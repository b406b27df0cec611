//! The scripted requests of `demo --check`.

mod borders;
mod callers;
mod decisions;
mod live;
mod masked;
mod outages;
mod proofs;
mod pushes;
mod quarantine;
mod records;
mod requests;
mod routes;
mod shadow;
mod shapes;
mod traces;
mod upstreams;
mod warrants;

use std::time::Duration;

use serde_json::{Value, json};
use upstream::personas::{self, Persona};
use upstream::{Region, data};

use super::stage::Stage;
use super::table::Check;
use crate::client::Answer;

/// How soon a change of the policies is in force. A debug build examines them for longer, on a machine that may
/// have other tests to run.
const SOON: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

const ANALYST: &Persona = &personas::ANALYST_ACME;
const ADMIN: &Persona = &personas::ADMIN_ACME;

/// Collects what was seen.
#[derive(Default)]
struct Seen(Vec<Check>);

impl Seen {
    fn note(&mut self, name: &'static str, expected: &str, seen: String, passed: bool) {
        let verdict = if passed { "ok" } else { "FAIL" };
        eprintln!("demo: {verdict:4} {name}");
        self.0.push(Check {
            name,
            expected: expected.to_owned(),
            seen,
            passed,
        });
    }

    /// A refusal: status, code, and no word of the upstream's data.
    fn refused(&mut self, name: &'static str, answer: &Answer, status: u16, code: &str) {
        let leaks = leaks(&answer.body);
        let code_seen = answer.code();
        let expected = if code == "-" {
            format!("{status}")
        } else {
            format!("{status} {code}")
        };
        let passed = answer.status == status && (code == "-" || code_seen == code) && leaks == 0;
        self.note(
            name,
            &expected,
            format!("{} {code_seen}", answer.status),
            passed,
        );
    }
}

/// How many of the demo's personal values a text holds.
pub(crate) fn leaks(text: &str) -> usize {
    Region::ALL
        .into_iter()
        .flat_map(data::secrets)
        .filter(|secret| text.contains(secret.as_str()))
        .count()
}

fn query(text: &str) -> String {
    json!({"query": text}).to_string()
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

const VIEWER: &str = "{ viewer { name email phone salary nationalId birthDate } }";

/// Runs all checks.
///
/// # Errors
/// A part of the demo does not answer at all.
pub async fn run(stage: &mut Stage) -> anyhow::Result<Vec<Check>> {
    let mut seen = Seen::default();
    masked::masking(stage, &mut seen).await?;
    shapes::requests(stage, &mut seen).await?;
    live::streams(stage, &mut seen).await?;
    routes::rest(stage, &mut seen).await?;
    routes::exports(stage, &mut seen).await?;
    callers::identity(stage, &mut seen).await?;
    borders::residency(stage, &mut seen).await?;
    warrants::warrants(stage, &mut seen).await?;
    requests::bad_requests(stage, &mut seen).await?;
    upstreams::bad_upstreams(stage, &mut seen).await?;
    traces::traces(stage, &mut seen).await?;
    proofs::proofs(stage, &mut seen).await?;
    records::records(stage, &mut seen).await?;
    decisions::decisions(stage, &mut seen).await?;
    pushes::pushes(stage, &mut seen).await?;
    quarantine::quarantine(stage, &mut seen).await?;
    live::withdrawn(stage, &mut seen).await?;
    pushes::new_route(stage, &mut seen).await?;
    shadow::shadow(stage, &mut seen).await?;
    outages::orphaned(stage, &mut seen).await?;
    outages::unreachable(stage, &mut seen).await?;
    Ok(seen.0)
}
