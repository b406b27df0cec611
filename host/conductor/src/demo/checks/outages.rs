//! Parts that are gone.

use upstream::{personas, queries};

use super::{ANALYST, Seen, VIEWER, leaks, query};
use crate::demo::stage::Stage;

pub(super) async fn orphaned(stage: &mut Stage, seen: &mut Seen) -> anyhow::Result<()> {
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
pub(super) async fn unreachable(stage: &mut Stage, seen: &mut Seen) -> anyhow::Result<()> {
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
