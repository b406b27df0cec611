//! The runs that the prober has announced, and what came of them, for a while.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::names::Run;
use crate::outcome::Outcome;

/// How long a run is remembered after it was first announced.
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
    /// Whether a request of it is awaited.
    awaited: bool,
    outcomes: VecDeque<Outcome>,
}

impl Book {
    /// Awaits a request of a run from `now` on.
    pub(crate) fn expect(&mut self, run: &Run, now: Instant) {
        self.forget(now);
        let entry = self.runs.entry(run.clone()).or_insert_with(|| {
            self.order.push_back(run.clone());
            Entry {
                began: now,
                awaited: true,
                outcomes: VecDeque::new(),
            }
        });
        entry.awaited = true;
        if self.runs.len() > RUNS {
            self.forget_oldest();
        }
    }

    /// Whether a request of a run is awaited; the next one is not, until it is announced.
    pub(crate) fn take(&mut self, run: &Run, now: Instant) -> bool {
        self.forget(now);
        let entry = self.runs.get_mut(run);
        entry.is_some_and(|entry| std::mem::take(&mut entry.awaited))
    }

    /// Notes an outcome of a run that is remembered.
    pub(crate) fn note(&mut self, run: &Run, outcome: Outcome) {
        let Some(entry) = self.runs.get_mut(run) else {
            return;
        };
        entry.outcomes.push_back(outcome);
        if entry.outcomes.len() > OUTCOMES {
            entry.outcomes.pop_front();
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

    fn note(book: &mut Book, number: usize, ms: u64, now: Instant) {
        book.expect(&run(number), now);
        assert!(book.take(&run(number), now));
        book.note(&run(number), outcome(ms));
    }

    #[test]
    fn outcomes_are_told_as_they_came_until_they_are_old() {
        let (mut book, start) = (Book::default(), Instant::now());
        note(&mut book, 1, 1, start);
        note(&mut book, 2, 2, start + KEPT / 2);
        note(&mut book, 1, 3, start + KEPT / 2);
        let late = start + KEPT - Duration::from_millis(1);
        assert_eq!(seen(&mut book, 1, late), [1, 3]);
        assert_eq!(seen(&mut book, 3, late), [0; 0]);
        assert_eq!(seen(&mut book, 1, start + KEPT), [0; 0]);
        assert_eq!(seen(&mut book, 2, start + KEPT), [2]);
        assert_eq!((book.runs.len(), book.order.len()), (1, 1));
    }

    #[test]
    fn a_request_is_awaited_once() {
        let (mut book, now) = (Book::default(), Instant::now());
        assert!(!book.take(&run(1), now));
        book.expect(&run(1), now);
        assert!(!book.take(&run(2), now));
        assert!(book.take(&run(1), now));
        assert!(!book.take(&run(1), now));
        book.expect(&run(1), now);
        assert!(!book.take(&run(1), now + KEPT));
        // What nobody announced is not remembered.
        book.note(&run(3), outcome(1));
        assert_eq!(seen(&mut book, 3, now), [0; 0]);
    }

    #[test]
    fn the_oldest_runs_and_outcomes_go() {
        let (mut book, now) = (Book::default(), Instant::now());
        for number in 0..RUNS {
            note(&mut book, number, 0, now);
        }
        assert_eq!(seen(&mut book, 0, now), [0]);
        // An old run does not grow young.
        note(&mut book, 0, 0, now);
        note(&mut book, RUNS, 0, now);
        assert_eq!(seen(&mut book, 0, now), [0; 0]);
        assert_eq!(seen(&mut book, 1, now), [0]);
        assert_eq!((book.runs.len(), book.order.len()), (RUNS, RUNS));
        for ms in 1..=300 {
            note(&mut book, RUNS, ms, now);
        }
        let kept = seen(&mut book, RUNS, now);
        assert_eq!((kept.len(), kept.last()), (OUTCOMES, Some(&300)));
    }
}
