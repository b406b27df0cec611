//! Who is believed.

use upstream::personas;

use super::{ANALYST, Seen, VIEWER, leaks, query};
use crate::client;
use crate::demo::stage::Stage;

pub(super) async fn identity(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
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
    let answer = client::send(listen, "POST", "/graphql", &none, query(VIEWER)).await?;
    seen.refused("no token", &answer, 401, "UNAUTHENTICATED");

    let forged = [
        ("x-ig-tenant", "globex"),
        ("x-ig-region", "us"),
        ("x-ig-cluster", "region-us"),
        ("x-ig-route", "region-us"),
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
