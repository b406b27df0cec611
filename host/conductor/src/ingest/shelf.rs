use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bundle::Bundle;
use engine::policy::PolicySource;
use serde::{Deserialize, Serialize};
use store::{Counters, Store, StoreConfig, StoreError};
use tokio::sync::OnceCell;

use crate::release::now_unix_ms;

/// The store, opened when it is first needed: a conductor serves gateways whether it can be opened or not.
#[derive(Debug)]
pub struct Shelf {
    config: StoreConfig,
    store: OnceCell<Store>,
    seen: Mutex<Seen>,
}

/// How storing decisions stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// What came of each source, as it was last read.
    pub sources: Vec<Counters>,
    /// What does not work now, by source.
    pub troubles: BTreeMap<String, String>,
    /// Who was refused.
    pub refused: Refusals,
}

/// Who sent decisions of others, or did not say who it is, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Refusals {
    /// How often.
    pub count: u64,
    /// The last of each sender; of a hundred of them.
    pub last: BTreeMap<String, Refusal>,
}

/// The last time that a sender was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Why.
    pub why: String,
}

/// Senders whose last refusal is kept.
const MOST_SENDERS: usize = 100;

impl Refusals {
    fn add(&mut self, sender: &str, why: &str, unix_ms: u64) {
        self.count += 1;
        let why = why.to_owned();
        let last = &mut self.last;
        last.insert(sender.to_owned(), Refusal { unix_ms, why });
        if last.len() > MOST_SENDERS {
            let oldest = last.iter().min_by_key(|(_, r)| r.unix_ms);
            if let Some(oldest) = oldest.map(|(sender, _)| sender.clone()) {
                last.remove(&oldest);
            }
        }
    }
}

impl Shelf {
    /// A store that is not opened yet.
    pub fn new(config: StoreConfig) -> Self {
        Self {
            config,
            store: OnceCell::new(),
            seen: Mutex::default(),
        }
    }

    /// The store.
    ///
    /// # Errors
    /// It can't be opened now; the next call tries again.
    pub async fn store(&self) -> Result<&Store, StoreError> {
        self.store
            .get_or_try_init(|| Store::open(&self.config))
            .await
    }

    /// How storing stands, with counters as they are now if they can be read.
    pub async fn seen(&self) -> Seen {
        let counters = match self.store().await {
            Ok(store) => store.counters().await.ok(),
            Err(_) => None,
        };
        let mut seen = self.lock();
        if let Some(counters) = counters {
            seen.sources = counters;
        }
        seen.clone()
    }

    /// Notes what fails about a source, or that it works. Says whether that is news.
    pub fn trouble(&self, source: &str, what: Option<&str>) -> bool {
        let troubles = &mut self.lock().troubles;
        match what {
            Some(what) => {
                troubles
                    .insert(source.to_owned(), what.to_owned())
                    .as_deref()
                    != Some(what)
            }
            None => troubles.remove(source).is_some(),
        }
    }

    /// Whether reading or storing a source fails.
    pub fn is_troubled(&self, source: &str) -> bool {
        self.lock().troubles.contains_key(source)
    }

    /// Notes that somebody was refused.
    pub fn refused(&self, sender: &str, why: &str) {
        self.lock().refused.add(sender, why, now_unix_ms());
    }

    /// Who was refused.
    pub fn refusals(&self) -> Refusals {
        self.lock().refused.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The policies of a revision, as the store keeps them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Policies {
    /// Modules and data.
    pub policy: PolicySource,
    /// The schema, as SDL.
    pub schema: String,
    /// How the rules are applied.
    pub settings: serde_json::Value,
}

impl Policies {
    /// Those of a bundle.
    pub fn of(bundle: &Bundle) -> Self {
        Self {
            policy: bundle.policy.clone(),
            schema: bundle.schema.clone(),
            settings: serde_json::to_value(&bundle.settings).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_senders_are_kept_and_all_are_counted() {
        let mut refusals = Refusals::default();
        for at in 0..300 {
            refusals.add(&format!("sender {}", at % 150), "why", at);
        }
        assert_eq!((refusals.count, refusals.last.len()), (300, MOST_SENDERS));
        assert_eq!(refusals.last["sender 149"].unix_ms, 299);
        assert!(!refusals.last.contains_key("sender 0"));
    }
}
