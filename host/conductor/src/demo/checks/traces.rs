//! What spans say of a request's regions.

use std::time::{Duration, Instant};

use serde_json::Value;
use upstream::personas;

use super::{ANALYST, Seen, VIEWER, query};
use crate::demo::stage::Stage;

/// Trace ids of a client: of a request that is served and of one that is refused.
const SERVED: &str = "5e2f0c9a4b7d4c1e9a3b6d8f10275361";
const REFUSED: &str = "5e2f0c9a4b7d4c1e9a3b6d8f10275362";

/// The regions that a trace's first span with both names, once the conductor has it.
async fn regions(stage: &Stage, trace: &str) -> anyhow::Result<(String, String)> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let spans = stage.api(&format!("/api/traces/{trace}")).await?;
        let spans = spans.as_array().map_or(&[][..], Vec::as_slice);
        let region = |span: &Value, name: &str| span[name].as_str().map(str::to_owned);
        let found = spans
            .iter()
            .find_map(|span| Some((region(span, "region_src")?, region(span, "region_dst")?)));
        if let Some(found) = found {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Ok(("nothing".into(), "nothing".into()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) async fn traces(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let traceparent = |trace: &str| format!("00-{trace}-00f067aa0ba902b7-01");
    let context = traceparent(SERVED);
    let extra = [("traceparent", context.as_str())];
    stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &extra)
        .await?;
    let request = stage.region("eu")?.upstream()?.last_request();
    let kept = request
        .and_then(|r| Some(r.headers.get("traceparent")?.to_str().ok()?.to_owned()))
        .unwrap_or_default();
    seen.note(
        "the trace context at the upstream",
        "the client's trace, another span",
        kept.clone(),
        kept.contains(SERVED) && kept != context,
    );
    let (src, dst) = regions(stage, SERVED).await?;
    seen.note(
        "regions in the spans of a request",
        "eu to eu",
        format!("{src} to {dst}"),
        (src.as_str(), dst.as_str()) == ("eu", "eu"),
    );
    let context = traceparent(REFUSED);
    let extra = [("traceparent", context.as_str())];
    let foreign = &personas::ANALYST_INITECH;
    stage
        .ask("eu", foreign, "analytics", query(VIEWER), &extra)
        .await?;
    let (src, dst) = regions(stage, REFUSED).await?;
    seen.note(
        "regions in the spans of a refusal",
        "eu to us",
        format!("{src} to {dst}"),
        (src.as_str(), dst.as_str()) == ("eu", "us"),
    );
    Ok(())
}
