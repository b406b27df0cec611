//! Keeps on disk what each group last accepted whole, so that a conductor that starts without usable policies
//! serves it; and what its nodes refused, so that a conductor that starts does not offer that once more.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use xds::keep::Keep;
use xds::{Cache, Event, ParkedStatus};

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
    /// The refusals on disk, by group.
    parked: BTreeMap<String, Vec<ParkedStatus>>,
}

impl LastGood {
    /// Gives the cache what an earlier life of the process left behind.
    pub fn restore(state: &Path, cache: &Cache) -> Self {
        let keep = Keep::new(state.join("xds"));
        let kept = keep.read();
        for (path, error) in kept.broken {
            tracing::error!(path = %path.display(), "a last good configuration, or what was refused, is left aside: {error}");
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
        for (group, parked) in &kept.parked {
            tracing::warn!(
                group,
                "what was refused is remembered, and not offered again"
            );
            cache.remember_parked(group, parked.clone());
        }
        Self {
            keep,
            cache: cache.clone(),
            written,
            parked: kept.parked.into_iter().collect(),
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
                    Ok(Event::Proven { .. } | Event::Nacked { .. } | Event::RolledBack { .. })
                    | Err(RecvError::Lagged(_)) => false,
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
        if let Some(reason) = self.write_parked().await {
            failed = Some(reason);
        }
        match failed {
            Some(reason) => alarm.not_kept(&reason),
            None => alarm.kept(),
        }
    }

    /// Writes what is refused, and says why it could not. A file that somebody removed asks for what was
    /// refused to be offered once more.
    async fn write_parked(&mut self) -> Option<String> {
        let now: BTreeMap<_, _> = self.cache.parked().into_iter().collect();
        let keep = self.keep.clone();
        let mut before = std::mem::take(&mut self.parked);
        // A disk may take its time: not on a thread that serves.
        let written = tokio::task::spawn_blocking(move || {
            let (mut again, mut failed) = (Vec::new(), None);
            for (group, parked) in now {
                let known = before.get(&group);
                if known.is_some() && !keep.has_parked(&group) {
                    before.remove(&group);
                    again.push(group);
                } else if known != Some(&parked) {
                    match keep.write_parked(&group, &parked) {
                        Ok(()) => drop(before.insert(group, parked)),
                        Err(error) => failed = Some(error),
                    }
                }
            }
            (before, again, failed)
        });
        let (on_disk, again, mut failed) = match written.await {
            Ok(written) => written,
            Err(error) => return Some(error.to_string()),
        };
        self.parked = on_disk;
        for group in again {
            tracing::warn!(
                group,
                "its refusals were removed: what was refused is offered once more"
            );
            self.cache.unpark(&group);
        }
        let now = self.cache.parked();
        let over = |group: &&String| !now.iter().any(|(g, _)| g == *group);
        let over: Vec<String> = self.parked.keys().filter(over).cloned().collect();
        for group in over {
            match self.keep.remove_parked(&group) {
                Ok(()) => drop(self.parked.remove(&group)),
                Err(error) => failed = Some(error),
            }
        }
        failed.map(|error| format!("{:#}", anyhow::Error::from(error)))
    }
}
