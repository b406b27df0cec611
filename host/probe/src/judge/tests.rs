use super::*;
use crate::observe::Decision;

fn acme() -> Tenant {
    Tenant {
        name: "acme".into(),
        home: "eu".into(),
        regions: ["eu".to_owned()].into(),
        quarantined: false,
    }
}

fn seen(outcome: Outcome, region: &str) -> StoreSeen {
    StoreSeen {
        outcome,
        identity: format!("pg-{region}"),
        region: Some(region.to_owned()),
    }
}

fn evidence(allowed: bool) -> Evidence {
    Evidence {
        span: Some(("eu".into(), "eu".into())),
        decision: Some(Decision {
            id: "dec_1".into(),
            tenant: "acme".into(),
            allowed,
            revision: "r-1".into(),
        }),
    }
}

fn home(operation: Operation, deleted: bool, through: Through) -> Seen {
    let passed = matches!(through, Through::Passed(_));
    Seen::Home {
        store: "people".into(),
        kind: "postgres".into(),
        operation,
        deleted,
        through,
        evidence: evidence(passed),
    }
}

fn passed(operation: Operation, deleted: bool, outcome: Outcome) -> Seen {
    home(operation, deleted, Through::Passed(seen(outcome, "eu")))
}

/// All as it should be.
fn good() -> Vec<Seen> {
    vec![
        passed(Operation::Write, false, Outcome::Done),
        passed(Operation::Read, false, Outcome::Found),
        Seen::Gateway {
            region: "us".into(),
            through: Through::Refused(403),
        },
        Seen::Elsewhere {
            region: "us".into(),
            store: "people".into(),
            seen: seen(Outcome::Refused("CONTEXT_FOREIGN".into()), "us"),
        },
        passed(Operation::Delete, false, Outcome::Done),
        passed(Operation::Read, true, Outcome::Absent),
    ]
}

fn elsewhere(outcome: Outcome) -> Seen {
    Seen::Elsewhere {
        region: "us".into(),
        store: "people".into(),
        seen: seen(outcome, "us"),
    }
}

fn gateway(through: Through) -> Seen {
    Seen::Gateway {
        region: "us".into(),
        through,
    }
}

fn with(evidence: Evidence) -> Seen {
    Seen::Home {
        store: "people".into(),
        kind: "postgres".into(),
        operation: Operation::Write,
        deleted: false,
        through: Through::Passed(seen(Outcome::Done, "eu")),
        evidence,
    }
}

#[test]
fn what_is_as_it_should_be_passes() {
    let judgement = judge(&acme(), &good());
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:?}");
    assert_eq!(judgement.reads, ("eu".into(), "eu".into()));
    assert_eq!(judgement.writes, ("eu".into(), "eu".into()));
    let stores: Vec<&str> = judgement.stores.iter().map(|s| &*s.identity).collect();
    assert_eq!(stores, ["pg-eu"]);
    assert!(judgement.findings.is_empty());
}

#[test]
fn whatever_is_not_is_named() {
    use Outcome::{Absent, Done, Failed, Found, Refused};
    let fail = Verdict::Fail;
    let unknown = Verdict::Unknown;
    let read = |deleted, outcome| passed(Operation::Read, deleted, outcome);
    for (step, verdict, says) in [
        (read(false, Absent), fail, "was written and is not there"),
        (read(true, Found), fail, "still there after it was deleted"),
        (
            passed(Operation::Delete, false, Absent),
            fail,
            "to delete was not there",
        ),
        (
            passed(Operation::Write, false, Found),
            fail,
            "makes no sense",
        ),
        (
            home(Operation::Write, false, Through::Passed(seen(Done, "us"))),
            fail,
            "the store says that it is in `us`",
        ),
        (
            read(false, Refused("CROSS_REGION".into())),
            unknown,
            "the tenant's own region refused it (CROSS_REGION)",
        ),
        (
            read(false, Failed("timed out".into())),
            unknown,
            "timed out",
        ),
        (
            home(
                Operation::Write,
                false,
                Through::Passed(StoreSeen {
                    outcome: Done,
                    identity: String::new(),
                    region: None,
                }),
            ),
            unknown,
            "does not say where it is",
        ),
        (
            home(Operation::Write, false, Through::Refused(403)),
            unknown,
            "own gateway refused it with 403",
        ),
        (
            home(Operation::Write, false, Through::Failed("no route".into())),
            unknown,
            "no route",
        ),
        (
            gateway(Through::Passed(seen(Found, "us"))),
            fail,
            "the gateway of `us` let",
        ),
        (gateway(Through::Refused(503)), unknown, "answered 503"),
        // Something else than a gateway answers there, or the prober is not known to it.
        (gateway(Through::Refused(200)), unknown, "answered 200"),
        (gateway(Through::Refused(401)), unknown, "answered 401"),
        (gateway(Through::Refused(404)), unknown, "answered 404"),
        (
            gateway(Through::Failed("no route".into())),
            unknown,
            "no route",
        ),
        (elsewhere(Found), fail, "the sentinel is there"),
        (elsewhere(Absent), fail, "was let in"),
        (elsewhere(Done), fail, "was let in"),
        (elsewhere(Outcome::Foreign), fail, "was let in"),
        (
            Seen::Elsewhere {
                region: "eu".into(),
                store: "people".into(),
                seen: seen(Found, "eu"),
            },
            fail,
            "`people` of region `eu`: a service was let in",
        ),
        (
            elsewhere(Outcome::Reached("no such bucket".into())),
            fail,
            "only the store itself refused it: no such bucket",
        ),
        (
            read(false, Outcome::Foreign),
            fail,
            "another tenant's sentinel",
        ),
        (
            read(false, Outcome::Reached("wrong password".into())),
            unknown,
            "the store itself refused it: wrong password",
        ),
        (elsewhere(Failed("down".into())), unknown, "down"),
        (
            with(Evidence {
                span: None,
                ..evidence(true)
            }),
            unknown,
            "span did not arrive",
        ),
        (
            with(Evidence {
                span: Some(("eu".into(), "us".into())),
                ..evidence(true)
            }),
            fail,
            "from `eu` to `us`",
        ),
        (
            with(Evidence {
                span: Some(("us".into(), "eu".into())),
                ..evidence(true)
            }),
            fail,
            "from `us` to `eu`",
        ),
        (
            with(Evidence {
                decision: None,
                ..evidence(true)
            }),
            unknown,
            "not in the decision log",
        ),
        (with(evidence(false)), fail, "the opposite happened"),
        (
            with(Evidence {
                decision: Some(Decision {
                    id: "dec_2".into(),
                    tenant: "globex".into(),
                    allowed: true,
                    revision: "r-1".into(),
                }),
                ..evidence(true)
            }),
            fail,
            "of tenant `globex`",
        ),
    ] {
        let mut all = good();
        all.push(step.clone());
        let judgement = judge(&acme(), &all);
        assert_eq!(judgement.verdict, verdict, "{step:?}: {judgement:?}");
        assert!(judgement.findings[0].contains(says), "{judgement:?}");
    }
}

