use std::sync::Arc;

use serde::Serialize;

use super::{Policy, PolicyError, PolicySource, Question};
use crate::cache::Cache;

/// A policy whose answers are remembered under the text of their inputs.
#[derive(Debug)]
pub struct Decisions<Q: Question> {
    pub(super) policy: Policy,
    known: Cache<String, Arc<Q::Answer>>,
}

impl<Q: Question> Decisions<Q> {
    /// Loads the policy; up to `entries` answers are remembered.
    ///
    /// # Errors
    /// As [`Policy::load`].
    pub fn load(source: &PolicySource, entries: usize) -> Result<Self, PolicyError> {
        Ok(Self {
            policy: Policy::load::<Q>(source)?,
            known: Cache::new(entries),
        })
    }

    /// Asks the policy, or remembers what it said. Failures are not remembered.
    ///
    /// # Errors
    /// As [`Policy::ask`], or the input can't be written.
    pub fn ask(&mut self, input: &impl Serialize) -> Result<Arc<Q::Answer>, PolicyError> {
        let input = serde_json::to_string(input).map_err(|e| PolicyError::Evaluate {
            rule: Q::RULE,
            message: e.to_string(),
        })?;
        if let Some(answer) = self.known.get(input.as_str()) {
            return Ok(answer);
        }
        let answer = Arc::new(self.policy.ask::<Q>(&input)?);
        self.known.insert(input, answer.clone());
        Ok(answer)
    }
}
