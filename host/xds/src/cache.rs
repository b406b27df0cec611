//! The snapshot cache: what each node group is served, and what its nodes said about it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{broadcast, watch};

use crate::event::Event;
use crate::group::{Change, Group, Served, StreamId};
use crate::node::{GroupOf, Node};
use crate::resource::Snapshot;
use crate::status::{GroupStatus, ParkedStatus, SnapshotStatus, Status, StreamStatus};

mod seat;

pub(crate) use seat::Seat;

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
