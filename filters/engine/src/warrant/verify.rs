use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::jws::Unverified;
use super::{LONGEST, Registry, Warrant, WarrantError};
use crate::cache::Cache;

/// How many verified warrants are remembered.
const REMEMBERED: usize = 1024;

/// Verifies warrants against a registry, and remembers those whose signature was good.
#[derive(Debug)]
pub struct Warrants {
    registry: Registry,
    /// By the SHA-256 of the warrant's text.
    authentic: Cache<[u8; 32], Arc<Warrant>>,
}

impl Warrants {
    /// With the authorities of a registry.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            authentic: Cache::new(REMEMBERED),
        }
    }

    /// Whose warrants are believed.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The warrant, if a registered authority made it. Whether it stands now and covers what it is
    /// used for is asked anew each time: [`Registry::upholds`], [`Warrant::covers`].
    ///
    /// # Errors
    /// [`WarrantError::Malformed`], [`WarrantError::KeyUnknown`], [`WarrantError::Forged`] or
    /// [`WarrantError::Binding`].
    pub fn authenticate(&mut self, text: &[u8]) -> Result<Arc<Warrant>, WarrantError> {
        if text.len() > LONGEST {
            return Err(WarrantError::Malformed);
        }
        let hash: [u8; 32] = Sha256::digest(text).into();
        if let Some(warrant) = self.authentic.get(&hash) {
            return Ok(warrant);
        }
        let unverified = Unverified::parse(text)?;
        let key = self.registry.key(unverified.kid());
        let warrant = unverified.verify(key.ok_or(WarrantError::KeyUnknown)?)?;
        self.registry.binds(&warrant, unverified.kid())?;
        let warrant = Arc::new(warrant);
        self.authentic.insert(hash, warrant.clone());
        Ok(warrant)
    }
}
