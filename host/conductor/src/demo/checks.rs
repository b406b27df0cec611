//! The scripted requests of `demo --check`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use upstream::personas::{self, Persona};
use upstream::{Fault, Region, data, queries};

use super::client::Answer;
use super::stage::Stage;
use super::table::Check;
use crate::config::Delivery;

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
fn leaks(text: &str) -> usize {
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
    masking(stage, &mut seen).await?;
    identity(stage, &mut seen).await?;
    residency(stage, &mut seen).await?;
    bad_requests(stage, &mut seen).await?;
    bad_upstreams(stage, &mut seen).await?;
    records(stage, &mut seen).await?;
    pushes(stage, &mut seen).await?;
    orphaned(stage, &mut seen).await?;
    unreachable(stage, &mut seen).await?;
    Ok(seen.0)
}

async fn masking(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
        .await?;
    let v = answer.json()["data"]["viewer"].clone();
    let (email, phone) = (at(&v, "/email"), at(&v, "/phone"));
    let masked = email.starts_with("h:demo:")
        && phone.starts_with("****")
        && phone.len() == 6
        && v["salary"].is_null()
        && v["nationalId"] == "[REDACTED]"
        && v["birthDate"].is_null()
        && at(&v, "/name").len() > 3
        && leaks(&answer.body) == 0;
    seen.note(
        "analyst",
        "email h:…, phone ****.., salary null, id redacted",
        format!("{email} {phone} {} {}", v["salary"], v["nationalId"]),
        answer.status == 200 && masked && answer.header("x-ig-mask").is_empty(),
    );

    let answer = stage
        .ask("eu", ADMIN, "administration", query(VIEWER), &[])
        .await?;
    let clear = answer.json()["data"]["viewer"].clone();
    let header = answer.header("x-ig-mask");
    seen.note(
        "admin sees all, with X-IG-Mask",
        "clear values; reveal=\"Person.email,…\"",
        format!("{} {} {}", at(&clear, "/email"), clear["salary"], header),
        at(&clear, "/email").contains('@')
            && clear["salary"].is_number()
            && header.contains("reveal=\"")
            && header.contains("Person.email"),
    );

    let text = "query Q { viewer { a: email ...F ... on Person { c: email } } }
                fragment F on Person { b: email ...G } fragment G on Contact { d: email }";
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(text), &[])
        .await?;
    let v = answer.json()["data"]["viewer"].clone();
    let all: Vec<&str> = ["/a", "/b", "/c", "/d"].map(|p| at(&v, p)).into();
    seen.note(
        "aliases and fragments of one field",
        "four times the same pseudonym",
        format!(
            "{} x{}",
            all[0],
            all.iter().filter(|x| **x == all[0]).count()
        ),
        all.iter().all(|x| *x == email) && leaks(&answer.body) == 0,
    );

    for (name, q) in [
        ("union members, with __typename", queries::SEARCH),
        (
            "union members, without __typename",
            queries::SEARCH_WITHOUT_TYPENAME,
        ),
        ("an interface", queries::CONTACTS),
        ("every masked field by every road", queries::EVERYTHING),
    ] {
        let answer = stage.ask("eu", ANALYST, "analytics", q.body(), &[]).await?;
        let plain = stage
            .ask("eu", ADMIN, "administration", q.body(), &[])
            .await?;
        seen.note(
            name,
            "0 personal values (an admin sees some)",
            format!("{} ({})", leaks(&answer.body), leaks(&plain.body)),
            answer.status == 200
                && answer.complete
                && answer.json()["errors"].is_null()
                && leaks(&answer.body) == 0
                && leaks(&plain.body) > 0,
        );
    }
    let body = queries::RENAME.body_with(&json!({"id": "acme-asset-001", "name": "lathe"}));
    let answer = stage.ask("eu", ANALYST, "analytics", body, &[]).await?;
    let renamed = answer.json()["data"]["renameAsset"].clone();
    seen.note(
        "a mutation's result",
        "renamed, e-mail hashed",
        format!("{} {}", at(&renamed, "/name"), at(&renamed, "/email")),
        at(&renamed, "/name") == "lathe" && at(&renamed, "/email").starts_with("h:demo:"),
    );
    let answer = stage
        .ask("eu", &personas::SUPPORT_ACME, "support", query(VIEWER), &[])
        .await?;
    let v = answer.json()["data"]["viewer"].clone();
    seen.note(
        "support, for support",
        "contact clear, the rest masked",
        format!(
            "{} {} {}",
            at(&v, "/email"),
            v["salary"],
            at(&v, "/nationalId")
        ),
        at(&v, "/email").contains('@') && v["salary"].is_null() && v["nationalId"] == "[REDACTED]",
    );
    Ok(())
}

