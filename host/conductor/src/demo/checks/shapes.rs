//! The ways in which a GraphQL request can come.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use upstream::{personas, queries};

use super::{ANALYST, Seen, VIEWER, at, leaks, query};
use crate::client::Answer;
use crate::demo::stage::{Caller, Stage};

pub(super) async fn requests(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    batch(stage, seen).await?;
    by_get(stage, seen).await?;
    persisted(stage, seen).await?;
    step_up(stage, seen).await
}

async fn batch(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let body = format!(
        "[{},{},{}]",
        query(VIEWER),
        query("{ viewer { other: email } }"),
        queries::CONTACTS.body()
    );
    let answer = stage.ask("eu", ANALYST, "analytics", body, &[]).await?;
    let all = answer.json();
    let (first, second) = (
        at(&all, "/0/data/viewer/email"),
        at(&all, "/1/data/viewer/other"),
    );
    seen.note(
        "a batch of three operations",
        "three answers, one pseudonym, 0 personal values",
        format!(
            "{} answers, {first} {second}, {} values",
            all.as_array().map_or(0, Vec::len),
            leaks(&answer.body)
        ),
        all.as_array().is_some_and(|a| a.len() == 3)
            && first.starts_with("h:demo:")
            && first == second
            && leaks(&answer.body) == 0,
    );
    Ok(())
}

/// A text as a query string's value.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

async fn by_get(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let path = format!("/graphql?query={}", encoded(VIEWER));
    let answer = stage.get(ANALYST, "analytics", &path, &[]).await?;
    let json = answer.json();
    let email = at(&json, "/data/viewer/email");
    seen.note(
        "a query by GET",
        "200, masked",
        format!("{} {email}", answer.status),
        answer.status == 200 && email.starts_with("h:demo:") && leaks(&answer.body) == 0,
    );
    let rename = encoded("mutation { renameAsset(id: \"acme-asset-002\", name: \"x\") { id } }");
    let path = format!("/graphql?query={rename}");
    let answer = stage.get(ANALYST, "analytics", &path, &[]).await?;
    seen.refused("a mutation by GET", &answer, 405, "METHOD_NOT_ALLOWED");
    Ok(())
}

async fn persisted(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let text = "query Persisted { viewer { name mail: email } }";
    let hash: String = Sha256::digest(text)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    let named = json!({"extensions": extensions}).to_string();
    let whole = json!({"query": text, "extensions": extensions}).to_string();

    let before = stage.region("eu")?.requests();
    let ask = |body: &str| {
        let body = body.to_owned();
        async move { stage.ask("eu", ANALYST, "analytics", body, &[]).await }
    };
    let unknown = ask(&named).await?;
    let after = stage.region("eu")?.requests();
    seen.note(
        "a persisted query that nobody registered",
        "PERSISTED_QUERY_NOT_FOUND, upstream: 0 requests",
        format!("{}, {} requests", unknown.code(), after - before),
        unknown.code() == "PERSISTED_QUERY_NOT_FOUND" && after == before,
    );
    let wrong = json!({"query": VIEWER, "extensions": extensions}).to_string();
    let wrong = ask(&wrong).await?;
    let code = "PERSISTED_QUERY_HASH_MISMATCH";
    seen.refused("a query under another's hash", &wrong, 400, code);

    let first = ask(&whole).await?;
    let again = registered(stage, &whole, || ask(&named)).await?;
    note_persisted(stage, seen, "a persisted query by POST", &first, &again)?;
    let path = format!("/graphql?extensions={}", encoded(&extensions.to_string()));
    let get = || stage.get(ANALYST, "analytics", &path, &[]);
    let by_get = registered(stage, &whole, get).await?;
    note_persisted(stage, seen, "a persisted query by GET", &first, &by_get)?;
    let batch = format!("[{named},{}]", query(VIEWER));
    let batch = registered(stage, &whole, || ask(&batch)).await?;
    let mail = at(&batch.json(), "/0/data/viewer/mail").to_owned();
    seen.note(
        "a persisted query in a batch",
        "masked",
        mail.clone(),
        mail.starts_with("h:demo:") && leaks(&batch.body) == 0,
    );
    Ok(())
}

/// Asks by hash until it is known, as clients do: each of Envoy's workers remembers for itself what
/// was registered with it.
async fn registered<F>(stage: &Stage, whole: &str, ask: impl Fn() -> F) -> anyhow::Result<Answer>
where
    F: Future<Output = anyhow::Result<Answer>>,
{
    for _ in 0..100 {
        let answer = ask().await?;
        if answer.code() != "PERSISTED_QUERY_NOT_FOUND" {
            return Ok(answer);
        }
        let whole = whole.to_owned();
        stage.ask("eu", ANALYST, "analytics", whole, &[]).await?;
    }
    ask().await
}

/// What came of a hash, and what the upstream got in its place: the query itself, its length right.
fn note_persisted(
    stage: &Stage,
    seen: &mut Seen,
    name: &'static str,
    first: &Answer,
    again: &Answer,
) -> anyhow::Result<()> {
    let last = stage.region("eu")?.upstream()?.last_request();
    let (got, length_fits) = last.map_or((String::new(), false), |r| {
        let length = r.headers.get("content-length");
        let length = length.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        let body = String::from_utf8_lossy(&r.body).into_owned();
        let fits = length.unwrap_or(0) == r.body.len();
        match body.is_empty() {
            true => (r.uri.query().unwrap_or_default().to_owned(), fits),
            false => (body, fits),
        }
    });
    let spelled_out = got.contains("Persisted") && got.contains("viewer");
    let no_hash = !got.contains("sha256Hash");
    let mail = at(&again.json(), "/data/viewer/mail").to_owned();
    seen.note(
        name,
        "masked; the upstream gets the query, of the right length",
        format!("{mail} spelled out: {spelled_out}, length: {length_fits}"),
        again.status == 200
            && mail.starts_with("h:demo:")
            && again.body == first.body
            && leaks(&again.body) == 0
            && spelled_out
            && no_hash
            && length_fits,
    );
    Ok(())
}

/// What a grant shows only after a second factor.
async fn step_up(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let mut shown = Vec::new();
    for persona in [&personas::AUDITOR_ACME, &personas::MFA_AUDITOR_ACME] {
        let answer = stage
            .ask("eu", persona, "audit", query(VIEWER), &[])
            .await?;
        let viewer = answer.json()["data"]["viewer"].clone();
        shown.push((viewer["nationalId"].clone(), viewer["email"].clone()));
    }
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let masked = shown.iter().all(|(_, e)| text(e).starts_with("h:demo:"));
    seen.note(
        "a national id for an auditor, then with a second factor",
        "[REDACTED], then clear; e-mail hashed in both",
        format!("{}, then {}", text(&shown[0].0), text(&shown[1].0)),
        masked && shown[0].0 == "[REDACTED]" && text(&shown[1].0).starts_with("NID-ACME"),
    );
    let caller = Caller {
        persona: ANALYST,
        purpose: "analytics",
    };
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "graphql-transport-ws"),
    ];
    let answer = stage
        .send("eu", caller, "GET", "/graphql", &upgrade, String::new())
        .await?;
    seen.refused("a WebSocket for GraphQL", &answer, 403, "-");
    Ok(())
}
