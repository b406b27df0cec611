//! `bundle test`

use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use bundle::Bundle;
use bundle::cases::{Kind, read_cases};
use bundle::replay::{Comparison, Recorded, compare};
use bundle::test::TestReport;

use super::{KnownAuthorities, TestArgs, text};
use crate::{End, say};

/// Longest line of a log that is read, in bytes.
const LONGEST_LINE: usize = 1 << 20;

pub fn run(args: &TestArgs) -> anyhow::Result<End> {
    let bundle = Bundle::open(&args.bundle)?;
    let own = args.bundle.join("cases");
    let directory = match &args.cases {
        Some(directory) if directory.is_dir() => Some(directory),
        Some(directory) => bail!("{} is no directory", directory.display()),
        None => Some(&own).filter(|own| own.is_dir()),
    };
    let mut cases = Vec::new();
    if let Some(directory) = directory {
        for kind in Kind::ALL {
            cases.extend(read_cases(directory, kind, &KnownAuthorities)?);
        }
        if cases.is_empty() {
            bail!(
                "{} holds no cases: no masking/NAME, no residency/NAME",
                directory.display()
            );
        }
    } else if args.replay.is_empty() {
        bail!("there is nothing to test by: name a directory of --cases, or logs to --replay");
    }
    let mut report = bundle::test::run(&bundle, &cases)?;
    if let Some(old) = &args.against {
        let old = Bundle::open(old)?;
        let mut fault = None;
        let lines = args.replay.iter().flat_map(|file| Lines::open(file));
        let lines = lines.map_while(|line| line.map_err(|e| fault = Some(e)).ok());
        let compared = compare(&old, &bundle, lines)?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        report.replay = Some(compared);
    }
    if args.json {
        line!("{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        say(&written(&report, args.min_coverage)?)?;
    }
    let least = if cases.is_empty() {
        0
    } else {
        args.min_coverage
    };
    Ok(match report.passes(least) {
        true => End::Done,
        false => End::Failed,
    })
}

/// The lines of a log.
enum Lines {
    Open(BufReader<File>, String),
    Closed(Option<anyhow::Error>),
}

impl Lines {
    fn open(file: &Path) -> Self {
        match File::open(file).with_context(|| format!("can't read {}", file.display())) {
            Ok(open) => Self::Open(BufReader::new(open), file.display().to_string()),
            Err(error) => Self::Closed(Some(error)),
        }
    }
}

impl Iterator for Lines {
    type Item = anyhow::Result<Recorded>;

    fn next(&mut self) -> Option<Self::Item> {
        let (reader, name) = match self {
            Self::Closed(error) => return error.take().map(Err),
            Self::Open(reader, name) => (reader, name),
        };
        loop {
            return Some(match next_line(reader) {
                Ok(None) => return None,
                Ok(Some(Line::TooLong)) => Ok(Recorded::Unreadable("it is too long".into())),
                Ok(Some(Line::Text(line))) if line.trim_ascii().is_empty() => continue,
                Ok(Some(Line::Text(line))) => Ok(match std::str::from_utf8(&line) {
                    Ok(text) => Recorded::parse(text),
                    Err(_) => Recorded::Unreadable("it is not UTF-8".into()),
                }),
                Err(error) => {
                    let error = anyhow::Error::new(error).context(format!("can't read {name}"));
                    *self = Self::Closed(None);
                    Err(error)
                }
            });
        }
    }
}

enum Line {
    Text(Vec<u8>),
    TooLong,
}

fn next_line(reader: &mut BufReader<File>) -> std::io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut too_long = false;
    loop {
        let part = reader.fill_buf()?;
        if part.is_empty() {
            return Ok(match (too_long, line.is_empty()) {
                (true, _) => Some(Line::TooLong),
                (_, true) => None,
                _ => Some(Line::Text(line)),
            });
        }
        let end = memchr::memchr(b'\n', part);
        let taken = end.unwrap_or(part.len());
        too_long |= line.len() + taken > LONGEST_LINE;
        if !too_long {
            line.extend_from_slice(part.get(..taken).unwrap_or_default());
        }
        reader.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(Some(if too_long {
                Line::TooLong
            } else {
                Line::Text(line)
            }));
        }
    }
}

fn written(report: &TestReport, least: u32) -> anyhow::Result<String> {
    let mut out = String::new();
    writeln!(out, "revision {}", report.revision)?;
    if report.cases > 0 {
        for failure in &report.failures {
            let kind = serde_json::to_value(failure.kind)?;
            writeln!(
                out,
                "FAILED {}/{}",
                kind.as_str().unwrap_or_default(),
                failure.name
            )?;
            for wrong in &failure.wrong {
                writeln!(out, "  {wrong}")?;
            }
        }
        let failed = report.failures.len();
        writeln!(
            out,
            "cases: {} passed, {failed} failed",
            report.cases - failed
        )?;
        coverage(&mut out, report, least)?;
    }
    if let Some(replay) = &report.replay {
        replayed(&mut out, replay)?;
    }
    Ok(out)
}

fn coverage(out: &mut String, report: &TestReport, least: u32) -> std::fmt::Result {
    let percent = report.coverage_percent;
    write!(
        out,
        "coverage: {percent} % of the lines of the rules that cases can ask"
    )?;
    match percent < least {
        true => writeln!(out, ", and {least} % are wanted")?,
        false => writeln!(out)?,
    }
    for module in &report.coverage {
        if !module.asked {
            let lines = module.lines;
            match module.counted {
                true => writeln!(
                    out,
                    "  {}: 0 of {lines} lines: no case asks it",
                    module.path
                )?,
                false => writeln!(out, "  {}: no case can ask it", module.path)?,
            }
            continue;
        }
        writeln!(
            out,
            "  {}: {} of {} lines",
            module.path, module.covered, module.lines
        )?;
        for rule in &module.rules {
            let missed: Vec<String> = rule.missed.iter().map(u32::to_string).collect();
            if !rule.evaluated {
                writeln!(
                    out,
                    "    line {}, never evaluated: {}",
                    rule.line, rule.head
                )?;
            } else if !missed.is_empty() {
                let missed = missed.join(", ");
                writeln!(
                    out,
                    "    line {}, all but {missed}: {}",
                    rule.line, rule.head
                )?;
            }
        }
    }
    Ok(())
}

fn replayed(out: &mut String, replay: &Comparison) -> std::fmt::Result {
    writeln!(
        out,
        "replay: this revision would change {} of {} decisions ({} different questions, asked of {} too)",
        replay.changed, replay.decisions, replay.questions, replay.old
    )?;
    text::settings(out, &replay.settings);
    for (title, changes) in [
        ("loosened:", &replay.loosened),
        ("tightened:", &replay.tightened),
        ("otherwise:", &replay.other),
    ] {
        text::changes(out, title, "decisions", changes);
    }
    if !replay.possibly_tightened.is_empty() {
        writeln!(
            out,
            "{} more may change: a record does not name fields that were clear",
            replay.possibly_changed
        )?;
        text::changes(
            out,
            "tightened if selected:",
            "decisions",
            &replay.possibly_tightened,
        );
    }
    if replay.unasked > 0 {
        writeln!(
            out,
            "{} lines are of requests that no policy was asked about",
            replay.unasked
        )?;
    }
    if replay.guards > 0 {
        writeln!(
            out,
            "{} lines are of guards, whose decisions are not made again: changed rules of ig.egress have to \
             be looked at",
            replay.guards
        )?;
    }
    for (reason, count) in &replay.unreadable_because {
        writeln!(out, "{count} lines can't be replayed: {reason}")?;
    }
    Ok(())
}