async fn identity(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let answer = stage
        .ask("eu", ANALYST, "administration", query(VIEWER), &[])
        .await?;
    seen.refused(
        "a purpose that the token does not list",
        &answer,
        403,
        "PURPOSE_NOT_ALLOWED",
    );
    for (name, persona) in [
        ("a token that ran out", personas::EXPIRED_ACME),
        ("a token signed by somebody else", personas::FORGED_ACME),
    ] {
        let answer = stage
            .ask("eu", &persona, "administration", query(VIEWER), &[])
            .await?;
        seen.refused(name, &answer, 401, "UNAUTHENTICATED");
    }
    let none = [("content-type", "application/json")];
    let listen = stage.region("eu")?.listen;
    let answer = super::client::send(listen, "POST", "/graphql", &none, query(VIEWER)).await?;
    seen.refused("no token", &answer, 401, "UNAUTHENTICATED");

    let forged = [
        ("x-ig-tenant", "globex"),
        ("x-ig-region", "us"),
        ("x-ig-cluster", "region-us"),
        ("x-ig-mask", "off"),
        ("x-ig-roles", "admin"),
    ];
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &forged)
        .await?;
    let last = stage.region("eu")?.upstream()?.last_request();
    let reached = last.map(|r| {
        let header = |n: &str| {
            r.headers
                .get(n)
                .and_then(|v| v.to_str().ok())
                .unwrap_or("-")
                .to_owned()
        };
        (
            header("x-ig-tenant"),
            header("x-ig-mask"),
            header("x-ig-roles"),
            header("authorization"),
        )
    });
    let (tenant, mask, roles, authorization) = reached.unwrap_or_default();
    seen.note(
        "forged x-ig-* headers",
        "as without: acme in eu, masked; none gets upstream",
        format!(
            "{} in {}, {} leaks, mask={mask} roles={roles} token={authorization}",
            tenant,
            answer.header("x-upstream-region"),
            leaks(&answer.body)
        ),
        tenant == "acme"
            && answer.header("x-upstream-region") == "eu"
            && leaks(&answer.body) == 0
            && [mask.as_str(), roles.as_str(), authorization.as_str()] == ["-"; 3],
    );
    Ok(())
}

async fn residency(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let requests = |name: &str| stage.region(name).map(|r| r.requests());
    let before = (requests("eu")?, requests("us")?);
    let initech = &personas::ANALYST_INITECH;
    let answer = stage
        .ask("eu", initech, "analytics", query(VIEWER), &[])
        .await?;
    seen.refused(
        "a US tenant at the EU gateway",
        &answer,
        403,
        "CROSS_REGION",
    );
    let elsewhere = [("x-ig-data-region", "us")];
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &elsewhere)
        .await?;
    seen.refused(
        "an EU tenant that asks for US data",
        &answer,
        403,
        "CROSS_REGION",
    );
    let nobody = &personas::NOBODY_NOWHERE;
    let answer = stage
        .ask("eu", nobody, "analytics", query(VIEWER), &[])
        .await?;
    seen.refused(
        "a tenant that no directory knows",
        &answer,
        403,
        "TENANT_UNKNOWN",
    );
    let after = (requests("eu")?, requests("us")?);
    seen.note(
        "what upstreams saw of the three above",
        "0 requests",
        format!("{} requests", after.0 - before.0 + after.1 - before.1),
        after == before,
    );
    for (name, persona, region) in [
        ("a US tenant at home", initech, "us"),
        ("an APAC tenant at home", &personas::ANALYST_HOOLI, "apac"),
    ] {
        let answer = stage
            .ask(region, persona, "analytics", query(VIEWER), &[])
            .await?;
        let by = answer.header("x-upstream-region");
        seen.note(
            name,
            &format!("200 from {region}, masked"),
            format!("{} from {by}, {} leaks", answer.status, leaks(&answer.body)),
            answer.status == 200 && by == region && leaks(&answer.body) == 0,
        );
    }
    Ok(())
}

