//! Keeps on disk what each group last accepted whole, so that a conductor that starts without usable policies
//! serves it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use xds::keep::Keep;
use xds::{Cache, Event};

use crate::alarm::Alarm;
use crate::serve::groups::is_early;

/// How often it is looked, whatever was told.
const LOOK: Duration = Duration::from_secs(5);

/// The last good configurations in a state directory.
pub struct LastGood {
    keep: Keep,
    cache: Cache,
    /// Version and label of what is on disk, by group.
    written: BTreeMap<String, (String, String)>,
}

impl LastGood {
    /// Gives the cache what an earlier life of the process left behind.
    pub fn restore(state: &Path, cache: &Cache) -> Self {
        let keep = Keep::new(state.join("xds"));
        let kept = keep.read();
        for (path, error) in kept.broken {
            tracing::error!(path = %path.display(), "a last good configuration is left aside: {error}");
        }
        let mut written = BTreeMap::new();
        for (group, snapshot) in kept.snapshots {
            let (version, label) = (snapshot.version().to_owned(), snapshot.label().to_owned());
            tracing::info!(
                group,
                label,
                version = version.get(..12),
                "a last good configuration is remembered"
            );
            cache.remember_good(&group, snapshot);
            written.insert(group, (version, label));
        }
        Self {
            keep,
            cache: cache.clone(),
            written,
        }
    }

    /// Whether there is anything to serve.
    pub fn has_any(&self) -> bool {
        !self.written.is_empty()
    }

    /// Writes what is proven, as it is proven, until `stop` is done.
    pub async fn run(
        mut self,
        mut events: Receiver<Event>,
        alarm: Alarm,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        let mut look = tokio::time::interval(LOOK);
        loop {
            let stopped = tokio::select! {
                () = &mut stop => true,
                _ = look.tick() => false,
                event = events.recv() => match event {
                    Ok(Event::Proven { .. }) | Err(RecvError::Lagged(_)) => false,
                    Ok(_) => continue,
                    Err(RecvError::Closed) => true,
                },
            };
            self.write(&alarm).await;
            if stopped {
                return;
            }
        }
    }

    async fn write(&mut self, alarm: &Alarm) {
        let good = self.cache.good();
        let mut failed = None;
        // What some nodes have before the others is nothing to fall back to.
        for (group, snapshot) in good.iter().filter(|(group, _)| !is_early(group)) {
            let now = (snapshot.version().to_owned(), snapshot.label().to_owned());
            if self.written.get(group) == Some(&now) {
                continue;
            }
            let (keep, owned, snapshot) = (self.keep.clone(), group.clone(), snapshot.clone());
            // A disk may take its time: not on a thread that serves.
            let written = tokio::task::spawn_blocking(move || keep.write(&owned, &snapshot)).await;
            match written.map_err(anyhow::Error::from) {
                Ok(Ok(())) => {
                    self.written.insert(group.clone(), now);
                }
                Ok(Err(error)) => failed = Some(format!("{:#}", anyhow::Error::from(error))),
                Err(error) => failed = Some(format!("{error:#}")),
            }
        }
        let gone: Vec<String> = self
            .written
            .keys()
            .filter(|group| !good.iter().any(|(g, _)| g == *group))
            .cloned()
            .collect();
        for group in gone {
            match self.keep.remove(&group) {
                Ok(()) => {
                    self.written.remove(&group);
                }
                Err(error) => failed = Some(format!("{:#}", anyhow::Error::from(error))),
            }
        }
        match failed {
            Some(reason) => alarm.not_kept(&reason),
            None => alarm.kept(),
        }
    }
}
