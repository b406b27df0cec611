//! `bundle diff`

use std::fmt::Write;

use bundle::diff::{Diff, Names, diff};

use super::{DiffArgs, text};
use crate::{End, say};

pub fn run(args: &DiffArgs) -> anyhow::Result<End> {
    let diff = diff(&args.old, &args.new)?;
    if args.json {
        line!("{}", serde_json::to_string_pretty(&diff)?)?;
    } else {
        say(&written(&diff)?)?;
    }
    Ok(match diff.is_same() {
        true => End::Done,
        false => End::Failed,
    })
}

fn written(diff: &Diff) -> anyhow::Result<String> {
    let mut out = String::new();
    if diff.is_same() {
        out.push_str("the two hold the same\n");
        return Ok(out);
    }
    names(&mut out, "file", &diff.files)?;
    names(&mut out, "schema", &diff.schema)?;
    for change in &diff.data {
        let value = |value: &Option<serde_json::Value>| match value {
            Some(value) => value.to_string(),
            None => "(nothing)".into(),
        };
        let (old, new) = (value(&change.old), value(&change.new));
        writeln!(out, "data {}: {old} → {new}", change.path)?;
    }
    text::settings(&mut out, &diff.settings);
    match &diff.rules {
        None => out.push_str("decisions: not compared, for one of the two has no schema\n"),
        Some(rules) if rules.is_empty() => {
            writeln!(
                out,
                "decisions: none of {} kinds of requests comes out otherwise",
                rules.asked
            )?;
        }
        Some(rules) => {
            writeln!(out, "decisions, of {} kinds of requests:", rules.asked)?;
            for (title, changes) in [
                (" loosened", &rules.loosened),
                (" tightened", &rules.tightened),
                (" otherwise", &rules.other),
            ] {
                text::changes(&mut out, title, "of them", changes);
            }
        }
    }
    Ok(out)
}

fn names(out: &mut String, what: &str, names: &Names) -> std::fmt::Result {
    for (how, names) in [
        ("added", &names.added),
        ("removed", &names.removed),
        ("changed", &names.changed),
    ] {
        for name in names {
            writeln!(out, "{what} {how}: {name}")?;
        }
    }
    Ok(())
}
