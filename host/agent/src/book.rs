//! The outcomes of runs, for a while.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::names::Run;
use crate::outcome::Outcome;

/// How long a run is remembered after its first outcome.
const KEPT: Duration = Duration::from_secs(600);

/// How many runs are remembered.
const RUNS: usize = 10_000;

/// How many outcomes of a run are remembered.
const OUTCOMES: usize = 256;

/// What came of which run. Too many or too old: the oldest go.
#[derive(Debug, Default)]
pub(crate) struct Book {
    runs: HashMap<Run, Entry>,
    /// The runs in the order in which they began.
    order: VecDeque<Run>,
}

#[derive(Debug)]
struct Entry {
    began: Instant,
    outcomes: VecDeque<Outcome>,
}

impl Book {
    /// Notes an outcome that came at `now`.
    pub(crate) fn note(&mut self, run: &Run, outcome: Outcome, now: Instant) {
        self.forget(now);
        let entry = self.runs.entry(run.clone()).or_insert_with(|| {
            self.order.push_back(run.clone());
            Entry {
                began: now,
                outcomes: VecDeque::new(),
            }
        });
        entry.outcomes.push_back(outcome);
        if entry.outcomes.len() > OUTCOMES {
            entry.outcomes.pop_front();
        }
        if self.runs.len() > RUNS {
            self.forget_oldest();
        }
    }

    /// The outcomes of a run as they came.
    pub(crate) fn outcomes(&mut self, run: &Run, now: Instant) -> Vec<Outcome> {
        self.forget(now);
        let entry = self.runs.get(run);
        entry.map_or_else(Vec::new, |e| e.outcomes.iter().cloned().collect())
    }

    fn forget(&mut self, now: Instant) {
        let old = |entry: &Entry| now.saturating_duration_since(entry.began) >= KEPT;
        while let Some(run) = self.order.front()
            && self.runs.get(run).is_none_or(old)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(run) = self.order.pop_front() {
            self.runs.remove(&run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Operation, OutcomeKind, StoreKind};

    fn run(number: usize) -> Run {
        Run::try_from(format!("{number:032x}")).unwrap()
    }

    fn outcome(ms: u64) -> Outcome {
        Outcome {
            store: "people".into(),
            kind: StoreKind::Postgres,
            op: Operation::Read,
            result: OutcomeKind::Absent,
            code: None,
            reason: None,
            identity: None,
            region: None,
            ms,
        }
    }

    fn seen(book: &mut Book, number: usize, now: Instant) -> Vec<u64> {
        let outcomes = book.outcomes(&run(number), now);
        outcomes.iter().map(|o| o.ms).collect()
    }

    #[test]
    fn outcomes_are_told_as_they_came_until_they_are_old() {
        let (mut book, start) = (Book::default(), Instant::now());
        book.note(&run(1), outcome(1), start);
        book.note(&run(2), outcome(2), start + KEPT / 2);
        book.note(&run(1), outcome(3), start + KEPT / 2);
        let late = start + KEPT - Duration::from_millis(1);
        assert_eq!(seen(&mut book, 1, late), [1, 3]);
        assert_eq!(seen(&mut book, 3, late), [0; 0]);
        assert_eq!(seen(&mut book, 1, start + KEPT), [0; 0]);
        assert_eq!(seen(&mut book, 2, start + KEPT), [2]);
        assert_eq!((book.runs.len(), book.order.len()), (1, 1));
    }

    #[test]
    fn the_oldest_runs_and_outcomes_go() {
        let (mut book, now) = (Book::default(), Instant::now());
        for number in 0..RUNS {
            book.note(&run(number), outcome(0), now);
        }
        assert_eq!(seen(&mut book, 0, now), [0]);
        // An old run does not grow young.
        book.note(&run(0), outcome(0), now);
        book.note(&run(RUNS), outcome(0), now);
        assert_eq!(seen(&mut book, 0, now), [0; 0]);
        assert_eq!(seen(&mut book, 1, now), [0]);
        assert_eq!((book.runs.len(), book.order.len()), (RUNS, RUNS));
        for ms in 1..=300 {
            book.note(&run(RUNS), outcome(ms), now);
        }
        let kept = seen(&mut book, RUNS, now);
        assert_eq!((kept.len(), kept.last()), (OUTCOMES, Some(&300)));
    }
}
