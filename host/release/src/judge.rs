use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Step};

/// So many bad requests are a pattern; fewer may be chance.
const FEW: u64 = 3;

/// What of a request is denied, and not only masked or hidden.
pub const DENIALS: [&str; 2] = ["(request)", "(residency)"];

/// How long nodes are waited for that are not connected, beyond what a step lasts anyway, in seconds.
const AWAY_S: u64 = 60;

/// The normal distribution's quantile of the confidence (one-sided 95 %) with which a share must be
/// above its limit.
const Z: f64 = 1.645;

/// What one release did in a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Requests that were decided.
    pub requests: u64,
    /// Denied.
    pub denied: u64,
    /// Could not be masked.
    pub failed: u64,
    /// Other answers of status 500 and above.
    pub server_errors: u64,
    /// The 95th percentile of what the gateway added, in milliseconds.
    pub added_p95_ms: Option<f64>,
}

/// What guards did under one release in a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardSample {
    /// Requests and connections to stores.
    pub asked: u64,
    /// Denied.
    pub denied: u64,
    /// Nothing could be decided, or no guard was there.
    pub failed: u64,
}

/// What the guards of sidecars did. Sidecars that log nothing leave all at zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guards {
    /// Under the release, at the step's nodes.
    pub canary: GuardSample,
    /// Under the stable release, at the same time and as long before.
    pub baseline: GuardSample,
}

impl Guards {
    fn are_silent(&self) -> bool {
        *self == Self::default()
    }
}

/// All that is known of a release at a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How long the step has lasted, in seconds.
    pub elapsed_s: u64,
    /// How long of that the conductor has looked at it without a break.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub watched_s: u64,
    /// What the release did at the step's nodes.
    pub canary: Sample,
    /// What the stable release did at the same time and as long before.
    pub baseline: Sample,
    /// What guards did.
    #[serde(default, skip_serializing_if = "Guards::are_silent")]
    pub guards: Guards,
    /// Nodes of the step that are connected and have not accepted the release yet.
    pub behind: Vec<String>,
    /// Nodes of the step that are not connected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<String>,
    /// How many nodes of the step have it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub have: u64,
    /// Nodes that refused it, and why.
    pub refused: BTreeMap<String, String>,
    /// Masking decisions, of either release, that were made again with both.
    pub compared: u64,
    /// Those that show a coordinate which the stable release masks, by coordinate; without those that
    /// the release says it loosens.
    pub loosened: BTreeMap<String, u64>,
    /// Those that mask a coordinate which the stable release shows, by coordinate, or deny what it allows
    /// (`(request)`, `(residency)`); without those that the release says it tightens.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tightened: BTreeMap<String, Part>,
    /// Tenants all of whose requests would be denied, of which the stable release allows so many; without those
    /// that the release says it shuts out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shut_out: BTreeMap<String, u64>,
    /// Whether the release says that it denies: then how many are denied, of which it is not known why, is no
    /// fault of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denies: bool,
}

/// So many of all that could show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// That show it.
    pub of: u64,
    /// That could.
    pub all: u64,
}

