use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use probe::Judgement;
use probe::observe::{Decision, Evidence, InForce, Operation, Outcome, StoreSeen, Through};
use probe::run::{Ask, Sent};
use proof::key::SigningKey;
use proof::{read_folder, verify};

use super::*;

const HOUR: u32 = 3600;

fn config() -> probe::Config {
    probe::Config {
        grace_s: 60,
        ..probe::Config::default()
    }
}

fn tenant(name: &str) -> Tenant {
    Tenant {
        name: name.into(),
        home: "eu".into(),
        regions: ["eu".to_owned()].into(),
        quarantined: false,
    }
}

fn probed(name: &str, verdict: probe::Verdict) -> Probed {
    Probed {
        tenant: tenant(name),
        nonce: "00".into(),
        in_force: InForce::default(),
        judgement: Judgement {
            verdict,
            reads: ("eu".into(), "eu".into()),
            writes: ("eu".into(), "eu".into()),
            stores: Vec::new(),
            findings: Vec::new(),
        },
    }
}

/// The nth hour of a day.
fn hour(n: i64) -> Period {
    Period::new(1_795_737_600 + n * i64::from(HOUR), HOUR).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn journal(directory: &Path) -> Journal {
    Journal::open(directory, SigningKey::generate().unwrap()).unwrap()
}

fn holds(directory: &Path) {
    let contents = read_folder(directory).unwrap();
    let report = verify::verify(&contents, Default::default());
    assert!(report.holds(), "{:?}", report.faults);
}

#[test]
fn hours_that_nobody_saw_are_said_to_be_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = journal(directory.path());
    let pass = |name| probed(name, probe::Verdict::Pass);
    let first = hour(0);
    add(
        &config(),
        vec![pass("acme")],
        first,
        &mut journal,
        at(first.end_s()),
    )
    .unwrap();
    let third = hour(2);
    let now = at(third.end_s());
    let both = vec![pass("acme"), pass("globex")];
    let proofs = add(&config(), both, third, &mut journal, now).unwrap();
    let said: Vec<String> = proofs
        .iter()
        .map(|p| {
            let s = &p.statement;
            format!("{} {} {} {}", s.tenant, s.period, name(s.verdict), s.late)
        })
        .collect();
    assert_eq!(
        said,
        [
            format!("acme {} UNKNOWN true", hour(1)),
            format!("acme {third} PASS false"),
            // New: nothing was expected of it before.
            format!("globex {third} PASS false"),
        ]
    );
    holds(directory.path());
}

#[test]
fn what_comes_after_the_grace_is_late() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = journal(directory.path());
    for (n, after, late) in [(0, 60, false), (1, 61, true)] {
        let period = hour(n);
        let seen = vec![probed("acme", probe::Verdict::Fail)];
        let now = at(period.end_s() + after);
        let proofs = add(&config(), seen, period, &mut journal, now).unwrap();
        let statement = &proofs[0].statement;
        assert_eq!((statement.late, statement.verdict), (late, Verdict::Fail));
    }
    holds(directory.path());
}

#[test]
fn a_tenant_that_is_gone_has_a_last_proof() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = journal(directory.path());
    let seen = ["acme", "globex"].map(|name| probed(name, probe::Verdict::Pass));
    let mut summary = Summary::default();
    let first = hour(0);
    let now = at(first.end_s());
    summary.take(&add(&config(), seen.into(), first, &mut journal, now).unwrap());
    assert_eq!(summary.verdicts, BTreeMap::from([("PASS".to_owned(), 2)]));

    let third = hour(2);
    let now = at(third.end_s());
    let last = end_others(&[tenant("acme")], third, &mut journal, now).unwrap();
    assert_eq!(last.len(), 1);
    let statement = &last[0].statement;
    assert!(statement.last && statement.tenant == "globex");
    assert_eq!(statement.period.end_s(), third.end_s());
    // A process that begins anew has signed none of them, and knows how they stand.
    let mut anew = Summary::default();
    let latest: Vec<Proof> = journal
        .history()
        .tenants()
        .values()
        .map(|t| t.proof.clone())
        .collect();
    anew.know(&latest);
    assert_eq!((anew.issued.len(), anew.verdicts["PASS"]), (0, 1));
    summary.take(&last);
    assert_eq!(summary.verdicts, BTreeMap::from([("PASS".to_owned(), 1)]));
    assert_eq!(summary.issued["UNKNOWN"], 1);
    // Once.
    let again = end_others(&[tenant("acme")], hour(3), &mut journal, now).unwrap();
    assert!(again.is_empty());
    holds(directory.path());
}

#[test]
fn a_name_that_no_file_can_have_keeps_nobody_from_a_proof() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = journal(directory.path());
    let long = "x".repeat(300);
    let seen = ["", "acme", &long].map(|name| probed(name, probe::Verdict::Pass));
    let period = hour(0);
    let now = at(period.end_s());
    let proofs = add(&config(), seen.into(), period, &mut journal, now).unwrap();
    let tenants: Vec<&str> = proofs.iter().map(|p| &*p.statement.tenant).collect();
    assert_eq!(tenants, ["acme"]);
}

/// A world in which all data is in `us`, whoever asks for it where.
#[derive(Default)]
struct Moved {
    there: std::sync::atomic::AtomicBool,
    served: Arc<Mutex<Vec<String>>>,
}

