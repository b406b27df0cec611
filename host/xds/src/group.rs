//! What a node group is served: the pure state machine of roll-out, parking and rollback.
//!
//! The rules are written down in `rollout.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::protocol::Answer;
use crate::resource::{Resource, Snapshot};
use crate::status::ParkedStatus;

/// A stream's number, unique in the life of a cache.
pub(crate) type StreamId = u64;

/// A group's number, unique in the life of a cache: one that is made anew has another.
pub(crate) type GroupId = u64;

/// A place in the sequence of what all groups are served. Those of two groups are never equal, so that
/// what a stream settled in one says nothing of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Serial {
    group: GroupId,
    number: u64,
}

/// What a group's streams are to send, and its place in the sequence of such changes.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub serial: Serial,
    pub snapshot: Arc<Snapshot>,
}

impl ParkedStatus {
    fn is_in(&self, snapshot: &Snapshot) -> bool {
        self.resources
            .iter()
            .all(|(name, version)| snapshot.holds(&self.type_url, name, version))
    }

    fn covers(&self, resource: &Resource) -> bool {
        resource.type_url() == self.type_url
            && self
                .resources
                .get(resource.name())
                .is_some_and(|version| version == resource.version())
    }
}

/// What changed for the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Another snapshot is served.
    Served,
    /// A refusal sent the group back.
    RolledBack { from: String, to: String },
    /// The served snapshot is the last known good now.
    Proven { version: String },
}

#[derive(Debug, Default)]
pub(crate) struct Group {
    id: GroupId,
    offered: Option<Arc<Snapshot>>,
    served: Option<Served>,
    good: Option<Arc<Snapshot>>,
    parked: Vec<ParkedStatus>,
    /// Refusals of an earlier life of the process, until a snapshot is offered that they may speak of.
    remembered: Vec<ParkedStatus>,
    /// Versions that some node accepted, by type and name: one each, the last.
    accepted: HashMap<(String, String), String>,
    /// Resources of the served snapshot that no node accepted yet.
    unproven: BTreeSet<(String, String)>,
    /// The serial that each stream is settled at.
    streams: HashMap<StreamId, Option<Serial>>,
    settled: usize,
    /// How often another snapshot was served.
    last: u64,
}

impl Group {
    pub fn new(id: GroupId) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    pub fn id(&self) -> GroupId {
        self.id
    }

    pub fn offered(&self) -> Option<&Arc<Snapshot>> {
        self.offered.as_ref()
    }

    pub fn served(&self) -> Option<&Served> {
        self.served.as_ref()
    }

    pub fn good(&self) -> Option<&Arc<Snapshot>> {
        self.good.as_ref()
    }

    pub fn parked(&self) -> impl Iterator<Item = &ParkedStatus> {
        self.parked.iter().chain(&self.remembered)
    }

    pub fn unproven(&self) -> &BTreeSet<(String, String)> {
        &self.unproven
    }

    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    pub fn members(&self) -> impl Iterator<Item = StreamId> {
        self.streams.keys().copied()
    }

    /// Whether the refusal of these speaks of what is offered.
    pub fn is_concerned(&self, type_url: &str, resources: &[Arc<Resource>]) -> bool {
        let beyond_good = self.beyond_good(type_url, resources);
        !beyond_good.is_empty()
            && self.offered.as_ref().is_some_and(|offered| {
                beyond_good
                    .iter()
                    .all(|(name, version)| offered.holds(type_url, name, version))
            })
    }

    /// Versions by name of what the last known good does not hold.
    fn beyond_good(&self, type_url: &str, resources: &[Arc<Resource>]) -> BTreeMap<String, String> {
        resources
            .iter()
            .filter(|r| {
                self.good
                    .as_ref()
                    .is_none_or(|good| !good.holds(type_url, r.name(), r.version()))
            })
            .map(|r| (r.name().to_owned(), r.version().to_owned()))
            .collect()
    }

    /// Offers nothing any more; the last known good stays.
    pub fn retire(&mut self) {
        *self = Self {
            id: self.id,
            good: self.good.take(),
            last: self.last,
            ..Self::default()
        };
    }

    /// Whether the group is kept from what was offered.
    pub fn is_rolled_back(&self) -> bool {
        match (&self.offered, &self.served) {
            (Some(offered), Some(served)) => offered.version() != served.snapshot.version(),
            _ => false,
        }
    }

    /// Offers a snapshot.
    pub fn offer(&mut self, snapshot: Arc<Snapshot>) -> Vec<Change> {
        self.offered = Some(snapshot);
        self.parked.append(&mut self.remembered);
        self.serve_again()
    }

    /// Takes refusals of an earlier life: they hold for the next snapshot that is offered, if it has what was
    /// refused.
    pub fn remember_parked(&mut self, parked: Vec<ParkedStatus>) {
        self.remembered = parked;
    }

    /// Takes a snapshot that was proven in an earlier life as the last known good.
    pub fn remember_good(&mut self, snapshot: Arc<Snapshot>) -> Vec<Change> {
        self.good = Some(snapshot);
        if self.offered.is_none() {
            self.offered = self.good.clone();
        }
        self.serve_again()
    }

