//! An explanation for people.

use std::fmt::Write;

use engine::audit::Outcome;
use engine::mask::{ExplainedPath, PathAction};
use serde_json::Value;

use super::{Explained, Explanation};

/// Lines of text.
pub fn text(e: &Explanation) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(e, &mut out);
    out
}

fn write(e: &Explanation, out: &mut String) -> std::fmt::Result {
    writeln!(out, "policies   {}", e.revision)?;
    if e.shadow {
        writeln!(out, "mode       shadow: what follows is only recorded")?;
    }
    let residency = |key: &str| e.residency[key].as_str().unwrap_or("-").to_owned();
    writeln!(
        out,
        "residency  {} -> {}: {} ({})",
        residency("regionSrc"),
        residency("regionDst"),
        residency("outcome"),
        residency("reason")
    )?;
    if e.residency["warrant"].is_string() {
        let used = e.residency["warrantUsed"] == Value::Bool(true);
        writeln!(
            out,
            "warrant    {} of {} ({}): {}",
            residency("warrant"),
            residency("authority"),
            residency("case"),
            if used {
                "opens the border"
            } else {
                "opens nothing here"
            },
        )?;
    }
    if e.outcome != Outcome::Allowed {
        let code = e.code.as_deref().unwrap_or("-");
        return writeln!(out, "denied     {} {code}: {}", e.status, e.reason);
    }
    if let Some(upstream) = &e.upstream {
        writeln!(out, "upstream   gets {upstream}")?;
    }
    if let Some(r) = &e.route {
        let word = |key: &str| r[key].as_str().unwrap_or_default();
        let at = match word("at") {
            "" => String::new(),
            at => format!(" at `{at}`"),
        };
        let pass: Vec<&str> = r["pass"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let pass = match pass.as_slice() {
            [] => String::new(),
            names => format!(", beside {} that passes", names.join(", ")),
        };
        writeln!(
            out,
            "route      {} ({}): rows of {}{at}{pass}",
            word("name"),
            word("surface"),
            word("type"),
        )?;
    }
    let many = !e.batch.is_empty();
    for explained in std::iter::once(&e.first).chain(&e.batch) {
        if many {
            let word = |key: &str| explained.operation[key].as_str();
            let name = word("name").unwrap_or("without a name");
            writeln!(out, "operation  {} {name}", word("kind").unwrap_or("-"))?;
        }
        operation(explained, out)?;
    }
    if e.admin {
        writeln!(out, "admin      the response carries X-IG-Mask")?;
    }
    Ok(())
}

fn operation(e: &Explained, out: &mut String) -> std::fmt::Result {
    match &e.paths {
        Some(paths) => {
            writeln!(out, "paths")?;
            table(paths, true, out)?;
        }
        None if e.masked.is_empty() => writeln!(out, "masked     nothing")?,
        None => {
            writeln!(out, "masked")?;
            table(&e.masked, false, out)?;
        }
    }
    if !e.revealed.is_empty() {
        writeln!(out, "revealed   {}", e.revealed.join(", "))?;
    }
    Ok(())
}

fn table(paths: &[ExplainedPath], actions: bool, out: &mut String) -> std::fmt::Result {
    let width = |f: fn(&ExplainedPath) -> usize, least: usize| {
        paths.iter().map(f).max().unwrap_or(0).max(least)
    };
    let path = width(|m| m.path.chars().count(), 4);
    let coordinates = width(|m| m.coordinates.join(" | ").len(), 10);
    let action = |name: &str| match actions {
        true => format!("{name:6}  "),
        false => String::new(),
    };
    writeln!(
        out,
        "  {:path$}  {}{:coordinates$}  strategy  why",
        "path",
        action("action"),
        "coordinate"
    )?;
    for m in paths {
        let why = match m.action {
            PathAction::Mask => format!("{} ({})", m.reason, m.source),
            PathAction::Again if m.reason.is_empty() => "like the row itself".into(),
            PathAction::Again => format!("like {}", m.reason),
            _ => String::new(),
        };
        let line = format!(
            "  {:path$}  {}{:coordinates$}  {:8}  {why}",
            m.path,
            action(m.action.name()),
            m.coordinates.join(" | "),
            m.strategy.unwrap_or_default(),
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