async fn bad_requests(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let deep = format!(
        "{{ people {}{} }}",
        "{ manager ".repeat(200),
        "}".repeat(200)
    );
    for (name, body, code) in [
        (
            "a query that does not parse",
            query("{ viewer { "),
            "GRAPHQL_PARSE_FAILED",
        ),
        (
            "a query 200 levels deep",
            query(&deep),
            "OPERATION_TOO_COMPLEX",
        ),
        (
            "a batch",
            format!("[{}]", query(VIEWER)),
            "BATCHING_NOT_SUPPORTED",
        ),
        (
            "a body that is not JSON",
            "query={viewer}".to_owned(),
            "BAD_REQUEST",
        ),
    ] {
        let answer = stage.ask("eu", ANALYST, "analytics", body, &[]).await?;
        seen.refused(name, &answer, 400, code);
    }
    let big = query(&format!(
        "{{ viewer {{ name }} }} # {}",
        "x".repeat(600_000)
    ));
    let answer = stage.ask("eu", ANALYST, "analytics", big, &[]).await?;
    seen.refused("a body of 600 KB", &answer, 413, "REQUEST_TOO_LARGE");
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &upgrade)
        .await?;
    seen.refused("an upgrade to WebSocket", &answer, 403, "-");
    Ok(())
}

async fn bad_upstreams(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let upstream = stage.region("eu")?.upstream()?;
    for (name, fault) in [
        ("upstream: JSON that breaks off", Fault::Truncated),
        ("upstream: no JSON at all", Fault::Garbage),
        (
            "upstream: JSON that breaks after a value",
            Fault::BrokenAfterValue,
        ),
        ("upstream: bytes that are not UTF-8", Fault::BadUtf8),
        ("upstream: one key twice", Fault::DuplicateKey),
        ("upstream: a page of HTML with status 500", Fault::Html500),
        ("upstream: compressed in spite of all", Fault::Gzip),
    ] {
        upstream.set_fault(Some(fault));
        let answer = stage
            .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
            .await?;
        let code = answer.code();
        let code = if code == "UPSTREAM_ENCODING" {
            "UPSTREAM_ENCODING"
        } else {
            "MASKING_FAILED"
        };
        seen.refused(name, &answer, 502, code);
    }
    upstream.set_fault(Some(Fault::Reset));
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
        .await?;
    seen.refused(
        "upstream: a connection that breaks",
        &answer,
        502,
        "UPSTREAM_UNAVAILABLE",
    );
    for (name, fault) in [
        ("upstream: an error that quotes values", Fault::ErrorValues),
        (
            "upstream: a member that was not asked for",
            Fault::UnknownKey,
        ),
        ("upstream: an object in a string's place", Fault::WrongType),
        (
            "upstream: one byte at a time",
            Fault::SlowChunks {
                bytes: 1,
                pause_ms: 0,
            },
        ),
        (
            "upstream: a type that lies",
            Fault::LyingContentType {
                content_type: "image/png".into(),
            },
        ),
        (
            "upstream: headers that only a gateway sets",
            Fault::ForgedMaskHeader,
        ),
        ("upstream: values in trailers", Fault::Trailers),
    ] {
        upstream.set_fault(Some(fault));
        let answer = stage
            .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
            .await?;
        let headers = format!("{:?}", answer.headers);
        let all = leaks(&answer.body) + leaks(&headers);
        seen.note(
            name,
            "200, masked, 0 personal values",
            format!("{}, {all} values", answer.status),
            answer.status == 200
                && all == 0
                && answer.header("x-ig-mask").is_empty()
                && answer.json()["data"]["viewer"]["name"].is_string(),
        );
    }
    upstream.set_fault(Some(Fault::Huge { megabytes: 16 }));
    let people = query("{ people { name email phone } }");
    let answer = stage.ask("eu", ANALYST, "analytics", people, &[]).await?;
    upstream.set_fault(None);
    let megabytes = answer.body.len() / 1_000_000;
    seen.note(
        "upstream: 16 MB",
        "complete, valid, 0 personal values",
        format!("{megabytes} MB, {} values", leaks(&answer.body)),
        answer.complete
            && megabytes >= 8
            && answer.json()["data"]["people"].is_array()
            && leaks(&answer.body) == 0,
    );
    Ok(())
}

