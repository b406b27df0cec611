//! From policy decision and operation to what happens to every value of the response.
//!
//! [`RuleTable`] says for every field of every object type which rule applies; [`Plan`] compiles
//! one operation under one table into a [`crate::json::Program`]; [`PlanMasker`] runs it.

mod apply;
mod compare;
mod compile;
mod envelope;
mod explain;
mod keys;
mod lookup;
mod plan;
mod strategy;
mod table;

pub use ::pseudonym::PseudonymKey;
pub use apply::PlanMasker;
pub use compare::{BODY, Compared, Comparison, Context, Known, subjects};
pub use compile::{Limits, RoutePlan, compile, compile_route, refused};
pub use envelope::Envelope;
pub use explain::{ExplainedPath, PathAction, Scope, explain};
pub use keys::Keyring;
pub use lookup::{DomainError, Pseudonym, PseudonymError, Pseudonymizer, key_domain};
pub use plan::{Guard, Leaf, Plan, Spec};
pub use strategy::StrategyKind;
pub use table::{Rule, RuleId, RuleTable, Source};

#[cfg(test)]
mod tests;
