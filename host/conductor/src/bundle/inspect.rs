//! `bundle inspect`

use std::fmt::Write;

use bundle::{Archive, Bundle, SCHEMA};
use serde_json::json;

use super::InspectArgs;
use crate::{End, plain, say};

pub fn run(args: &InspectArgs) -> anyhow::Result<End> {
    let archive = Archive::read(&args.bundle)?;
    let claimed = archive.claimed()?;
    // Bundles of `opa build` have no schema, and so no revision of ours.
    let content = match archive.files().get(SCHEMA) {
        Some(_) => Some(Bundle::from_archive(&archive)?.revision),
        None => {
            archive.check()?;
            None
        }
    };
    if args.json {
        let files: Vec<_> = archive
            .files()
            .iter()
            .map(|(name, bytes)| json!({"name": name, "bytes": bytes.len()}))
            .collect();
        let report = json!({
            "digest": archive.digest(), "bytes": archive.bytes().len(), "manifest": archive.manifest(),
            "revision": content, "files": files, "signature": claimed,
        });
        line!("{report:#}")?;
        return Ok(End::Done);
    }
    let manifest = archive.manifest();
    let mut text = String::new();
    let mut row = |name: &str, value: &str| writeln!(text, "{name:<12}{}", plain(value));
    row("digest", &format!("sha256:{}", archive.digest()))?;
    row("revision", &manifest.revision)?;
    match content {
        Some(content) if content != manifest.revision => row("content", &content)?,
        Some(_) => {}
        None => row("content", "no schema.graphql: made by `opa build`?")?,
    }
    let all = |root: &&str| match *root {
        "" => "(all)".to_owned(),
        root => root.to_owned(),
    };
    let roots: Vec<String> = manifest.roots().iter().map(all).collect();
    row("roots", &roots.join(", "))?;
    for (name, value) in &manifest.metadata {
        row("metadata", &format!("{name} = {value}"))?;
    }
    match &claimed {
        Some(claimed) => row(
            "signed by",
            &format!(
                "{} ({}), not verified here",
                claimed.keyid, claimed.algorithm
            ),
        )?,
        None => row("signed by", "nobody")?,
    }
    text.push('\n');
    for (name, bytes) in archive.files().iter() {
        writeln!(text, "{:>10}  {}", bytes.len(), plain(name))?;
    }
    say(&text)?;
    Ok(End::Done)
}
