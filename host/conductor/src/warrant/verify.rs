use std::path::PathBuf;

use bundle::Bundle;
use clap::Args;
use engine::residency::Directory;
use engine::warrant::{Operation, Registry, Use, Warrant, WarrantError, Warrants};
use serde::Serialize;
use serde_json::json;

use super::moment;
use crate::End;

/// Arguments of `warrant verify`.
#[derive(Args)]
pub(super) struct VerifyArgs {
    /// A file with the warrant, or `-`.
    file: PathBuf,
    /// The policy directory, or a bundle's file.
    #[arg(long, default_value = "policies", value_name = "DIR")]
    policies: PathBuf,
    /// The moment of the request, such as 2026-12-01T00:00:00Z; now, if not given.
    #[arg(long, value_name = "MOMENT", value_parser = super::at)]
    at: Option<u64>,
    /// The tenant that uses it.
    #[arg(long)]
    tenant: Option<String>,
    /// The region of the gateway that is asked.
    #[arg(long)]
    region: Option<String>,
    /// What the request does.
    #[arg(long, value_parser = super::operation)]
    operation: Option<Operation>,
    /// The purpose that the request states.
    #[arg(long)]
    purpose: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is looked at, in the order in which a gateway does, and what fails there.
const CHECKS: [(&str, WarrantError); 12] = [
    ("form", WarrantError::Malformed),
    ("key", WarrantError::KeyUnknown),
    ("signature", WarrantError::Forged),
    ("binding", WarrantError::Binding),
    ("revocation", WarrantError::Revoked),
    ("beginning", WarrantError::Early),
    ("end", WarrantError::Expired),
    ("jurisdiction", WarrantError::Jurisdiction),
    ("tenant", WarrantError::Tenant),
    ("operation", WarrantError::Operation),
    ("purpose", WarrantError::Purpose),
    ("regions", WarrantError::Regions),
];

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Check {
    check: &'static str,
    /// `null`: not reached.
    holds: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The checks up to the one that failed.
fn checks(failed: Option<WarrantError>) -> Vec<Check> {
    let at = CHECKS.iter().position(|(_, error)| Some(*error) == failed);
    let at = at.unwrap_or(CHECKS.len());
    (0..)
        .zip(CHECKS)
        .map(|(index, (check, error))| Check {
            check,
            holds: (index <= at).then_some(index < at),
            code: (index == at).then(|| error.code()),
            reason: (index == at).then(|| error.to_string()),
        })
        .collect()
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<End> {
    let text = crate::key::text(&args.file)?;
    let now = args.at.map_or_else(super::now, Ok)?;
    let data = Bundle::open(&args.policies)?.policy.data;
    let directory = Directory::read(&data)?;
    let mut warrants = Warrants::new(Registry::read(&data)?);
    let warrant = warrants.authenticate(text.as_bytes());
    let failed = match &warrant {
        Ok(warrant) => warrants
            .registry()
            .upholds(warrant, now)
            .and_then(|()| covers(args, warrant, &directory, now))
            .err(),
        Err(error) => Some(*error),
    };
    let warrant = warrant.ok();
    let checks = checks(failed);
    if args.json {
        let shown = json!({
            "valid": failed.is_none(), "at": moment(now), "claims": warrant.as_deref(),
            "code": failed.map(WarrantError::code), "checks": checks,
        });
        crate::line!("{}", serde_json::to_string_pretty(&shown)?)?;
    } else {
        if let Some(w) = &warrant {
            let operations: Vec<&str> = w.operations.iter().map(|o| o.name()).collect();
            crate::line!(
                "{} of {}, case {}",
                w.jti,
                w.binding.authority,
                w.binding.case_reference
            )?;
            crate::line!(
                "{}: {} -> {}, {} for {}, {} to {}",
                w.tenant,
                w.src,
                w.dst,
                operations.join(" "),
                w.purpose,
                moment(w.nbf),
                moment(w.exp)
            )?;
        }
        for check in &checks {
            match (check.holds, &check.reason) {
                (Some(true), _) => crate::line!("  ok      {}", check.check)?,
                (Some(false), reason) => crate::line!(
                    "  FAILED  {}: {}: {}",
                    check.check,
                    check.code.unwrap_or_default(),
                    reason.as_deref().unwrap_or_default()
                )?,
                (None, _) => crate::line!("  -       {}", check.check)?,
            }
        }
    }
    Ok(match failed {
        None => End::Done,
        Some(_) => End::Failed,
    })
}

/// Whether it covers the use that the arguments describe; where they say nothing, any use.
fn covers(
    args: &VerifyArgs,
    warrant: &Warrant,
    directory: &Directory,
    now: u64,
) -> Result<(), WarrantError> {
    let operation = args.operation.or(warrant.operations.first().copied());
    warrant.covers(&Use {
        tenant: args.tenant.as_deref().unwrap_or(&warrant.tenant),
        operation: operation.ok_or(WarrantError::Operation)?,
        purpose: Some(args.purpose.as_deref().unwrap_or(&warrant.purpose)),
    })?;
    // A warrant opens the border of the tenant's home, which may have moved since.
    let home = directory.home(&warrant.tenant, now);
    let region = args.region.as_deref().unwrap_or(&warrant.dst);
    warrant.opens(home.ok_or(WarrantError::Tenant)?, region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_but_that_of_counting_has_its_check() {
        for error in WarrantError::ALL {
            let found = checks(Some(error))
                .into_iter()
                .filter(|c| c.holds == Some(false));
            let codes: Vec<_> = found.filter_map(|c| c.code).collect();
            let want = (error != WarrantError::UsedUp).then(|| error.code());
            assert_eq!(codes, Vec::from_iter(want));
        }
        assert!(checks(None).iter().all(|c| c.holds == Some(true)));
        let late = checks(Some(WarrantError::Revoked));
        let reached: Vec<_> = late.iter().map(|c| c.holds).collect();
        assert_eq!(reached[3..6], [Some(true), Some(false), None]);
    }
}
