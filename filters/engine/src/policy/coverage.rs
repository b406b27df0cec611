//! Which lines of a policy were evaluated.

use std::collections::BTreeSet;

use regorus::unstable::{Rule, RuleHead};
use serde::Serialize;

use super::{Decisions, Policy, PolicyError, Question};

/// What of one module was evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The module's file.
    pub path: String,
    /// Lines of which something was evaluated, from 1.
    pub covered: BTreeSet<u32>,
    /// Lines of which nothing was.
    pub missed: BTreeSet<u32>,
    /// The rules, in their order.
    pub rules: Vec<CoveredRule>,
}

/// One rule: its head and where it stands. A rule of several bodies stands here once for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoveredRule {
    /// The first line of its text.
    pub head: String,
    /// Its first line.
    pub from: u32,
    /// Its last line.
    pub to: u32,
}

impl Policy {
    /// Watches which lines are evaluated from now on.
    pub fn cover(&mut self) {
        self.engine.set_enable_coverage(true);
    }

    /// What was evaluated of each module since [`Policy::cover`].
    ///
    /// # Errors
    /// The interpreter can't say.
    pub fn coverage(&mut self) -> Result<Vec<Coverage>, PolicyError> {
        let failed = |e: &dyn std::fmt::Display| PolicyError::Evaluate {
            rule: self.rule,
            message: super::clean(e),
        };
        let report = self.engine.get_coverage_report();
        let report = report.map_err(|e| failed(&e))?;
        let mut modules = Vec::new();
        for module in self.engine.get_modules().iter() {
            let path = module.package.span.source.get_path().clone();
            let file = report.files.iter().find(|f| f.path == path);
            let rules = module.policy.iter().filter_map(|rule| covered_rule(rule));
            modules.push(Coverage {
                covered: file.map(|f| f.covered.clone()).unwrap_or_default(),
                missed: file.map(|f| f.not_covered.clone()).unwrap_or_default(),
                rules: rules.collect(),
                path,
            });
        }
        Ok(modules)
    }
}

impl<Q: Question> Decisions<Q> {
    /// The policy, to be watched.
    pub fn policy_mut(&mut self) -> &mut Policy {
        &mut self.policy
    }
}

/// A rule with something to evaluate: a default is what is left where nothing was.
fn covered_rule(rule: &Rule) -> Option<CoveredRule> {
    let Rule::Spec { span, head, .. } = rule else {
        return None;
    };
    let (RuleHead::Compr { .. } | RuleHead::Set { .. } | RuleHead::Func { .. }) = head;
    let text = span.text();
    let lines = text.trim_end().lines().count().max(1);
    Some(CoveredRule {
        head: text.lines().next().unwrap_or_default().trim().to_owned(),
        from: span.line,
        to: span.line + u32::try_from(lines - 1).unwrap_or(0),
    })
}
