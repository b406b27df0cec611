//! `conductor decisions`: the logs into the store, without serving anything.

use std::path::PathBuf;
use std::sync::Arc;

use alert::Book;
use alert::run::Alerts;
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::End;
use crate::config::Config;
use crate::ingest::{self, Shelf, StoreSink};

/// Arguments of `decisions`.
#[derive(Args)]
pub(crate) struct DecisionsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reads the gateways' and sidecars' access logs on this machine, and those that the configuration names,
    /// into the store.
    ///
    /// `conductor serve` does the same beside serving; this is for machines on which only gateways are,
    /// and for logs that were brought from elsewhere.
    #[command(
        after_help = "Example: conductor decisions ingest --config conductor.toml --once\n\nIt may run \
        beside another on the same logs: a decision is stored once. With --once it ends with 0 if all \
        that is there is stored, and with 1 if something is missing: a gap is listed, each once."
    )]
    Ingest(IngestArgs),
}

/// Arguments of `decisions ingest`.
#[derive(Args)]
struct IngestArgs {
    /// The conductor's configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End when all that is there now is stored.
    #[arg(long)]
    once: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command.
///
/// # Errors
/// The configuration or the store can't be used; with `--once`: a log can't be read or stored.
pub(crate) async fn run(args: &DecisionsArgs) -> anyhow::Result<End> {
    let Command::Ingest(args) = &args.command;
    let config = Config::read(&args.config)?;
    let mask = ingest::mask(&config)?;
    let sources = ingest::sources(&config);
    std::fs::create_dir_all(&config.state)
        .with_context(|| format!("can't make {}", config.state.display()))?;
    let shelf = Arc::new(Shelf::new(config.store.clone()));
    // Where it can't be opened at all, there is no sense in waiting.
    let store = shelf.store().await?;
    let before = store.gaps(i64::MIN, u32::MAX).await?.len();
    let sink = StoreSink::new(shelf.clone(), Alerts::new(Book::unkept()));
    let (ended, over) = watch::channel(false);
    let mut tasks = JoinSet::new();
    if !args.once {
        let here = |log: &String| sources.iter().any(|s| s.display().to_string() == *log);
        let mut writers = ingest::writers(&config);
        writers.retain(|(log, _)| here(log));
        let looking = ingest::look_after(sink.clone(), writers, over.clone());
        tasks.spawn(async {
            looking.await;
            Ok(())
        });
    }
    for source in sources {
        let (settings, mask) = (config.decisions.clone(), mask.clone());
        let (sink, over, once) = (sink.clone(), over.clone(), args.once);
        tasks.spawn(async move {
            decisions::run::follow(source, &settings, mask, sink, once, over).await
        });
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            done = tasks.join_next() => match done {
                Some(done) => done??,
                None => break,
            },
            _ = tokio::signal::ctrl_c() => { let _ = ended.send(true); }
            _ = terminate.recv() => { let _ = ended.send(true); }
        }
    }
    let counters = store.counters().await?;
    let gaps = store.gaps(i64::MIN, u32::MAX).await?;
    let new = gaps.len().saturating_sub(before);
    store.close().await;
    if args.json {
        let gaps = gaps.get(..new).unwrap_or_default();
        let told = json!({"sources": counters, "gaps": gaps});
        line!("{}", serde_json::to_string_pretty(&told)?)?;
    } else {
        for c in counters {
            crate::line!(
                "{}: {} lines, {} decisions stored, {} known before, {} without a decision, {} unreadable, \
                 {} dropped, {} not masked, {} gaps",
                c.source,
                c.lines,
                c.stored,
                c.duplicates,
                c.undecided,
                c.malformed,
                c.dropped,
                c.mask_failures,
                c.gaps
            )?;
        }
        for row in gaps.iter().take(new) {
            let gap = &row.gap;
            crate::line!(
                "gap: {} at byte {}: {} ({})",
                gap.file,
                gap.at,
                gap.detail,
                gap.why
            )?;
        }
    }
    Ok(match new {
        0 => End::Done,
        _ => End::Failed,
    })
}
