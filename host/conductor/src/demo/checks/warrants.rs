//! What opens a border, and what only looks as if it did.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use upstream::personas;
use upstream::tokens::Issuer;

use super::{SOON, Seen, VIEWER, leaks, query};
use crate::client::Answer;
use crate::demo::stage::Stage;

const RENAME: &str = r#"mutation { renameAsset(id: "initech-asset-1", name: "x") { id } }"#;

/// A warrant of the court: an analyst of the US works with initech's data at the EU's gateway.
fn warrant(court: &Issuer, id: &str, most: Option<u64>) -> String {
    let now = crate::demo::now();
    let mut claims = json!({
        "jti": id, "tenant": "initech", "src": "us", "dst": "eu", "operations": ["read"],
        "purpose": "analytics", "iat": now, "nbf": now, "exp": now + 600,
        "authorityBinding": {
            "authority": "demo-court", "key": court.kid(), "jurisdiction": "EU",
            "caseReference": "DEMO-1",
        },
    });
    if let Some(most) = most {
        claims["maxUses"] = json!(most);
    }
    court.sign_as(engine::warrant::TYPE, &claims)
}

async fn ask(stage: &Stage, text: &str, warrant: &str) -> anyhow::Result<Answer> {
    let analyst = &personas::ANALYST_INITECH;
    let extra = [("x-ig-warrant", warrant)];
    stage
        .ask("eu", analyst, "analytics", query(text), &extra)
        .await
}

/// Asks until the answer has this status, or a moment has passed; how long it took.
async fn until(
    stage: &Stage,
    warrant: &str,
    wanted: impl Fn(&Answer) -> bool,
) -> anyhow::Result<(Duration, Answer)> {
    let started = Instant::now();
    loop {
        let answer = ask(stage, VIEWER, warrant).await?;
        if wanted(&answer) || started.elapsed() > Duration::from_secs(10) {
            return Ok((started.elapsed(), answer));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) async fn warrants(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let authorities = stage.policies().join("ig/authorities/data.json");
    let revocations = stage.policies().join("ig/revocations/data.json");
    let before = (
        std::fs::read_to_string(&authorities)?,
        std::fs::read_to_string(&revocations)?,
    );
    let court = Issuer::generate();
    let entry = json!({"demo-court": {"jurisdictions": ["EU", "US"], "keys": [court.jwk()]}});
    std::fs::write(&authorities, entry.to_string())?;
    let standing = warrant(&court, "wrt_demo", None);
    let (took, answer) = until(stage, &standing, |a| a.status == 200).await?;
    let by = answer.header("x-upstream-region");
    seen.note(
        "a US tenant at the EU gateway with a warrant, its court just registered",
        &format!("200 from eu, masked, in under {} s", SOON.as_secs()),
        format!("{} from {by}, {} leaks", answer.status, leaks(&answer.body)),
        answer.status == 200 && by == "eu" && leaks(&answer.body) == 0 && took < SOON,
    );
    context(stage, seen)?;
    let answer = ask(stage, RENAME, &standing).await?;
    seen.refused(
        "a mutation under a warrant that reads",
        &answer,
        403,
        "WARRANT_OPERATION",
    );
    let forged = warrant(&court.impostor(), "wrt_demo", None);
    let answer = ask(stage, VIEWER, &forged).await?;
    seen.refused(
        "a warrant that somebody else signed",
        &answer,
        403,
        "WARRANT_FORGED",
    );

    let twice = warrant(&court, "wrt_twice", Some(2));
    // All at once, each by a connection of its own: several workers count.
    let one = || ask(stage, VIEWER, &twice);
    let (a, b, c, d, e, f) = tokio::try_join!(one(), one(), one(), one(), one(), one())?;
    let answers = [a, b, c, d, e, f];
    let served = answers.iter().filter(|a| a.status == 200).count();
    let refused = answers.iter().filter(|a| a.code() == "WARRANT_USED_UP");
    let refused = refused.count();
    seen.note(
        "a warrant for two uses, used six times at once",
        "2 are served, 4 get WARRANT_USED_UP",
        format!("{served} are served, {refused} get WARRANT_USED_UP"),
        (served, refused) == (2, 4),
    );

    std::fs::write(
        &revocations,
        json!({"wrt_demo": {"reason": "demo"}}).to_string(),
    )?;
    let (took, answer) = until(stage, &standing, |a| a.status != 200).await?;
    seen.note(
        "a warrant that was revoked",
        &format!("403 WARRANT_REVOKED in under {} s", SOON.as_secs()),
        format!(
            "{} {} after {} ms",
            answer.status,
            answer.code(),
            took.as_millis()
        ),
        answer.code() == "WARRANT_REVOKED" && took < SOON,
    );
    std::fs::write(&authorities, before.0)?;
    std::fs::write(&revocations, before.1)?;
    let (_, answer) = until(stage, &standing, |a| a.code() == "WARRANT_KEY_UNKNOWN").await?;
    anyhow::ensure!(
        answer.code() == "WARRANT_KEY_UNKNOWN",
        "the original authorities did not come back"
    );
    Ok(())
}

/// What the upstream got of the last request.
fn context(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let last = stage.region("eu")?.upstream()?.last_request();
    let headers = last.map(|request| request.headers).unwrap_or_default();
    let token = headers.get(engine::context::CONTEXT_HEADER);
    let token = token.and_then(|t| t.to_str().ok()).unwrap_or_default();
    let payload = token.split('.').nth(1).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let payload: Value = serde_json::from_slice(&payload).unwrap_or_default();
    let presented = headers.contains_key(engine::warrant::WARRANT_HEADER);
    seen.note(
        "what the upstream gets of it",
        "a context token us -> eu under wrt_demo; no warrant",
        format!(
            "{} -> {} under {}; {}",
            payload["home"],
            payload["region"],
            payload["warrant"]["id"],
            if presented {
                "the warrant"
            } else {
                "no warrant"
            }
        ),
        payload["home"] == "us"
            && payload["region"] == "eu"
            && payload["warrant"]["id"] == "wrt_demo"
            && !presented,
    );
    Ok(())
}
