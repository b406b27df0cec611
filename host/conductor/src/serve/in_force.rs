//! What is in force, and how it changes with the files that it comes from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::watch;
use xds::Cache;

use super::groups::{self, Early};
use super::prepare::{Prepared, Served};
use crate::alarm::Alarm;
use crate::api::{CanaryState, PolicyState};
use crate::bundles::Shelf;
use crate::config::Config;
use crate::fleet::FilterCode;
use crate::ingest::Keeper;
use crate::release::Place;
use crate::release::content::Wanted;

/// What was read and tried.
pub struct Loaded {
    /// What is served.
    pub prepared: Prepared,
    /// What was released, without what is laid over it; none, if that could not be read.
    basis: Option<Wanted>,
    /// Why what was released before is used once more.
    fault: Option<anyhow::Error>,
}

impl Loaded {
    /// Reads and tries what is to be in force. If the train can't be read, what was released before stays in
    /// force, with what is laid over it now: a tenant is shut out whatever becomes of the train.
    pub fn of(config: &Config, before: Option<Wanted>) -> anyhow::Result<Self> {
        let (wanted, fault) = match (Wanted::released(config), before) {
            (Ok(wanted), _) => (wanted, None),
            (Err(fault), Some(before)) if config.release.is_some() => (before, Some(fault)),
            (Err(fault), None) if config.release.is_some() => match Wanted::remembered(config) {
                Ok(wanted) => (wanted, Some(fault)),
                Err(error) => {
                    tracing::error!("what was in force can't be had without the train: {error:#}");
                    return Err(fault);
                }
            },
            (Err(error), _) => return Err(error),
        };
        let basis = fault.is_none().then(|| wanted.usable());
        let prepared = Prepared::of(config, wanted.laid_over(config)?)?;
        Ok(Self {
            prepared,
            basis,
            fault,
        })
    }
}

/// What a change of files changes.
pub struct InForce {
    pub config: Arc<Config>,
    pub cache: Cache,
    pub policies: watch::Sender<PolicyState>,
    pub codes: Arc<RwLock<Vec<FilterCode>>>,
    pub nodes: Early,
    pub alarm: Alarm,
    pub packs: watch::Sender<Shelf>,
    pub keeper: Keeper,
    /// What was released, as it was last read whole.
    pub basis: Mutex<Option<Wanted>>,
}

impl InForce {
    /// Reads everything again, and offers it or says why not.
    pub async fn reload(&self) {
        let started = Instant::now();
        let owned = self.config.clone();
        let basis = self.basis().as_ref().map(Wanted::usable);
        // Reading and trying policies takes the processor for a while: not on a thread that serves.
        let loaded = tokio::task::spawn_blocking(move || Loaded::of(&owned, basis)).await;
        match loaded.map_err(anyhow::Error::from).and_then(|r| r) {
            Ok(loaded) => {
                let unchanged = self
                    .codes
                    .read()
                    .is_ok_and(|c| *c == loaded.prepared.codes());
                let before = self.policies.borrow().clone();
                // What changed of large configurations is worked out there.
                tokio::task::block_in_place(|| self.accept(loaded));
                self.alarm.look(&self.cache.status());
                let now = self.policies.borrow().clone();
                if !unchanged || !now.serves_as(&before) {
                    let ms = started.elapsed().as_millis();
                    let revision = now.revision.as_deref().unwrap_or("none");
                    match &now.canary {
                        None => tracing::info!(revision, ms, "pushed to the gateways"),
                        Some(canary) => tracing::info!(
                            revision,
                            ms,
                            release = canary.release,
                            nodes = canary.nodes.join(", "),
                            "pushed to the gateways, and a release to some of them"
                        ),
                    }
                }
            }
            Err(error) => {
                self.refuse(format!("{error:#}"));
            }
        }
    }

    /// Offers what was read and tried, and makes its code and its bundles known.
    pub fn accept(&self, loaded: Loaded) {
        let Loaded {
            prepared,
            basis,
            fault,
        } = loaded;
        // Before anybody is told to fetch it.
        if let Ok(mut standing) = self.codes.write() {
            *standing = prepared.codes();
        }
        self.packs.send_replace(prepared.shelf());
        prepared.keep(&self.keeper);
        let revision = |served: &Served| served.bundle.revision.clone();
        let stable = prepared.stable.as_ref().map(revision);
        let canary = prepared.canary.as_ref().map(|canary| CanaryState {
            release: canary.release,
            revision: canary.served.as_ref().ok().map(revision),
            refused: canary.served.as_ref().err().map(|e| format!("{e:#}")),
            nodes: canary.nodes.iter().cloned().collect(),
            filters: match &canary.served {
                Ok(served) => served.code.hashes(),
                Err(_) => Default::default(),
            },
        });
        groups::offer(&self.cache, prepared, &self.nodes);
        self.policies
            .send_modify(|state| state.accepted(stable.as_deref(), canary));
        match fault {
            None => {
                if let Some(basis) = basis {
                    self.note(&basis);
                    *self.basis() = Some(basis);
                }
                self.alarm.policies_accepted();
            }
            Some(fault) => self.refuse(format!("{fault:#}")),
        }
    }

    /// Notes how far the records were read.
    fn note(&self, wanted: &Wanted) {
        let Some(seen) = &wanted.seen else {
            return;
        };
        if let Err(error) = Place::open(&self.config).and_then(|place| place.note(seen)) {
            tracing::error!("how far the records were read can't be kept: {error:#}");
        }
    }

    fn basis(&self) -> MutexGuard<'_, Option<Wanted>> {
        self.basis.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that what is to be in force can't be.
    pub fn refuse(&self, reason: String) {
        self.alarm.policies_refused(&reason);
        self.policies.send_modify(|state| state.refused(reason));
    }
}
