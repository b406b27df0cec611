//! `proofs verify`.

use anyhow::Context;
use proof::verify::{Given, Report, Summary, verify};

use super::VerifyArgs;
use crate::End;

/// How many tenants are listed as text; JSON has all.
const LISTED: usize = 50;

/// Checks a folder and says what was found.
///
/// # Errors
/// The folder, the key or the noted checkpoint can't be read.
pub fn run(args: &VerifyArgs) -> anyhow::Result<End> {
    let key = args.public_key.as_deref().map(proof::read_public);
    let key = key.transpose().context("can't use --public-key")?;
    let since = args.since.as_deref().map(|path| {
        let text = std::fs::read_to_string(path);
        text.with_context(|| format!("can't read {}", path.display()))
    });
    let since = since.transpose()?;
    let contents = proof::read_folder(&args.path)
        .map_err(|(path, error)| anyhow::Error::new(error).context(path.display().to_string()))
        .context("can't read the proofs")?;
    let report = verify(
        &contents,
        Given {
            public_key: key.as_ref(),
            since: since.as_deref(),
        },
    );
    if args.json {
        let mut json = serde_json::to_value(&report)?;
        json["path"] = serde_json::json!(args.path);
        json["holds"] = report.holds().into();
        json["openssl"] = openssl(&report.tenants).into();
        println!("{}", serde_json::to_string_pretty(&json)?);
    } else {
        print!("{}", text(args, &report));
    }
    Ok(if report.holds() {
        End::Done
    } else {
        End::Failed
    })
}

fn text(args: &VerifyArgs, report: &Report) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&printable(&line));
        text.push('\n');
    };
    for tenant in report.tenants.iter().take(LISTED) {
        let (Summary { first, latest, .. }, proofs) = (tenant, tenant.proofs);
        let span = if first == latest {
            first.to_string()
        } else {
            format!("{first} to {latest}")
        };
        let last = if tenant.last { ", its last" } else { "" };
        line(format!(
            "{}: {span}{last}: {} PASS, {} FAIL, {} UNKNOWN",
            tenant.tenant, proofs.pass, proofs.fail, proofs.unknown
        ));
    }
    let more = report.tenants.len().saturating_sub(LISTED);
    if more > 0 {
        line(format!("and {more} tenants more (--json lists all)"));
    }
    for note in &report.notes {
        line(format!("note: {note}"));
    }
    for fault in &report.faults {
        line(format!("fault: {fault}"));
    }
    let path = args.path.display();
    let openssl = openssl(&report.tenants);
    if !openssl.is_empty() {
        line(format!("the same for one proof, by openssl, in {path}:"));
        for command in openssl {
            line(format!("    {command}"));
        }
    }
    if report.holds() {
        let (tenants, key) = (report.tenants.len(), &report.key_id);
        let entries = report.entries;
        line(format!(
            "all holds in {path}: {tenants} tenants, {entries} entries of the log, key {key}"
        ));
    } else {
        let count = report.faults.len();
        let faults = if count == 1 { "fault" } else { "faults" };
        line(format!("{path} does not hold: {count} {faults}"));
    }
    text
}

/// What checks a proof without us: a line for each key that signed a tenant's latest one.
fn openssl(tenants: &[Summary]) -> Vec<String> {
    let mut keys: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for Summary {
        files, public_key, ..
    } in tenants
    {
        if !keys.contains(&public_key.as_str()) {
            keys.push(public_key);
            lines.push(format!(
                "base64 -d {files}.sig | openssl dgst -sha256 -verify {public_key} -signature \
                 /dev/stdin {files}.payload.json"
            ));
        }
    }
    lines
}

/// One line of text that may hold what a folder of unknown origin says: it must neither steer the
/// terminal nor look like a line of ours.
fn printable(line: &str) -> String {
    let mut printable = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        let text = "acme\nall holds\u{1b}[2J\r zürich";
        assert_eq!(printable(text), "acme\\nall holds\\u{1b}[2J\\r zürich");
    }
}
