//! The incremental variant, `DeltaAggregatedResources`: one stream's state machine.
//!
//! The rules, from the protocol's text:
//! - Subscriptions are changed by a request whatever its nonce is; only its ACK or NACK needs the
//!   nonce of a response that waits for one. A NACK is `error_detail` and nothing else.
//! - A name that is subscribed to is answered, with the resource even if it is unchanged, or with
//!   its removal if there is none. Unsubscribing a name under a wildcard is answered likewise: the
//!   client may have forgotten it.
//! - For listeners and clusters a first request without names subscribes to all of them, as `*` does.
//!   Naming one adds to that; `*` has to be unsubscribed.
//! - `initial_resource_versions` is what the client has: only what differs is sent, and the removal
//!   of what is gone.
//!
//! After a NACK the client's state of the refused resources is unknown (Envoy applies the good ones
//! of a partly bad response). They are not sent again at that version; at any other they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};

use crate::error::ProtocolError;
use crate::fetching::Fetching;
use crate::protocol::{Answer, Outgoing, Protocol, Turn, WILDCARD, type_version};
use crate::resource::{Resource, Snapshot};
use crate::type_url;
use crate::warming;
use crate::wire::Encoded;

/// Responses of a type that a client may leave unanswered.
const MAX_UNANSWERED: usize = 256;

/// An incremental stream.
#[derive(Debug, Default)]
pub struct Delta {
    snapshot: Option<Arc<Snapshot>>,
    /// By rank and type: the order of iteration is the order of sending.
    types: BTreeMap<(u8, String), Subscription>,
    last_nonce: u64,
}

#[derive(Debug, Default)]
struct Subscription {
    begun: bool,
    wildcard: bool,
    names: BTreeSet<String>,
    /// Names to be answered whatever the client has.
    wanted: BTreeSet<String>,
    /// What the client has, by name and version, as far as it did not refuse it.
    held: BTreeMap<String, String>,
    /// What the client refused, by name and version.
    refused: BTreeMap<String, String>,
    /// What the client could not take in yet, by name and version.
    postponed: BTreeMap<String, String>,
    fetching: Fetching,
    /// What the client brought along and has not been compared with a snapshot yet.
    brought: BTreeSet<String>,
    /// Whether the first look at a snapshot is done.
    greeted: bool,
    outstanding: BTreeMap<String, Sent>,
}

#[derive(Debug)]
struct Sent {
    version: String,
    resources: Vec<Arc<Resource>>,
}

#[derive(Default)]
struct Change {
    resources: BTreeMap<String, Arc<Resource>>,
    removed: BTreeSet<String>,
    greeting: bool,
}

impl Subscription {
    fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    fn subscribe(&mut self, request: &DeltaDiscoveryRequest) {
        let full = type_url::is_full_state(&request.type_url);
        if !self.begun {
            self.begun = true;
            self.wildcard = full
                && request.resource_names_subscribe.is_empty()
                && request.resource_names_unsubscribe.is_empty();
            self.held = request
                .initial_resource_versions
                .iter()
                .map(|(name, version)| (name.clone(), version.clone()))
                .collect();
            self.brought = self.held.keys().cloned().collect();
        }
        for name in &request.resource_names_subscribe {
            if name == WILDCARD {
                self.wildcard |= full;
                continue;
            }
            self.names.insert(name.clone());
            if !request.initial_resource_versions.contains_key(name) {
                self.wanted.insert(name.clone());
            }
        }
        for name in &request.resource_names_unsubscribe {
            if name == WILDCARD {
                self.wildcard = false;
                continue;
            }
            if self.names.remove(name) && self.wildcard {
                self.wanted.insert(name.clone());
            }
        }
        if !self.wildcard {
            let names = &self.names;
            self.held.retain(|name, _| names.contains(name));
            self.refused.retain(|name, _| names.contains(name));
            self.postponed.retain(|name, _| names.contains(name));
            self.wanted.retain(|name| names.contains(name));
            self.brought.retain(|name| names.contains(name));
        }
    }

