//! The snapshot cache: what each node group is served, and what its nodes said about it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{broadcast, watch};

use crate::event::Event;
use crate::group::{Change, Group, Served, StreamId};
use crate::node::{GroupOf, Node};
use crate::protocol::Answer;
use crate::resource::Snapshot;
use crate::status::{
    GroupStatus, NackStatus, ParkedStatus, SnapshotStatus, Status, StreamStatus, TypeStatus,
    VersionAt,
};

/// Events that a slow listener may fall behind before it loses the oldest.
const EVENT_BACKLOG: usize = 4096;

/// Snapshots by node group. Clones share it.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    group_of: GroupOf,
    state: Mutex<State>,
    events: broadcast::Sender<Event>,
}

#[derive(Default)]
struct State {
    groups: BTreeMap<String, Entry>,
    streams: BTreeMap<StreamId, StreamStatus>,
    last_stream: StreamId,
}

struct Entry {
    group: Group,
    served: watch::Sender<Option<Served>>,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            group: Group::default(),
            served: watch::Sender::new(None),
        }
    }
}

/// What became of an offered snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// The group is served it already.
    Unchanged,
    /// It is on its way to the group's nodes.
    Serving,
    /// It still holds what a node refused: the group stays with what it has.
    Parked,
}

/// A stream's place in the cache; leaving it ends its status.
pub(crate) struct Seat {
    cache: Cache,
    id: StreamId,
    node: String,
    group: String,
    pub served: watch::Receiver<Option<Served>>,
}

