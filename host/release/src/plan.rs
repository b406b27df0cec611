use serde::Deserialize;

use crate::error::PlanError;

/// How a release gets from some nodes to all, and what it must not do on the way.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The steps, in order. After the last one the release is everybody's.
    pub steps: Vec<Step>,
    /// What takes it back.
    #[serde(default)]
    pub thresholds: Thresholds,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// These nodes.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Or so many of a hundred connected nodes, rounded up: of each kind (gateways, sidecars) in each region
    /// by itself, so that none goes unseen.
    #[serde(default)]
    pub percent: Option<f64>,
    /// The regions whose nodes `percent` speaks of; if none is named, all.
    #[serde(default)]
    pub regions: Vec<String>,
    /// How long they have it at least, in seconds.
    pub hold_s: u64,
    /// How many requests they must have served with it.
    #[serde(default = "default_requests")]
    pub min_requests: u64,
    /// How long to wait for that, in seconds, before the release is taken back for want of evidence.
    #[serde(default = "default_give_up")]
    pub give_up_s: u64,
}

/// Which nodes a step is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Among<'a> {
    /// These.
    Nodes(&'a [String]),
    /// So many of a hundred.
    Percent(f64),
}

/// Limits, in requests of a thousand above what the stable release does at the same time, but for
/// those that are said to be otherwise. Beyond one, the release is taken back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Responses that could not be masked, and were withheld.
    pub failed: f64,
    /// Requests that were denied.
    pub denied: f64,
    /// Answers of status 500 and above, other than those.
    pub server_errors: f64,
    /// What the gateway itself adds to a request, its 95th percentile: milliseconds above that of the
    /// stable release.
    pub added_p95_ms: f64,
    /// Requests and connections to stores that guards denied, of a thousand.
    pub guards_denied: f64,
    /// Those on which guards could decide nothing, of a thousand.
    pub guards_failed: f64,
    /// Nodes that refused it: their number.
    pub refusals: u64,
    /// Decisions that show a coordinate which the stable release masks for the same caller, and that
    /// the release does not say it loosens: their number.
    pub loosened: u64,
    /// Decisions that mask a coordinate which the stable release shows the same caller, and that the release
    /// does not say it tightens, of a thousand. Those that deny it count as `denied`.
    pub tightened: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            failed: 1.0,
            denied: 20.0,
            server_errors: 10.0,
            added_p95_ms: 10.0,
            guards_denied: 20.0,
            guards_failed: 1.0,
            refusals: 0,
            loosened: 0,
            tightened: 500.0,
        }
    }
}

fn default_requests() -> u64 {
    100
}

fn default_give_up() -> u64 {
    3_600
}

impl Step {
    /// Whether it is for nodes of this region, by a percentage.
    pub fn is_for(&self, region: &str) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|r| r == region)
    }

    /// Whether there is a region that both are for.
    fn meets(&self, other: &Self) -> bool {
        self.regions.is_empty()
            || other.regions.is_empty()
            || other.regions.iter().any(|region| self.is_for(region))
    }

    /// Which nodes it is for.
    pub fn among(&self) -> Among<'_> {
        match self.percent {
            Some(percent) => Among::Percent(percent),
            None => Among::Nodes(&self.nodes),
        }
    }
}

