use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use crate::{End, directory};

/// Arguments of `warrant revoke`.
#[derive(Args)]
pub(super) struct RevokeArgs {
    /// The warrant's id.
    id: String,
    /// Why; it stands in the policy data.
    #[arg(long)]
    reason: String,
    /// The policy directory.
    #[arg(long, default_value = "policies", value_name = "DIR")]
    policies: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RevokeArgs) -> anyhow::Result<End> {
    if !args.id.starts_with("wrt_") || args.id.chars().any(char::is_whitespace) {
        bail!("`{}` is no warrant's id: one begins with wrt_", args.id);
    }
    let file = super::revocations(&args.policies)?;
    let _turn = directory::turn(&file)?;
    let mut revoked = directory::read(&file)?;
    // The reason of a revocation stays the first one's.
    let before = revoked.contains_key(&args.id);
    if !before {
        revoked.insert(args.id.clone(), json!({"reason": args.reason}));
        directory::write(&file, &revoked)?;
    }
    if args.json {
        let shown = json!({"id": args.id, "revoked": true, "before": before, "file": file});
        crate::line!("{}", serde_json::to_string_pretty(&shown)?)?;
    } else if before {
        crate::line!("{} is revoked already", args.id)?;
    } else {
        crate::line!("{} is revoked: {}", args.id, file.display())?;
    }
    Ok(End::Done)
}
