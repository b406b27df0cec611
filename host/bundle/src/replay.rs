//! What a revision would change: recorded decisions, asked again of two bundles.

mod answer;
mod callers;
mod recorded;

pub use callers::{Rules, compare_callers};
pub use recorded::{Facts, MaskingFacts, Recorded, ResidencyFacts};

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use crate::{Bundle, BundleError};
use answer::Asked;

/// How many decisions are named as examples of a change.
const EXAMPLES: usize = 3;

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More is seen, or allowed.
    Loosened,
    /// Less is.
    Tightened,
    /// Neither.
    Other,
}

/// One difference between two answers to one question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Delta {
    pub direction: Direction,
    /// `Type.field`, or what of the request it is, in brackets.
    pub coordinate: String,
    pub old: String,
    pub new: String,
    /// Whether what was allowed is denied, and not led elsewhere.
    pub denies: bool,
    /// Whether the new answer lets nothing through.
    pub ends: bool,
    /// Whether only an operation that selects the field is concerned.
    pub of_field: bool,
    /// Whether the field was masked, or marked, before: then a record says whether it was selected.
    pub recorded: bool,
}

/// Where a request is served, if it is served before and after.
pub const REGION: &str = "(region)";

/// What changes, and for how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `Type.field`, or what of the request it is, in brackets: `(request)`, `(residency)`, [`REGION`],
    /// `(errors)`.
    pub coordinate: String,
    /// What is done today.
    pub old: String,
    /// What would be done.
    pub new: String,
    /// For how many decisions.
    pub decisions: u64,
    /// Some of them, by their ids.
    pub examples: Vec<String>,
}

/// What a revision would change of recorded decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The revision that stands.
    pub old: String,
    /// The one that would take its place.
    pub new: String,
    /// Requests whose decisions were asked for again.
    pub decisions: u64,
    /// Of those, how many the masking policy was asked about.
    pub masking: u64,
    /// How many of them would come out otherwise.
    pub changed: u64,
    /// Those whose operations may select a field that is clear today and would be masked: a record names
    /// what is masked, not all that is selected. They are not among `changed` by that.
    pub possibly_changed: u64,
    /// What would be seen or allowed and is not today.
    pub loosened: Vec<Change>,
    /// What would be masked or denied and is not today.
    pub tightened: Vec<Change>,
    /// What would be otherwise.
    pub other: Vec<Change>,
    /// What would be masked if an operation selects it.
    pub possibly_tightened: Vec<Change>,
    /// Settings (`masking.json`) that differ: name, today's, tomorrow's.
    pub settings: Vec<(String, String, String)>,
    /// Lines that can't be read, or lack what the policy is asked by.
    pub unreadable: u64,
    /// Why, and how many each.
    pub unreadable_because: BTreeMap<String, u64>,
    /// Requests that no policy was asked about: refused before, or on a path without filters.
    pub unasked: u64,
    /// Tenants all of whose requests that are allowed today would be denied, and how many those are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shut_out: BTreeMap<String, u64>,
    /// Decisions of guards: a record does not hold all that `ig.egress` is asked by.
    pub guards: u64,
    /// How many different questions that were.
    pub questions: u64,
}

/// Asks both bundles what was asked when the decisions were recorded. The same question is asked once.
///
/// # Errors
/// One of the bundles does not load.
pub fn compare(
    old: &Bundle,
    new: &Bundle,
    lines: impl Iterator<Item = Recorded>,
) -> Result<Comparison, BundleError> {
    let mut compared = Comparison {
        old: old.revision.clone(),
        new: new.revision.clone(),
        settings: settings(old, new),
        ..Comparison::default()
    };
    let mut bundles = Both {
        old: Asked::new(old)?,
        new: Asked::new(new)?,
        known: HashMap::new(),
    };
    let mut tally = Tally::default();
    let mut tenants: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in lines {
        let facts = match line {
            Recorded::Decision(facts) => facts,
            Recorded::Unasked => {
                compared.unasked += 1;
                continue;
            }
            Recorded::Guard => {
                compared.guards += 1;
                continue;
            }
            Recorded::Unreadable(reason) => {
                compared.unreadable += 1;
                *compared.unreadable_because.entry(reason).or_default() += 1;
                continue;
            }
        };
        compared.decisions += 1;
        compared.masking += u64::from(facts.masking.is_some());
        let (mut certain, mut possible) = (Vec::new(), Vec::new());
        let mut denied = false;
        if let Some(residency) = &facts.residency {
            let deltas = bundles.residency(residency, facts.time_s);
            denied = deltas.iter().any(|d| d.ends);
            certain.extend(
                deltas
                    .iter()
                    .map(|d| (residency.decision_id.clone(), d.clone())),
            );
        }
        let refused = facts.refused();
        if let Some(masking) = facts.masking.as_ref().filter(|_| !denied) {
            let id = || masking.decision_id.clone();
            for delta in bundles.masking(masking) {
                if !delta.of_field || masking.names(&delta.coordinate) {
                    certain.push((id(), delta));
                } else if !delta.recorded {
                    possible.push((id(), delta));
                }
            }
        }
        if let Some(tenant) = facts.tenant().filter(|_| !refused) {
            let (allowed, shut) = tenants.entry(tenant.to_owned()).or_default();
            *allowed += 1;
            *shut += u64::from(certain.iter().any(|(_, delta)| delta.denies));
        }
        compared.changed += u64::from(!certain.is_empty());
        compared.possibly_changed += u64::from(certain.is_empty() && !possible.is_empty());
        certain
            .into_iter()
            .for_each(|(id, d)| tally.add(d, true, id));
        possible
            .into_iter()
            .for_each(|(id, d)| tally.add(d, false, id));
    }
    let shut_out = tenants
        .into_iter()
        .filter(|(_, (allowed, shut))| allowed == shut);
    compared.shut_out = shut_out
        .map(|(tenant, (count, _))| (tenant, count))
        .collect();
    compared.questions = bundles.known.len() as u64;
    compared.loosened = tally.take(Direction::Loosened, true);
    compared.tightened = tally.take(Direction::Tightened, true);
    compared.other = tally.take(Direction::Other, true);
    // A field that is clear today can only be masked more.
    compared.possibly_tightened = tally.take(Direction::Tightened, false);
    compared
        .possibly_tightened
        .extend(tally.take(Direction::Other, false));
    Ok(compared)
}