    fn on_answer(&mut self, request: &DeltaDiscoveryRequest) -> Option<Answer> {
        let sent = self.outstanding.remove(&request.response_nonce)?;
        let type_url = request.type_url.clone();
        let Sent { version, resources } = sent;
        Some(match &request.error_detail {
            None => {
                self.fetching.done(&resources);
                Answer::Acked {
                    type_url,
                    version,
                    resources,
                }
            }
            Some(status) => {
                let error = status.message.clone();
                let postponed = self.fetching.postpones(&resources, &error);
                let unheld = if postponed {
                    &mut self.postponed
                } else {
                    &mut self.refused
                };
                for resource in &resources {
                    let (name, version) = (resource.name(), resource.version());
                    if self.held.get(name).is_some_and(|had| had == version) {
                        self.held.remove(name);
                        unheld.insert(name.to_owned(), version.to_owned());
                    }
                }
                if postponed {
                    Answer::Postponed {
                        type_url,
                        version,
                        error,
                    }
                } else {
                    Answer::Nacked {
                        type_url,
                        version,
                        resources,
                        error,
                    }
                }
            }
        })
    }

    /// Names that the client has, or may have, and the snapshot has no more.
    fn vanished(&self, type_url: &str, snapshot: &Snapshot) -> BTreeSet<String> {
        if type_url::is_never_removed(type_url) {
            return BTreeSet::new();
        }
        self.held
            .keys()
            .chain(self.refused.keys())
            .chain(self.postponed.keys())
            .filter(|name| snapshot.get(type_url, name).is_none())
            .cloned()
            .collect()
    }

    /// What is to be sent before anything is taken away, and what turned out to be there already.
    fn due(&mut self, type_url: &str, snapshot: &Snapshot) -> (Option<Change>, Vec<Arc<Resource>>) {
        let mut change = Change::default();
        for name in std::mem::take(&mut self.wanted) {
            match snapshot.get(type_url, &name) {
                Some(resource) => {
                    change.resources.insert(name, Arc::clone(resource));
                }
                None if type_url::is_never_removed(type_url) => {}
                None => {
                    change.removed.insert(name);
                }
            }
        }
        let mut already = Vec::new();
        if self.outstanding.is_empty() {
            let of_type = snapshot.types().get(type_url).map(|t| t.by_name());
            for (name, resource) in of_type.into_iter().flatten() {
                if !self.wants(name) {
                    continue;
                }
                let is =
                    |version: Option<&String>| version.is_some_and(|v| v == resource.version());
                if is(self.held.get(name)) {
                    if self.brought.remove(name) {
                        already.push(Arc::clone(resource));
                    }
                } else if !is(self.refused.get(name)) && !is(self.postponed.get(name)) {
                    change.resources.insert(name.clone(), Arc::clone(resource));
                }
            }
            if !type_url::is_removed_last(type_url) {
                change.removed.extend(self.vanished(type_url, snapshot));
            }
            change.greeting = self.wildcard && !self.greeted && self.held.is_empty();
            self.greeted = true;
        }
        let due = change.greeting || !change.resources.is_empty() || !change.removed.is_empty();
        (due.then_some(change), already)
    }
}

impl Delta {
    fn respond(
        last_nonce: &mut u64,
        snapshot: &Snapshot,
        type_url: &str,
        subscription: &mut Subscription,
        change: Change,
    ) -> Outgoing {
        *last_nonce += 1;
        let nonce = last_nonce.to_string();
        let version = type_version(snapshot, type_url).to_owned();
        for name in &change.removed {
            subscription.held.remove(name);
            subscription.refused.remove(name);
            subscription.postponed.remove(name);
        }
        for (name, resource) in &change.resources {
            subscription.refused.remove(name);
            subscription.postponed.remove(name);
            subscription.brought.remove(name);
            subscription
                .held
                .insert(name.clone(), resource.version().to_owned());
        }
        let mut response = Encoded::new(&DeltaDiscoveryResponse {
            system_version_info: version.clone(),
            type_url: type_url.to_owned(),
            removed_resources: change.removed.into_iter().collect(),
            nonce: nonce.clone(),
            ..Default::default()
        });
        for resource in change.resources.values() {
            response.push_named(resource, subscription.fetching.body(resource));
        }
        subscription.outstanding.insert(
            nonce,
            Sent {
                version: version.clone(),
                resources: change.resources.into_values().collect(),
            },
        );
        Outgoing {
            type_url: type_url.to_owned(),
            version,
            response,
        }
    }
}

