//! The settings.

use serde::Deserialize;

/// When and how probes run. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a period is: each tenant has a proof of each. Periods begin at multiples of it since
    /// 1970.
    pub every_s: u32,
    /// How long the prober waits before its first period: gateways and agents may be starting too.
    pub settle_s: u32,
    /// When in a period its probes begin.
    pub offset_s: u32,
    /// At most how much later they begin, by chance, so that many conductors do not begin at once.
    pub jitter_s: u32,
    /// How long after its period a proof may be issued before it is late.
    pub grace_s: u32,
    /// Tenants that are probed at once.
    pub at_once: usize,
    /// How long spans and log lines of a request may take to arrive.
    pub evidence_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            every_s: 3600,
            settle_s: 30,
            offset_s: 60,
            jitter_s: 300,
            grace_s: 300,
            at_once: 16,
            evidence_s: 15,
        }
    }
}

impl Config {
    /// Whether the settings fit each other.
    ///
    /// # Errors
    /// They don't; the sentence says which.
    pub fn check(&self) -> Result<(), String> {
        if self.every_s == 0 {
            return Err("`every_s` must be a second or more".into());
        }
        if self.at_once == 0 {
            return Err("`at_once` must be 1 or more".into());
        }
        let begins = u64::from(self.offset_s) + u64::from(self.jitter_s);
        if begins >= u64::from(self.every_s) {
            return Err(format!(
                "`offset_s` and `jitter_s` are {begins} s together: probes would begin after their period \
                 of {} s",
                self.every_s
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_begin_within_their_period() {
        assert_eq!(Config::default().check(), Ok(()));
        for (every_s, offset_s, jitter_s, at_once, good) in [
            (10, 0, 0, 1, true),
            (10, 4, 5, 1, true),
            (10, 5, 5, 1, false),
            (10, u32::MAX, u32::MAX, 1, false),
            (0, 0, 0, 1, false),
            (10, 0, 0, 0, false),
        ] {
            let config = Config {
                every_s,
                offset_s,
                jitter_s,
                at_once,
                ..Config::default()
            };
            assert_eq!(config.check().is_ok(), good, "{config:?}");
        }
    }
}
