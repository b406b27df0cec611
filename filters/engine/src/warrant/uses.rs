use std::collections::HashMap;

use super::{Warrant, WarrantError};

/// Counts the uses of warrants that may be used a limited number of times, for all workers of a gateway.
pub trait Uses {
    /// Counts one more use under `key`, if there were fewer than `most`, and says whether there were.
    ///
    /// # Errors
    /// The count is not known.
    fn take(&mut self, key: &str, most: u64) -> Result<bool, Uncounted>;
}

/// Uses could not be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the uses of the warrant can't be counted")]
pub struct Uncounted;

/// Counts in memory, for one process alone.
#[derive(Debug, Clone, Default)]
pub struct CountedUses(HashMap<String, u64>);

impl Uses for CountedUses {
    fn take(&mut self, key: &str, most: u64) -> Result<bool, Uncounted> {
        let used = self.0.entry(key.to_owned()).or_default();
        let free = *used < most;
        *used += u64::from(free);
        Ok(free)
    }
}

impl Warrant {
    /// Uses it once, if it may be used a limited number of times.
    ///
    /// # Errors
    /// The count is not known, or (the inner error) it is used up.
    pub fn take(&self, uses: &mut dyn Uses) -> Result<Result<(), WarrantError>, Uncounted> {
        let Some(most) = self.max_uses else {
            return Ok(Ok(()));
        };
        // Two authorities may give out the same id.
        let key = format!("warrant {} {}", self.binding.key, self.jti);
        let taken = uses.take(&key, most)?;
        Ok(if taken {
            Ok(())
        } else {
            Err(WarrantError::UsedUp)
        })
    }
}
