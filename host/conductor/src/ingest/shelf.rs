use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bundle::Bundle;
use engine::policy::PolicySource;
use serde::{Deserialize, Serialize};
use store::{Counters, Store, StoreConfig, StoreError};
use tokio::sync::OnceCell;

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