    /// Forgets all refusals and offers the snapshot again.
    pub fn unpark(&mut self) -> Vec<Change> {
        self.parked.clear();
        self.remembered.clear();
        self.serve_again()
    }

    pub fn join(&mut self, stream: StreamId) {
        self.streams.insert(stream, None);
    }

    pub fn leave(&mut self, stream: StreamId) -> Vec<Change> {
        let serial = self.serial();
        if let Some(at) = self.streams.remove(&stream)
            && at.is_some()
            && at == serial
        {
            self.settled -= 1;
        }
        self.prove().into_iter().collect()
    }

    /// Takes in what a client said. `refusal` is built for a NACK that is the group's affair.
    pub fn on_answer(&mut self, answer: &Answer, node: &str, unix_ms: u64) -> Vec<Change> {
        match answer {
            Answer::Postponed { .. } => Vec::new(),
            Answer::Acked { resources, .. } | Answer::Held { resources, .. } => {
                for resource in resources {
                    self.accept(resource);
                }
                self.prove().into_iter().collect()
            }
            Answer::Nacked {
                type_url,
                resources,
                error,
                ..
            } => {
                let beyond_good = self.beyond_good(type_url, resources);
                let known = self
                    .parked
                    .iter()
                    .any(|p| p.type_url == *type_url && p.resources == beyond_good);
                if beyond_good.is_empty() || known {
                    return Vec::new();
                }
                self.parked.push(ParkedStatus {
                    type_url: type_url.clone(),
                    resources: beyond_good,
                    error: error.clone(),
                    node: node.to_owned(),
                    since_unix_ms: unix_ms,
                });
                let from = self
                    .served
                    .as_ref()
                    .map(|s| s.snapshot.version().to_owned());
                let mut changes = self.serve_again();
                if changes.contains(&Change::Served)
                    && let (Some(from), Some(to)) = (from, &self.served)
                {
                    changes.push(Change::RolledBack {
                        from,
                        to: to.snapshot.version().to_owned(),
                    });
                }
                changes
            }
        }
    }

    /// Takes in whether a stream has answered all there is, at this serial.
    pub fn on_settled(&mut self, stream: StreamId, at: Option<Serial>) -> Vec<Change> {
        let serial = self.serial();
        let Some(before) = self.streams.get_mut(&stream) else {
            return Vec::new();
        };
        let was = before.is_some() && *before == serial;
        *before = at;
        let is = at.is_some() && at == serial;
        match (was, is) {
            (false, true) => self.settled += 1,
            (true, false) => self.settled -= 1,
            _ => {}
        }
        self.prove().into_iter().collect()
    }

    fn serial(&self) -> Option<Serial> {
        self.served.as_ref().map(|served| served.serial)
    }

    fn accept(&mut self, resource: &Resource) {
        let key = (resource.type_url().to_owned(), resource.name().to_owned());
        if self
            .served
            .as_ref()
            .is_some_and(|s| s.snapshot.holds(&key.0, &key.1, resource.version()))
        {
            self.unproven.remove(&key);
        }
        self.accepted.insert(key, resource.version().to_owned());
    }

    fn prove(&mut self) -> Option<Change> {
        let served = self.served.as_ref()?;
        if self.streams.is_empty()
            || self.settled < self.streams.len()
            || !self.unproven.is_empty()
            || self
                .good
                .as_ref()
                .is_some_and(|good| good.version() == served.snapshot.version())
        {
            return None;
        }
        self.good = Some(Arc::clone(&served.snapshot));
        Some(Change::Proven {
            version: served.snapshot.version().to_owned(),
        })
    }

    /// Decides anew what is served.
    fn serve_again(&mut self) -> Vec<Change> {
        let Some(offered) = &self.offered else {
            return Vec::new();
        };
        self.parked.retain(|parked| parked.is_in(offered));
        let snapshot = if self.parked.is_empty() {
            Arc::clone(offered)
        } else if let Some(good) = &self.good {
            Arc::clone(good)
        } else {
            let parked = &self.parked;
            Arc::new(offered.without(|r| parked.iter().any(|p| p.covers(r))))
        };
        if let Some(served) = &mut self.served
            && served.snapshot.version() == snapshot.version()
        {
            served.snapshot = snapshot;
            return Vec::new();
        }
        let good = self.good.as_ref();
        self.accepted
            .retain(|(type_url, name), _| snapshot.get(type_url, name).is_some());
        self.unproven = snapshot
            .resources()
            .map(|r| (r, (r.type_url().to_owned(), r.name().to_owned())))
            .filter(|(r, key)| {
                let accepted = self.accepted.get(key).is_some_and(|v| v == r.version());
                let good = good.is_some_and(|g| g.holds(&key.0, &key.1, r.version()));
                !accepted && !good
            })
            .map(|(_, key)| key)
            .collect();
        self.settled = 0;
        self.last += 1;
        self.served = Some(Served {
            serial: Serial {
                group: self.id,
                number: self.last,
            },
            snapshot,
        });
        vec![Change::Served]
    }
}

#[cfg(test)]
mod tests;
