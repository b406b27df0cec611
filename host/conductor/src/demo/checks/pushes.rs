//! Policies and code that change on disk.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ANALYST, SOON, Seen, VIEWER, at, leaks, query};
use crate::client::Answer;
use crate::demo::stage::Stage;

/// Asks until `wanted` holds or a moment has passed; how long it took, if it did.
pub(super) async fn until(
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

pub(super) fn email(answer: &Answer) -> String {
    at(&answer.json(), "/data/viewer/email").to_owned()
}

pub(super) async fn pushes(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
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
        &format!("in force in under {} s", SOON.as_secs()),
        format!("{} {ms}", email(&answer)),
        took.is_some_and(|t| t < SOON),
    );
    std::fs::write(&fields, &original)?;
    let (took, _) = until(stage, |a| email(a).starts_with("h:demo:")).await?;
    anyhow::ensure!(took.is_some(), "the original policy did not come back");

    let module = stage.policies().join("ig/masking.rego");
    let schema = stage.policies().join("schema.graphql");
    let settings = stage.policies().join("masking.json");
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
        (
            "a route of a type that is not there",
            &settings,
            r#"{"routes": [{"name": "a", "path": "/a", "type": "Persn"}]}"#,
            "no object type `Persn`",
        ),
        (
            "a setting that is misspelt",
            &settings,
            r#"{"mod": "shadow"}"#,
            "masking.json",
        ),
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
    alert(stage, seen, &module).await?;
    garbage(stage, seen).await?;
    nack(stage, seen).await
}

/// Whether an alert comes to be firing, or no longer is.
pub(super) async fn alerting(stage: &Stage, name: &str, wanted: bool) -> anyhow::Result<bool> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let alerts = stage.api("/api/alerts").await?;
        let firing = alerts.as_array().is_some_and(|all| {
            all.iter()
                .any(|a| a["alert"]["name"] == name && a["status"] == "firing")
        });
        if firing == wanted || Instant::now() > deadline {
            return Ok(firing);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is told of a change that is refused.
async fn alert(stage: &Stage, seen: &mut Seen, module: &Path) -> anyhow::Result<()> {
    let original = std::fs::read_to_string(module)?;
    std::fs::write(module, "package ig.masking\nrules := {")?;
    let during = alerting(stage, "PoliciesRefused", true).await?;
    std::fs::write(module, original)?;
    let after = alerting(stage, "PoliciesRefused", false).await?;
    seen.note(
        "an alert while policies are refused",
        "firing, then over",
        format!("firing={during}, then firing={after}"),
        during && !after,
    );
    refusal_over(stage).await
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

/// A route that the policies get while the gateways run.
pub(super) async fn new_route(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    const PATH: &str = "/v1/vendors";
    let settings = stage.policies().join("masking.json");
    let original = std::fs::read_to_string(&settings)?;
    let mut changed: Value = serde_json::from_str(&original)?;
    let route = json!({"name": "vendors", "path": PATH, "type": "Vendor", "at": "items"});
    if let Some(routes) = changed["routes"].as_array_mut() {
        routes.push(route);
    }
    let before = stage.region("eu")?.requests();
    let unknown = stage.get(ANALYST, "analytics", PATH, &[]).await?;
    let reached = stage.region("eu")?.requests() - before;
    std::fs::write(&settings, changed.to_string())?;
    let started = Instant::now();
    let mut answer;
    loop {
        answer = stage.get(ANALYST, "analytics", PATH, &[]).await?;
        if answer.status == 200 || started.elapsed() > Duration::from_secs(10) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::write(&settings, &original)?;
    let json = answer.json();
    let email = at(&json, "/items/0/email");
    seen.note(
        "a route that the policies get",
        "404 before, then masked, without a restart",
        format!(
            "{}, then {} {email} after {} ms",
            unknown.status,
            answer.status,
            started.elapsed().as_millis()
        ),
        unknown.status == 404
            && reached == 0
            && answer.status == 200
            && email.starts_with("h:demo:")
            && leaks(&answer.body) == 0,
    );
    Ok(())
}

/// How long something is waited for that must come: a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the conductor refuses what is on disk, once its reason says so; empty if it does not.
async fn refusal(stage: &Stage, says: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
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
    let deadline = Instant::now() + PATIENCE;
    while !stage.api("/api/policies").await?["refused"].is_null() {
        anyhow::ensure!(
            Instant::now() < deadline,
            "what was restored is still refused"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A filter that only Envoy finds to be broken: it traps when it is started. With code by HTTP, its
/// refusal is believed when it is repeated, which takes a while.
async fn nack(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let module = stage.directory().join("filters/masking.wasm");
    let original = std::fs::read(&module)?;
    std::fs::write(&module, crate::module::trapping())?;
    let deadline = Instant::now() + Duration::from_secs(60);
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
    let during = alerting(stage, "ConfigurationRefused", true).await?;
    std::fs::write(&module, original)?;
    let after = alerting(stage, "ConfigurationRefused", false).await?;
    seen.note(
        "an alert while a gateway refuses",
        "firing, then over",
        format!("firing={during}, then firing={after}"),
        during && !after,
    );
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
