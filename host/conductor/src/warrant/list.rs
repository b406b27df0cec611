use std::path::PathBuf;

use clap::Args;
use engine::warrant::{Warrant, WarrantError};
use serde_json::{Map, Value, json};

use super::{ledger, moment};
use crate::End;

/// Arguments of `warrant list`.
#[derive(Args)]
pub(super) struct ListArgs {
    /// The policy directory.
    #[arg(long, default_value = "policies", value_name = "DIR")]
    policies: PathBuf,
    /// The ledger of `warrant issue`.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<End> {
    let revoked = crate::directory::read(&super::revocations(&args.policies)?)?;
    let issued = match &args.ledger {
        Some(file) => ledger::read(file)?,
        None => Vec::new(),
    };
    let now = super::now()?;
    if args.json {
        let issued: Vec<Value> = issued
            .iter()
            .map(|i| {
                json!({
                    "id": i.claims.jti, "state": state(&i.claims, &revoked, now),
                    "issuedAt": i.issued_at, "claims": i.claims,
                })
            })
            .collect();
        let shown = json!({"issued": issued, "revoked": revoked});
        crate::line!("{}", serde_json::to_string_pretty(&shown)?)?;
        return Ok(End::Done);
    }
    for i in &issued {
        let w = &i.claims;
        crate::line!(
            "{:8} {} {} {} -> {} until {} ({}, {})",
            state(w, &revoked, now),
            w.jti,
            w.tenant,
            w.src,
            w.dst,
            moment(w.exp),
            w.binding.authority,
            w.binding.case_reference
        )?;
    }
    for (id, entry) in &revoked {
        if !issued.iter().any(|i| i.claims.jti == *id) {
            let reason = entry.get("reason").and_then(Value::as_str).unwrap_or("-");
            crate::line!("revoked  {id} ({reason})")?;
        }
    }
    if issued.is_empty() && revoked.is_empty() {
        crate::line!("no warrant is revoked")?;
    }
    Ok(End::Done)
}

/// `revoked`, `early`, `expired`, or `valid` as far as time goes.
fn state(warrant: &Warrant, revoked: &Map<String, Value>, now: u64) -> &'static str {
    if revoked.contains_key(&warrant.jti) {
        return "revoked";
    }
    match warrant.holds_at(now) {
        Ok(()) => "valid",
        Err(WarrantError::Early) => "early",
        Err(_) => "expired",
    }
}
