//! Routes that are no GraphQL, and exports.

use serde_json::Value;
use upstream::{Fault, personas};

use super::{ADMIN, ANALYST, Seen, at, leaks};
use crate::client;
use crate::demo::stage::{Caller, Stage};

const ANALYSING: Caller<'_> = Caller {
    persona: ANALYST,
    purpose: "analytics",
};

pub(super) async fn rest(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    for (name, path, pointer) in [
        ("people by path", "/v1/people", "/items/0"),
        ("one person by path", "/v1/people/acme-person-1", ""),
        ("assets by path", "/v1/assets?first=3", "/items/0"),
    ] {
        let answer = stage.get(ANALYST, "analytics", path, &[]).await?;
        let clear = stage.get(ADMIN, "administration", path, &[]).await?;
        let json = answer.json();
        let email = json.pointer(pointer).map(|p| at(p, "/email"));
        let email = email.unwrap_or_default();
        seen.note(
            name,
            "masked, 0 personal values (an admin sees some)",
            format!("{email}, {} ({})", leaks(&answer.body), leaks(&clear.body)),
            answer.status == 200
                && email.starts_with("h:demo:")
                && leaks(&answer.body) == 0
                && leaks(&clear.body) > 0
                && !clear.header("x-ig-mask").is_empty(),
        );
    }
    let compared = "/v1/people?email=ada.lovelace%40acme.eu.example";
    let answer = stage.get(ANALYST, "analytics", compared, &[]).await?;
    let name = "a filter on a field that is masked";
    seen.refused(name, &answer, 403, "MASKED_FIELD_COMPARED");
    let answer = stage
        .get(&personas::SUPPORT_ACME, "support", compared, &[])
        .await?;
    seen.note(
        "the same for support, who sees the field",
        "200",
        answer.status.to_string(),
        answer.status == 200,
    );
    let listen = stage.region("eu")?.listen;
    let answer = client::send(listen, "GET", "/v1/people", &[], String::new()).await?;
    seen.refused("a path without a token", &answer, 401, "UNAUTHENTICATED");
    let answer = stage
        .send("eu", ANALYSING, "DELETE", "/v1/people", &[], String::new())
        .await?;
    let name = "a method that the route does not serve";
    seen.refused(name, &answer, 405, "METHOD_NOT_ALLOWED");
    let answer = stage
        .send("eu", ANALYSING, "HEAD", "/v1/people", &[], String::new())
        .await?;
    seen.note(
        "HEAD on a route",
        "200, no body, a length of none",
        format!("{} {:?}", answer.status, answer.header("content-length")),
        answer.status == 200
            && answer.complete
            && answer.body.is_empty()
            && answer.header("content-type") == "application/json"
            && matches!(answer.header("content-length"), "" | "0"),
    );
    let path = "/v1/people/acme-person-99";
    let answer = stage.get(ANALYST, "analytics", path, &[]).await?;
    problem(seen, "a person that does not exist", &answer, 404);
    let upstream = stage.region("eu")?.upstream()?;
    upstream.set_fault(Some(Fault::Html500));
    let answer = stage.get(ANALYST, "analytics", "/v1/people", &[]).await;
    upstream.set_fault(None);
    problem(seen, "a route whose upstream fails (500)", &answer?, 500);
    let initech = &personas::ANALYST_INITECH;
    let answer = stage.get(initech, "analytics", "/v1/people", &[]).await?;
    seen.refused("a route across the border", &answer, 403, "CROSS_REGION");
    Ok(())
}

/// An upstream's error on a route: a problem document, and no word of what the upstream said.
fn problem(seen: &mut Seen, name: &'static str, answer: &client::Answer, status: u16) {
    let kind = answer.header("content-type").to_owned();
    seen.note(
        name,
        &format!("{status} UPSTREAM_ERROR, application/problem+json"),
        format!("{} {} {kind}", answer.status, answer.code()),
        answer.status == status
            && answer.code() == "UPSTREAM_ERROR"
            && kind == "application/problem+json"
            && leaks(&answer.body) == 0
            && !answer.body.contains("nobody has")
            && !answer.body.contains("Unhandled"),
    );
}

pub(super) async fn exports(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    const PATH: &str = "/export/people";
    for (name, accept, lines) in [
        ("an export as CSV", "text/csv", 7),
        ("an export as JSON lines", "application/x-ndjson", 6),
        ("an export as JSON", "application/json", 1),
    ] {
        let accept = [("accept", accept)];
        let answer = stage.get(ANALYST, "analytics", PATH, &accept).await?;
        let admin = stage.get(ADMIN, "administration", PATH, &accept).await?;
        let map: Value = serde_json::from_str(answer.header("x-ig-redactions")).unwrap_or_default();
        let all = leaks(&answer.body) + leaks(&admin.body);
        seen.note(
            name,
            "redacted, for an admin too; X-IG-Redactions says what",
            format!(
                "{} lines, mail={}, {all} values",
                answer.body.lines().count(),
                map["mail"]
            ),
            answer.status == 200
                && answer.body.lines().count() == lines
                && answer.header("content-type").starts_with(accept[0].1)
                && answer.body.contains("Ada Lovelace")
                && answer.body.contains("[REDACTED]")
                && !answer.body.contains("desk")
                && map["mail"] == "redact"
                && all == 0,
        );
    }
    let auditor = &personas::AUDITOR_ACME;
    let accept = [("accept", "text/csv")];
    let answer = stage.get(auditor, "audit", PATH, &accept).await?;
    seen.note(
        "an auditor's export, for an audit",
        "six salaries, nothing else",
        format!("{} values", leaks(&answer.body)),
        leaks(&answer.body) == 6 && answer.body.contains("731000001"),
    );
    let upstream = stage.region("eu")?.upstream()?;
    for (name, accept) in [
        ("16 MB of CSV", "text/csv"),
        ("16 MB of JSON lines", "application/x-ndjson"),
    ] {
        upstream.set_fault(Some(Fault::Huge { megabytes: 16 }));
        let answer = stage
            .get(ANALYST, "analytics", PATH, &[("accept", accept)])
            .await;
        upstream.set_fault(None);
        let answer = answer?;
        let megabytes = answer.body.len() / 1_000_000;
        let values = leaks(&answer.body);
        seen.note(
            name,
            "complete, 0 personal values",
            format!("{megabytes} MB, {values} values"),
            answer.complete && megabytes >= 8 && values == 0,
        );
    }
    upstream.set_fault(Some(Fault::Trailers));
    let answer = stage.get(ANALYST, "analytics", PATH, &accept).await;
    upstream.set_fault(None);
    let answer = answer?;
    let last = answer.body.lines().last().unwrap_or_default().to_owned();
    let cells = last.matches(',').count() + 1;
    let values = leaks(&answer.body) + leaks(&format!("{:?}", answer.headers));
    seen.note(
        "CSV whose last line has no end, before trailers",
        "seven whole lines, 0 personal values",
        format!(
            "{} lines, {cells} cells, {values}",
            answer.body.lines().count()
        ),
        answer.complete && answer.body.lines().count() == 7 && cells == 8 && values == 0,
    );
    Ok(())
}
