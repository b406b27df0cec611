//! Noticing that files change.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// How long files must be quiet: an editor writes several times.
const QUIET: Duration = Duration::from_millis(40);

/// A watch over directories and files.
pub struct Watch {
    _watcher: notify::RecommendedWatcher,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches directories, whole, and the directories in which files stand: editors replace files.
    ///
    /// # Errors
    /// The operating system can't watch one.
    pub fn new(directories: &[&Path], files: &[&Path]) -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let looked_at = event.is_ok_and(|e| e.kind.is_access());
                if !looked_at {
                    // A full channel already says what there is to say.
                    let _ = sender.try_send(());
                }
            })?;
        let mut watch = |path: &Path, mode| {
            watcher
                .watch(path, mode)
                .with_context(|| format!("can't watch {}", path.display()))
        };
        for directory in directories {
            watch(directory, RecursiveMode::Recursive)?;
        }
        for file in files {
            if let Some(parent) = file.parent() {
                watch(parent, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(Self {
            _watcher: watcher,
            changes,
        })
    }

    /// Waits for a change, and then until nothing has changed for a moment.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while tokio::time::timeout(QUIET, self.changes.recv())
            .await
            .is_ok()
        {}
    }
}
