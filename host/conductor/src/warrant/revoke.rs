use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::End;

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
    let mut revoked = read(&file)?;
    // The reason of a revocation stays the first one's.
    let before = revoked.contains_key(&args.id);
    if !before {
        revoked.insert(args.id.clone(), json!({"reason": args.reason}));
        write(&file, &revoked)?;
    }
    if args.json {
        let shown = json!({"id": args.id, "revoked": true, "before": before, "file": file});
        println!("{}", serde_json::to_string_pretty(&shown)?);
    } else if before {
        println!("{} is revoked already", args.id);
    } else {
        println!("{} is revoked: {}", args.id, file.display());
    }
    Ok(End::Done)
}

/// The revoked warrants; none if there is no file.
pub(super) fn read(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(e) => return Err(e).with_context(|| format!("can't read {}", file.display())),
    };
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON object", file.display()))
}

/// Replaces the file in one step: whoever reads it sees the old list or the new one.
fn write(file: &Path, revoked: &Map<String, Value>) -> anyhow::Result<()> {
    let replace = || -> std::io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        // A name with a dot before it is no policy data.
        let mut draft = tempfile::Builder::new()
            .prefix(".revocations-")
            .tempfile_in(directory)?;
        serde_json::to_writer_pretty(&mut draft, revoked)?;
        draft.write_all(b"\n")?;
        let mode = std::fs::metadata(file).map(|m| m.permissions());
        draft
            .as_file()
            .set_permissions(mode.unwrap_or_else(|_| readable()))?;
        draft.as_file().sync_all()?;
        draft.persist(file)?;
        std::fs::File::open(directory)?.sync_all()
    };
    replace().with_context(|| format!("can't write {}", file.display()))
}

/// The conductor may run as another user than who revokes.
fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