impl Part {
    /// The one that says more.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let says = |part: &Self| (part.of >= FEW, at_least(part.of, part.all));
        if says(&other) > says(&self) {
            other
        } else {
            self
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is to be done with a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays where it is.
    Wait(String),
    /// It did well: on to the next step, or to everybody after the last.
    GoOn,
    /// It is taken back.
    Withdraw(Vec<String>),
}

impl Evidence {
    /// Whether a step has been waited for long enough. A conductor that was away looks for a while first: nodes
    /// have to come back to it.
    fn is_over(&self, step: &Step) -> bool {
        is_over(step, self.elapsed_s, self.watched_s)
    }
}

/// Whether a step that has lasted so long, of which the conductor has watched so much, has been waited for long
/// enough.
pub fn is_over(step: &Step, elapsed_s: u64, watched_s: u64) -> bool {
    elapsed_s >= step.give_up_s && watched_s >= step.give_up_s.min(AWAY_S)
}

/// Judges a release by a step's evidence.
pub fn judge(plan: &Plan, step: &Step, evidence: &Evidence) -> Verdict {
    let reasons = faults(plan, step, evidence);
    if !reasons.is_empty() {
        return Verdict::Withdraw(reasons);
    }
    // A node that has gone for good, as a pod that is replaced, holds up no release that others have.
    let enough = step.hold_s.saturating_add(AWAY_S).min(step.give_up_s);
    let waited_for = evidence.have == 0
        || evidence.elapsed_s < enough
        || evidence.watched_s < AWAY_S.min(enough);
    let wait = if !evidence.behind.is_empty() {
        Some(format!(
            "{} have not got it yet",
            evidence.behind.join(", ")
        ))
    } else if waited_for && !evidence.away.is_empty() {
        Some(format!("{} are not connected", evidence.away.join(", ")))
    } else if evidence.canary.requests < step.min_requests {
        Some(format!(
            "{} of {} requests seen",
            evidence.canary.requests, step.min_requests
        ))
    } else if evidence.baseline.requests < step.min_requests {
        Some(format!(
            "{} of {} requests seen that the stable release decided, to tell what is usual",
            evidence.baseline.requests, step.min_requests
        ))
    } else if evidence.compared < step.min_requests {
        Some(format!(
            "{} of {} decisions of the policies could be made again",
            evidence.compared, step.min_requests
        ))
    } else if evidence.elapsed_s < step.hold_s {
        Some(format!("{} of {} s over", evidence.elapsed_s, step.hold_s))
    } else {
        None
    };
    match wait {
        None => Verdict::GoOn,
        Some(why) if evidence.is_over(step) => Verdict::Withdraw(vec![format!(
            "no evidence within {} s: {why}",
            step.give_up_s
        )]),
        Some(why) => Verdict::Wait(why),
    }
}

fn faults(plan: &Plan, step: &Step, evidence: &Evidence) -> Vec<String> {
    let limits = &plan.thresholds;
    let mut reasons = Vec::new();
    let refused = evidence.refused.len() as u64;
    if refused > limits.refusals
        && let Some((node, error)) = evidence.refused.first_key_value()
    {
        reasons.push(format!("{refused} refused it; {node}: {error}"));
    }
    // One decision can show several: at least so many do.
    let loosened = evidence.loosened.values().copied().max().unwrap_or(0);
    if loosened > limits.loosened {
        let names: Vec<&str> = evidence.loosened.keys().map(String::as_str).collect();
        // What is known without a decision counts as one.
        let who = match evidence.compared {
            0 => "it would".to_owned(),
            all => format!("{} of {all} decisions", loosened.min(all)),
        };
        reasons.push(format!(
            "{who} show what the stable release masks: {}",
            names.join(", ")
        ));
    }
    for (coordinate, Part { of: count, all }) in &evidence.tightened {
        let denies = DENIALS.contains(&coordinate.as_str());
        // What a few callers ask for says nothing of others.
        if !denies && *all < step.min_requests && evidence.canary.requests < step.min_requests {
            continue;
        }
        let (what, limit) = match denies {
            true => ("deny what the stable release allows", limits.denied),
            false => ("mask what the stable release shows", limits.tightened),
        };
        if *count >= FEW && at_least(*count, *all) > limit / 1000.0 {
            reasons.push(format!(
                "{count} of {all} decisions {what}: {coordinate}; {limit} of a thousand are allowed"
            ));
        }
    }
    for (tenant, count) in &evidence.shut_out {
        if *count >= FEW {
            reasons.push(format!(
                "all of {count} decisions that the stable release allows are denied: tenant:{tenant}"
            ));
        }
    }
    let (canary, baseline) = (&evidence.canary, &evidence.baseline);
    let (guards, before) = (&evidence.guards.canary, &evidence.guards.baseline);
    let requests = (canary.requests, baseline.requests);
    let asked = (guards.asked, before.asked);
    let denied = if evidence.denies { 0 } else { canary.denied };
    // What is bad is rare: what is usual of it is as many as there were (`share`). Of denials, which clients bring
    // about, it is as many as there may be, by as few as were seen (`at_most`).
    type Usual = fn(u64, u64) -> f64;
    // What guards decided is not made again: of a release that denies, that they let anybody through must show.
    let guarded: Usual = if evidence.denies { |_, _| 1.0 } else { at_most };
    for (what, limit, (all, all_before), bad, usual, bound) in [
        (
            "responses could not be masked",
            limits.failed,
            requests,
            canary.failed,
            baseline.failed,
            share as Usual,
        ),
        (
            "requests were denied",
            limits.denied,
            requests,
            denied,
            baseline.denied,
            at_most,
        ),
        (
            "answers were server errors",
            limits.server_errors,
            requests,
            canary.server_errors,
            baseline.server_errors,
            share,
        ),
        (
            "requests to stores were denied by guards",
            limits.guards_denied,
            asked,
            guards.denied,
            before.denied,
            guarded,
        ),
        (
            "requests to stores could not be decided by guards",
            limits.guards_failed,
            asked,
            guards.failed,
            before.failed,
            share,
        ),
    ] {
        // Of few requests, or none, it is not known what is usual: then only that all are bad is a pattern, unless
        // most were before.
        let above = at_least(bad, all) > bound(usual, all_before) + limit / 1000.0;
        let all_are = bad == all && at_least(usual, all_before) < 0.5;
        if bad >= FEW && (above || all_are) {
            reasons.push(format!(
                "{bad} of {all} {what}, where {:.1} of a thousand are usual and {limit} more allowed",
                share(usual, all_before) * 1000.0
            ));
        }
    }
    if let (Some(ours), Some(usual)) = (canary.added_p95_ms, baseline.added_p95_ms)
        && canary.requests >= step.min_requests
        && baseline.requests >= step.min_requests
        && ours > usual + limits.added_p95_ms
    {
        reasons.push(format!(
            "gateways add {ours:.1} ms to a request (p95), where {usual:.1} are usual and {} more \
             allowed",
            limits.added_p95_ms
        ));
    }
    reasons
}

fn share(of: u64, all: u64) -> f64 {
    if all == 0 {
        0.0
    } else {
        of as f64 / all as f64
    }
}

/// The lower bound of a share: Wilson's score interval (1927).
fn at_least(of: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    1.0 - at_most(all.saturating_sub(of), all)
}

/// The upper bound of a share.
fn at_most(of: u64, all: u64) -> f64 {
    if all == 0 {
        return 1.0;
    }
    // One request can count for several: more than all is all.
    let of = of.min(all);
    let (n, p) = (all as f64, share(of, all));
    let z2 = Z * Z;
    let centre = p + z2 / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre + spread) / (1.0 + z2 / n)).min(1.0)
}

#[cfg(test)]
mod tests;