impl World for Moved {
    async fn through(&self, region: &str, ask: Ask<'_>) -> Sent {
        let outcome = match ask.operation {
            Operation::Read if self.there.load(Ordering::SeqCst) => Outcome::Found,
            Operation::Read => Outcome::Absent,
            written => {
                let there = written == Operation::Write;
                self.there.store(there, Ordering::SeqCst);
                Outcome::Done
            }
        };
        let through = match region == ask.tenant.home {
            false => Through::Refused(403),
            true => Through::Passed(StoreSeen {
                outcome,
                identity: "us".into(),
                region: Some("us".into()),
            }),
        };
        let trace = String::new();
        Sent { through, trace }
    }

    async fn attempt(&self, _: &str, _: Ask<'_>) -> StoreSeen {
        StoreSeen {
            outcome: Outcome::Refused("CROSS_REGION".into()),
            identity: String::new(),
            region: None,
        }
    }

    async fn evidence(&self, region: &str, _: &str, _: Duration) -> Evidence {
        Evidence {
            span: Some((region.into(), region.into())),
            decision: Some(Decision {
                id: "dec_1".into(),
                tenant: "acme".into(),
                allowed: true,
                revision: "r-1".into(),
            }),
        }
    }

    async fn until_served(&self, revision: &str, _: Duration) {
        self.served.lock().unwrap().push(revision.into());
    }

    async fn in_force(&self, _: &str) -> Vec<InForce> {
        Vec::new()
    }

    fn nonce(&self) -> String {
        "0".repeat(32)
    }
}

#[tokio::test]
async fn who_fails_while_the_policies_change_is_probed_again() {
    let store = probe::plan::Store {
        name: "people".into(),
        kind: "postgres".into(),
    };
    let regions = Regions::from(["eu", "us"].map(|r| (r.to_owned(), vec![store.clone()])));
    let known = |home: &str, revision: &str| Directory {
        tenants: vec![Tenant {
            home: home.into(),
            regions: [home.to_owned()].into(),
            ..tenant("acme")
        }],
        revision: revision.into(),
        early: Vec::new(),
    };
    for (home, revision, verdict, waited) in [
        // Nothing changed: it does not hold.
        ("eu", "r-1", Verdict::Fail, &["r-1"][..]),
        // It moved meanwhile, and is asked for where it is.
        ("us", "r-2", Verdict::Pass, &["r-1", "r-2"]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal(directory.path());
        let world = Moved::default();
        let served = world.served.clone();
        let again = || Ok(known(home, revision));
        let due = known("eu", "r-1");
        let regions = regions.clone();
        let proofs = probe(&config(), world, due, again, regions, hour(0), &mut journal).await;
        let proofs = proofs.unwrap();
        let statement = &proofs[0].statement;
        assert_eq!(proofs.len(), 1);
        let seen = (statement.verdict, &*statement.writes.src);
        assert_eq!(seen, (verdict, home), "{:?}", statement.findings);
        assert_eq!(*served.lock().unwrap(), waited);
    }
}

/// A world in which a release has moved all tenants to `us`: no other gateway serves them any more.
#[derive(Default)]
struct Split(Moved);

impl World for Split {
    async fn through(&self, region: &str, ask: Ask<'_>) -> Sent {
        match region {
            "us" => self.0.through(region, ask).await,
            _ => Sent {
                through: Through::Refused(421),
                trace: String::new(),
            },
        }
    }

    async fn attempt(&self, region: &str, ask: Ask<'_>) -> StoreSeen {
        self.0.attempt(region, ask).await
    }

    async fn evidence(&self, region: &str, trace: &str, within: Duration) -> Evidence {
        let mut evidence = self.0.evidence(region, trace, within).await;
        if let Some(decision) = &mut evidence.decision {
            decision.allowed = region == "us";
        }
        evidence
    }

    async fn until_served(&self, _: &str, _: Duration) {}

    async fn in_force(&self, _: &str) -> Vec<InForce> {
        Vec::new()
    }

    fn nonce(&self) -> String {
        self.0.nonce()
    }
}

#[tokio::test]
async fn who_is_unseen_is_probed_as_a_release_has_it_that_some_have_early() {
    let store = probe::plan::Store {
        name: "people".into(),
        kind: "postgres".into(),
    };
    let regions = Regions::from(["eu", "us"].map(|r| (r.to_owned(), vec![store.clone()])));
    let at_home = |home: &str| Tenant {
        home: home.into(),
        regions: [home.to_owned()].into(),
        ..tenant("acme")
    };
    for (early, verdict, home) in [
        (vec![], Verdict::Unknown, "eu"),
        (vec![at_home("eu"), tenant("other")], Verdict::Unknown, "eu"),
        (vec![at_home("us")], Verdict::Pass, "us"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal(directory.path());
        let due = Directory {
            tenants: vec![at_home("eu")],
            revision: "r-1".into(),
            early,
        };
        let known = due.clone();
        let again = || Ok(known.clone());
        let (world, regions, now) = (Split::default(), regions.clone(), hour(0));
        let proofs = probe(&config(), world, due, again, regions, now, &mut journal).await;
        let proofs = proofs.unwrap();
        assert_eq!(proofs.len(), 1);
        let statement = &proofs[0].statement;
        let seen = (statement.verdict, &*statement.writes.src);
        assert_eq!(seen, (verdict, home), "{:?}", statement.findings);
    }
}
