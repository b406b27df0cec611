//! `bundle build`

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use bundle::attest::{self, Source};
use bundle::{Archive, BuildOptions, Bundle, MANIFEST, SCHEMA, Tree};
use serde_json::{Value, json};

use super::{BuildArgs, beside, file_name, signing_key};
use crate::{End, module};

pub fn run(args: &BuildArgs) -> anyhow::Result<End> {
    let key = signing_key(&args.signing_key, args.keyid.as_deref())?;
    let mut files = match args.source.is_file() {
        false => Tree::read(&args.source)?,
        // Its manifest and signature were of what it was before.
        true => {
            let archive = Archive::read(&args.source)?;
            let stray = || format!("{} is no bundle to build from", args.source.display());
            archive.check().with_context(stray)?;
            let files = archive.files().iter();
            files.filter(|(name, _)| *name != MANIFEST).collect()
        }
    };
    if let Some(file) = &args.schema {
        let text = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        files.insert(SCHEMA, text);
    }
    if let Some(directory) = &args.filters {
        files.add_filters(directory)?;
    }
    for filter in bundle::FILTERS {
        if let Some(code) = files.filter(filter) {
            module::check(code).with_context(|| format!("{filter}.wasm can't be used"))?;
        }
    }
    let bundle = Bundle::from_tree(&args.source, &files)?;
    bundle::examine(&bundle)?;
    let options = BuildOptions {
        roots: args.roots.clone(),
        metadata: args
            .metadata
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect(),
        scope: args.scope.clone(),
        source_date: source_date(args)?,
    };
    let source = || format!("can't make a bundle of {}", args.source.display());
    let archive = Archive::build(&files, &options, &key).with_context(source)?;
    let name = file_name(&args.output);
    let sources = Source::of(&files);
    let papers = attest::attest(&archive, &name, &sources, &options, &key).with_context(source)?;
    if args.output.is_dir() {
        bail!("{} is a directory", args.output.display());
    }
    // The bundle comes last: where it is, what belongs to it is there.
    write(&beside(&args.output, attest::SBOM), &papers.sbom)?;
    write(
        &beside(&args.output, attest::PROVENANCE),
        &papers.provenance,
    )?;
    write(&args.output, archive.bytes())?;
    if args.json {
        let made = json!({
            "bundle": args.output, "revision": bundle.revision, "digest": archive.digest(),
            "keyid": key.id(), "files": archive.files().len(), "bytes": archive.bytes().len(),
        });
        line!("{made:#}")?;
    } else {
        line!(
            "{}: revision {}, {} files, {} bytes, signed by {}\nsha256:{}",
            args.output.display(),
            bundle.revision,
            archive.files().len(),
            archive.bytes().len(),
            key.id(),
            archive.digest()
        )?;
    }
    Ok(End::Done)
}

/// The time to write down, if one is given: on the command line, or as reproducible builds are told it.
fn source_date(args: &BuildArgs) -> anyhow::Result<Option<u64>> {
    let variable = std::env::var("SOURCE_DATE_EPOCH").ok();
    match (args.source_date, variable.as_deref()) {
        (Some(date), _) => Ok(Some(date)),
        (None, None | Some("")) => Ok(None),
        (None, Some(text)) => {
            let date = text.parse();
            Ok(Some(
                date.context("SOURCE_DATE_EPOCH must be seconds since 1970")?,
            ))
        }
    }
}

/// Replaces a file in one step.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let replace = || -> std::io::Result<()> {
        let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let mut draft = tempfile::Builder::new()
            .prefix(".bundle-")
            .tempfile_in(directory)?;
        draft.write_all(bytes)?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        draft.as_file().set_permissions(readable)?;
        draft.as_file().sync_all()?;
        draft.persist(path)?;
        Ok(())
    };
    replace().with_context(|| format!("can't write {}", path.display()))
}
