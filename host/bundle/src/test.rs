//! Tests of a bundle: its case folders, and how much of its rules they reach.

use engine::policy::{Coverage, package};
use serde::Serialize;

use crate::Bundle;
use crate::cases::{Case, CaseError, Kind, Native};
use crate::replay::Comparison;

/// Packages that no case can ask: cases are requests at a gateway.
const BEYOND_CASES: [&str; 2] = ["ig.egress", "system.log"];

/// Why the tests of a bundle can't be run.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// A case can't be run.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// What was evaluated is not known.
    #[error(transparent)]
    Coverage(#[from] engine::policy::PolicyError),
}

/// What came of the tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestReport {
    /// The revision of the bundle's content.
    pub revision: String,
    /// How many cases were run.
    pub cases: usize,
    /// Those that came out otherwise than wanted.
    pub failures: Vec<Failure>,
    /// What of the modules was evaluated.
    pub coverage: Vec<ModuleCoverage>,
    /// Of the lines of the modules that cases can ask, how many of a hundred were evaluated.
    pub coverage_percent: u32,
    /// What the bundle changes of recorded decisions, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Comparison>,
}

impl TestReport {
    /// Whether all cases came out as wanted, and at least so many of a hundred lines were evaluated.
    #[must_use]
    pub fn passes(&self, least_percent: u32) -> bool {
        self.failures.is_empty() && self.coverage_percent >= least_percent
    }
}

/// A case that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which filters it is for.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What is not as wanted.
    pub wrong: Vec<String>,
}

/// What of one module was evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModuleCoverage {
    /// The module's file.
    pub path: String,
    /// Whether any case asked it at all.
    pub asked: bool,
    /// Whether it is counted in the whole: all but rules that no case can ask, those for guards and for
    /// decision logs.
    pub counted: bool,
    /// Lines that could be evaluated.
    pub lines: usize,
    /// Lines that were.
    pub covered: usize,
    /// The rules.
    pub rules: Vec<RuleCoverage>,
}

/// What of one rule was evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCoverage {
    /// The first line of its text.
    pub head: String,
    /// Where that stands.
    pub line: u32,
    /// Whether anything of it was evaluated.
    pub evaluated: bool,
    /// Its lines that never were: of a rule that never came true, for one, its value.
    pub missed: Vec<u32>,
}

/// Runs cases natively, in every way to cut their responses, and watches what of the rules is evaluated.
///
/// # Errors
/// A case can't be run with this bundle.
pub fn run(bundle: &Bundle, cases: &[Case]) -> Result<TestReport, TestError> {
    let mut native = Native::covering(bundle.clone());
    let mut failures = Vec::new();
    for case in cases {
        let mut wrong: Vec<String> = Vec::new();
        for pieces in case.splits() {
            for fault in native.run(case, &pieces)?.against(&case.want) {
                if !wrong.contains(&fault) {
                    wrong.push(fault);
                }
            }
        }
        if !wrong.is_empty() {
            failures.push(Failure {
                kind: case.kind,
                name: case.name.clone(),
                wrong,
            });
        }
    }
    let beyond = beyond_cases(bundle)?;
    let coverage = native.coverage()?.into_iter();
    let coverage: Vec<ModuleCoverage> = coverage.map(|m| module(m, &beyond)).collect();
    let counted = coverage.iter().filter(|m| m.counted);
    let (covered, lines) = counted.fold((0, 0), |(c, l), m| (c + m.covered, l + m.lines));
    Ok(TestReport {
        revision: bundle.revision.clone(),
        cases: cases.len(),
        failures,
        coverage_percent: u32::try_from((covered * 100).checked_div(lines).unwrap_or(0))
            .unwrap_or(0),
        coverage,
        replay: None,
    })
}

/// The files of packages that no case can ask.
fn beyond_cases(bundle: &Bundle) -> Result<Vec<&str>, TestError> {
    let mut beyond = Vec::new();
    for module in &bundle.policy.modules {
        if BEYOND_CASES.contains(&package(module)?.join(".").as_str()) {
            beyond.push(module.path.as_str());
        }
    }
    Ok(beyond)
}

fn module(module: Coverage, beyond: &[&str]) -> ModuleCoverage {
    // Of a module that was never asked the interpreter tells no lines.
    let written = module
        .rules
        .iter()
        .map(|rule| (rule.to - rule.from + 1) as usize);
    let lines = match module.covered.len() + module.missed.len() {
        0 => written.sum(),
        lines => lines,
    };
    let rules = module.rules.into_iter().map(|rule| {
        let lines = rule.from..=rule.to;
        RuleCoverage {
            evaluated: module.covered.range(lines.clone()).next().is_some(),
            missed: module.missed.range(lines).copied().collect(),
            head: rule.head,
            line: rule.from,
        }
    });
    ModuleCoverage {
        rules: rules.collect(),
        asked: !module.covered.is_empty(),
        counted: !module.covered.is_empty() || !beyond.contains(&module.path.as_str()),
        lines,
        covered: module.covered.len(),
        path: module.path,
    }
}
