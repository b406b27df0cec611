//! Bundles: made, verified, looked into, compared and tested.

mod build;
mod cases;
mod compare;
mod inspect;
mod test;
mod text;
mod verify;

pub(crate) use cases::KnownAuthorities;

use std::path::{Path, PathBuf};

use anyhow::Context;
use bundle::key::{PublicKey, PublicKeys, SigningKey};
use clap::{Args, Subcommand};

use crate::End;
use crate::release::{commands, drill, rollback};

/// The environment variable with the passphrase of an encrypted key.
const PASSPHRASE_ENV: &str = "IG_BUNDLE_PASSPHRASE";

/// Arguments of `bundle`.
#[derive(Args)]
pub(crate) struct BundleArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a signed bundle of a policy directory: one file, the same to the byte each time.
    #[command(
        after_help = "Example: conductor bundle build policies -o bundle.tar.gz --signing-key key.pem \
        --filters target/filters/wasm32-wasip1/filter\n\nBeside it stand its bill of materials \
        (bundle.tar.gz.cdx.json) and how it was made (bundle.tar.gz.intoto.json).\n\nThe key is PKCS#8 in \
        PEM, as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes it; if it is \
        encrypted, the passphrase is read from the environment, IG_BUNDLE_PASSPHRASE. `openssl pkey -in \
        key.pem -pubout` prints its public half.\n\nThe directory may also be an archive that `opa build` \
        made: --schema gives it what that leaves out."
    )]
    Build(BuildArgs),
    /// Verifies a bundle and what stands beside it: 0 if all is as it was signed, 1 if not.
    #[command(
        after_help = "Example: conductor bundle verify bundle.tar.gz --public-key key.pub\n\nThe bytes must \
        be those that `bundle build` makes of what was signed. A bundle that another tool packed, such as \
        `opa build`, holds with --repacked."
    )]
    Verify(VerifyArgs),
    /// Says what a bundle holds. Nothing of it is verified.
    #[command(after_help = "Example: conductor bundle inspect bundle.tar.gz --json")]
    Inspect(InspectArgs),
    /// Says what differs between two bundles, each a directory or an archive: 0 if nothing, else 1.
    #[command(after_help = "Example: conductor bundle diff bundle.tar.gz policies")]
    Diff(DiffArgs),
    /// Runs a bundle's cases, says what of its rules they reach, and what it would have decided.
    ///
    /// Ends with 1 if a case fails, or if fewer lines are reached than are wanted.
    #[command(
        after_help = "Example: conductor bundle test policies --min-coverage 90\n         \
        conductor bundle test bundle.tar.gz --cases policies/cases --replay eu.log --against \
        yesterday.tar.gz"
    )]
    Test(TestArgs),
    /// Puts a signed bundle on the release train, after its cases ran and recorded decisions were made again.
    #[command(
        after_help = "Example: conductor bundle release bundle.tar.gz --config conductor.toml --by ann \
        --key ann.pem --note 'ticket 17' --replay access.json"
    )]
    Release(commands::ReleaseArgs),
    /// Approves a release; its author may not.
    #[command(
        after_help = "Example: conductor bundle approve 7 --config conductor.toml --by bob --key bob.pem"
    )]
    Approve(commands::OneArgs),
    /// Sends an approved release on its way: the conductor carries it on, or takes it back.
    #[command(
        after_help = "Example: conductor bundle promote 7 --config conductor.toml --by ann --key ann.pem \
        --wait"
    )]
    Promote(commands::PromoteArgs),
    /// Takes a candidate, or a release that is under way, back.
    #[command(
        after_help = "Example: conductor bundle withdraw 7 --reason 'ticket 18' --config conductor.toml \
        --by bob --key bob.pem"
    )]
    Withdraw(commands::WithdrawArgs),
    /// Goes back to what was stable before, at once: a new release of old content.
    #[command(
        after_help = "Example: conductor bundle rollback --reason 'ticket 18' --config conductor.toml \
        --by bob --key bob.pem"
    )]
    Rollback(rollback::RollbackArgs),
    /// Stops promotions. Withdrawals and rollbacks go on working.
    #[command(
        after_help = "Example: conductor bundle freeze --reason 'end of the quarter' \
        --config conductor.toml --by bob --key bob.pem"
    )]
    Freeze(commands::FreezeArgs),
    /// Lets promotions go on.
    #[command(
        after_help = "Example: conductor bundle thaw --config conductor.toml --by bob --key bob.pem"
    )]
    Thaw(commands::ThawArgs),
    /// Shows the release train, or one release with all that is known of it.
    #[command(after_help = "Example: conductor bundle status --config conductor.toml")]
    Status(commands::StatusArgs),
    /// Plays releases on real gateways under load: a good one, and three that are taken back.
    #[command(after_help = "Example: conductor bundle drill")]
    Drill(drill::DrillArgs),
}

