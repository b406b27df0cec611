//! Making and rotating keys.

use anyhow::bail;
use jiff::Timestamp;
use proof::KeyFiles;
use serde_json::json;

use super::passphrase::passphrase;
use super::{KeygenArgs, RotateArgs};
use crate::End;

/// `proofs keygen`.
pub fn generate(args: &KeygenArgs) -> anyhow::Result<End> {
    let passphrase = passphrase(args.passphrase.passphrase_file.as_deref())?;
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
    let passphrase = passphrase(args.passphrase.passphrase_file.as_deref())?;
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
