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
            "4 of 100 requests seen that the stable release decided, to tell what is usual".into()
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
    let shut = |denies: bool, made_again: u64| {
        verdict(|e| {
            let part = Part {
                of: made_again,
                all: 1_000,
            };
            e.tightened.insert("(request)".into(), part);
            e.canary.denied = 300;
            e.guards = guards();
            e.guards.canary.denied = 40;
            e.denies = denies;
        })
    };
    assert_eq!(shut(true, 0), Verdict::GoOn);
    // Of what was made again those are left out whom it named.
    assert!(matches!(shut(true, 300), Verdict::Withdraw(reasons) if reasons.len() == 1));
    assert!(matches!(shut(false, 300), Verdict::Withdraw(reasons) if reasons.len() == 3));
    let nobody = withdrawn(|e| {
        e.guards = guards();
        e.guards.canary.denied = e.guards.canary.asked;
        e.denies = true;
    });
    assert!(nobody.starts_with("100 of 100 requests to stores were denied"));
}

#[test]
fn what_is_bad_is_rare_however_little_was_seen_before() {
    // Five of a hundred that could not be masked, and none of a hundred before.
    let reason = withdrawn(|e| {
        (e.baseline.requests, e.baseline.denied) = (100, 5);
        (e.canary.requests, e.canary.denied, e.canary.failed) = (100, 5, 5);
    });
    assert!(reason.starts_with("5 of 100 responses"), "{reason}");
    // Guards that were not asked before.
    let reason = withdrawn(|e| {
        e.guards = guards();
        e.guards.canary.failed = 40;
        e.guards.baseline = GuardSample::default();
    });
    assert!(
        reason.starts_with("40 of 100 requests to stores could not"),
        "{reason}"
    );
}

#[test]
fn three_callers_that_see_less_are_no_pattern_yet() {
    let masked = |requests: u64, part: Part| {
        verdict(|e| {
            e.canary.requests = requests;
            e.canary.denied = 0;
            e.tightened.insert("Person.name".into(), part);
        })
    };
    let few = Part { of: 3, all: 3 };
    assert!(matches!(masked(3, few), Verdict::Wait(_)));
    // That is all that will be known.
    assert!(matches!(masked(1_000, few), Verdict::Withdraw(_)));
    let many = Part { of: 90, all: 100 };
    assert!(matches!(masked(3, many), Verdict::Withdraw(_)));
}

#[test]
fn of_two_parts_the_one_that_says_more_counts() {
    let (few, many) = (Part { of: 3, all: 3 }, Part { of: 40, all: 50 });
    assert_eq!(few.or(many), many);
    assert_eq!(many.or(few), many);
    assert_eq!(Part::default().or(few), few);
    // What may be chance hides no pattern.
    let (two, some) = (
        Part { of: 2, all: 2 },
        Part {
            of: 300,
            all: 1_000,
        },
    );
    assert_eq!((two.or(some), some.or(two)), (some, some));
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
                e.loosened.insert("Person.email".into(), 1_001);
            }),
            "1000 of 1000 decisions show what the stable release masks: Person.email",
        ),
        (
            Box::new(|e| {
                e.compared = 0;
                e.loosened.insert("settings.mode".into(), 1);
            }),
            "it would show what the stable release masks: settings.mode",
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
