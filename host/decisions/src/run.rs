//! Following logs as they grow, and storing what is read.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::config::DecisionsConfig;
use crate::error::DecisionsError;
use crate::follow::{Follower, Step};
use crate::mask::MaskPolicy;
use crate::record::{Batch, Sink};

/// Reads a log and stores what is in it, as long as `stop` is false. With `once`: to its present end.
///
/// What fails is told to the sink and tried again, from what is stored; with `once` it ends.
///
/// # Errors
/// With `once`: the log can't be read, or what is read can't be stored.
pub async fn follow<S: Sink>(
    path: PathBuf,
    config: &DecisionsConfig,
    mask: Option<MaskPolicy>,
    sink: S,
    once: bool,
    mut stop: watch::Receiver<bool>,
) -> Result<(), DecisionsError> {
    let source = path.to_string_lossy().into_owned();
    let poll = Duration::from_millis(config.poll_ms.max(1));
    let mut backoff = Backoff::default();
    let mut reading: Option<Reading> = None;
    while !*stop.borrow() {
        let one = round(&path, &source, config, mask.as_ref(), &mut reading, &sink);
        let wait = match one.await {
            Ok(Round { more, settled }) => {
                if settled {
                    backoff = Backoff::default();
                    sink.trouble(&source, None);
                }
                if more {
                    continue;
                }
                if once {
                    return Ok(());
                }
                poll
            }
            Err(error) if once => return Err(error),
            Err(error) => {
                // What is stored is the truth: it is asked again.
                reading = None;
                sink.trouble(&source, Some(&told(&error)));
                backoff.next()
            }
        };
        let stopped = stop.wait_for(|stopped| *stopped);
        let _ = tokio::time::timeout(wait, stopped).await;
    }
    Ok(())
}

/// How far a log is read.
struct Reading {
    follower: Follower,
    /// What is read and not stored yet.
    batch: Option<Batch>,
}

/// What a round came to.
struct Round {
    /// There was something to read, or to store.
    more: bool,
    /// Something was stored, or nothing waits to be. What is only read says nothing of the store.
    settled: bool,
}

/// Reads a batch while the one before it is stored.
async fn round<S: Sink>(
    path: &Path,
    source: &str,
    config: &DecisionsConfig,
    mask: Option<&MaskPolicy>,
    reading: &mut Option<Reading>,
    sink: &S,
) -> Result<Round, DecisionsError> {
    let Reading {
        mut follower,
        batch,
    } = match reading.take() {
        Some(reading) => reading,
        None => {
            let known = sink
                .checkpoints(source)
                .await
                .map_err(DecisionsError::Sink)?;
            Reading {
                follower: Follower::new(path, config.max_line_bytes, known),
                batch: None,
            }
        }
    };
    let stores = batch.is_some();
    let mut policy = mask.cloned();
    // Reading and parsing take the processor for a while: not on a thread that serves.
    let stepped = tokio::task::spawn_blocking(move || {
        let step = follower.step(policy.as_mut(), Instant::now());
        (follower, step)
    });
    let stored = async {
        match batch {
            Some(batch) => sink.commit(batch).await,
            None => Ok(()),
        }
    };
    let (stepped, stored) = tokio::join!(stepped, stored);
    // What was read behind a batch that is not stored is read again.
    stored.map_err(DecisionsError::Sink)?;
    let failed = |source| DecisionsError::File {
        path: path.to_owned(),
        source,
    };
    let (follower, step) = stepped.map_err(|e| failed(std::io::Error::other(e)))?;
    let batch = match step.map_err(failed)? {
        Step::Idle => None,
        Step::Batch(batch) => Some(*batch),
    };
    let round = Round {
        more: stores || batch.is_some(),
        settled: stores || batch.is_none(),
    };
    *reading = Some(Reading { follower, batch });
    Ok(round)
}

/// How long is waited after a failure: longer each time, 5 seconds at most.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(100) * 2u32.pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        wait.min(Duration::from_secs(5))
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}

/// An error with its causes.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some name their cause themselves.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
