//! Warrants for those who give them out, and for those who look after a policy directory.

mod authority;
mod issue;
mod key;
mod ledger;
mod list;
mod revoke;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use engine::instant::utc_seconds;
use engine::warrant::Operation;

use crate::End;

/// Arguments of `warrant`.
#[derive(Args)]
pub(crate) struct WarrantArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Signs a warrant with an authority's key and prints it.
    #[command(
        after_help = "Example: conductor warrant issue --key court.pem --authority joint-court \
        --jurisdiction EU --case C-17/26 --tenant initech --from us --to eu --operation read \
        --purpose audit --for 8h --ledger issued.jsonl > warrant.jwt\n\nThe key is PKCS#8 in PEM, as \
        `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes it; if it is encrypted, \
        the passphrase is read from the environment, IG_AUTHORITY_PASSPHRASE."
    )]
    Issue(Box<issue::IssueArgs>),
    /// Verifies a warrant against a policy directory and says which check fails: 0 if none, else 1.
    #[command(
        after_help = "Example: conductor warrant verify warrant.jwt --policies policies\n         \
        conductor warrant verify warrant.jwt --tenant initech --region eu --operation write --purpose audit"
    )]
    Verify(verify::VerifyArgs),
    /// Adds a warrant to the revoked ones of a policy directory; gateways know within a push.
    #[command(
        after_help = "Example: conductor warrant revoke wrt_5d0f3b --reason 'withdrawn by the court'"
    )]
    Revoke(revoke::RevokeArgs),
    /// Lists the revoked warrants of a policy directory, and issued ones with their state.
    #[command(after_help = "Example: conductor warrant list --ledger issued.jsonl")]
    List(list::ListArgs),
    /// Prints what registers an authority: the JWK of its public key, or the whole entry.
    #[command(
        after_help = "Example: conductor warrant authority court.pub.pem\n         \
        conductor warrant authority court.pub.pem --name joint-court --jurisdiction EU --jurisdiction US \
        > policies/ig/authorities/data.json"
    )]
    Authority(authority::AuthorityArgs),
}

/// Does what is asked.
///
/// # Errors
/// Keys, files or policies can't be used.
pub(crate) fn run(args: &WarrantArgs) -> anyhow::Result<End> {
    match &args.command {
        Command::Issue(args) => issue::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Revoke(args) => revoke::run(args),
        Command::List(args) => list::run(args),
        Command::Authority(args) => authority::run(args),
    }
}

/// Seconds since 1970, now.
fn now() -> anyhow::Result<u64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(since.context("the clock stands before 1970")?.as_secs())
}

/// A moment as people write it.
fn moment(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|s| jiff::Timestamp::from_second(s).ok())
        .map_or_else(|| seconds.to_string(), |t| t.to_string())
}

/// For the command line: `2026-12-01T00:00:00Z`, in seconds since 1970.
fn at(text: &str) -> Result<u64, String> {
    utc_seconds(text).ok_or_else(|| "it must be a moment such as 2026-12-01T00:00:00Z".to_owned())
}

/// For the command line: an operation's name.
fn operation(text: &str) -> Result<Operation, String> {
    let found = Operation::ALL.into_iter().find(|o| o.name() == text);
    found.ok_or_else(|| format!("use {}", Operation::ALL.map(Operation::name).join(", ")))
}

/// Where a policy directory keeps its revoked warrants.
fn revocations(policies: &Path) -> anyhow::Result<PathBuf> {
    if !policies.is_dir() {
        bail!("{} is no policy directory", policies.display());
    }
    Ok(policies.join("ig/revocations/data.json"))
}
