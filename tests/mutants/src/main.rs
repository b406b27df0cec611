//! The mutation check: disables one guard after the other in a copy of the workspace, and runs the
//! tests until one fails. A guard that no test misses is a finding: it ends with 1.

mod guard;
mod workspace;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use guard::Guard;
use workspace::{Killed, Workspace};

#[derive(Debug, Parser)]
#[command(about = "Checks that every guard is missed by a test when it is disabled")]
struct Arguments {
    /// Only guards whose name holds one of these.
    names: Vec<String>,
    /// Every n-th guard only: a sample.
    #[arg(long, default_value_t = 1)]
    every: usize,
    /// Only guards from this one of the table on, counted from 0.
    #[arg(long, default_value_t = 0)]
    from: usize,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let workspace = Workspace::copy()?;
    let guards = guard::all(|file| workspace.read(file))?;
    let picked: Vec<&Guard> = guards
        .iter()
        .filter(|g| {
            arguments.names.is_empty() || arguments.names.iter().any(|n| g.name.contains(n))
        })
        .skip(arguments.from)
        .step_by(arguments.every.max(1))
        .collect();
    let killed = workspace.test().context("the tests without a mutation")?;
    ensure!(killed.is_none(), "the tests fail as they are: {killed:?}");
    let mut survivors = 0;
    for guard in &picked {
        let began = Instant::now();
        let killed = workspace.with(guard, Workspace::test)?;
        let by = match &killed {
            Some(Killed::By(test)) => test.as_str(),
            Some(Killed::DoesNotBuild(why)) => why.as_str(),
            None => "SURVIVED",
        };
        survivors += usize::from(!matches!(killed, Some(Killed::By(_))));
        let seconds = began.elapsed().as_secs();
        println!(
            "{:<20} {by:<60} {seconds:>3} s  {}",
            guard.name, guard.guards
        );
    }
    println!("{} guards, {survivors} that no test misses", picked.len());
    Ok(ExitCode::from(u8::from(survivors > 0)))
}
