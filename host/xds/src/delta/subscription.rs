//! What a client of one type holds, wants, refused and has yet to answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use crate::fetching::Fetching;
use crate::protocol::{Answer, WILDCARD};
use crate::resource::{Resource, Snapshot};
use crate::type_url;

#[derive(Debug, Default)]
pub(super) struct Subscription {
    pub begun: bool,
    pub wildcard: bool,
    pub names: BTreeSet<String>,
    /// Names to be answered whatever the client has.
    pub wanted: BTreeSet<String>,
    /// What the client has, by name and version, as far as it did not refuse it.
    pub held: BTreeMap<String, String>,
    /// What the client refused, by name and version.
    pub refused: BTreeMap<String, String>,
    /// The nonce of the response in which it was refused together with others, by name.
    pub refused_in: BTreeMap<String, String>,
    /// What the client could not take in yet, by name and version.
    pub postponed: BTreeMap<String, String>,
    pub fetching: Fetching,
    /// What is sent whole: the client refused a patch of it.
    pub whole: BTreeSet<String>,
    /// What the client brought along and has not been compared with a snapshot yet.
    pub brought: BTreeSet<String>,
    /// Whether the first look at a snapshot is done.
    pub greeted: bool,
    pub outstanding: BTreeMap<String, Sent>,
}

#[derive(Debug)]
pub(super) struct Sent {
    pub version: String,
    pub resources: Vec<Arc<Resource>>,
    /// Names of those that went out as patches.
    pub patched: BTreeSet<String>,
}

#[derive(Default)]
pub(super) struct Change {
    /// What the client asks for anew: it may have forgotten what it held.
    pub asked: BTreeSet<String>,
    pub resources: BTreeMap<String, Arc<Resource>>,
    pub removed: BTreeSet<String>,
    pub greeting: bool,
}

impl Subscription {
    pub fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    pub fn subscribe(&mut self, request: &DeltaDiscoveryRequest) {
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
            self.refused_in.retain(|name, _| names.contains(name));
            self.postponed.retain(|name, _| names.contains(name));
            self.whole.retain(|name| names.contains(name));
            self.wanted.retain(|name| names.contains(name));
            self.brought.retain(|name| names.contains(name));
        }
    }

    pub fn on_answer(&mut self, request: &DeltaDiscoveryRequest) -> Option<Answer> {
        let sent = self.outstanding.remove(&request.response_nonce)?;
        let type_url = request.type_url.clone();
        let Sent {
            version,
            resources,
            patched,
        } = sent;
        if let Some(status) = request
            .error_detail
            .as_ref()
            .filter(|_| !patched.is_empty())
        {
            // It may lack what was patched; the whole may be good all the same.
            let error = status.message.clone();
            tracing::warn!(?patched, error, "a patch was refused: the whole is sent");
            for resource in &resources {
                self.held.remove(resource.name());
            }
            self.whole.extend(patched);
            return Some(Answer::Postponed {
                type_url,
                version,
                error,
            });
        }
        Some(match &request.error_detail {
            None => {
                self.fetching.done(&resources);
                self.ask_of_others(&resources);
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
                let several = !postponed && resources.len() > 1;
                for resource in &resources {
                    let (name, version) = (resource.name(), resource.version());
                    self.refused_in.remove(name);
                    if several {
                        let nonce = request.response_nonce.clone();
                        self.refused_in.insert(name.to_owned(), nonce);
                    }
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

    /// One of those that were refused together has come out well in its next version: which of the others were
    /// at fault, if any, the client says if they are sent without it, once.
    fn ask_of_others(&mut self, resources: &[Arc<Resource>]) {
        let nonces: BTreeSet<String> = resources
            .iter()
            .filter_map(|r| self.refused_in.remove(r.name()))
            .collect();
        let refused = &self.refused;
        let others = self
            .refused_in
            .extract_if(.., |name, nonce| {
                nonces.contains(nonce) && refused.contains_key(name)
            })
            .map(|(name, _)| name);
        self.wanted.extend(others);
    }

    /// Names that the client has, or may have, and the snapshot has no more.
    pub fn vanished(&self, type_url: &str, snapshot: &Snapshot) -> BTreeSet<String> {
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
    pub fn due(
        &mut self,
        type_url: &str,
        snapshot: &Snapshot,
    ) -> (Option<Change>, Vec<Arc<Resource>>) {
        let mut change = Change::default();
        for name in std::mem::take(&mut self.wanted) {
            match snapshot.get(type_url, &name) {
                Some(resource) => {
                    change.asked.insert(name.clone());
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
