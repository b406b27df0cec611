//! What is masked, for whom, by whatever road it is asked for.

use serde_json::json;
use upstream::{personas, queries};

use super::{ADMIN, ANALYST, Seen, VIEWER, at, leaks, query};
use crate::demo::stage::Stage;

pub(super) async fn masking(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
        .await?;
    let v = answer.json()["data"]["viewer"].clone();
    let (email, phone) = (at(&v, "/email"), at(&v, "/phone"));
    let masked = email.starts_with("h:demo:")
        && phone.starts_with("****")
        && phone.len() == 6
        && v["salary"].is_null()
        && v["nationalId"] == "[REDACTED]"
        && v["birthDate"].is_null()
        && at(&v, "/name").len() > 3
        && leaks(&answer.body) == 0;
    seen.note(
        "analyst",
        "email h:…, phone ****.., salary null, id redacted",
        format!("{email} {phone} {} {}", v["salary"], v["nationalId"]),
        answer.status == 200 && masked && answer.header("x-ig-mask").is_empty(),
    );

    let answer = stage
        .ask("eu", ADMIN, "administration", query(VIEWER), &[])
        .await?;
    let clear = answer.json()["data"]["viewer"].clone();
    let header = answer.header("x-ig-mask");
    seen.note(
        "admin sees all, with X-IG-Mask",
        "clear values; reveal=\"Person.email,…\"",
        format!("{} {} {}", at(&clear, "/email"), clear["salary"], header),
        at(&clear, "/email").contains('@')
            && clear["salary"].is_number()
            && header.contains("reveal=\"")
            && header.contains("Person.email"),
    );

    let text = "query Q { viewer { a: email ...F ... on Person { c: email } } }
                fragment F on Person { b: email ...G } fragment G on Contact { d: email }";
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(text), &[])
        .await?;
    let v = answer.json()["data"]["viewer"].clone();
    let all: Vec<&str> = ["/a", "/b", "/c", "/d"].map(|p| at(&v, p)).into();
    seen.note(
        "aliases and fragments of one field",
        "four times the same pseudonym",
        format!(
            "{} x{}",
            all[0],
            all.iter().filter(|x| **x == all[0]).count()
        ),
        all.iter().all(|x| *x == email) && leaks(&answer.body) == 0,
    );

    for (name, q) in [
        ("union members, with __typename", queries::SEARCH),
        (
            "union members, without __typename",
            queries::SEARCH_WITHOUT_TYPENAME,
        ),
        ("an interface", queries::CONTACTS),
        ("every masked field by every road", queries::EVERYTHING),
    ] {
        let answer = stage.ask("eu", ANALYST, "analytics", q.body(), &[]).await?;
        let plain = stage
            .ask("eu", ADMIN, "administration", q.body(), &[])
            .await?;
        seen.note(
            name,
            "0 personal values (an admin sees some)",
            format!("{} ({})", leaks(&answer.body), leaks(&plain.body)),
            answer.status == 200
                && answer.complete
                && answer.json()["errors"].is_null()
                && leaks(&answer.body) == 0
                && leaks(&plain.body) > 0,
        );
    }
    let body = queries::RENAME.body_with(&json!({"id": "acme-asset-001", "name": "lathe"}));
    let answer = stage.ask("eu", ANALYST, "analytics", body, &[]).await?;
    let renamed = answer.json()["data"]["renameAsset"].clone();
    seen.note(
        "a mutation's result",
        "renamed, e-mail hashed",
        format!("{} {}", at(&renamed, "/name"), at(&renamed, "/email")),
        at(&renamed, "/name") == "lathe" && at(&renamed, "/email").starts_with("h:demo:"),
    );
    let answer = stage
        .ask("eu", &personas::SUPPORT_ACME, "support", query(VIEWER), &[])
        .await?;
    let v = answer.json()["data"]["viewer"].clone();
    seen.note(
        "support, for support",
        "contact clear, the rest masked",
        format!(
            "{} {} {}",
            at(&v, "/email"),
            v["salary"],
            at(&v, "/nationalId")
        ),
        at(&v, "/email").contains('@') && v["salary"].is_null() && v["nationalId"] == "[REDACTED]",
    );
    Ok(())
}
