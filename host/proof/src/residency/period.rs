//! A period, as ISO 8601 writes an interval: its start and its duration.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A span of time between two seconds, such as `2026-11-27T09:00Z/PT1H`.
///
/// It is written in one way only: UTC, seconds where they are not 0, hours, minutes and seconds of
/// duration where they are not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Period {
    start: i64,
    seconds: u32,
}

/// Why a text or times are no period.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not written as a period is.
    #[error("`{0}` is no period such as 2026-11-27T09:00Z/PT1H")]
    Text(String),
    /// Before 1970, after 9999, or of no duration.
    #[error("a period lasts a second or more, between the years 1970 and 9999")]
    Range,
}

impl Period {
    /// From a start, in seconds since 1970, and a duration in seconds.
    ///
    /// # Errors
    /// It has no duration, or begins before 1970 or ends after 9999.
    pub fn new(start_s: i64, seconds: u32) -> Result<Self, PeriodError> {
        let end = start_s.checked_add(i64::from(seconds));
        let end = end.and_then(|end| Timestamp::from_second(end).ok());
        if start_s < 0 || seconds == 0 || end.is_none() {
            return Err(PeriodError::Range);
        }
        Ok(Self {
            start: start_s,
            seconds,
        })
    }

    /// The period of this duration that holds a moment; such periods begin at multiples of their
    /// duration since 1970, so that hours are those of the clock.
    ///
    /// # Errors
    /// As for [`Period::new`].
    pub fn at(moment: Timestamp, seconds: u32) -> Result<Self, PeriodError> {
        let start = moment
            .as_second()
            .checked_div_euclid(i64::from(seconds))
            .and_then(|n| n.checked_mul(i64::from(seconds)));
        Self::new(start.ok_or(PeriodError::Range)?, seconds)
    }

    /// The one from this one's end to the start of a later one, if there is time between them.
    #[must_use]
    pub fn until(self, later: Self) -> Option<Self> {
        let seconds = u32::try_from(later.start.checked_sub(self.end_s())?).ok()?;
        Self::new(self.end_s(), seconds).ok()
    }

    /// Its start, in seconds since 1970.
    #[must_use]
    pub fn start_s(self) -> i64 {
        self.start
    }

    /// The first second after it, since 1970.
    #[must_use]
    pub fn end_s(self) -> i64 {
        self.start.saturating_add(i64::from(self.seconds))
    }

    /// How long it lasts, in seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.seconds
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = Timestamp::from_second(self.start).map_err(|_| fmt::Error)?;
        if self.start % 60 == 0 {
            write!(f, "{}/PT", start.strftime("%Y-%m-%dT%H:%MZ"))?;
        } else {
            write!(f, "{}/PT", start.strftime("%Y-%m-%dT%H:%M:%SZ"))?;
        }
        let units = [
            (self.seconds / 3600, 'H'),
            (self.seconds / 60 % 60, 'M'),
            (self.seconds % 60, 'S'),
        ];
        for (count, unit) in units.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{count}{unit}")?;
        }
        Ok(())
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let read = || {
            let (start, duration) = text.split_once("/PT")?;
            let start: Timestamp = start.parse().ok()?;
            let mut seconds = 0_u32;
            for part in duration.split_inclusive(['H', 'M', 'S']) {
                let unit = match part.bytes().last()? {
                    b'H' => 3600,
                    b'M' => 60,
                    b'S' => 1,
                    _ => return None,
                };
                let count: u32 = part.get(..part.len() - 1)?.parse().ok()?;
                seconds = seconds.checked_add(count.checked_mul(unit)?)?;
            }
            let period = Self::new(start.as_second(), seconds).ok()?;
            (period.to_string() == text).then_some(period)
        };
        read().ok_or_else(|| PeriodError::Text(text.to_owned()))
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_has_one_form() {
        for (text, start, seconds) in [
            ("2026-11-27T09:00Z/PT1H", 1_795_770_000, 3600),
            ("2026-11-27T09:00:10Z/PT10S", 1_795_770_010, 10),
            ("2026-11-27T09:30Z/PT1H30M5S", 1_795_771_800, 5405),
            ("1970-01-01T00:00Z/PT48H", 0, 172_800),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.start_s(), period.seconds()), (start, seconds));
            assert_eq!(period.to_string(), text);
        }
        for text in [
            "",
            "2026-11-27T09:00Z",
            "2026-11-27T09:00:00Z/PT1H",
            "2026-11-27T10:00+01:00/PT1H",
            "2026-11-27T09:00:00.5Z/PT1H",
            "2026-11-27t09:00z/PT1H",
            "2026-11-27T09:00Z/PT60M",
            "2026-11-27T09:00Z/PT01H",
            "2026-11-27T09:00Z/PT+1H",
            "2026-11-27T09:00Z/PT5S1H",
            "2026-11-27T09:00Z/PT1",
            "2026-11-27T09:00Z/PT",
            "2026-11-27T09:00Z/PT0S",
            "2026-11-27T09:00Z/PT9999999H",
            "1969-12-31T23:00Z/PT1H",
            "2026-11-27T09:00Z/P1D",
            "2026-11-27T09:00Z/PT1é",
        ] {
            assert_eq!(
                text.parse::<Period>(),
                Err(PeriodError::Text(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn slots_are_those_of_the_clock() {
        let moment: Timestamp = "2026-11-27T09:59:59.9Z".parse().unwrap();
        for (seconds, want) in [
            (3600, "2026-11-27T09:00Z/PT1H"),
            (60, "2026-11-27T09:59Z/PT1M"),
            (10, "2026-11-27T09:59:50Z/PT10S"),
        ] {
            assert_eq!(Period::at(moment, seconds).unwrap().to_string(), want);
        }
        assert_eq!(Period::at(moment, 0), Err(PeriodError::Range));
    }

    #[test]
    fn a_gap_is_a_period() {
        let period = |text: &str| text.parse::<Period>().unwrap();
        let nine = period("2026-11-27T09:00Z/PT1H");
        let ten = period("2026-11-27T10:00Z/PT1H");
        let noon = period("2026-11-27T12:00Z/PT1H");
        assert_eq!(nine.until(noon), Some(period("2026-11-27T10:00Z/PT2H")));
        assert_eq!(nine.until(ten), None);
        assert_eq!(noon.until(ten), None);
    }
}