#[test]
fn what_was_allowed_and_not_answered_is_no_contradiction() {
    let refused = |status, evidence| Seen::Home {
        store: "people".into(),
        kind: "postgres".into(),
        operation: Operation::Write,
        deleted: false,
        through: Through::Refused(status),
        evidence,
    };
    for (status, allowed, verdict) in [
        (503, true, Verdict::Unknown),
        (400, true, Verdict::Unknown),
        (403, false, Verdict::Unknown),
        (403, true, Verdict::Fail),
    ] {
        let mut all = good();
        all.push(refused(status, evidence(allowed)));
        let judgement = judge(&acme(), &all);
        assert_eq!(judgement.verdict, verdict, "{status}: {judgement:?}");
    }
}

#[test]
fn what_was_not_written_is_not_lost() {
    let lost = [
        home(Operation::Write, false, Through::Refused(503)),
        passed(Operation::Read, false, Outcome::Absent),
        passed(Operation::Delete, false, Outcome::Absent),
        passed(Operation::Read, true, Outcome::Absent),
    ];
    let judgement = judge(&acme(), &lost);
    assert_eq!(judgement.verdict, Verdict::Unknown, "{judgement:?}");
    let stays = [
        passed(Operation::Write, false, Outcome::Done),
        passed(Operation::Delete, false, Outcome::Failed("down".into())),
        passed(Operation::Read, true, Outcome::Found),
    ];
    let judgement = judge(&acme(), &stays);
    assert_eq!(judgement.verdict, Verdict::Unknown, "{judgement:?}");
}

#[test]
fn other_gateways_deny_or_send_home() {
    for status in [403, 421, 307] {
        let mut all = good();
        all.push(gateway(Through::Refused(status)));
        assert_eq!(judge(&acme(), &all).verdict, Verdict::Pass, "{status}");
    }
}

#[test]
fn the_worst_decides_and_stands_first() {
    let mut all = good();
    all.push(gateway(Through::Failed("no route".into())));
    all.push(elsewhere(Outcome::Found));
    let judgement = judge(&acme(), &all);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(judgement.findings[0].contains("the sentinel is there"));
    assert_eq!(judgement.findings.len(), 2);
}

#[test]
fn nothing_seen_is_unknown() {
    let judgement = judge(&acme(), &[]);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert_eq!(judgement.reads, ("eu".into(), "unknown".into()));
}

#[test]
fn quarantine_shuts_out() {
    let tenant = Tenant {
        quarantined: true,
        ..acme()
    };
    let mut all = vec![home(Operation::Write, false, Through::Refused(403))];
    let shut_out = judge(&tenant, &all);
    assert_eq!(shut_out.verdict, Verdict::Unknown);
    assert_eq!(shut_out.findings.len(), 1);
    all.push(passed(Operation::Read, false, Outcome::Found));
    assert_eq!(judge(&tenant, &all).verdict, Verdict::Fail);
}

#[test]
fn another_region_that_serves_the_tenant_is_no_fault() {
    let tenant = Tenant {
        regions: ["eu".to_owned(), "us".to_owned()].into(),
        ..acme()
    };
    let mut all = good();
    all.push(home(
        Operation::Read,
        false,
        Through::Passed(seen(Outcome::Found, "us")),
    ));
    let judgement = judge(&tenant, &all);
    assert_eq!(judgement.verdict, Verdict::Pass);
    assert_eq!(judgement.reads.1, "eu+us");
}

#[test]
fn a_flood_of_findings_is_bounded() {
    let all: Vec<Seen> = (0..100)
        .map(|n| gateway(Through::Failed(format!("fault {n}"))))
        .collect();
    let judgement = judge(&acme(), &all);
    assert_eq!(judgement.findings.len(), FINDINGS + 1);
    assert_eq!(judgement.findings[FINDINGS], "and 81 more");
}