impl Protocol for Delta {
    type Request = DeltaDiscoveryRequest;

    const VARIANT: &'static str = "delta";

    fn node_of(request: &DeltaDiscoveryRequest) -> Option<&core::Node> {
        request.node.as_ref()
    }

    fn on_request(
        &mut self,
        request: DeltaDiscoveryRequest,
        max_names: usize,
    ) -> Result<Vec<Answer>, ProtocolError> {
        if request.type_url.is_empty() {
            return Err(ProtocolError::NoType);
        }
        if !request.resource_locators_subscribe.is_empty()
            || !request.resource_locators_unsubscribe.is_empty()
        {
            return Err(ProtocolError::Locators);
        }
        let key = (type_url::rank(&request.type_url), request.type_url.clone());
        let subscription = self.types.entry(key).or_default();
        let answer = subscription.on_answer(&request);
        subscription.subscribe(&request);
        if subscription.outstanding.len() > MAX_UNANSWERED {
            return Err(ProtocolError::TooManyUnanswered {
                limit: MAX_UNANSWERED,
            });
        }
        let names: usize = self
            .types
            .values()
            .map(|s| s.names.len().max(s.held.len()) + 1)
            .sum();
        if names > max_names {
            return Err(ProtocolError::TooManyNames { limit: max_names });
        }
        Ok(answer.into_iter().collect())
    }

    fn on_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = Some(snapshot);
    }

    fn on_move(&mut self) {
        for subscription in self.types.values_mut() {
            subscription.brought = subscription.held.keys().cloned().collect();
        }
    }

    fn poll(&mut self) -> Turn {
        let mut turn = Turn::default();
        let Some(snapshot) = &self.snapshot else {
            return turn;
        };
        let mut cold: BTreeSet<String> = BTreeSet::new();
        for ((_, type_url), subscription) in &mut self.types {
            if type_url == type_url::ENDPOINT {
                let names = cold.intersection(&subscription.names).cloned();
                subscription.wanted.extend(names);
            }
            let (change, already) = subscription.due(type_url, snapshot);
            if !already.is_empty() {
                turn.answers.push(Answer::Held {
                    type_url: type_url.clone(),
                    version: type_version(snapshot, type_url).to_owned(),
                    resources: already,
                });
            }
            if let Some(change) = change {
                cold.extend(
                    change
                        .resources
                        .values()
                        .filter_map(|r| warming::endpoints_of(r)),
                );
                turn.responses.push(Self::respond(
                    &mut self.last_nonce,
                    snapshot,
                    type_url,
                    subscription,
                    change,
                ));
            }
        }
        if self.types.values().all(|s| s.outstanding.is_empty()) {
            for ((_, type_url), subscription) in &mut self.types {
                let removed = subscription.vanished(type_url, snapshot);
                if !removed.is_empty() {
                    let change = Change {
                        removed,
                        ..Change::default()
                    };
                    turn.responses.push(Self::respond(
                        &mut self.last_nonce,
                        snapshot,
                        type_url,
                        subscription,
                        change,
                    ));
                }
            }
        }
        turn
    }

    fn is_settled(&self) -> bool {
        self.snapshot.is_some()
            && self
                .types
                .values()
                .all(|s| s.outstanding.is_empty() && s.postponed.is_empty())
    }

    fn waiting(&self) -> Option<Duration> {
        self.types
            .values()
            .filter_map(|s| s.fetching.waiting())
            .max()
    }

    fn again(&mut self) {
        for subscription in self.types.values_mut() {
            subscription.postponed.clear();
            subscription.fetching.again();
        }
    }

    fn subscriptions(&self) -> Vec<(String, Option<usize>)> {
        self.types
            .iter()
            .map(|((_, url), s)| (url.clone(), (!s.wildcard).then_some(s.names.len())))
            .collect()
    }
}

#[cfg(test)]
mod tests;
