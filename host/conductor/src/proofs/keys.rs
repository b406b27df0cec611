//! Making and rotating keys.

use anyhow::{Context, bail};
use jiff::Timestamp;
use proof::KeyFiles;
use proof::key::Passphrase;
use serde_json::json;

use super::{KeygenArgs, PASSPHRASE_ENV, PassphraseArgs, RotateArgs};
use crate::End;

/// The passphrase, from where the arguments say. No error repeats it.
fn passphrase(args: &PassphraseArgs) -> anyhow::Result<Passphrase> {
    match &args.passphrase_file {
        Some(path) => {
            let at = || format!("can't use the passphrase in {}", path.display());
            let text = std::fs::read_to_string(path).with_context(at)?;
            let line = text.lines().next().unwrap_or_default();
            Passphrase::new(line.to_owned()).with_context(at)
        }
        None => match std::env::var(PASSPHRASE_ENV) {
            Ok(text) => {
                Passphrase::new(text).with_context(|| format!("can't use {PASSPHRASE_ENV}"))
            }
            Err(std::env::VarError::NotUnicode(_)) => bail!("{PASSPHRASE_ENV} is not UTF-8"),
            Err(std::env::VarError::NotPresent) => {
                bail!("there is no passphrase: set {PASSPHRASE_ENV}, or name a --passphrase-file")
            }
        },
    }
}

/// `proofs keygen`.
pub fn generate(args: &KeygenArgs) -> anyhow::Result<End> {
    let passphrase = passphrase(&args.passphrase)?;
    let files = KeyFiles::current(&args.out);
    let key = files.generate(&passphrase)?;
    let id = key.public().id();
    if args.json {
        let report = json!({
            "keyId": id, "privateKey": files.private, "publicKey": files.public,
        });
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        let (private, public) = (files.private.display(), files.public.display());
        println!("made the key {id}: {private}, encrypted, and {public}");
    }
    Ok(End::Done)
}

/// `proofs rotate`.
pub fn rotate(args: &RotateArgs) -> anyhow::Result<End> {
    if args.reason.trim().is_empty() {
        bail!("--reason must not be empty: it is what the handover says");
    }
    // A log that is not there would be begun, to hold a handover that nobody asks for.
    if !args.log.join(proof::folder::CHECKPOINT).is_file() {
        bail!("{} holds no log", args.log.display());
    }
    let passphrase = passphrase(&args.passphrase)?;
    let now = Timestamp::now();
    let rotated = proof::rotate(&args.keys, &args.log, &passphrase, now, &args.reason)?;
    let (old, new) = (rotated.old.id(), rotated.new.id());
    if args.json {
        let report = json!({"old": old, "new": new});
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("the key {old} handed over to {new}, which signs from now on");
        let log = args.log.display();
        println!("{log} has the handover, signed by both; the old private key is gone");
    }
    Ok(End::Done)
}
