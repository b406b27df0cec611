//! Noticing that files change.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

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
    /// Watches directories, whole, and files, by the directories in which they stand: editors replace
    /// files. What else happens beside a file is not reported.
    ///
    /// # Errors
    /// The operating system can't watch one.
    pub fn new(directories: &[&Path], files: &[&Path]) -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::channel(1);
        let mut ours: Vec<PathBuf> = Vec::new();
        for path in directories.iter().chain(files) {
            ours.push(path.to_path_buf());
            ours.extend(path.canonicalize());
        }
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let matters = event.map_or(true, |e| {
                    let touches = |p: &PathBuf| ours.iter().any(|o| p.starts_with(o));
                    !e.kind.is_access() && e.paths.iter().any(touches)
                });
                if matters {
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
        for path in directories.iter().chain(files) {
            if let Some(parent) = path.parent() {
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

/// What tells one state of files from another without reading them: path, size and time of change
/// of each, links followed. Where the operating system reports nothing (a link that was turned to
/// another directory, a file system of another machine), this still differs.
pub fn fingerprint(paths: &[&Path]) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = paths.iter().map(|p| p.to_path_buf()).collect();
    while let Some(path) = open.pop() {
        let Ok(meta) = std::fs::metadata(&path) else {
            continue;
        };
        if meta.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|e| e.path()));
        } else {
            found.push((path, meta.len(), meta.modified().ok()));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_turned_is_another_state() {
        let dir = tempfile::tempdir().unwrap();
        for (version, text) in [("v1", "one"), ("v2", "three")] {
            std::fs::create_dir(dir.path().join(version)).unwrap();
            std::fs::write(dir.path().join(version).join("data.json"), text).unwrap();
        }
        let link = dir.path().join("policies");
        std::os::unix::fs::symlink(dir.path().join("v1"), &link).unwrap();
        let before = fingerprint(&[&link]);
        assert_eq!(before.len(), 1);
        assert_eq!(fingerprint(&[&link]), before);
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(dir.path().join("v2"), &link).unwrap();
        assert_ne!(fingerprint(&[&link]), before);
    }
}
