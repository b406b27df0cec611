//! A stream's place in the cache: what its client says goes in here.

use tokio::sync::watch;

use super::{Cache, Place, State, now_unix_ms};
use crate::event::Event;
use crate::group::{Serial, StreamId};
use crate::protocol::{Answer, Subscribed};
use crate::status::{HasStatus, NackStatus, TypeStatus, VersionAt};

/// A stream's place in the cache; leaving it ends its status.
pub(crate) struct Seat {
    pub(super) cache: Cache,
    pub(super) id: StreamId,
    pub(super) node: String,
    pub placed: watch::Receiver<Place>,
}

impl Seat {
    /// Records what the client said. What its group is served may have changed afterwards.
    pub fn on_answers(&self, answers: &[Answer]) {
        if answers.is_empty() {
            return;
        }
        let now = now_unix_ms();
        let mut state = self.cache.lock();
        for answer in answers {
            let groups = self.concerned(&state, answer);
            let Some(first) = groups.first() else {
                return;
            };
            self.record(&mut state, answer, first, now);
            let refusal = match answer {
                Answer::Nacked {
                    type_url, error, ..
                } => Some((type_url.as_str(), self.node.as_str(), error.as_str())),
                _ => None,
            };
            for group in &groups {
                if let Some(entry) = state.groups.get_mut(group) {
                    let changes = entry.on_answer(answer, &self.node, now);
                    self.cache.publish(&mut state, group, changes, refusal);
                }
            }
        }
    }

    /// The groups that an answer speaks of: the node's own, and if it refuses what it was sent before it
    /// was moved, the one that it was in.
    fn concerned(&self, state: &State, answer: &Answer) -> Vec<String> {
        let Some(member) = state.streams.get(&self.id) else {
            return Vec::new();
        };
        let own = &member.status.group;
        let mut groups = Vec::new();
        if let (
            Some(former),
            Answer::Nacked {
                type_url,
                resources,
                ..
            },
        ) = (&member.former, answer)
        {
            groups = [own, former]
                .into_iter()
                .filter(|name| {
                    let group = state.groups.get(*name);
                    group.is_some_and(|g| g.is_concerned(type_url, resources))
                })
                .cloned()
                .collect();
        }
        if groups.is_empty() {
            groups.push(own.clone());
        }
        groups
    }

    /// Records what is about to be sent.
    pub fn on_sent(&self, versions: impl Iterator<Item = (String, String)>) {
        let now = now_unix_ms();
        let mut state = self.cache.lock();
        let Some(member) = state.streams.get_mut(&self.id) else {
            return;
        };
        for (type_url, version) in versions {
            member.status.types.entry(type_url).or_default().pending = Some(VersionAt {
                version,
                unix_ms: now,
            });
        }
    }

    /// Records where the stream is: the serial it has answered everything of, if it has.
    pub fn on_settled(&self, at: Option<Serial>, subscriptions: Vec<Subscribed>) {
        let mut state = self.cache.lock();
        let State {
            groups, streams, ..
        } = &mut *state;
        let Some(member) = streams.get_mut(&self.id) else {
            return;
        };
        for of in subscriptions {
            let status = member.status.types.entry(of.type_url).or_default();
            (status.subscribed, status.refused) = (of.names, of.lacks);
        }
        let name = member.status.group.clone();
        let Some(group) = groups.get_mut(&name) else {
            return;
        };
        member.status.settled = at.is_some() && at == group.served().map(|served| served.serial);
        if member.status.settled {
            member.former = None;
        }
        if let Some(served) = group.served().filter(|_| member.status.has_all()) {
            let (version, label) = (served.snapshot.version(), served.snapshot.label());
            let before = member.status.has.as_ref();
            if before.is_none_or(|has| has.version != version || has.label != label) {
                member.status.has = Some(HasStatus {
                    version: version.to_owned(),
                    label: label.to_owned(),
                    since_unix_ms: now_unix_ms(),
                });
            }
        }
        let changes = group.on_settled(self.id, at);
        self.cache.publish(&mut state, &name, changes, None);
    }

    fn record(&self, state: &mut State, answer: &Answer, group: &str, now: u64) {
        let Some(member) = state.streams.get_mut(&self.id) else {
            return;
        };
        let stream = &mut member.status;
        let (node, group) = (self.node.clone(), group.to_owned());
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
                of_type.refused = true;
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
        let Some(member) = state.streams.remove(&self.id) else {
            return;
        };
        let group = member.status.group;
        let changes = state
            .groups
            .get_mut(&group)
            .map(|entry| entry.leave(self.id))
            .unwrap_or_default();
        self.cache.publish(&mut state, &group, changes, None);
        drop(state);
        tracing::info!(node = self.node, group, "xDS stream closed");
        self.cache.emit(Event::Disconnected {
            node: self.node.clone(),
            group,
        });
    }
}
