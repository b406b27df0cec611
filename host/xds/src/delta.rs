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
//! of a partly bad response). They are not sent again at that version; at any other they are. When one of several
//! that were refused together is accepted at another version, the rest are sent once more: it may have been the
//! bad one.
//!
//! What a client has accepted may be followed by a patch of it, which it knows as the new version: see
//! [`crate::patches`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};

use crate::error::ProtocolError;
use crate::patches::Patches;
use crate::protocol::{Answer, Outgoing, Protocol, Subscribed, Turn, type_version};
use crate::resource::Snapshot;
use crate::type_url;
use crate::warming;
use crate::wire::Encoded;

mod subscription;

use subscription::{Change, Sent, Subscription};

/// Responses of a type that a client may leave unanswered.
const MAX_UNANSWERED: usize = 256;

/// An incremental stream.
#[derive(Debug, Default)]
pub struct Delta {
    snapshot: Option<Arc<Snapshot>>,
    /// By rank and type: the order of iteration is the order of sending.
    types: BTreeMap<(u8, String), Subscription>,
    patches: Arc<Patches>,
    last_nonce: u64,
}

impl Delta {
    fn respond(
        last_nonce: &mut u64,
        patches: &Patches,
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
        let mut bodies = BTreeMap::new();
        for (name, resource) in &change.resources {
            let held = subscription.held.get(name);
            let known = !change.asked.contains(name) && !subscription.whole.contains(name);
            let patch = held
                .filter(|_| known)
                .and_then(|h| patches.between(h, resource));
            bodies.extend(patch.map(|body| (name.clone(), body)));
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
        for (name, resource) in &change.resources {
            let body = bodies.get(name).cloned();
            let body = body.unwrap_or_else(|| subscription.fetching.body(resource));
            response.push_named(resource, body);
        }
        subscription.outstanding.insert(
            nonce,
            Sent {
                version: version.clone(),
                resources: change.resources.into_values().collect(),
                patched: bodies.into_keys().collect(),
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

    fn with_patches(&mut self, patches: Arc<Patches>) {
        self.patches = patches;
    }

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
                    &self.patches,
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
                        &self.patches,
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

    fn subscriptions(&self) -> Vec<Subscribed> {
        let of = |((_, type_url), s): (&(u8, String), &Subscription)| Subscribed {
            type_url: type_url.clone(),
            names: (!s.wildcard).then_some(s.names.len()),
            lacks: !s.refused.is_empty(),
        };
        self.types.iter().map(of).collect()
    }
}

#[cfg(test)]
mod patch_tests;
#[cfg(test)]
mod tests;
