//! What would be masked or denied for a request, and why: the filters' own engine, offline.

mod decided;
mod recorded;
mod rules;
mod text;

use std::io::Read;

use anyhow::Context;
use bundle::Bundle;
use engine::audit::Outcome;
use engine::filter::{Edit, HeadEffect, Headers, Masking, MaskingStream};
use engine::mask::{ExplainedPath, Plan, Scope, explain};
use engine::reply::Reply;
use engine::residency::{Directory, Residency};
use engine::warrant::{CountedUses, WARRANT_HEADER};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::claims::JsonClaims;
use crate::{End, ExplainArgs, say};

const PATH: &str = "/graphql";

/// A key that protects nothing.
const NO_SECRET: &str = "explain:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What is explained: a request as it reaches a gateway.
struct Request {
    region: String,
    claims: Map<String, Value>,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

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
    #[serde(flatten)]
    first: Explained,
    /// The other operations of a batch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    batch: Vec<Explained>,
    /// Where it is no GraphQL: what answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Value>,
    /// Whether all this is only said and not done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
    /// What the upstream gets in the place of a persisted query: a path or a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    admin: bool,
}

/// One operation, or the rows of a route.
#[derive(Debug, Default, Serialize)]
struct Explained {
    #[serde(skip_serializing_if = "Value::is_null")]
    operation: Value,
    masked: Vec<ExplainedPath>,
    revealed: Vec<String>,
    /// All paths, where they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<ExplainedPath>>,
}

/// Prints the explanation.
///
/// # Errors
/// Policies, claims, query or case can't be read.
pub fn run(args: &ExplainArgs) -> anyhow::Result<End> {
    if let Some(id) = &args.decision {
        return crate::runtime()?.block_on(decided::run(args, id));
    }
    let policies = args.policies.as_deref();
    let mut bundle = Bundle::open(policies.unwrap_or(std::path::Path::new("policies")))?;
    let mut now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .context("the clock stands before 1970")?
        .as_secs();
    let (request, described) = match &args.case {
        Some(directory) => {
            let case = recorded::read(directory)?;
            bundle = bundle.patched(&case.patch)?;
            now = case.now;
            (case.request, case.allowed)
        }
        None => (asked(args, &bundle, now)?, None),
    };
    let explanation = work_out(request, &bundle, now, args.all)?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&explanation)? + "\n",
        false => text::text(&explanation),
    };
    say(&text)?;
    let allowed = explanation.outcome == Outcome::Allowed;
    let expected = match described {
        // In shadow mode a request goes on that would be refused.
        Some(described) => described == (allowed || explanation.shadow),
        None => allowed || args.case.is_some(),
    };
    Ok(if expected { End::Done } else { End::Failed })
}

/// The text itself, or the content of the file after `@`.
fn argument(argument: &str) -> anyhow::Result<String> {
    match argument.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("can't read {file}")),
        None => Ok(argument.to_owned()),
    }
}

/// The request of the command line.
fn asked(args: &ExplainArgs, bundle: &Bundle, now: u64) -> anyhow::Result<Request> {
    let query = match args.query.as_deref().unwrap_or_default() {
        "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("can't read standard input")?;
            text
        }
        other => argument(other)?,
    };
    let claims = argument(args.claims.as_deref().unwrap_or_default())?;
    let claims: Map<String, Value> = serde_json::from_str(&claims)
        .context("--claims must be a JSON object such as {\"sub\":\"ann\",\"tenant\":\"acme\"}")?;
    let directory = Directory::read(&bundle.policy.data)?;
    let tenant = claims.get("tenant").and_then(Value::as_str);
    let home = tenant.and_then(|tenant| directory.home(tenant, now));
    let region = args.region.as_deref().or(home).unwrap_or("unknown");
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
    if let Some(file) = &args.warrant {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| format!("can't read {}", file.display()))?;
        headers.push((WARRANT_HEADER.to_owned(), text.trim().as_bytes().to_vec()));
    }
    let mut body = json!({"query": query});
    if let Some(name) = &args.operation {
        body["operationName"] = json!(name);
    }
    Ok(Request {
        region: region.to_owned(),
        claims,
        headers,
        body: Some(body.to_string().into_bytes()),
    })
}

