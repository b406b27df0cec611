//! Requests that are refused.

use super::{ANALYST, Seen, VIEWER, query};
use crate::demo::stage::Stage;

pub(super) async fn bad_requests(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
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
            "a batch of 11",
            format!("[{}]", vec![query(VIEWER); 11].join(",")),
            "BATCH_TOO_LARGE",
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
