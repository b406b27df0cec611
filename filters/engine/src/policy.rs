//! Rego policy: the only place that knows the interpreter.
//!
//! A policy is pure: its result depends on its modules, its data and its input, and nothing else
//! (no clock and no network is compiled in). So a result can be kept under the text of its input.

#[cfg(feature = "coverage")]
mod coverage;
mod decision;
mod decisions;
mod document;
mod egress;
mod input;
mod regex;

#[cfg(feature = "coverage")]
pub use coverage::{Coverage, CoveredRule};
pub use decision::{
    DEFAULT_KEEP_LAST, Decision, Denial, ErrorDetail, ResidencyDecision, RuleSpec, Verdict,
};
pub use decisions::Decisions;
pub use document::Document;
pub use egress::{EgressDecision, EgressInput, EgressOperation, StoreInput};
pub use input::{MaskingInput, ResidencyInput, Surface, WarrantFacts, WarrantRefusal};

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long one evaluation may take: a policy that loops fails closed and holds nobody up for long.
const PATIENCE: Duration = Duration::from_millis(250);

/// Units of the interpreter's work between two looks at the clock.
const WORK_BETWEEN_CHECKS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

/// The source of a policy: Rego v1 modules and data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// The modules.
    pub modules: Vec<Module>,
    /// The data document.
    pub data: serde_json::Value,
}

/// One Rego module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Its file, for error messages.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Why a policy can't be loaded or evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A module does not parse; the interpreter's message names file, line and column.
    #[error("the policy module {path} does not parse: {message}")]
    Module {
        /// The module's file.
        path: String,
        /// What the interpreter says.
        message: String,
    },
    /// The data is not an object, or clashes.
    #[error("the policy data can't be used: {0}")]
    Data(String),
    /// The interpreter has a builtin of its own by the name of one of ours.
    #[error("the policy interpreter can't be set up: {0}")]
    Setup(String),
    /// The rule that is asked for does not exist or fails.
    #[error("the policy rule {rule} can't be evaluated: {message}")]
    Evaluate {
        /// The rule.
        rule: &'static str,
        /// What the interpreter says.
        message: String,
    },
    /// The rule has no value for an input: it lacks a default.
    #[error("the policy rule {0} is undefined for this input: give it a default that denies")]
    Undefined(&'static str),
    /// The rule's value has another shape than a decision.
    #[error("the policy rule {rule} gives no decision: {message}")]
    Shape {
        /// The rule.
        rule: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// A loaded policy.
pub struct Policy {
    engine: regorus::Engine,
    rule: &'static str,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

/// A rule that gives decisions of one kind.
pub trait Question {
    /// The rule's path.
    const RULE: &'static str;
    /// What the rule gives.
    type Answer: serde::de::DeserializeOwned;
}

impl Policy {
    /// Loads a policy that answers `rule`, and tries it once on an input that says nothing.
    ///
    /// # Errors
    /// A module or the data is broken, or the rule does not exist.
    pub fn load<Q: Question>(source: &PolicySource) -> Result<Self, PolicyError> {
        let engine = interpreter(source)?;
        let mut policy = Self {
            engine,
            rule: Q::RULE,
        };
        policy.ask::<Q>("{}")?;
        Ok(policy)
    }

    /// Evaluates the rule on an input, a JSON text.
    ///
    /// # Errors
    /// The rule fails, is undefined, or gives something else than a decision.
    pub fn ask<Q: Question>(&mut self, input: &str) -> Result<Q::Answer, PolicyError> {
        let rule = Q::RULE;
        let failed = |e: &dyn fmt::Display| PolicyError::Evaluate {
            rule,
            message: clean(e),
        };
        self.engine.set_input_json(input).map_err(|e| failed(&e))?;
        let value = self
            .engine
            .eval_rule(rule.to_owned())
            .map_err(|e| failed(&e))?;
        if value == regorus::Value::Undefined {
            return Err(PolicyError::Undefined(rule));
        }
        let json = value.to_json_str().map_err(|e| failed(&e))?;
        serde_json::from_str(&json).map_err(|e| PolicyError::Shape {
            rule,
            message: e.to_string(),
        })
    }
}

/// The parts of the name of a module's package, without `data`.
///
/// # Errors
/// The module does not parse.
pub fn package(module: &Module) -> Result<Vec<String>, PolicyError> {
    let mut engine = regorus::Engine::new();
    let name = engine
        .add_policy(module.path.clone(), module.text.clone())
        .map_err(|e| PolicyError::Module {
            path: module.path.clone(),
            message: clean(&e),
        })?;
    let name = name.strip_prefix("data.").unwrap_or(&name);
    Ok(name.split('.').map(str::to_owned).collect())
}

/// An interpreter with a policy's modules and data.
fn interpreter(source: &PolicySource) -> Result<regorus::Engine, PolicyError> {
    let mut engine = regorus::Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.set_execution_timer_config(regorus::utils::limits::ExecutionTimerConfig {
        limit: PATIENCE,
        check_interval: WORK_BETWEEN_CHECKS,
    });
    regex::register(&mut engine).map_err(PolicyError::Setup)?;
    for module in &source.modules {
        engine
            .add_policy(module.path.clone(), module.text.clone())
            .map_err(|e| PolicyError::Module {
                path: module.path.clone(),
                message: clean(&e),
            })?;
    }
    // From value to value: a text between them would cost a large directory as much again.
    let data =
        regorus::Value::deserialize(&source.data).map_err(|e| PolicyError::Data(clean(&e)))?;
    engine
        .add_data(data)
        .map_err(|e| PolicyError::Data(clean(&e)))?;
    Ok(engine)
}

/// The interpreter's message on one line, without its drawing of the source.
fn clean(error: &dyn fmt::Display) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('|') && !l.contains(" | "))
        .map(|l| l.trim_start_matches("-->").trim())
        .collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests;
