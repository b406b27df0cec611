//! Printing what was expected and what was seen.

use serde::Serialize;

/// One check.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// What should be seen.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Whether they agree.
    pub passed: bool,
}

/// Prints a table, and a summary line.
pub fn print(checks: &[Check]) {
    let width = |f: fn(&Check) -> usize| checks.iter().map(f).max().unwrap_or(0);
    let name = width(|c| c.name.chars().count());
    let expected = width(|c| c.expected.chars().count()).min(60);
    println!(
        "{:4}  {:name$}  {:expected$}  seen",
        "", "check", "expected"
    );
    for check in checks {
        let verdict = if check.passed { "ok" } else { "FAIL" };
        println!(
            "{verdict:4}  {:name$}  {:expected$}  {}",
            check.name, check.expected, check.seen
        );
    }
    let failed = checks.iter().filter(|c| !c.passed).count();
    println!("\n{} passed, {failed} failed", checks.len() - failed);
}

/// Prints the checks as a JSON array.
pub fn print_json(checks: &[Check]) {
    match serde_json::to_string_pretty(checks) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("demo: {error}"),
    }
}
