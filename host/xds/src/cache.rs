//! The snapshot cache: what each node group is served, and what its nodes said about it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{broadcast, watch};

use crate::event::Event;
use crate::group::{Change, Group, GroupId, Served, StreamId};
use crate::node::{GroupOf, Node};
use crate::patches::{Patch, Patches};
use crate::resource::Snapshot;
use crate::status::{GroupStatus, ParkedStatus, SnapshotStatus, Status, StreamStatus};

mod regroup;
mod seat;

pub use regroup::{Regrouped, Removed};
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
    patches: Arc<Patches>,
    /// Held while nodes are asked about anew, so that an older answer never replaces a newer one.
    regrouping: Mutex<()>,
    state: Mutex<State>,
    events: broadcast::Sender<Event>,
}

#[derive(Default)]
struct State {
    groups: BTreeMap<String, Group>,
    streams: BTreeMap<StreamId, Member>,
    refused: u64,
    last_group: GroupId,
    last_stream: StreamId,
    /// How often nodes were asked about anew: a node whose group was found out before is asked again.
    regroupings: u64,
}

/// One stream's node, and the stream's way of learning what is its own to send.
struct Member {
    node: Arc<Node>,
    status: StreamStatus,
    place: watch::Sender<Place>,
    /// The group that it was moved out of, until it has answered all of its present one.
    former: Option<String>,
}

/// What a stream is to do.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Serve what this group is served, if anything yet.
    Group { id: GroupId, served: Option<Served> },
    /// End: no group wants the node any more.
    Nowhere,
}

impl Place {
    fn of(group: &Group) -> Self {
        Self::Group {
            id: group.id(),
            served: group.served().cloned(),
        }
    }
}

impl State {
    fn group(&mut self, name: &str) -> &mut Group {
        if !self.groups.contains_key(name) {
            self.last_group += 1;
        }
        let id = self.last_group;
        self.groups
            .entry(name.to_owned())
            .or_insert_with(|| Group::new(id))
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
        Self::with(Arc::new(group_of), Patches::default())
    }

    /// An empty cache, as by [`Cache::new`], which sends what changed of a large resource where `patch` can
    /// say that.
    pub fn patching(
        group_of: impl Fn(&Node) -> Option<String> + Send + Sync + 'static,
        patch: Box<Patch>,
    ) -> Self {
        Self::with(Arc::new(group_of), Patches::new(patch))
    }

    fn with(group_of: GroupOf, patches: Patches) -> Self {
        Self {
            shared: Arc::new(Shared {
                group_of,
                patches: Arc::new(patches),
                regrouping: Mutex::default(),
                state: Mutex::default(),
                events: broadcast::Sender::new(EVENT_BACKLOG),
            }),
        }
    }

    /// Offers a snapshot to a group, at once and whole; its streams wake.
    pub fn set(&self, group: &str, snapshot: Snapshot) -> Offered {
        self.shared.patches.know(group, &snapshot);
        let mut state = self.lock();
        let entry = state.group(group);
        let version = snapshot.version().to_owned();
        let changes = entry.offer(Arc::new(snapshot));
        let outcome = if entry.is_rolled_back() {
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
        self.shared.patches.know(group, &snapshot);
        let mut state = self.lock();
        let changes = state.group(group).remember_good(Arc::new(snapshot));
        self.publish(&mut state, group, changes, None);
    }

    /// Takes refusals of an earlier life of the process: what holds one of them is not served, though it is
    /// offered anew. To be called before anything is offered.
    pub fn remember_parked(&self, group: &str, parked: Vec<ParkedStatus>) {
        self.lock().group(group).remember_parked(parked);
    }

    /// The refusals of each group that has any.
    pub fn parked(&self) -> Vec<(String, Vec<ParkedStatus>)> {
        let state = self.lock();
        let parked = state.groups.iter().map(|(name, group)| {
            let parked: Vec<_> = group.parked().cloned().collect();
            (name.clone(), parked)
        });
        parked.filter(|(_, parked)| !parked.is_empty()).collect()
    }

    /// Offers what was refused once more.
    pub fn unpark(&self, group: &str) {
        let mut state = self.lock();
        if let Some(entry) = state.groups.get_mut(group) {
            let changes = entry.unpark();
            self.publish(&mut state, group, changes, None);
        }
    }

    /// The snapshot that all nodes of the group last accepted whole.
    pub fn last_good(&self, group: &str) -> Option<Arc<Snapshot>> {
        self.lock().groups.get(group)?.good().cloned()
    }

    /// The last known good of each group that has one.
    pub fn good(&self) -> Vec<(String, Arc<Snapshot>)> {
        let state = self.lock();
        let good =
            |(name, group): (&String, &Group)| Some((name.clone(), Arc::clone(group.good()?)));
        state.groups.iter().filter_map(good).collect()
    }

    /// The snapshot that the group is served.
    pub fn served(&self, group: &str) -> Option<Arc<Snapshot>> {
        let state = self.lock();
        let served = state.groups.get(group)?.served()?;
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
                .map(|(name, group)| (name.clone(), group_status(group)))
                .collect(),
            streams: state.streams.values().map(|m| m.status.clone()).collect(),
            refused: state.refused,
        }
    }

    /// Counts and tells that a node was refused.
    pub(crate) fn refuse(&self, node: &str, peer: Option<String>, reason: &str) {
        self.lock().refused += 1;
        tracing::warn!(node, peer, "refused: {reason}");
        self.emit(Event::Refused {
            node: node.to_owned(),
            peer,
            reason: reason.to_owned(),
        });
    }

    pub(crate) fn patches(&self) -> Arc<Patches> {
        Arc::clone(&self.shared.patches)
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
        let (mut state, group) = loop {
            let asked_at = self.lock().regroupings;
            // Not under the lock: the function is the caller's, and may hold locks of its own.
            let group = (self.shared.group_of)(node)?;
            let state = self.lock();
            if state.regroupings == asked_at {
                break (state, group);
            }
        };
        state.last_stream += 1;
        let id = state.last_stream;
        let entry = state.group(&group);
        entry.join(id);
        let (place, placed) = watch::channel(Place::of(entry));
        let status = StreamStatus {
            node: node.id.clone(),
            cluster: node.cluster.clone(),
            group: group.clone(),
            variant,
            peer,
            connected_unix_ms: now_unix_ms(),
            identity: node.identity.as_ref().map(|identity| identity.id.clone()),
            settled: false,
            has: None,
            types: BTreeMap::new(),
        };
        let member = Member {
            node: Arc::new(node.clone()),
            status,
            place,
            former: None,
        };
        state.streams.insert(id, member);
        tracing::info!(node = node.id, group, variant, "xDS stream opened");
        self.emit(Event::Connected {
            node: node.id.clone(),
            group,
            variant,
        });
        Some(Seat {
            cache: self.clone(),
            id,
            node: node.id.clone(),
            placed,
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
        let State {
            groups, streams, ..
        } = state;
        let Some(group) = groups.get(name) else {
            return;
        };
        for change in changes {
            match change {
                Change::Served => {
                    for id in group.members() {
                        if let Some(member) = streams.get_mut(&id) {
                            member.status.settled = false;
                            member.place.send_replace(Place::of(group));
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
        parked: group.parked().cloned().collect(),
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
