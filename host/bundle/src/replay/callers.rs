//! Two bundles, asked about every kind of caller that their data knows.

use serde::Serialize;

use super::answer::Asked;
use super::{Change, Direction, Tally};
use crate::check::asked::Directory;
use crate::{Bundle, BundleError};

/// What another bundle would do otherwise, whoever asks. The number of a change is that of the kinds of
/// callers, and its examples are some of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// Kinds of callers and crossings that were asked about.
    pub asked: usize,
    /// What would be seen or allowed and is not today.
    pub loosened: Vec<Change>,
    /// What would be masked or denied and is not today.
    pub tightened: Vec<Change>,
    /// What would be otherwise.
    pub other: Vec<Change>,
}

impl Rules {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.loosened.is_empty() && self.tightened.is_empty() && self.other.is_empty()
    }
}

/// Asks both bundles about the callers that the data of either knows.
///
/// # Errors
/// One of the bundles does not load.
pub fn compare_callers(old: &Bundle, new: &Bundle) -> Result<Rules, BundleError> {
    let mut asked = [Asked::new(old)?, Asked::new(new)?];
    let mut tally = Tally::default();
    let directories = [old, new].map(|bundle| Directory::of(&bundle.policy.data));
    let mut masking = std::collections::BTreeMap::new();
    let mut residency = std::collections::BTreeMap::new();
    for directory in &directories {
        for caller in directory.callers() {
            if let Ok(input) = serde_json::to_string(&caller.input()) {
                masking.insert(input, caller.to_string());
            }
        }
        for crossing in directory.crossings() {
            if let Ok(input) = serde_json::to_string(&crossing.input()) {
                residency.insert(input, crossing.to_string());
            }
        }
    }
    let [old, new] = &mut asked;
    for (input, caller) in &masking {
        for delta in old.masking(input).against(&new.masking(input)) {
            tally.add(delta, true, caller.clone());
        }
    }
    for (input, crossing) in &residency {
        for delta in old.residency(input).against(&new.residency(input)) {
            tally.add(delta, true, crossing.clone());
        }
    }
    Ok(Rules {
        asked: masking.len() + residency.len(),
        loosened: tally.take(Direction::Loosened, true),
        tightened: tally.take(Direction::Tightened, true),
        other: tally.take(Direction::Other, true),
    })
}
