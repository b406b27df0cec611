//! Nodes that go to another group while they are connected, and groups that nobody wants any more.

use std::sync::{Arc, PoisonError};

use super::{Cache, Place, State};
use crate::event::Event;
use crate::group::StreamId;
use crate::node::Node;

/// What became of the connected nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regrouped {
    /// Streams that serve another group's snapshot from now on.
    pub moved: usize,
    /// Streams that end, because no group wants their nodes.
    pub dismissed: usize,
}

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone, or there was none.
    Gone,
    /// It is served nothing any more, but its last known good is remembered.
    Retired,
    /// It has open streams, and stays as it is: move its nodes first.
    InUse {
        /// How many.
        streams: usize,
    },
}

impl Cache {
    /// Asks of every connected node anew what its group is, and moves those of which the answer is another
    /// now. Their streams stay open: they are sent what differs between the two groups, and the new one
    /// takes what they hold already as accepted. A node that no group wants any more has its stream ended.
    ///
    /// The function is not called under a lock of the cache's. What it depends on has to be changed before
    /// this is called; a node that connects meanwhile is asked about once more.
    pub fn regroup(&self) -> Regrouped {
        let _one_at_a_time = self
            .shared
            .regrouping
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let nodes: Vec<(StreamId, Arc<Node>)> = {
            let mut state = self.lock();
            state.regroupings += 1;
            let streams = state.streams.iter();
            streams.map(|(id, m)| (*id, Arc::clone(&m.node))).collect()
        };
        let answers: Vec<(StreamId, Option<String>)> = nodes
            .into_iter()
            .map(|(id, node)| (id, (self.shared.group_of)(&node)))
            .collect();
        let mut done = Regrouped::default();
        let mut state = self.lock();
        for (id, to) in answers {
            match to {
                Some(to) => done.moved += usize::from(self.move_stream(&mut state, id, &to)),
                None => done.dismissed += usize::from(self.dismiss(&mut state, id)),
            }
        }
        done
    }

    /// Removes a group without streams, with its refusals and what it was offered; its last known good too,
    /// unless `keep_good`.
    pub fn remove(&self, group: &str, keep_good: bool) -> Removed {
        let mut state = self.lock();
        let Some(entry) = state.groups.get_mut(group) else {
            return Removed::Gone;
        };
        let streams = entry.streams();
        if streams > 0 {
            return Removed::InUse { streams };
        }
        if keep_good && entry.good().is_some() {
            entry.retire();
            return Removed::Retired;
        }
        state.groups.remove(group);
        self.shared.patches.forget(group);
        Removed::Gone
    }

    fn move_stream(&self, state: &mut State, id: StreamId, to: &str) -> bool {
        let Some(from) = self.leave(state, id, Some(to)) else {
            return false;
        };
        let group = state.group(to);
        group.join(id);
        let place = Place::of(group);
        let Some(member) = state.streams.get_mut(&id) else {
            return false;
        };
        member.status.group = to.to_owned();
        member.status.settled = false;
        member.former = Some(from.clone());
        member.place.send_replace(place);
        let node = member.node.id.clone();
        tracing::info!(node, from, to, "node moved to another group");
        self.emit(Event::Moved {
            node,
            from,
            to: to.to_owned(),
        });
        true
    }

    fn dismiss(&self, state: &mut State, id: StreamId) -> bool {
        let ends = |m: &super::Member| matches!(*m.place.borrow(), Place::Nowhere);
        if state.streams.get(&id).is_none_or(ends) {
            return false;
        }
        let Some(from) = self.leave(state, id, None) else {
            return false;
        };
        let Some(member) = state.streams.get_mut(&id) else {
            return false;
        };
        member.status.settled = false;
        member.place.send_replace(Place::Nowhere);
        let node = member.node.id.clone();
        tracing::info!(node, from, "no group wants the node any more");
        self.emit(Event::Dismissed { node, from });
        true
    }

    /// Takes a stream out of its group, if that is another than `to`, and says which it was.
    fn leave(&self, state: &mut State, id: StreamId, to: Option<&str>) -> Option<String> {
        let from = state.streams.get(&id)?.status.group.clone();
        if to == Some(from.as_str()) {
            return None;
        }
        let changes = state.groups.get_mut(&from)?.leave(id);
        self.publish(state, &from, changes, None);
        Some(from)
    }
}
