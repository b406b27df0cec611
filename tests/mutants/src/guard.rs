//! The table of guards.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Where their files are.
pub const ROOT: &str = "filters";

/// One guard, and how it is disabled.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// A short name.
    pub name: String,
    /// What it is for.
    pub guards: String,
    /// The file, below the filters' folder.
    pub file: String,
    /// Text that stands there exactly once.
    pub find: String,
    /// Text that disables the guard.
    pub with: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    guard: Vec<Guard>,
}

/// All guards, each of which can be found in the filters' files.
pub fn all(read: impl Fn(&str) -> Result<String>) -> Result<Vec<Guard>> {
    let table: Table = toml::from_str(include_str!("../guards.toml")).context("guards.toml")?;
    let mut names = BTreeSet::new();
    for guard in &table.guard {
        let name = &guard.name;
        ensure!(names.insert(name), "two guards are called {name}");
        let text = read(&guard.file)?;
        let times = text.matches(&guard.find).count();
        ensure!(
            times == 1,
            "{name}: its text stands {times} times in {}",
            guard.file
        );
    }
    Ok(table.guard)
}
