use std::path::PathBuf;

use clap::Args;
use engine::warrant::Jwk;
use serde_json::json;

use super::key;
use crate::End;

/// Arguments of `warrant authority`.
#[derive(Args)]
pub(super) struct AuthorityArgs {
    /// The authority's public key, PEM, or `-`.
    file: PathBuf,
    /// Print the entry of an authority of this name.
    #[arg(long, requires = "jurisdiction")]
    name: Option<String>,
    /// Where it has a say; may be given several times.
    #[arg(long, requires = "name")]
    jurisdiction: Vec<String>,
    /// Print JSON: it is JSON in any case.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &AuthorityArgs) -> anyhow::Result<End> {
    let jwk = Jwk::of(&key::public(&args.file)?);
    let shown = match &args.name {
        Some(name) => {
            json!({ name.as_str(): {"jurisdictions": args.jurisdiction, "keys": [jwk]} })
        }
        None => json!(jwk),
    };
    crate::line!("{}", serde_json::to_string_pretty(&shown)?)?;
    Ok(End::Done)
}
