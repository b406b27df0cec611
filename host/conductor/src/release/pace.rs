//! How long a step has lasted, and when what is seen of it happened: by a clock that nobody sets, and by the
//! wall's wherever it stood meanwhile.

use std::time::{Duration, Instant};

use release::Canary;

/// Follows the step that is under way.
#[derive(Debug, Default)]
pub struct Pace {
    step: Option<Step>,
}

#[derive(Debug)]
struct Step {
    release: u64,
    step: Option<usize>,
    since_unix_ms: u64,
    /// When it was first seen here.
    seen: Instant,
    /// How long it had lasted by then.
    before: Duration,
    span: Span,
}

/// What counts for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// How long it has lasted.
    pub elapsed: Duration,
    /// How long of that it was looked at here.
    pub watched: Duration,
    /// The earliest that the clock showed meanwhile, in milliseconds since the Unix epoch.
    pub from_unix_ms: u64,
    /// The latest.
    pub until_unix_ms: u64,
    /// The newest decision that was stored before it began; 0 if that is not known.
    pub after: i64,
}

impl Pace {
    /// A step begins now, before which this decision was the newest.
    pub fn begin(&mut self, canary: &Canary, after: i64, now_unix_ms: u64, now: Instant) {
        let mut step = Step::new(canary, Duration::ZERO, now_unix_ms, now);
        step.span.after = after;
        self.step = Some(step);
    }

    /// What counts for the step that is under way. One that began under another conductor has lasted as long
    /// as the clock says.
    pub fn look(&mut self, canary: &Canary, now_unix_ms: u64, now: Instant) -> Span {
        let same = |s: &Step| {
            (s.release, s.step, s.since_unix_ms)
                == (canary.release, canary.step, canary.since_unix_ms)
        };
        let step = match self.step.take().filter(same) {
            Some(step) => step,
            None => {
                let before = now_unix_ms.saturating_sub(canary.since_unix_ms);
                Step::new(canary, Duration::from_millis(before), now_unix_ms, now)
            }
        };
        let step = self.step.insert(step);
        step.span.watched = now.saturating_duration_since(step.seen);
        step.span.elapsed = step.before + step.span.watched;
        step.span.from_unix_ms = step.span.from_unix_ms.min(now_unix_ms);
        step.span.until_unix_ms = step.span.until_unix_ms.max(now_unix_ms);
        step.span
    }
}

impl Step {
    fn new(canary: &Canary, before: Duration, now_unix_ms: u64, now: Instant) -> Self {
        Self {
            release: canary.release,
            step: canary.step,
            since_unix_ms: canary.since_unix_ms,
            seen: now,
            before,
            span: Span {
                elapsed: before,
                watched: Duration::ZERO,
                from_unix_ms: canary.since_unix_ms.min(now_unix_ms),
                until_unix_ms: now_unix_ms,
                after: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn canary(step: usize, since_unix_ms: u64) -> Canary {
        Canary {
            release: 7,
            step: Some(step),
            nodes: vec!["gateway-eu".to_owned()],
            since_unix_ms,
        }
    }

    #[test]
    fn a_step_lasts_as_long_as_time_passes_whatever_the_clock_shows() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        let (at, step) = (10 * DAY_MS, canary(0, 10 * DAY_MS));
        pace.begin(&step, 70, at, begun);
        for (seconds, clock, from, until) in [
            (1, at + 1_000, at, at + 1_000),
            // A day ahead,
            (2, at + DAY_MS, at, at + DAY_MS),
            // two days back, and on from there.
            (3, at - DAY_MS, at - DAY_MS, at + DAY_MS),
            (4, at - DAY_MS + 1_000, at - DAY_MS, at + DAY_MS),
        ] {
            let span = pace.look(&step, clock, begun + Duration::from_secs(seconds));
            let wanted = Span {
                elapsed: Duration::from_secs(seconds),
                watched: Duration::from_secs(seconds),
                from_unix_ms: from,
                until_unix_ms: until,
                after: 70,
            };
            assert_eq!(span, wanted);
        }
    }

    #[test]
    fn another_step_counts_for_itself_and_one_that_was_found_by_the_clock() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        let found = pace.look(&canary(0, 5_000), 9_000, begun);
        assert_eq!((found.elapsed, found.after), (Duration::from_secs(4), 0));
        let later = begun + Duration::from_secs(2);
        let found = pace.look(&canary(0, 5_000), DAY_MS, later);
        assert_eq!(found.elapsed, Duration::from_secs(6));
        assert_eq!(found.watched, Duration::from_secs(2));
        let next = pace.look(&canary(1, 11_000), 11_000, later);
        assert_eq!(
            (next.elapsed, next.from_unix_ms, next.until_unix_ms),
            (Duration::ZERO, 11_000, 11_000)
        );
        // It began when the clock was ahead: nothing is held against it that did not happen.
        let ahead = pace.look(&canary(2, DAY_MS), 12_000, later);
        assert_eq!(
            (ahead.elapsed, ahead.from_unix_ms),
            (Duration::ZERO, 12_000)
        );
    }
}
