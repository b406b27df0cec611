//! Which region serves whom.

use upstream::personas;

use super::{ANALYST, Seen, VIEWER, leaks, query};
use crate::demo::stage::Stage;

pub(super) async fn residency(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
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