/// The last decision in a gateway's access log that fits, once one is there.
async fn decision(stage: &Stage, fits: impl Fn(&Value) -> bool) -> anyhow::Result<(String, Value)> {
    let log = &stage.region("eu")?.access_log;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let found = text.lines().rev().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let decision: Value = serde_json::from_str(line["decision"].as_str()?).ok()?;
            fits(&decision).then_some(decision)
        });
        if let Some(found) = found {
            return Ok((text, found));
        }
        if Instant::now() > deadline {
            return Ok((text, Value::Null));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn records(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let auditor = &personas::AUDITOR_ACME;
    stage
        .ask("eu", auditor, "audit", query(VIEWER), &[])
        .await?;
    let (log, record) = decision(stage, |d| d["subject"] == auditor.name).await?;
    seen.note(
        "the decision in the access log",
        "id, sets, counts; no value, no token",
        format!(
            "{} mask={} redact={}",
            at(&record, "/decisionId"),
            record["maskSet"],
            record["redactSet"]
        ),
        at(&record, "/decisionId").starts_with("dec_")
            && record["tenant"] == "acme"
            && record["maskSet"] == json!(["Person.birthDate", "Person.email", "Person.phone"])
            && record["redactSet"] == json!(["Person.nationalId"])
            && record["revealed"] == json!(["Person.salary"])
            && record["counts"]["Person.email"] == 1
            && leaks(&log) == 0
            && !log.contains("eyJ"),
    );
    let upstream = stage.region("eu")?.upstream()?;
    upstream.set_fault(Some(Fault::Huge { megabytes: 64 }));
    stage
        .abandon("eu", ADMIN, "administration", queries::EVERYTHING.body())
        .await?;
    upstream.set_fault(None);
    let (_, record) = decision(stage, |d| {
        d["outcome"] == "incomplete" && d["subject"] == ADMIN.name
    })
    .await?;
    seen.note(
        "the decision of a client that hangs up",
        "incomplete, with what was revealed",
        format!("{} reveals {}", record["outcome"], record["revealed"]),
        record["subject"] == ADMIN.name
            && record["revealed"]
                .as_array()
                .is_some_and(|r| r.contains(&json!("Person.email"))),
    );
    let mut copies = 0;
    for region in &stage.regions {
        if let Some(envoy) = &region.envoy {
            let dump = envoy.config_dump().await?.to_string();
            copies += usize::from(dump.contains(&stage.key));
            anyhow::ensure!(
                dump.contains("IG_MASK_KEYS"),
                "the dump holds the configuration"
            );
        }
    }
    seen.note(
        "the mask key in any /config_dump",
        "0 gateways",
        format!("{copies} gateways"),
        copies == 0,
    );
    Ok(())
}

/// Asks until `wanted` holds or a moment has passed; how long it took, if it did.
async fn until(
    stage: &Stage,
    wanted: impl Fn(&Answer) -> bool,
) -> anyhow::Result<(Option<Duration>, Answer)> {
    let started = Instant::now();
    loop {
        let answer = stage
            .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
            .await?;
        if wanted(&answer) {
            return Ok((Some(started.elapsed()), answer));
        }
        if started.elapsed() > Duration::from_secs(10) {
            return Ok((None, answer));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn email(answer: &Answer) -> String {
    at(&answer.json(), "/data/viewer/email").to_owned()
}

async fn pushes(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let fields = stage.policies().join("ig/fields/data.json");
    let original = std::fs::read_to_string(&fields)?;
    let mut changed: Value = serde_json::from_str(&original)?;
    changed["Contact.email"]["strategy"] = json!("redact");
    std::fs::write(&fields, changed.to_string())?;
    let (took, answer) = until(stage, |a| email(a) == "[REDACTED]").await?;
    let ms = took.map_or("never".to_owned(), |t| {
        format!("after {} ms", t.as_millis())
    });
    seen.note(
        "a policy edited on disk: e-mail redacted",
        "in force in under 1 s",
        format!("{} {ms}", email(&answer)),
        took.is_some_and(|t| t < Duration::from_secs(1)),
    );
    std::fs::write(&fields, &original)?;
    let (took, _) = until(stage, |a| email(a).starts_with("h:demo:")).await?;
    anyhow::ensure!(took.is_some(), "the original policy did not come back");

    let module = stage.policies().join("ig/masking.rego");
    let schema = stage.policies().join("schema.graphql");
    let mut misspelt: Value = serde_json::from_str(&original)?;
    misspelt["Person.emial"] = json!({"class": "contact", "strategy": "hash"});
    let misspelt = misspelt.to_string();
    let endless = format!(
        "{}\ndenials contains {{\"code\": \"X\", \"reason\": \"x\"}} if {{\n\
         \"auditor\" in input.roles\n count({{1 | some a in numbers.range(1, 3000); \
         some b in numbers.range(1, 3000); a + b < 0}}) > 0\n}}\n",
        std::fs::read_to_string(&module)?
    );
    for (name, file, text, says) in [
        (
            "broken Rego",
            &module,
            "package ig.masking\nrules := {",
            "ig/masking.rego",
        ),
        (
            "broken data",
            &fields,
            "{\"Contact.email\": ",
            "is not JSON",
        ),
        (
            "data that names no field",
            &fields,
            &misspelt,
            "`Person.emial`",
        ),
        ("data of another type", &fields, "[]", "ig.fields"),
        ("Rego that loops", &module, &endless, "can't be evaluated"),
        (
            "broken SDL",
            &schema,
            "type Query {\n  a: Nope\n}",
            "schema line 2, column 3",
        ),
    ] {
        let original = std::fs::read_to_string(file)?;
        std::fs::write(file, text)?;
        let refused = refusal(stage, says).await?;
        let answer = stage
            .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
            .await?;
        std::fs::write(file, original)?;
        let short: String = refused.chars().take(110).collect();
        seen.note(
            name,
            "refused with the place, the old one stays in force",
            short,
            !refused.is_empty() && answer.status == 200 && email(&answer).starts_with("h:demo:"),
        );
        refusal_over(stage).await?;
    }
    garbage(stage, seen).await?;
    if stage.delivery == Delivery::Path {
        nack(stage, seen).await?;
    }
    Ok(())
}

/// A filter that is none.
async fn garbage(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let module = stage.directory().join("filters/masking.wasm");
    let original = std::fs::read(&module)?;
    std::fs::write(
        &module,
        b"\0asm\x01\0\0\0 and then nothing that is WebAssembly",
    )?;
    let refused = refusal(stage, "no valid WebAssembly").await?;
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
        .await?;
    std::fs::write(&module, original)?;
    seen.note(
        "a filter that is no WebAssembly",
        "refused, the old one stays in force",
        refused.chars().take(80).collect(),
        !refused.is_empty() && answer.status == 200 && email(&answer).starts_with("h:demo:"),
    );
    refusal_over(stage).await
}

/// Why the conductor refuses what is on disk, once its reason says so; empty if it does not.
async fn refusal(stage: &Stage, says: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let state = stage.api("/api/policies").await?;
        let refused = at(&state, "/refused");
        if refused.contains(says) {
            return Ok(refused.replace(&stage.directory().display().to_string(), ""));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(String::new())
}

/// Waits until what is on disk is accepted again.
async fn refusal_over(stage: &Stage) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !stage.api("/api/policies").await?["refused"].is_null() {
        anyhow::ensure!(
            Instant::now() < deadline,
            "what was restored is still refused"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A filter that only Envoy finds to be broken: it traps when it is started. With code by HTTP,
/// Envoy accepts before it looks, so there is no NACK to see.
async fn nack(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let module = stage.directory().join("filters/masking.wasm");
    let original = std::fs::read(&module)?;
    std::fs::write(&module, crate::module::trapping())?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut status;
    loop {
        status = stage.api("/api/xds").await?;
        let back = status["groups"]["eu"]["rolled_back"] == true;
        if back || Instant::now() > deadline {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
        .await?;
    let parked = &status["groups"]["eu"]["parked"][0];
    let why: String = at(parked, "/error").chars().take(60).collect();
    std::fs::write(&module, original)?;
    seen.note(
        "a filter that Envoy refuses (NACK)",
        "rolled back, parked, the old one stays in force",
        format!(
            "rolled_back={} {why}",
            status["groups"]["eu"]["rolled_back"]
        ),
        status["groups"]["eu"]["rolled_back"] == true
            && !why.is_empty()
            && answer.status == 200
            && email(&answer).starts_with("h:demo:"),
    );
    Ok(())
}

async fn orphaned(stage: &mut Stage, seen: &mut Seen) -> anyhow::Result<()> {
    stage.kill_conductor().await?;
    let mut fine = 0;
    for _ in 0..20 {
        let answer = stage
            .ask("eu", ANALYST, "analytics", queries::EVERYTHING.body(), &[])
            .await?;
        fine += usize::from(answer.status == 200 && leaks(&answer.body) == 0);
    }
    let initech = &personas::ANALYST_INITECH;
    let answer = stage
        .ask("eu", initech, "analytics", query(VIEWER), &[])
        .await?;
    seen.note(
        "the conductor killed",
        "gateways go on: 20 of 20 masked, borders closed",
        format!("{fine} of 20, {}", answer.code()),
        fine == 20 && answer.code() == "CROSS_REGION",
    );
    Ok(())
}

/// A region whose upstream is gone: no other region takes over.
async fn unreachable(stage: &mut Stage, seen: &mut Seen) -> anyhow::Result<()> {
    stage.stop_upstream("apac").await?;
    let before: u64 = stage.requests();
    let hooli = &personas::ANALYST_HOOLI;
    let answer = stage
        .ask("apac", hooli, "analytics", query(VIEWER), &[])
        .await?;
    seen.refused(
        "a region whose upstream is down",
        &answer,
        503,
        "UPSTREAM_UNAVAILABLE",
    );
    let elsewhere = stage.requests() - before;
    seen.note(
        "what other regions saw of that",
        "0 requests",
        format!("{elsewhere} requests"),
        elsewhere == 0,
    );
    Ok(())
}
