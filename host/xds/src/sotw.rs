//! The state-of-the-world variant, `StreamAggregatedResources`: one stream's state machine.
//!
//! The rules, from the protocol's text:
//! - A request answers a response if it carries its nonce; it is a NACK if `error_detail` is set, and
//!   by nothing else. A request with an older nonce is ignored whole: a newer one is on its way.
//! - A request's names replace the earlier ones. For listeners and clusters no names, never having
//!   named any, means all of them, as does `*`.
//! - Listeners and clusters come as the full set; of other types only what is subscribed to, and
//!   nothing is ever removed but by its parent.
//! - Names that are new in a request are sent even if they were sent before. So is everything when
//!   a client repeats an answered request unchanged: Envoy does when it re-creates a watch.
//!
//! At most one response of a type is on its way: a newer snapshot waits for the answer, and only
//! the newest does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};

use crate::error::ProtocolError;
use crate::fetching::Fetching;
use crate::protocol::{Answer, Outgoing, Protocol, Subscribed, Turn, WILDCARD, type_version};
use crate::resource::{Resource, Snapshot};
use crate::type_url;
use crate::warming;
use crate::wire::Encoded;

type ByName = BTreeMap<String, Arc<Resource>>;

/// A state-of-the-world stream.
#[derive(Debug, Default)]
pub struct Sotw {
    snapshot: Option<Arc<Snapshot>>,
    /// By rank and type: the order of iteration is the order of sending.
    types: BTreeMap<(u8, String), Subscription>,
    last_nonce: u64,
}

#[derive(Debug, Default)]
struct Subscription {
    names: BTreeSet<String>,
    /// Whether a request has ever named a resource: after that, no names means none.
    named_once: bool,
    wildcard: bool,
    /// Names new in the last request: owed even if unchanged.
    fresh: BTreeSet<String>,
    /// The client repeated its request: everything is owed again.
    again: bool,
    sent: Option<Sent>,
    outstanding: bool,
    /// Whether the last response that was answered was refused.
    refused: bool,
    /// The content of the last response that was accepted.
    acked: ByName,
    /// Whether the client came from another group, and this one has yet to be told what it has.
    moved: bool,
    fetching: Fetching,
}

#[derive(Debug)]
struct Sent {
    nonce: String,
    version: String,
    resources: ByName,
}

impl Subscription {
    fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Whether the last response did not hold this.
    fn is_news(&self, resource: &Resource) -> bool {
        self.sent.as_ref().is_none_or(|sent| {
            sent.resources
                .get(resource.name())
                .is_none_or(|had| had.version() != resource.version())
        })
    }

    /// Replaces the names; returns whether anything changed.
    fn subscribe(&mut self, type_url: &str, requested: Vec<String>) -> bool {
        let mut names: BTreeSet<String> = requested.into_iter().collect();
        let star = names.remove(WILDCARD);
        self.named_once |= star || !names.is_empty();
        let wildcard = type_url::is_full_state(type_url) && (star || !self.named_once);
        let changed = wildcard != self.wildcard || names != self.names;
        self.fresh.extend(names.difference(&self.names).cloned());
        self.fresh.retain(|name| names.contains(name));
        self.names = names;
        self.wildcard = wildcard;
        if let Some(sent) = &mut self.sent
            && !type_url::is_full_state(type_url)
        {
            sent.resources.retain(|name, _| self.names.contains(name));
            // What it asks for no more it doesn't lack.
            let accepted = |r: &Arc<Resource>| {
                let acked = self.acked.get(r.name());
                acked.is_some_and(|had| had.version() == r.version())
            };
            self.refused &= !sent.resources.values().all(accepted);
        }
        changed
    }

    /// What the client has of another group's snapshot than that by which it got it.
    fn already(&mut self, type_url: &str, snapshot: &Snapshot) -> Option<Answer> {
        if self.outstanding || !std::mem::take(&mut self.moved) {
            return None;
        }
        let resources: Vec<Arc<Resource>> = self
            .acked
            .values()
            .filter(|r| self.wants(r.name()) && snapshot.holds(type_url, r.name(), r.version()))
            .cloned()
            .collect();
        (!resources.is_empty()).then(|| Answer::Held {
            type_url: type_url.to_owned(),
            version: type_version(snapshot, type_url).to_owned(),
            resources,
        })
    }

    /// What the next response is to hold, or `None` if none is due. With `keep_retired`, what the
    /// client has and the snapshot has no more stays in: its removal comes later.
    fn due(
        &self,
        type_url: &str,
        snapshot: &Snapshot,
        keep_retired: bool,
    ) -> Option<(ByName, bool)> {
        if self.outstanding || (!self.wildcard && self.names.is_empty()) {
            return None;
        }
        let mut content: ByName = snapshot
            .types()
            .get(type_url)
            .map(|of_type| of_type.by_name())
            .into_iter()
            .flatten()
            .filter(|(name, _)| self.wants(name))
            .map(|(name, resource)| (name.clone(), Arc::clone(resource)))
            .collect();
        let full = type_url::is_full_state(type_url);
        let mut retiring = false;
        if keep_retired && full && type_url::is_removed_last(type_url) {
            for (name, resource) in &self.acked {
                if self.wants(name) && !content.contains_key(name) {
                    content.insert(name.clone(), Arc::clone(resource));
                    retiring = true;
                }
            }
        }
        let due = match &self.sent {
            None => full || !content.is_empty(),
            Some(sent) => {
                self.again
                    || content
                        .values()
                        .any(|r| self.fresh.contains(r.name()) || self.is_news(r))
                    || (full && content.len() != sent.resources.len())
            }
        };
        due.then_some((content, retiring))
    }
}