impl Cache {
    /// An empty cache. `group_of` maps a node to its group, or to none: then it is refused.
    pub fn new(group_of: impl Fn(&Node) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                group_of: Arc::new(group_of),
                state: Mutex::default(),
                events: broadcast::Sender::new(EVENT_BACKLOG),
            }),
        }
    }

    /// Offers a snapshot to a group, at once and whole; its streams wake.
    pub fn set(&self, group: &str, snapshot: Snapshot) -> Offered {
        let mut state = self.lock();
        let entry = state.groups.entry(group.to_owned()).or_default();
        let version = snapshot.version().to_owned();
        let changes = entry.group.offer(Arc::new(snapshot));
        let outcome = if entry.group.is_rolled_back() {
            Offered::Parked
        } else if changes.contains(&Change::Served) {
            Offered::Serving
        } else {
            Offered::Unchanged
        };
        tracing::debug!(group, version, ?outcome, "snapshot offered");
        self.publish(&mut state, group, changes, None);
        outcome
    }

    /// Takes a snapshot that was proven in an earlier life of the process as the group's last known
    /// good. If nothing else was offered yet, it is served.
    pub fn remember_good(&self, group: &str, snapshot: Snapshot) {
        let mut state = self.lock();
        let entry = state.groups.entry(group.to_owned()).or_default();
        let changes = entry.group.remember_good(Arc::new(snapshot));
        self.publish(&mut state, group, changes, None);
    }

    /// Offers what was refused once more.
    pub fn unpark(&self, group: &str) {
        let mut state = self.lock();
        if let Some(entry) = state.groups.get_mut(group) {
            let changes = entry.group.unpark();
            self.publish(&mut state, group, changes, None);
        }
    }

    /// The snapshot that all nodes of the group last accepted whole.
    pub fn last_good(&self, group: &str) -> Option<Arc<Snapshot>> {
        self.lock().groups.get(group)?.group.good().cloned()
    }

    /// The snapshot that the group is served.
    pub fn served(&self, group: &str) -> Option<Arc<Snapshot>> {
        let state = self.lock();
        let served = state.groups.get(group)?.group.served()?;
        Some(Arc::clone(&served.snapshot))
    }

    /// Everything that happens from now on. A listener that falls behind loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Who is connected and has what.
    pub fn status(&self) -> Status {
        let state = self.lock();
        Status {
            groups: state
                .groups
                .iter()
                .map(|(name, entry)| (name.clone(), group_status(&entry.group)))
                .collect(),
            streams: state.streams.values().cloned().collect(),
        }
    }

    pub(crate) fn stream_count(&self) -> usize {
        self.lock().streams.len()
    }

    /// Lets a node in, or refuses it.
    pub(crate) fn join(
        &self,
        node: &Node,
        variant: &'static str,
        peer: Option<String>,
    ) -> Option<Seat> {
        let group = (self.shared.group_of)(node)?;
        let mut state = self.lock();
        state.last_stream += 1;
        let id = state.last_stream;
        let entry = state.groups.entry(group.clone()).or_default();
        entry.group.join(id);
        let served = entry.served.subscribe();
        state.streams.insert(
            id,
            StreamStatus {
                node: node.id.clone(),
                cluster: node.cluster.clone(),
                group: group.clone(),
                variant,
                peer,
                connected_unix_ms: now_unix_ms(),
                settled: false,
                types: BTreeMap::new(),
            },
        );
        tracing::info!(node = node.id, group, variant, "xDS stream opened");
        self.emit(Event::Connected {
            node: node.id.clone(),
            group: group.clone(),
            variant,
        });
        Some(Seat {
            cache: self.clone(),
            id,
            node: node.id.clone(),
            group,
            served,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, event: Event) {
        // No listener is no error.
        let _ = self.shared.events.send(event);
    }

    /// Makes a group's changes known to its streams and to the listeners.
    fn publish(
        &self,
        state: &mut State,
        name: &str,
        changes: Vec<Change>,
        refusal: Option<(&str, &str, &str)>,
    ) {
        let Some(entry) = state.groups.get(name) else {
            return;
        };
        for change in changes {
            match change {
                Change::Served => {
                    entry.served.send_replace(entry.group.served().cloned());
                    for stream in state.streams.values_mut() {
                        if stream.group == name {
                            stream.settled = false;
                        }
                    }
                }
                Change::RolledBack { from, to } => {
                    let (type_url, node, error) = refusal.unwrap_or_default();
                    tracing::warn!(
                        group = name,
                        from,
                        to,
                        type_url,
                        node,
                        error,
                        "configuration refused: the group is back on its last known good"
                    );
                    self.emit(Event::RolledBack {
                        group: name.to_owned(),
                        from,
                        to,
                        type_url: type_url.to_owned(),
                        node: node.to_owned(),
                        error: error.to_owned(),
                    });
                }
                Change::Proven { version } => {
                    tracing::info!(group = name, version, "configuration accepted by all nodes");
                    self.emit(Event::Proven {
                        group: name.to_owned(),
                        version,
                    });
                }
            }
        }
    }
}

impl Seat {
    /// Records what the client said. What the group is served may have changed afterwards.
    pub fn on_answers(&self, answers: &[Answer]) {
        if answers.is_empty() {
            return;
        }
        let now = now_unix_ms();
        let mut state = self.cache.lock();
        for answer in answers {
            self.record(&mut state, answer, now);
            let Some(entry) = state.groups.get_mut(&self.group) else {
                continue;
            };
            let changes = entry.group.on_answer(answer, &self.node, now);
            let refusal = match answer {
                Answer::Nacked {
                    type_url, error, ..
                } => Some((type_url.as_str(), self.node.as_str(), error.as_str())),
                _ => None,
            };
            self.cache
                .publish(&mut state, &self.group, changes, refusal);
        }
    }

    /// Records what is about to be sent.
    pub fn on_sent(&self, versions: impl Iterator<Item = (String, String)>) {
        let now = now_unix_ms();
        let mut state = self.cache.lock();
        let Some(stream) = state.streams.get_mut(&self.id) else {
            return;
        };
        for (type_url, version) in versions {
            stream.types.entry(type_url).or_default().pending = Some(VersionAt {
                version,
                unix_ms: now,
            });
        }
    }

    /// Records where the stream is: the serial it has answered everything of, if it has.
    pub fn on_settled(&self, at: Option<u64>, subscriptions: Vec<(String, Option<usize>)>) {
        let mut state = self.cache.lock();
        let Some(entry) = state.groups.get_mut(&self.group) else {
            return;
        };
        let current = entry.group.served().map(|served| served.serial);
        let changes = entry.group.on_settled(self.id, at);
        if let Some(stream) = state.streams.get_mut(&self.id) {
            stream.settled = at.is_some() && at == current;
            for (type_url, subscribed) in subscriptions {
                stream.types.entry(type_url).or_default().subscribed = subscribed;
            }
        }
        self.cache.publish(&mut state, &self.group, changes, None);
    }

    fn record(&self, state: &mut State, answer: &Answer, now: u64) {
        let Some(stream) = state.streams.get_mut(&self.id) else {
            return;
        };
        let (node, group) = (self.node.clone(), self.group.clone());
        match answer {
            Answer::Acked {
                type_url, version, ..
            } => {
                let of_type = stream.types.entry(type_url.clone()).or_default();
                of_type.accept(version, now);
                tracing::debug!(node, group, type_url, version, "ACK");
                self.cache.emit(Event::Acked {
                    node,
                    group,
                    type_url: type_url.clone(),
                    version: version.clone(),
                });
            }
            Answer::Held {
                type_url, version, ..
            } => {
                let of_type = stream.types.entry(type_url.clone()).or_default();
                of_type.accept(version, now);
            }
            Answer::Nacked {
                type_url,
                version,
                resources,
                error,
            } => {
                let names: Vec<String> = resources.iter().map(|r| r.name().to_owned()).collect();
                let of_type = stream.types.entry(type_url.clone()).or_default();
                of_type.pending = None;
                of_type.last_nack = Some(NackStatus {
                    version: version.clone(),
                    resources: names.clone(),
                    error: error.clone(),
                    unix_ms: now,
                });
                tracing::warn!(node, group, type_url, version, error, "NACK");
                self.cache.emit(Event::Nacked {
                    node,
                    group,
                    type_url: type_url.clone(),
                    version: version.clone(),
                    resources: names,
                    error: error.clone(),
                });
            }
        }
    }
}

impl TypeStatus {
    fn accept(&mut self, version: &str, unix_ms: u64) {
        if self.pending.as_ref().is_some_and(|p| p.version == version) {
            self.pending = None;
        }
        self.acked = Some(VersionAt {
            version: version.to_owned(),
            unix_ms,
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        state.streams.remove(&self.id);
        let changes = state
            .groups
            .get_mut(&self.group)
            .map(|entry| entry.group.leave(self.id))
            .unwrap_or_default();
        self.cache.publish(&mut state, &self.group, changes, None);
        drop(state);
        tracing::info!(node = self.node, group = self.group, "xDS stream closed");
        self.cache.emit(Event::Disconnected {
            node: self.node.clone(),
            group: self.group.clone(),
        });
    }
}

fn snapshot_status(snapshot: &Snapshot) -> SnapshotStatus {
    SnapshotStatus {
        version: snapshot.version().to_owned(),
        label: snapshot.label().to_owned(),
    }
}

fn group_status(group: &Group) -> GroupStatus {
    GroupStatus {
        offered: group.offered().map(|s| snapshot_status(s)),
        served: group.served().map(|s| snapshot_status(&s.snapshot)),
        last_good: group.good().map(|s| snapshot_status(s)),
        rolled_back: group.is_rolled_back(),
        parked: group
            .parked()
            .iter()
            .map(|parked| ParkedStatus {
                type_url: parked.type_url.clone(),
                resources: parked.resources.clone(),
                error: parked.error.clone(),
                node: parked.node.clone(),
                since_unix_ms: parked.since_unix_ms,
            })
            .collect(),
        unproven: group
            .unproven()
            .iter()
            .map(|(type_url, name)| format!("{type_url}/{name}"))
            .collect(),
        streams: group.streams(),
    }
}

fn now_unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
