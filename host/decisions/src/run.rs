//! Following logs as they grow, and storing what is read.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::config::DecisionsConfig;
use crate::error::DecisionsError;
use crate::follow::{Follower, Step};
use crate::mask::MaskPolicy;
use crate::record::Sink;

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
    let mut follower: Option<Follower> = None;
    while !*stop.borrow() {
        let one = round(&path, &source, config, mask.as_ref(), &mut follower, &sink);
        let wait = match one.await {
            Ok(more) => {
                backoff = Backoff::default();
                sink.trouble(&source, None);
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
                follower = None;
                sink.trouble(&source, Some(&told(&error)));
                backoff.next()
            }
        };
        let stopped = stop.wait_for(|stopped| *stopped);
        let _ = tokio::time::timeout(wait, stopped).await;
    }
    Ok(())
}

/// Reads a batch and stores it. Says whether there was any.
async fn round<S: Sink>(
    path: &Path,
    source: &str,
    config: &DecisionsConfig,
    mask: Option<&MaskPolicy>,
    follower: &mut Option<Follower>,
    sink: &S,
) -> Result<bool, DecisionsError> {
    let mut taken = match follower.take() {
        Some(follower) => follower,
        None => {
            let known = sink
                .checkpoints(source)
                .await
                .map_err(DecisionsError::Sink)?;
            Follower::new(path, config.max_line_bytes, known)
        }
    };
    let mut policy = mask.cloned();
    // Reading and parsing take the processor for a while: not on a thread that serves.
    let stepped = tokio::task::spawn_blocking(move || {
        let step = taken.step(policy.as_mut(), Instant::now());
        (taken, step)
    });
    let failed = |source| DecisionsError::File {
        path: path.to_owned(),
        source,
    };
    let (taken, step) = stepped
        .await
        .map_err(|e| failed(std::io::Error::other(e)))?;
    match step.map_err(failed)? {
        Step::Idle => {
            *follower = Some(taken);
            Ok(false)
        }
        Step::Batch(batch) => {
            sink.commit(*batch).await.map_err(DecisionsError::Sink)?;
            *follower = Some(taken);
            Ok(true)
        }
    }
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