impl Sotw {
    fn respond(
        last_nonce: &mut u64,
        snapshot: &Snapshot,
        type_url: &str,
        subscription: &mut Subscription,
        (content, retiring): (ByName, bool),
    ) -> Outgoing {
        *last_nonce += 1;
        let nonce = last_nonce.to_string();
        let mut version = type_version(snapshot, type_url).to_owned();
        if retiring {
            version.push_str("+retiring");
        }
        let mut response = Encoded::new(&DiscoveryResponse {
            version_info: version.clone(),
            type_url: type_url.to_owned(),
            nonce: nonce.clone(),
            ..Default::default()
        });
        for resource in content.values() {
            response.push(resource, subscription.fetching.body(resource));
        }
        subscription.again = false;
        subscription
            .fresh
            .retain(|name| !content.contains_key(name));
        subscription.outstanding = true;
        subscription.sent = Some(Sent {
            nonce,
            version: version.clone(),
            resources: content,
        });
        Outgoing {
            type_url: type_url.to_owned(),
            version,
            response,
        }
    }
}

impl Protocol for Sotw {
    type Request = DiscoveryRequest;

    const VARIANT: &'static str = "sotw";

    fn node_of(request: &DiscoveryRequest) -> Option<&core::Node> {
        request.node.as_ref()
    }

    fn on_request(
        &mut self,
        request: DiscoveryRequest,
        max_names: usize,
    ) -> Result<Vec<Answer>, ProtocolError> {
        if request.type_url.is_empty() {
            return Err(ProtocolError::NoType);
        }
        if !request.resource_locators.is_empty() {
            return Err(ProtocolError::Locators);
        }
        let key = (type_url::rank(&request.type_url), request.type_url.clone());
        let subscription = self.types.entry(key).or_default();
        let mut answers = Vec::new();
        // A nonce before any response of this stream is another stream's: it answers nothing here.
        if let Some(sent) = &subscription.sent
            && !request.response_nonce.is_empty()
        {
            if sent.nonce != request.response_nonce {
                return Ok(answers);
            }
            if subscription.outstanding {
                subscription.outstanding = false;
                let type_url = request.type_url.clone();
                let version = sent.version.clone();
                let resources: Vec<Arc<Resource>> = sent.resources.values().cloned().collect();
                answers.push(match request.error_detail {
                    Some(status)
                        if subscription.fetching.postpones(&resources, &status.message) =>
                    {
                        Answer::Postponed {
                            type_url,
                            version,
                            error: status.message,
                        }
                    }
                    Some(status) => {
                        subscription.refused = true;
                        Answer::Nacked {
                            type_url,
                            version,
                            resources,
                            error: status.message,
                        }
                    }
                    None => {
                        subscription.refused = false;
                        subscription.acked = sent.resources.clone();
                        subscription.fetching.done(&resources);
                        Answer::Acked {
                            type_url,
                            version,
                            resources,
                        }
                    }
                });
            }
        }
        let changed = subscription.subscribe(&request.type_url, request.resource_names);
        subscription.again |= !changed
            && answers.is_empty()
            && subscription.sent.is_some()
            && !subscription.outstanding;
        let names: usize = self.types.values().map(|s| s.names.len() + 1).sum();
        if names > max_names {
            return Err(ProtocolError::TooManyNames { limit: max_names });
        }
        Ok(answers)
    }

    fn on_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = Some(snapshot);
    }

    fn on_move(&mut self) {
        for subscription in self.types.values_mut() {
            subscription.moved = true;
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
                subscription.fresh.extend(names);
            }
            if let Some(held) = subscription.already(type_url, snapshot) {
                turn.answers.push(held);
            }
            if let Some(content) = subscription.due(type_url, snapshot, true) {
                let changed = content.0.values().filter(|r| subscription.is_news(r));
                cold.extend(changed.filter_map(|r| warming::endpoints_of(r)));
                turn.responses.push(Self::respond(
                    &mut self.last_nonce,
                    snapshot,
                    type_url,
                    subscription,
                    content,
                ));
            }
        }
        if self.types.values().all(|s| !s.outstanding) {
            for ((_, type_url), subscription) in &mut self.types {
                if let Some(content) = subscription.due(type_url, snapshot, false) {
                    turn.responses.push(Self::respond(
                        &mut self.last_nonce,
                        snapshot,
                        type_url,
                        subscription,
                        content,
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
                .all(|s| !s.outstanding && s.fetching.waiting().is_none())
    }

    fn waiting(&self) -> Option<Duration> {
        self.types
            .values()
            .filter_map(|s| s.fetching.waiting())
            .max()
    }

    fn again(&mut self) {
        for subscription in self.types.values_mut() {
            subscription.again |= subscription.fetching.waiting().is_some();
            subscription.fetching.again();
        }
    }

    fn subscriptions(&self) -> Vec<Subscribed> {
        let of = |((_, type_url), s): (&(u8, String), &Subscription)| Subscribed {
            type_url: type_url.clone(),
            names: (!s.wildcard).then_some(s.names.len()),
            lacks: s.refused,
        };
        self.types.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests;
