//! A stream's place in the cache: what its client says goes in here.

use tokio::sync::watch;

use super::{Cache, State, now_unix_ms};
use crate::event::Event;
use crate::group::{Served, StreamId};
use crate::protocol::Answer;
use crate::status::{NackStatus, TypeStatus, VersionAt};

/// A stream's place in the cache; leaving it ends its status.
pub(crate) struct Seat {
    pub(super) cache: Cache,
    pub(super) id: StreamId,
    pub(super) node: String,
    pub(super) group: String,
    pub served: watch::Receiver<Option<Served>>,
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
            Answer::Postponed {
                type_url,
                version,
                error,
            } => tracing::debug!(node, group, type_url, version, error, "not yet"),
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
