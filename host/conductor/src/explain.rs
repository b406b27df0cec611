//! What would be masked or denied for a request, and why: the filters' own engine, offline.

use std::io::Read;

use anyhow::{Context, bail};
use bundle::Bundle;
use engine::audit::Outcome;
use engine::filter::{HeadEffect, Headers, Masking, MaskingStream};
use engine::mask::{ExplainedPath, explain};
use engine::reply::Reply;
use engine::residency::Residency;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::claims::JsonClaims;
use crate::{End, ExplainArgs};

const PATH: &str = "/graphql";

/// A key that protects nothing.
const NO_SECRET: &str = "explain:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The explanation, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Explanation {
    revision: String,
    residency: Value,
    /// `allowed` or `denied`.
    outcome: Outcome,
    status: u16,
    code: Option<String>,
    reason: String,
    masked: Vec<ExplainedPath>,
    revealed: Vec<String>,
    admin: bool,
}

/// Prints the explanation.
///
/// # Errors
/// Policies, claims or query can't be read.
pub fn run(args: &ExplainArgs) -> anyhow::Result<End> {
    let query = match args.query.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("can't read standard input")?;
            text
        }
        other => text(other)?,
    };
    let claims: Map<String, Value> = serde_json::from_str(&text(&args.claims)?)
        .context("--claims must be a JSON object such as {\"sub\":\"ann\",\"tenant\":\"acme\"}")?;
    let bundle = Bundle::read(&args.policies)?;
    let explanation = work_out(args, &query, claims, &bundle)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        print(&explanation);
    }
    Ok(End::Done)
}

/// The text itself, or the content of the file after `@`.
fn text(argument: &str) -> anyhow::Result<String> {
    match argument.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("can't read {file}")),
        None => Ok(argument.to_owned()),
    }
}

fn work_out(
    args: &ExplainArgs,
    query: &str,
    claims: Map<String, Value>,
    bundle: &Bundle,
) -> anyhow::Result<Explanation> {
    let home = claims
        .get("tenant")
        .and_then(Value::as_str)
        .and_then(|tenant| {
            bundle
                .policy
                .data
                .pointer("/ig/tenants")?
                .get(tenant)?
                .get("region")?
                .as_str()
        });
    let region = args
        .region
        .as_deref()
        .or(home)
        .unwrap_or("unknown")
        .to_owned();
    let claims = JsonClaims(claims);
    let mut headers: Vec<(String, Vec<u8>)> = [
        (":method", "POST"),
        (":path", PATH),
        ("content-type", "application/json"),
    ]
    .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
    .into();
    for (name, value) in [
        ("x-ig-purpose", &args.purpose),
        ("x-ig-data-region", &args.data_region),
    ] {
        headers.extend(
            value
                .iter()
                .map(|v| (name.to_owned(), v.clone().into_bytes())),
        );
    }
    let paths = [PATH.to_owned()];

    let cluster = (region.clone(), format!("region-{region}"));
    let config = serde_json::to_vec(&bundle.residency(&region, &[cluster], &paths))?;
    let mut residency = Residency::configure(&config)?;
    let routing = residency.route(Headers(&headers), &claims);
    let mut explanation = Explanation {
        revision: bundle.revision.clone(),
        residency: serde_json::to_value(&routing.record)?,
        outcome: Outcome::Denied,
        status: 200,
        code: None,
        reason: routing.record.reason.clone(),
        masked: Vec::new(),
        revealed: Vec::new(),
        admin: false,
    };
    let refuse = |mut explanation: Explanation, reply: Reply| {
        explanation.status = reply.status;
        explanation.code = Some(reply.code);
        explanation.reason = reply.reason;
        explanation
    };
    if let Err(reply) = routing.effect {
        return Ok(refuse(explanation, reply));
    }

    // Nothing is hashed here: any key makes the plan that a gateway with keys makes.
    let mut masking = Masking::load(bundle.masking(&region, &paths), Some(NO_SECRET))?;
    let mut stream = MaskingStream::new();
    let mut body = json!({"query": query});
    if let Some(name) = &args.operation {
        body["operationName"] = json!(name);
    }
    match stream.request_headers(&mut masking, Headers(&headers), &claims, false) {
        HeadEffect::Hold(_) | HeadEffect::Forward(_) => {}
        HeadEffect::Reply(reply) => return Ok(refuse(explanation, reply)),
    }
    if let Err(reply) = stream.request_body(&mut masking, body.to_string().as_bytes()) {
        return Ok(refuse(explanation, reply));
    }
    let Some(plan) = stream.plans().first().copied() else {
        bail!("the filter made no plan")
    };
    explanation.outcome = Outcome::Allowed;
    explanation.reason = plan.reasons();
    explanation.masked = explain(plan);
    explanation.revealed = plan.revealed.iter().map(|c| c.to_string()).collect();
    explanation.admin = stream.is_admin();
    Ok(explanation)
}

fn print(e: &Explanation) {
    println!("policies   {}", e.revision);
    let residency = |key: &str| e.residency[key].as_str().unwrap_or("-").to_owned();
    println!(
        "residency  {} -> {}: {} ({})",
        residency("regionSrc"),
        residency("regionDst"),
        residency("outcome"),
        residency("reason")
    );
    if e.outcome != Outcome::Allowed {
        println!(
            "denied     {} {}: {}",
            e.status,
            e.code.as_deref().unwrap_or("-"),
            e.reason
        );
        return;
    }
    if e.masked.is_empty() {
        println!("masked     nothing");
    } else {
        let width = |f: fn(&ExplainedPath) -> usize, least: usize| {
            e.masked.iter().map(f).max().unwrap_or(0).max(least)
        };
        let path = width(|m| m.path.chars().count(), 4);
        let coordinates = width(|m| m.coordinates.join(" | ").len(), 10);
        println!("masked");
        println!(
            "  {:path$}  {:coordinates$}  strategy  why",
            "path", "coordinate"
        );
        for m in &e.masked {
            println!(
                "  {:path$}  {:coordinates$}  {:8}  {} ({})",
                m.path,
                m.coordinates.join(" | "),
                m.strategy,
                m.reason,
                m.source
            );
        }
    }
    if !e.revealed.is_empty() {
        println!("revealed   {}", e.revealed.join(", "));
    }
    if e.admin {
        println!("admin      the response carries X-IG-Mask");
    }
}
