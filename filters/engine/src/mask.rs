//! From policy decision and operation to what happens to every value of the response.
//!
//! [`RuleTable`] says for every field of every object type which rule applies; [`Plan`] compiles
//! one operation under one table into a [`crate::json::Program`]; [`PlanMasker`] runs it.

mod apply;
mod compile;
mod envelope;
mod explain;
mod keys;
mod mac;
mod plan;
mod pseudonym;
mod strategy;
mod table;

pub use apply::PlanMasker;
pub use compile::{Limits, compile};
pub use envelope::Envelope;
pub use explain::{ExplainedPath, explain};
pub use keys::{KeyError, Keyring};
pub use plan::{Leaf, Plan, Spec};
pub use pseudonym::PseudonymKey;
pub use strategy::StrategyKind;
pub use table::{Rule, RuleId, RuleTable, Source};

#[cfg(test)]
mod tests;
