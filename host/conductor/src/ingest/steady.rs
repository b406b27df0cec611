//! Whether the clock can be believed when it says that something is old.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long a clock that jumped ahead has to go steadily, and how long a conductor may have been away.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// By how much a clock may be set ahead without being one that jumped.
const SLACK: Duration = Duration::from_secs(5 * 60);

/// How the clock went until now; kept in the store, for the next conductor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steady {
    /// What it showed last, in milliseconds since the Unix epoch.
    clock_unix_ms: Option<i64>,
    /// How much longer nothing is deleted, in milliseconds.
    waits_ms: u64,
    /// When that was, where it was in this process.
    #[serde(skip)]
    seen: Option<Instant>,
}

impl Steady {
    /// The clock shows this now.
    #[must_use]
    pub fn look(self, clock_unix_ms: i64, now: Instant) -> Self {
        // Of the time before this process nothing is known but the clock's word.
        let passed = self.seen.map(|seen| now.saturating_duration_since(seen));
        let ahead = match self.clock_unix_ms {
            Some(before) => u64::try_from(clock_unix_ms.saturating_sub(before)).unwrap_or(0),
            None => 0,
        };
        let may_be = passed.map_or(DAY, |passed| passed + SLACK);
        let waits = match Duration::from_millis(ahead) > may_be {
            true => DAY,
            false => {
                Duration::from_millis(self.waits_ms).saturating_sub(passed.unwrap_or_default())
            }
        };
        Self {
            clock_unix_ms: Some(clock_unix_ms),
            waits_ms: u64::try_from(waits.as_millis()).unwrap_or(u64::MAX),
            seen: Some(now),
        }
    }

    /// Whether it is believed.
    pub fn is_believed(&self) -> bool {
        self.waits_ms == 0
    }

    /// How long it has to go steadily yet, in seconds.
    pub fn waits_s(&self) -> u64 {
        self.waits_ms.div_ceil(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    /// Looks after so many seconds, at which the clock shows so much; whether it is believed each time.
    fn believed(from: Steady, looks: &[(u64, i64)]) -> (Vec<bool>, Steady) {
        let begun = Instant::now();
        let mut steady = from;
        let mut seen = Vec::new();
        for (seconds, clock) in looks {
            steady = steady.look(*clock, begun + Duration::from_secs(*seconds));
            seen.push(steady.is_believed());
        }
        (seen, steady)
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_not_believed_for_a_day() {
        let day = 86_400;
        let (seen, _) = believed(
            Steady::default(),
            &[
                (0, 0),
                (60, 60_000),
                // Set right by a minute, and back by a day.
                (120, 180_000),
                (180, 180_000 - DAY_MS),
                (240, 240_000 - DAY_MS),
                // A day ahead.
                (300, 300_000),
                (360, 360_000),
                (300 + day - 1, 0),
                (300 + day, 1_000),
            ],
        );
        let wanted = [true, true, true, true, true, false, false, false, true];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn the_next_conductor_waits_on_and_notices_what_happened_between() {
        let (_, kept) = believed(Steady::default(), &[(0, 0), (60, DAY_MS)]);
        let text = serde_json::to_string(&kept).unwrap();
        let kept: Steady = serde_json::from_str(&text).unwrap();
        let (seen, _) = believed(kept, &[(0, DAY_MS + 1), (86_400, 2 * DAY_MS)]);
        assert_eq!(seen, [false, true]);
        let (_, before) = believed(Steady::default(), &[(0, 0)]);
        let before = Steady {
            seen: None,
            ..before
        };
        assert_eq!(believed(before.clone(), &[(0, DAY_MS)]).0, [true]);
        assert_eq!(believed(before, &[(0, DAY_MS + 1)]).0, [false]);
    }
}