/// Arguments of `bundle build`.
#[derive(Args)]
struct BuildArgs {
    /// The policy directory, or an archive.
    #[arg(value_name = "DIR")]
    source: PathBuf,
    /// The bundle's file.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The key that signs it (PKCS#8 PEM, P-256).
    #[arg(long, value_name = "FILE")]
    signing_key: PathBuf,
    /// The key's name; if not given, the first 16 digits of the SHA-256 of its public half.
    #[arg(long, value_name = "NAME")]
    keyid: Option<String>,
    /// A directory with residency.wasm, masking.wasm and guard.wasm: code that is delivered with it.
    #[arg(long, value_name = "DIR")]
    filters: Option<PathBuf>,
    /// The upstream's schema, if it is not in the source.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// A path of packages and data that the bundle speaks for (`a/b`); may be given several times. If not
    /// given, the first parts of those that it has.
    #[arg(long = "root", value_name = "PATH")]
    roots: Vec<String>,
    /// What to write into the manifest's metadata; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// What it is signed for; who verifies must ask for the same.
    #[arg(long, default_value = "")]
    scope: String,
    /// The time to write down, in seconds since 1970; if neither this nor SOURCE_DATE_EPOCH is given, no
    /// time is.
    #[arg(long, value_name = "EPOCH")]
    source_date: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `bundle verify`.
#[derive(Args)]
struct VerifyArgs {
    /// The bundle.
    #[arg(value_name = "FILE")]
    bundle: PathBuf,
    /// The public key (SPKI PEM) that must have signed it.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// The name that the signature must give the key; if not given, any.
    #[arg(long, value_name = "NAME")]
    keyid: Option<String>,
    /// What it must be signed for.
    #[arg(long, default_value = "")]
    scope: String,
    /// The bill of materials and the provenance must stand beside it.
    #[arg(long)]
    provenance: bool,
    /// Its files must be as they were signed; the archive around them may be of another tool.
    #[arg(long)]
    repacked: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `bundle inspect`.
#[derive(Args)]
struct InspectArgs {
    /// The bundle.
    #[arg(value_name = "FILE")]
    bundle: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `bundle diff`.
#[derive(Args)]
struct DiffArgs {
    /// What stands: a directory or an archive.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// What would take its place.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `bundle test`.
#[derive(Args)]
struct TestArgs {
    /// A directory or an archive.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The directory of the cases; that of a directory is its own `cases`.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// A gateway's access log: its decisions are asked for again; may be given several times.
    #[arg(long, value_name = "FILE", requires = "against")]
    replay: Vec<PathBuf>,
    /// What stands today: a directory or an archive.
    #[arg(long, value_name = "OLD", requires = "replay")]
    against: Option<PathBuf>,
    /// How many of a hundred lines of rules the cases must reach.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    min_coverage: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Does what is asked.
///
/// # Errors
/// Files, keys or policies can't be used.
pub(crate) fn run(args: &BundleArgs) -> anyhow::Result<End> {
    match &args.command {
        Command::Build(args) => build::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Diff(args) => compare::run(args),
        Command::Test(args) => test::run(args),
        Command::Release(args) => commands::release(args),
        Command::Approve(args) => commands::approve(args),
        Command::Promote(args) => crate::runtime()?.block_on(commands::promote(args)),
        Command::Withdraw(args) => commands::withdraw(args),
        Command::Rollback(args) => rollback::rollback(args),
        Command::Freeze(args) => commands::freeze(args),
        Command::Thaw(args) => commands::thaw(args),
        Command::Status(args) => commands::status(args),
        Command::Drill(args) => crate::runtime()?.block_on(drill::run(args)),
    }
}

/// For the command line: `name=value`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A key that signs, from its file.
///
/// # Errors
/// It is none, or the passphrase is missing or wrong.
pub(crate) fn signing_key(file: &Path, name: Option<&str>) -> anyhow::Result<SigningKey> {
    let at = || format!("can't use the key in {}", file.display());
    let pem = std::fs::read_to_string(file).with_context(at)?;
    let passphrase = std::env::var(PASSPHRASE_ENV).ok();
    let passphrase = passphrase.as_deref().filter(|text| !text.is_empty());
    let key = SigningKey::from_pem(&pem, passphrase).map_err(|error| match error {
        bundle::key::KeyError::Encrypted => {
            anyhow::anyhow!("it is encrypted: set {PASSPHRASE_ENV}")
        }
        other => other.into(),
    });
    let key = key.with_context(at)?;
    match name {
        Some(name) => key.named(name).with_context(at),
        None => Ok(key),
    }
}

/// The key that is believed, from its file: under a name if one is given, else under any.
///
/// # Errors
/// It is none.
pub(crate) fn public_keys(file: &Path, name: Option<&str>) -> anyhow::Result<PublicKeys> {
    let at = || format!("can't use the key in {}", file.display());
    let pem = std::fs::read_to_string(file).with_context(at)?;
    let key = PublicKey::from_pem(&pem).with_context(at)?;
    Ok(match name {
        Some(name) => [key.named(name).with_context(at)?].into_iter().collect(),
        None => PublicKeys::one(key),
    })
}

/// The last part of a file's name.
fn file_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The file beside another, whose name goes on with `end`.
fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}
