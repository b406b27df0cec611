//! A revision that only says what it would do.

use serde_json::{Value, json};

use super::pushes::{email, until};
use super::records::decision;
use super::{ANALYST, Seen, leaks, query};
use crate::demo::stage::Stage;

pub(super) async fn shadow(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let settings = stage.policies().join("masking.json");
    let original = std::fs::read_to_string(&settings)?;
    let mut changed: Value = serde_json::from_str(&original)?;
    changed["mode"] = json!("shadow");
    std::fs::write(&settings, changed.to_string())?;
    let (took, answer) = until(stage, |a| email(a).contains('@')).await?;
    let refused = stage
        .ask(
            "eu",
            ANALYST,
            "administration",
            query("{ viewer { id } }"),
            &[],
        )
        .await?;
    let csv = stage
        .get(
            ANALYST,
            "analytics",
            "/export/people",
            &[("accept", "text/csv")],
        )
        .await?;
    let (_, masked) = decision(stage, |d| {
        d["mode"] == "shadow" && d["counts"]["Person.email"] == 1
    })
    .await?;
    let (_, denied) = decision(stage, |d| {
        d["mode"] == "shadow" && d["code"] == "PURPOSE_NOT_ALLOWED"
    })
    .await?;
    std::fs::write(&settings, &original)?;
    let (back, _) = until(stage, |a| email(a).starts_with("h:demo:")).await?;
    seen.note(
        "shadow mode: what would be masked",
        "values as they are, \"mode\":\"shadow\" in the log",
        format!(
            "{} {} mask={}",
            email(&answer),
            masked["mode"],
            masked["maskSet"]
        ),
        took.is_some()
            && back.is_some()
            && masked["outcome"] == "allowed"
            && masked["redactSet"] == json!(["Person.nationalId"])
            && leaks(&csv.body) > 6,
    );
    seen.note(
        "shadow mode: what would be refused",
        "200, denied in the log",
        format!(
            "{} {} {}",
            refused.status, denied["outcome"], denied["code"]
        ),
        refused.status == 200 && denied["outcome"] == "denied",
    );
    Ok(())
}
