//! When probes run: once a period, some time after it began.

use crate::config::Config;

/// The next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When its period began, in seconds since 1970.
    pub period_s: i64,
    /// When it is to begin, in seconds since 1970; not after it is due.
    pub begin_s: i64,
}

/// The next run, after the one of the period that began at `done_s`. `chance` is any number: it
/// decides how much of the jitter is waited.
///
/// A period whose time to begin is over, since the process was not there, is begun at once; earlier
/// periods are over, and of them nothing can be seen any more.
#[must_use]
pub fn next(config: &Config, now_s: i64, done_s: Option<i64>, chance: u32) -> Turn {
    let every = i64::from(config.every_s.max(1));
    let current = now_s.div_euclid(every).saturating_mul(every);
    let period_s = match done_s {
        Some(done) if done >= current => done.saturating_add(every),
        _ => current,
    };
    let jitter = config.jitter_s.checked_add(1).map_or(0, |n| chance % n);
    let due = period_s.saturating_add(i64::from(config.offset_s) + i64::from(jitter));
    Turn {
        period_s,
        begin_s: due.max(now_s),
    }
}

/// Whether what is said of a period that ended at `end_s` is late at `now_s`.
#[must_use]
pub fn is_late(config: &Config, end_s: i64, now_s: i64) -> bool {
    now_s > end_s.saturating_add(i64::from(config.grace_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_period_has_one_turn() {
        let config = Config {
            every_s: 100,
            offset_s: 10,
            jitter_s: 20,
            ..Config::default()
        };
        for (now, done, chance, period, begin) in [
            (1000, None, 0, 1000, 1010),
            (1000, None, 20, 1000, 1030),
            (1000, None, 21, 1000, 1010),
            (1005, None, 7, 1000, 1017),
            // The process came late: at once.
            (1090, None, 7, 1000, 1090),
            (1090, Some(900), 7, 1000, 1090),
            // It is done: the next one.
            (1030, Some(1000), 7, 1100, 1117),
            (1099, Some(1000), 0, 1100, 1110),
            // The clock went back.
            (950, Some(1000), 0, 1100, 1110),
            // Periods that nobody saw are not made up for.
            (1730, Some(1000), 0, 1700, 1730),
        ] {
            let turn = next(&config, now, done, chance);
            assert_eq!((turn.period_s, turn.begin_s), (period, begin), "at {now}");
        }
    }

    #[test]
    fn late_is_after_the_grace() {
        let config = Config {
            grace_s: 30,
            ..Config::default()
        };
        assert!(!is_late(&config, 1000, 1030));
        assert!(is_late(&config, 1000, 1031));
    }
}
