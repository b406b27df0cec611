//! Residency proofs: the check of a folder of them, and the keys that sign them.

mod check;
mod keys;
pub(crate) mod passphrase;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::End;

/// Arguments of `proofs`.
#[derive(Args)]
pub(crate) struct ProofsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks a folder of proofs and its log by what is in it alone: 0 if all holds, 1 if not.
    #[command(
        after_help = "Example: conductor proofs verify /var/lib/conductor/proofs --public-key \
        conductor.pub\n\nA proof whose verdict is FAIL or UNKNOWN is no fault of the folder: it is \
        counted for its tenant.\n\nWithout --public-key the folder's own key is believed: that \
        shows whether somebody without that key changed something, not who signed. An older state of \
        the whole folder, put back, shows only to who noted a checkpoint: copy the file `checkpoint` \
        now and then, and ask for it with --since."
    )]
    Verify(VerifyArgs),
    /// Makes a key that signs proofs: conductor.key, encrypted, and conductor.pub beside it.
    #[command(
        after_help = "Example: IG_PROOF_PASSPHRASE=… conductor proofs keygen --out keys\n\nThe key \
        signs proofs and their log, and nothing else."
    )]
    Keygen(KeygenArgs),
    /// Makes a new key, to which the old one hands over in the log, and takes the old one away.
    #[command(
        after_help = "Example: IG_PROOF_PASSPHRASE=… conductor proofs rotate --keys keys --log \
        /var/lib/conductor/proofs --reason yearly\n\nBoth keys sign the handover. If it is cut off, \
        run it again: it ends what it began."
    )]
    Rotate(RotateArgs),
}

/// Arguments of `proofs verify`.
#[derive(Args)]
struct VerifyArgs {
    /// The folder.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// A key (SPKI PEM) that must be the log's, or one that handed over in it.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// A checkpoint that was noted earlier: the log must still begin with its entries.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Where the passphrase comes from.
#[derive(Args)]
struct PassphraseArgs {
    /// A file whose first line is the passphrase; else it is in IG_PROOF_PASSPHRASE.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Arguments of `proofs keygen`.
#[derive(Args)]
struct KeygenArgs {
    /// The directory of the key; it must not have one yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `proofs rotate`.
#[derive(Args)]
struct RotateArgs {
    /// The directory of the key.
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// The folder of the log that the key signs.
    #[arg(long, value_name = "DIR")]
    log: PathBuf,
    /// Why; the handover says it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Checks proofs, or makes and rotates keys.
///
/// # Errors
/// The folder, a key or a passphrase can't be read.
pub(crate) fn run(args: &ProofsArgs) -> anyhow::Result<End> {
    match &args.command {
        Command::Verify(args) => check::run(args),
        Command::Keygen(args) => keys::generate(args),
        Command::Rotate(args) => keys::rotate(args),
    }
}
