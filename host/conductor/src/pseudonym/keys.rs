//! The keys, from the environment.

use anyhow::{Context, bail};
use engine::mask::{Keyring, Pseudonymizer};

use crate::fleet::KEYS_ENV;

/// The key ring, and the variable that it came from.
pub struct Keys {
    ring: Keyring,
    variable: String,
}

impl Keys {
    /// Reads the variable.
    ///
    /// # Errors
    /// There are no keys, or broken ones. No error repeats what may be a key.
    pub fn from_env(variable: &str) -> anyhow::Result<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if variable.is_empty() || !variable.bytes().all(legal) {
            bail!("--keys-env takes the name of an environment variable, never the keys");
        }
        let text = match std::env::var(variable) {
            Ok(text) => text,
            Err(std::env::VarError::NotUnicode(_)) => bail!("the keys are not UTF-8"),
            Err(std::env::VarError::NotPresent) => String::new(),
        };
        if text.is_empty() && variable == KEYS_ENV {
            bail!("there are no keys: set {KEYS_ENV} to KEYID:BASE64[,…], as gateways have it");
        } else if text.is_empty() {
            // A key without its id looks like a name: it is not repeated either.
            bail!("there are no keys: the variable that --keys-env names is not set");
        }
        Ok(Self {
            ring: Keyring::parse(&text).with_context(|| format!("can't use {variable}"))?,
            variable: variable.to_owned(),
        })
    }

    /// The key ids, the current one first.
    pub fn ids(&self) -> Vec<&str> {
        self.ring.ids().collect()
    }

    /// What makes pseudonyms under one key.
    ///
    /// # Errors
    /// The ring has no key of that id.
    pub fn pseudonymizer(
        &self,
        key_id: &str,
        tenant: &str,
        domain: &str,
    ) -> anyhow::Result<Pseudonymizer> {
        Pseudonymizer::new(&self.ring, key_id, tenant, domain).with_context(|| {
            let ids = self.ids().join(", ");
            format!("there is no key `{key_id}`: {} has {ids}", self.variable)
        })
    }
}
