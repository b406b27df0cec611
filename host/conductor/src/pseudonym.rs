//! Pseudonym look-ups for those who hold the keys and have a case for it. Each one is recorded
//! before it is answered; no value and no key is ever printed but a value that `--reveal` asks for.

mod candidates;
mod keys;
mod ledger;
mod lookup;
mod place;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::End;

/// Arguments of `pseudonym`.
#[derive(Args)]
pub(crate) struct PseudonymArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the pseudonyms of the value on standard input, one for each key.
    #[command(
        after_help = "Example: conductor pseudonym of --tenant acme --coordinate Person.email \
        --case ORDER-17 --by ann --audit audit.jsonl < value.txt"
    )]
    Of(OfArgs),
    /// Says which of many candidate values a pseudonym stands for: 0 if one does, 1 if none.
    #[command(
        after_help = "Example: conductor pseudonym find --tenant acme --coordinate Person.email \
        --case ORDER-17 --by ann --audit audit.jsonl --candidates staff.txt \
        h:k1:VUhaJMlWbt2Gy8zBjCwnGw"
    )]
    Find(FindArgs),
    /// Says whether two pseudonyms stand for one value, of other keys, coordinates or tenants too:
    /// 0 if they do, 1 if they do not or no candidate tells.
    #[command(
        after_help = "Example: conductor pseudonym same --tenant acme --coordinate Person.email \
        --case ORDER-17 --by ann --audit audit.jsonl --candidates staff.txt \
        h:k1:VUhaJMlWbt2Gy8zBjCwnGw h:k2:iIKm3vbXBIGspibpEaiutw"
    )]
    Same(SameArgs),
    /// Checks that no line of a record of look-ups was changed or taken out: 0 if so, else 1.
    #[command(
        after_help = "Example: conductor pseudonym audit audit.jsonl\n\nA line holds the SHA-256 \
        of the line before it. The last lines could be changed or taken away unseen, so note the \
        hash that each look-up tells, and ask for it with --head."
    )]
    Audit(AuditArgs),
}

/// What every look-up needs.
#[derive(Args)]
struct Common {
    /// The reference of the lawful request, such as an order's number; it is recorded.
    #[arg(long, value_name = "REFERENCE")]
    case: String,
    /// Who looks it up; it is recorded.
    #[arg(long, value_name = "NAME")]
    by: String,
    /// The record of look-ups (JSON lines), which this one is added to before it is answered.
    #[arg(long, value_name = "FILE")]
    audit: PathBuf,
    /// The environment variable that holds the keys, as gateways have them.
    #[arg(long, value_name = "NAME", default_value = crate::fleet::KEYS_ENV)]
    keys_env: String,
    /// The policy directory or a bundle's file, for its schema.
    #[arg(long, default_value = "policies", value_name = "DIR")]
    policies: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `pseudonym of`.
#[derive(Args)]
struct OfArgs {
    /// The tenant whose value it is.
    #[arg(long)]
    tenant: String,
    /// The field, as it stands in the access log.
    #[arg(long, value_name = "TYPE.FIELD")]
    coordinate: String,
    /// Under this key only.
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `pseudonym find`.
#[derive(Args)]
struct FindArgs {
    /// The pseudonym, as a response showed it.
    pseudonym: String,
    /// The tenant whose value it is.
    #[arg(long)]
    tenant: String,
    /// The field, as it stands in the access log.
    #[arg(long, value_name = "TYPE.FIELD")]
    coordinate: String,
    /// A file of candidate values, one a line; standard input, if not given.
    #[arg(long, value_name = "FILE")]
    candidates: Option<PathBuf>,
    /// Print the value, not only its line.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `pseudonym same`.
#[derive(Args)]
struct SameArgs {
    /// A pseudonym, as a response showed it.
    a: String,
    /// Another.
    b: String,
    /// The tenant whose values they are.
    #[arg(long)]
    tenant: String,
    /// The field, as it stands in the access log.
    #[arg(long, value_name = "TYPE.FIELD")]
    coordinate: String,
    /// The tenant of B, if it is another.
    #[arg(long, value_name = "TENANT")]
    tenant_b: Option<String>,
    /// The field of B, if it is another.
    #[arg(long, value_name = "TYPE.FIELD")]
    coordinate_b: Option<String>,
    /// A file of candidate values, one a line; standard input, if not given. Not read where key,
    /// tenant and field are the same: there equal values have equal pseudonyms.
    #[arg(long, value_name = "FILE")]
    candidates: Option<PathBuf>,
    /// Print the value, if it is one.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `pseudonym audit`.
#[derive(Args)]
struct AuditArgs {
    /// The record of look-ups.
    file: PathBuf,
    /// The hash of a line, noted earlier: the record must still hold that line.
    #[arg(long, value_name = "SHA256")]
    head: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Looks up, or checks the record of look-ups.
///
/// # Errors
/// Keys, policies or input can't be used, or the look-up can't be recorded: nothing is answered.
pub(crate) fn run(args: &PseudonymArgs) -> anyhow::Result<End> {
    match &args.command {
        Command::Of(args) => lookup::of(args),
        Command::Find(args) => lookup::find(args),
        Command::Same(args) => lookup::same(args),
        Command::Audit(args) => audit(args),
    }
}

fn audit(args: &AuditArgs) -> anyhow::Result<End> {
    let path = args.file.display();
    let chain = ledger::read(&args.file)?;
    let fault = match (&chain, &args.head) {
        (Err(fault), _) => Some(fault.to_string()),
        (Ok(chain), Some(head)) if !chain.holds(head) => Some(
            "no line has the hash of --head: lines at its end were changed or taken away"
                .to_owned(),
        ),
        (Ok(_), _) => None,
    };
    let (lines, sha256) = match &chain {
        Ok(chain) => (Some(chain.lines()), Some(chain.head())),
        Err(_) => (None, None),
    };
    if args.json {
        let line = chain.as_ref().err().map(|fault| fault.line);
        let report = serde_json::json!({
            "file": args.file, "whole": fault.is_none(), "lines": lines, "sha256": sha256,
            "fault": fault, "line": line,
        });
        crate::say(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        match (&fault, lines, sha256) {
            (None, Some(lines), Some(sha256)) => crate::say(&format!(
                "{path} is whole: {lines} lines, the last one's hash is {sha256}\n"
            ))?,
            (fault, _, _) => crate::say(&format!(
                "{path} is broken: {}\n",
                fault.as_deref().unwrap_or_default()
            ))?,
        }
    }
    Ok(if fault.is_none() {
        End::Done
    } else {
        End::Failed
    })
}
