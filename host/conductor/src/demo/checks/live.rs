//! Answers that come bit by bit.

use std::time::{Duration, Instant};

use serde_json::json;
use upstream::{personas, queries};

use super::{ADMIN, ANALYST, Seen, leaks, query};
use crate::demo::stage::Stage;

const CHANGES: &str = "subscription { assetChanged { name email owner { name mail: email } } }";

const DEFERRED: &str = "{ viewer { id name ... @defer { email phone salary nationalId } } }";

pub(super) async fn streams(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    for (name, accept, each) in [
        (
            "events of a subscription (SSE)",
            "text/event-stream",
            "event: next\ndata: ",
        ),
        (
            "parts of a subscription (multipart)",
            "multipart/mixed;subscriptionSpec=1.0",
            "\"payload\":",
        ),
    ] {
        let mut open = stage
            .open(ANALYST, "analytics", accept, query(CHANGES))
            .await?;
        let content_type = open.head.headers.get("content-type").cloned();
        // Each change is made only after the one before was seen: an answer that is held back
        // anywhere on its way would not get on.
        let mut events = 0;
        for name in ["first", "second", "third"] {
            let body = queries::RENAME.body_with(&json!({"id": "acme-asset-001", "name": name}));
            stage.ask("eu", ANALYST, "analytics", body, &[]).await?;
            if !open.until(each, events + 1).await? || !open.until(name, 1).await? {
                break;
            }
            events += 1;
        }
        let hashed = open.text.matches("\"h:demo:").count();
        let kind = content_type
            .and_then(|v| v.to_str().map(str::to_owned).ok())
            .unwrap_or_default();
        seen.note(
            name,
            "three, each when it happens; 0 personal values",
            format!(
                "{events} of {kind}, {hashed} pseudonyms, {} values",
                leaks(&open.text)
            ),
            events == 3
                && open.head.status == 200
                && kind.starts_with(accept.split(';').next().unwrap_or_default())
                && hashed == 6
                && leaks(&open.text) == 0,
        );
    }
    for (name, accept) in [
        (
            "deferred fields, by their path",
            "multipart/mixed;deferSpec=20220824",
        ),
        (
            "deferred fields, by an id",
            "multipart/mixed;incrementalSpec=v0.2",
        ),
    ] {
        let mut open = stage
            .open(ANALYST, "analytics", accept, query(DEFERRED))
            .await?;
        let whole = open.until("\"hasNext\":false", 1).await?;
        let mut clear = stage
            .open(ADMIN, "administration", accept, query(DEFERRED))
            .await?;
        clear.until("\"hasNext\":false", 1).await?;
        seen.note(
            name,
            "two parts, 0 personal values (an admin sees some)",
            format!(
                "{} parts, {} ({})",
                open.text.matches("\"hasNext\"").count(),
                leaks(&open.text),
                leaks(&clear.text)
            ),
            whole
                && open.text.matches("\"hasNext\"").count() == 2
                && open.text.contains("\"h:demo:")
                && leaks(&open.text) == 0
                && leaks(&clear.text) >= 4,
        );
    }
    Ok(())
}

/// A stream that began under policies that are no longer in force.
pub(super) async fn withdrawn(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let support = &personas::SUPPORT_ACME;
    let rename = async |name: &str| {
        let body = queries::RENAME.body_with(&json!({"id": "acme-asset-001", "name": name}));
        stage.ask("eu", ANALYST, "analytics", body, &[]).await
    };
    let mut open = stage
        .open(support, "support", "text/event-stream", query(CHANGES))
        .await?;
    rename("before").await?;
    open.until("before", 1).await?;
    let before = leaks(&open.text);
    let grants = stage.policies().join("ig/grants/data.json");
    let original = std::fs::read_to_string(&grants)?;
    std::fs::write(&grants, "[]")?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let viewer = query("{ viewer { email } }");
        let answer = stage.ask("eu", support, "support", viewer, &[]).await?;
        if answer.body.contains("h:demo:") || Instant::now() > deadline {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rename("after").await?;
    // Cut off, or ended: another event does not come.
    let came = open.until("after", 1).await.unwrap_or(false);
    std::fs::write(&grants, original)?;
    seen.note(
        "a subscription whose grant is withdrawn",
        "ends before its next event",
        format!(
            "shown {before}, then {}",
            if came { "an event" } else { "its end" }
        ),
        before > 0 && !came && !open.text.contains("after"),
    );
    Ok(())
}