/// How many decisions each change concerns, and some of them.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<(Delta, bool), (u64, Vec<String>)>);

impl Tally {
    pub fn add(&mut self, delta: Delta, certain: bool, example: String) {
        let (count, examples) = self.0.entry((delta, certain)).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example);
        }
    }

    /// The changes of one direction, those of most decisions first.
    pub fn take(&self, direction: Direction, certain: bool) -> Vec<Change> {
        let of = self
            .0
            .iter()
            .filter(|((d, c), _)| d.direction == direction && *c == certain);
        let mut changes: Vec<Change> = of
            .map(|((delta, _), (count, examples))| Change {
                coordinate: delta.coordinate.clone(),
                old: delta.old.clone(),
                new: delta.new.clone(),
                decisions: *count,
                examples: examples.clone(),
            })
            .collect();
        changes.sort_by_key(|c| std::cmp::Reverse(c.decisions));
        changes
    }
}

/// Both bundles, and what they were asked before.
struct Both {
    old: Asked,
    new: Asked,
    known: HashMap<String, Arc<Vec<Delta>>>,
}

impl Both {
    fn residency(&mut self, facts: &ResidencyFacts, time_s: Option<u64>) -> Arc<Vec<Delta>> {
        let old = self.old.residency_input(facts, time_s);
        let new = self.new.residency_input(facts, time_s);
        let key = format!("r{:?} {old}\n{new}", facts.refused_by());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let old = self.old.residency(&old);
        // What was denied, and not as the old policy does, something else denied.
        let deltas = match facts
            .refused_by()
            .is_some_and(|code| old.code() != Some(code))
        {
            true => Vec::new(),
            false => old.against(&self.new.residency(&new)),
        };
        let deltas = Arc::new(deltas);
        self.known.insert(key, deltas.clone());
        deltas
    }

    /// What differs for any of the kinds of operations of a request.
    fn masking(&mut self, facts: &MaskingFacts) -> Vec<Delta> {
        let mut all = Vec::new();
        for input in facts.inputs() {
            let key = format!("m{:?} {input}", facts.refused_by());
            let deltas = match self.known.get(&key) {
                Some(known) => known.clone(),
                None => {
                    let old = self.old.masking(&input);
                    let elsewhere = facts.refused_by().is_some_and(|c| old.code() != Some(c));
                    let deltas = match elsewhere {
                        true => Vec::new(),
                        false => old.against(&self.new.masking(&input)),
                    };
                    let deltas = Arc::new(deltas);
                    self.known.insert(key, deltas.clone());
                    deltas
                }
            };
            all.extend(deltas.iter().cloned());
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The members of the settings that differ.
pub(crate) fn settings(old: &Bundle, new: &Bundle) -> Vec<(String, String, String)> {
    let members = |bundle: &Bundle| -> BTreeMap<String, String> {
        let settings = serde_json::to_value(&bundle.settings).unwrap_or_default();
        let members = settings.as_object().cloned().unwrap_or_default();
        members
            .into_iter()
            .map(|(n, v)| (n, v.to_string()))
            .collect()
    };
    let (old, mut new) = (members(old), members(new));
    let mut differ = Vec::new();
    for (name, was) in old {
        let is = new.remove(&name).unwrap_or_default();
        if was != is {
            differ.push((name, was, is));
        }
    }
    differ.extend(new.into_iter().map(|(name, is)| (name, String::new(), is)));
    differ
}

#[cfg(test)]
mod tests;