fn work_out(request: Request, bundle: &Bundle, now: u64, all: bool) -> anyhow::Result<Explanation> {
    let Request {
        region,
        claims,
        headers,
        body,
    } = request;
    let claims = JsonClaims(claims);
    let paths = [PATH.to_owned()];

    let cluster = (region.clone(), format!("region-{region}"));
    let config = serde_json::to_vec(&bundle.residency(&region, &[cluster], &paths))?;
    let mut residency = Residency::configure(&config, |_| None)?;
    let mut uses = CountedUses::default();
    let routing = residency.route(Headers(&headers), &claims, now, &mut uses);
    let mut explanation = Explanation {
        revision: bundle.revision.clone(),
        residency: serde_json::to_value(&routing.record)?,
        outcome: Outcome::Denied,
        status: 200,
        code: None,
        reason: routing.record.reason.clone(),
        first: Explained::default(),
        batch: Vec::new(),
        route: None,
        shadow: false,
        upstream: None,
        admin: false,
    };
    let refuse = |mut explanation: Explanation, reply: Reply| {
        explanation.status = reply.status;
        explanation.code = Some(reply.code);
        explanation.reason = reply.reason;
        explanation
    };
    let mut headers = headers;
    match routing.effect {
        Ok(edits) => apply(edits, &mut headers),
        Err(reply) => return Ok(refuse(explanation, reply)),
    }

    // Nothing is hashed here: any key makes the plan that a gateway with keys makes. In shadow mode
    // a refusal is only said: here it is what is asked for.
    let mut config = bundle.masking(&region, &paths);
    explanation.shadow = std::mem::take(&mut config.mode) == engine::config::Mode::Shadow;
    let mut masking = Masking::load(config, Some(NO_SECRET))?;
    let mut stream = MaskingStream::new();
    let effect = stream.request_headers(&mut masking, Headers(&headers), &claims, body.is_none());
    // Borders are closed in shadow mode too.
    let enforced = stream.is_read_only();
    let refuse = |mut explanation: Explanation, reply: Reply| {
        explanation.shadow &= !enforced;
        refuse(explanation, reply)
    };
    match effect {
        HeadEffect::Hold(_) => match stream.request_body(&mut masking, &body.unwrap_or_default()) {
            Ok(instead) => {
                explanation.upstream = instead.map(|b| String::from_utf8_lossy(&b).into_owned());
            }
            Err(reply) => return Ok(refuse(explanation, reply)),
        },
        HeadEffect::Forward(edits) => {
            explanation.upstream = edits.into_iter().find_map(|edit| match edit {
                Edit::Set(":path", path) => Some(path),
                _ => None,
            });
        }
        HeadEffect::Reply(reply) => return Ok(refuse(explanation, reply)),
    }
    let record: Value = serde_json::from_str(&stream.record())?;
    explanation.outcome = Outcome::Allowed;
    explanation.reason = record["reason"].as_str().unwrap_or_default().to_owned();
    explanation.admin = stream.is_admin();
    let routes = &bundle.settings.routes;
    let route = routes.iter().find(|r| record["route"] == *r.name);
    explanation.route = route.map(serde_json::to_value).transpose()?;
    let mut operations = vec![record["operation"].clone()];
    operations.extend(record["batch"].as_array().into_iter().flatten().cloned());
    let mut explained = stream
        .plans()
        .into_iter()
        .zip(operations)
        .map(|(plan, operation)| explained(plan, operation, route.is_some(), all));
    explanation.first = explained.next().context("the filter made no plan")?;
    explanation.batch = explained.collect();
    Ok(explanation)
}

/// What the masking filter sees of the request behind the residency filter.
fn apply(edits: Vec<Edit>, headers: &mut Vec<(String, Vec<u8>)>) {
    for edit in edits {
        match edit {
            Edit::Remove(name) => headers.retain(|(n, _)| *n != name),
            Edit::Set(name, value) => {
                headers.retain(|(n, _)| n != name);
                headers.push((name.to_owned(), value.into_bytes()));
            }
        }
    }
}

fn explained(plan: &Plan, operation: Value, is_route: bool, all: bool) -> Explained {
    let (masked, whole) = if is_route {
        (Scope::MaskedInRow, Scope::Row)
    } else {
        (Scope::Masked, Scope::All)
    };
    Explained {
        operation,
        masked: explain(plan, masked),
        revealed: plan.revealed.iter().map(|c| c.to_string()).collect(),
        paths: all.then(|| explain(plan, whole)),
    }
}
