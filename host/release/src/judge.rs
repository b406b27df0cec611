use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Step};

/// So many bad requests are a pattern; fewer may be chance.
const FEW: u64 = 3;

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
    /// Whether the release says that it denies: then how many are denied is no fault of it.
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
        let more = at_least(other.of, other.all) > at_least(self.of, self.all);
        if more { other } else { self }
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
        reasons.push(format!(
            "{loosened} of {} decisions show what the stable release masks: {}",
            evidence.compared,
            names.join(", ")
        ));
    }
    for (coordinate, Part { of: count, all }) in &evidence.tightened {
        let denies = coordinate.starts_with('(');
        if denies && evidence.denies {
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
    for (what, limit, (all, all_before), bad, usual) in [
        (
            "responses could not be masked",
            limits.failed,
            requests,
            canary.failed,
            baseline.failed,
        ),
        (
            "requests were denied",
            limits.denied,
            requests,
            denied,
            baseline.denied,
        ),
        (
            "answers were server errors",
            limits.server_errors,
            requests,
            canary.server_errors,
            baseline.server_errors,
        ),
        (
            "requests to stores were denied by guards",
            limits.guards_denied,
            asked,
            guards.denied,
            before.denied,
        ),
        (
            "requests to stores could not be decided by guards",
            limits.guards_failed,
            asked,
            guards.failed,
            before.failed,
        ),
    ] {
        // Of few requests, or none, it is not known what is usual: then only that all are bad is a pattern, unless
        // most were before.
        let above = at_least(bad, all) > at_most(usual, all_before) + limit / 1000.0;
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
mod tests {
    use super::*;

    fn plan() -> Plan {
        serde_json::from_str(
            r#"{"steps": [{"percent": 10, "hold_s": 60, "min_requests": 100, "give_up_s": 600}]}"#,
        )
        .unwrap()
    }

    fn sample() -> Sample {
        Sample {
            requests: 1000,
            denied: 50,
            failed: 0,
            server_errors: 1,
            added_p95_ms: Some(1.0),
        }
    }

    fn verdict(change: impl FnOnce(&mut Evidence)) -> Verdict {
        let sample = sample();
        let mut evidence = Evidence {
            elapsed_s: 60,
            watched_s: 60,
            have: 1,
            canary: sample,
            baseline: sample,
            compared: 1000,
            ..Evidence::default()
        };
        change(&mut evidence);
        let plan = plan();
        judge(&plan, &plan.steps[0], &evidence)
    }

    fn withdrawn(change: impl FnOnce(&mut Evidence)) -> String {
        match verdict(change) {
            Verdict::Withdraw(reasons) => reasons.join("; "),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_does_as_well_as_before_goes_on() {
        assert_eq!(verdict(|_| ()), Verdict::GoOn);
        // Two are no pattern, and 20 more of a thousand are allowed.
        assert_eq!(verdict(|e| e.canary.failed = 2), Verdict::GoOn);
        assert_eq!(verdict(|e| e.canary.denied = 70), Verdict::GoOn);
        assert_eq!(
            verdict(|e| e.canary.added_p95_ms = Some(11.0)),
            Verdict::GoOn
        );
    }

    fn guards() -> Guards {
        let of = |asked, denied| GuardSample {
            asked,
            denied,
            failed: 0,
        };
        Guards {
            canary: of(100, 10),
            baseline: of(1_000, 100),
        }
    }

    #[test]
    fn guards_that_do_as_before_or_say_nothing_hold_up_nothing() {
        assert_eq!(verdict(|e| e.guards = guards()), Verdict::GoOn);
        // As many as ever may be denied, for all that is known.
        assert_eq!(
            verdict(|e| {
                e.guards = guards();
                e.guards.canary.denied = 90;
                e.guards.baseline = GuardSample::default();
            }),
            Verdict::GoOn
        );
        // Two are no pattern, and nobody is asked where no store is opened.
        assert_eq!(
            verdict(|e| e.guards.canary = GuardSample {
                asked: 2,
                denied: 2,
                failed: 0
            }),
            Verdict::GoOn
        );
        // Records of before guards were looked at are read, and where they say nothing nothing is written.
        let silent = serde_json::to_value(Evidence::default()).unwrap();
        assert!(silent.get("guards").is_none());
        let read: Evidence = serde_json::from_value(silent).unwrap();
        assert_eq!(read, Evidence::default());
    }

    #[test]
    fn what_is_not_seen_yet_is_waited_for_and_not_for_ever() {
        for (change, why) in [
            (
                Box::new(|e: &mut Evidence| e.elapsed_s = 59) as Box<dyn Fn(&mut Evidence)>,
                "59 of 60 s over",
            ),
            (
                Box::new(|e| (e.canary.requests, e.canary.denied) = (99, 5)),
                "99 of 100 requests seen",
            ),
            (
                Box::new(|e| e.compared = 99),
                "99 of 100 decisions of the policies could be made again",
            ),
            (
                Box::new(|e| e.behind = vec!["gateway-eu".into()]),
                "gateway-eu have not got it yet",
            ),
        ] {
            assert_eq!(verdict(&change), Verdict::Wait(why.into()));
        }
        let never = |e: &mut Evidence| {
            (e.canary.requests, e.canary.denied) = (99, 5);
            (e.elapsed_s, e.watched_s) = (600, 600);
        };
        assert_eq!(
            withdrawn(never),
            "no evidence within 600 s: 99 of 100 requests seen"
        );
    }

    #[test]
    fn nodes_that_are_away_are_waited_for_as_long_as_makes_sense() {
        let away = |elapsed_s: u64, have: u64| {
            verdict(|e| {
                (e.elapsed_s, e.watched_s, e.have) = (elapsed_s, elapsed_s, have);
                e.away = vec!["gateway-eu-pod2".into()];
            })
        };
        assert_eq!(
            away(119, 1),
            Verdict::Wait("gateway-eu-pod2 are not connected".into())
        );
        assert_eq!(away(120, 1), Verdict::GoOn, "others have it");
        assert!(matches!(away(599, 0), Verdict::Wait(_)), "nobody has it");
        assert!(matches!(away(600, 0), Verdict::Withdraw(_)));
        // One is back, and the others are about to be.
        let one_is_back = |e: &mut Evidence| {
            (e.elapsed_s, e.watched_s, e.have) = (6_000, 5, 1);
            e.away = vec!["gateway-eu-2".into()];
        };
        assert!(matches!(verdict(one_is_back), Verdict::Wait(_)));
        // Longer than the step is waited for at all nobody is.
        let mut plan = plan();
        plan.steps[0].give_up_s = 100;
        let evidence = Evidence {
            elapsed_s: 100,
            watched_s: 100,
            have: 1,
            away: vec!["gateway-eu-pod2".into()],
            canary: sample(),
            baseline: sample(),
            compared: 1_000,
            ..Evidence::default()
        };
        assert_eq!(judge(&plan, &plan.steps[0], &evidence), Verdict::GoOn);
        // The conductor was away itself, and nodes are about to come back.
        let back = |e: &mut Evidence| {
            (e.elapsed_s, e.watched_s, e.have) = (6_000, 59, 0);
            e.away = vec!["gateway-eu".into()];
        };
        assert!(matches!(verdict(back), Verdict::Wait(_)));
    }

    #[test]
    fn what_is_usual_has_to_be_known() {
        // All four requests at night were denied; so is the release's every one.
        let night = |e: &mut Evidence| {
            (e.baseline.requests, e.baseline.denied) = (4, 4);
            (e.canary.requests, e.canary.denied) = (1_000, 1_000);
        };
        assert_eq!(
            verdict(night),
            Verdict::Wait(
                "4 of 100 requests seen that the stable release decided, to tell what is usual"
                    .into()
            )
        );
    }

    #[test]
    fn few_requests_tell_nobody_what_is_usual() {
        for before in [0, 4] {
            // One of twenty, as ever; nobody knows yet.
            let as_ever = |e: &mut Evidence| {
                (e.baseline.requests, e.baseline.denied) = (before, 0);
            };
            assert!(matches!(verdict(as_ever), Verdict::Wait(_)), "{before}");
            let everybody = |e: &mut Evidence| {
                as_ever(e);
                e.canary.denied = e.canary.requests;
            };
            assert!(withdrawn(everybody).starts_with("1000 of 1000 requests were denied"));
        }
        // Where nearly all are denied anyway, three of three are no news.
        let anyway = |e: &mut Evidence| {
            (e.baseline.requests, e.baseline.denied) = (1_000, 999);
            (e.canary.requests, e.canary.denied) = (3, 3);
        };
        assert!(matches!(verdict(anyway), Verdict::Wait(_)));
    }

    #[test]
    fn who_says_that_it_denies_is_not_blamed_for_it() {
        let shut = |denies: bool| {
            verdict(|e| {
                let part = Part {
                    of: 300,
                    all: 1_000,
                };
                e.tightened.insert("(request)".into(), part);
                e.canary.denied = 300;
                e.denies = denies;
            })
        };
        assert_eq!(shut(true), Verdict::GoOn);
        assert!(matches!(shut(false), Verdict::Withdraw(reasons) if reasons.len() == 2));
    }

    #[test]
    fn of_two_parts_the_one_that_says_more_counts() {
        let (few, many) = (Part { of: 3, all: 3 }, Part { of: 40, all: 50 });
        assert_eq!(few.or(many), many);
        assert_eq!(many.or(few), many);
        assert_eq!(Part::default().or(few), few);
    }

    #[test]
    fn what_blocks_or_masks_many_is_taken_back_unless_it_is_said() {
        for (coordinate, count, why) in [
            ("(request)", 30, Some("30 of 1000 decisions deny")),
            ("(residency)", 30, Some("30 of 1000 decisions deny")),
            // Denied twice over, by what was decided under either release.
            ("(residency)", 1_001, Some("1001 of 1000 decisions deny")),
            ("(request)", 2, None),
            ("Person.name", 600, Some("600 of 1000 decisions mask")),
            ("Person.name", 500, None),
        ] {
            let verdict = verdict(|e| {
                let part = Part {
                    of: count,
                    all: 1_000,
                };
                e.tightened.insert(coordinate.into(), part);
            });
            match (verdict, why) {
                (Verdict::GoOn, None) => {}
                (Verdict::Withdraw(reasons), Some(why)) => {
                    let reasons = reasons.join("; ");
                    assert!(
                        reasons.starts_with(why) && reasons.contains(coordinate),
                        "{reasons}"
                    );
                }
                (other, _) => panic!("{coordinate} {count}: {other:?}"),
            }
        }
        // One tenant of many, which no share of all requests shows.
        let one = |e: &mut Evidence| {
            e.shut_out.insert("globex".into(), 3);
        };
        assert_eq!(
            withdrawn(one),
            "all of 3 decisions that the stable release allows are denied: tenant:globex"
        );
    }

    #[test]
    fn what_does_worse_is_taken_back_at_once() {
        for (change, why) in [
            (
                Box::new(|e: &mut Evidence| e.canary.failed = 10) as Box<dyn Fn(&mut Evidence)>,
                "10 of 1000 responses could not be masked",
            ),
            (
                Box::new(|e| e.canary.denied = 110),
                "110 of 1000 requests were denied, where 50.0 of a thousand are usual",
            ),
            (
                Box::new(|e| e.canary.server_errors = 30),
                "30 of 1000 answers were server errors",
            ),
            (
                Box::new(|e| e.canary.added_p95_ms = Some(11.5)),
                "gateways add 11.5 ms",
            ),
            (
                Box::new(|e| {
                    e.loosened.insert("Person.email".into(), 1);
                }),
                "1 of 1000 decisions show what the stable release masks: Person.email",
            ),
            (
                Box::new(|e| {
                    e.refused
                        .insert("gateway-eu".into(), "no such filter".into());
                }),
                "1 refused it; gateway-eu: no such filter",
            ),
        ] {
            let reason = withdrawn(|e| {
                e.elapsed_s = 1;
                change(e);
            });
            assert!(reason.starts_with(why), "{reason}");
        }
        for (change, why) in [
            (
                Box::new(|g: &mut GuardSample| g.denied = 40) as Box<dyn Fn(&mut GuardSample)>,
                "40 of 100 requests to stores were denied by guards, where 100.0 of a thousand are usual \
                 and 20 more",
            ),
            (
                Box::new(|g| g.failed = 5),
                "5 of 100 requests to stores could not be decided by guards",
            ),
        ] {
            let reason = withdrawn(|e| {
                e.guards = guards();
                change(&mut e.guards.canary);
            });
            assert!(reason.starts_with(why), "{reason}");
        }
        let nobody = withdrawn(|e| {
            e.guards = guards();
            e.guards.canary.denied = 100;
            e.guards.baseline = GuardSample::default();
        });
        assert!(nobody.starts_with("100 of 100 requests to stores were denied"));
        // Few requests, all bad.
        let all = |e: &mut Evidence| {
            e.canary = Sample {
                requests: 3,
                failed: 3,
                ..Sample::default()
            };
        };
        assert!(withdrawn(all).starts_with("3 of 3 responses"));
    }

    /// Table 1 of Newcombe (1998) gives 81/263 a 95 % two-sided interval from 0.2553 by this method;
    /// with this quantile it is narrower.
    #[test]
    fn the_bound_is_wilsons() {
        assert!((at_least(81, 263) - 0.2632).abs() < 0.001);
        assert!(at_least(0, 20).abs() < f64::EPSILON);
        assert!(at_least(0, 0).abs() < f64::EPSILON);
        assert!((at_least(30, 20) - at_least(20, 20)).abs() < f64::EPSILON);
    }
}
