//! Answers that come bit by bit.

use serde_json::json;
use upstream::queries;

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