impl Plan {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// It does not; the error names the place.
    pub fn check(&self) -> Result<(), PlanError> {
        let wrong = |place: String, reason| Err(PlanError { place, reason });
        if self.steps.is_empty() {
            return wrong(
                "steps".into(),
                "there must be one at least, on which a release is tried",
            );
        }
        for (at, step) in self.steps.iter().enumerate() {
            let place = |name: &str| format!("steps[{at}].{name}");
            match (step.percent, step.nodes.is_empty()) {
                (Some(_), false) | (None, true) => {
                    return wrong(
                        place("nodes"),
                        "a step has either `nodes` or `percent`, and not both",
                    );
                }
                (Some(percent), true) if !(percent > 0.0 && percent <= 100.0) => {
                    return wrong(place("percent"), "it must be above 0 and at most 100");
                }
                (Some(percent), true) => {
                    let before = self.steps.iter().take(at).filter(|b| b.meets(step));
                    if before.filter_map(|b| b.percent).any(|b| percent < b) {
                        return wrong(
                            place("percent"),
                            "it must not be less than at a step before it in the same region",
                        );
                    }
                }
                (None, false) if !step.regions.is_empty() => {
                    return wrong(place("regions"), "they go with `percent`, not with `nodes`");
                }
                (None, false) => {}
            }
            if step.min_requests == 0 {
                return wrong(
                    place("min_requests"),
                    "it must be 1 at least: what nobody used shows nothing",
                );
            }
            if step.give_up_s <= step.hold_s {
                return wrong(place("give_up_s"), "it must be longer than `hold_s`");
            }
        }
        let t = &self.thresholds;
        for (name, value) in [
            ("failed", t.failed),
            ("denied", t.denied),
            ("server_errors", t.server_errors),
            ("added_p95_ms", t.added_p95_ms),
            ("guards_denied", t.guards_denied),
            ("guards_failed", t.guards_failed),
            ("tightened", t.tightened),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(format!("thresholds.{name}"), "it must be 0 or more");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Plan {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_place() {
        let good = r#"{"steps": [{"percent": 10, "hold_s": 60}, {"nodes": ["a"], "hold_s": 1},
            {"percent": 50.5, "hold_s": 60, "min_requests": 1}]}"#;
        plan(good).check().unwrap();
        let good = r#"{"steps": [{"percent": 50, "regions": ["eu"], "hold_s": 60},
            {"percent": 10, "regions": ["us", "sea"], "hold_s": 1}, {"percent": 50, "hold_s": 1}]}"#;
        plan(good).check().unwrap();
        for (text, place) in [
            (r#"{"steps": []}"#, "steps: "),
            (r#"{"steps": [{"hold_s": 1}]}"#, "steps[0].nodes: "),
            (
                r#"{"steps": [{"nodes": ["a"], "percent": 1, "hold_s": 1}]}"#,
                "steps[0].nodes: ",
            ),
            (
                r#"{"steps": [{"percent": 0, "hold_s": 1}]}"#,
                "steps[0].percent: ",
            ),
            (
                r#"{"steps": [{"percent": 101, "hold_s": 1}]}"#,
                "steps[0].percent: ",
            ),
            (
                r#"{"steps": [{"percent": 50, "hold_s": 1}, {"percent": 10, "hold_s": 1}]}"#,
                "steps[1].percent: ",
            ),
            (
                r#"{"steps": [{"percent": 50, "regions": ["eu", "us"], "hold_s": 1},
                    {"percent": 10, "regions": ["us"], "hold_s": 1}]}"#,
                "steps[1].percent: ",
            ),
            (
                r#"{"steps": [{"percent": 50, "regions": ["eu"], "hold_s": 1},
                    {"percent": 10, "hold_s": 1}]}"#,
                "steps[1].percent: ",
            ),
            (
                r#"{"steps": [{"nodes": ["a"], "regions": ["eu"], "hold_s": 1}]}"#,
                "steps[0].regions: ",
            ),
            (
                r#"{"steps": [{"percent": 50, "hold_s": 10, "give_up_s": 10}]}"#,
                "steps[0].give_up_s: ",
            ),
            (
                r#"{"steps": [{"percent": 50, "hold_s": 1, "min_requests": 0}]}"#,
                "steps[0].min_requests: ",
            ),
            (
                r#"{"steps": [{"percent": 50, "hold_s": 1}], "thresholds": {"denied": -1}}"#,
                "thresholds.denied: ",
            ),
            (
                r#"{"steps": [{"percent": 50, "hold_s": 1}], "thresholds": {"tightened": -1}}"#,
                "thresholds.tightened: ",
            ),
            (
                r#"{"steps": [{"percent": 50, "hold_s": 1}], "thresholds": {"guards_denied": -1}}"#,
                "thresholds.guards_denied: ",
            ),
            (
                r#"{"steps": [{"percent": 50, "hold_s": 1}], "thresholds": {"guards_failed": -1}}"#,
                "thresholds.guards_failed: ",
            ),
        ] {
            let error = plan(text).check().expect_err(text).to_string();
            assert!(error.starts_with(place), "{text}: {error}");
        }
    }
}
