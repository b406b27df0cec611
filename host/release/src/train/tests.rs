use base64::Engine as _;
use p256::ecdsa::SigningKey;
use p256::pkcs8::{EncodePublicKey, LineEnding};

use super::*;
use crate::error::RecordError;
use crate::keyring::Keyring;
use crate::run::{By, Depot, DepotError, keyring};

struct People {
    directory: tempfile::TempDir,
    ann: SigningKey,
    bob: SigningKey,
    eve: SigningKey,
    conductor: SigningKey,
}

impl People {
    fn new() -> Self {
        let key = |n: u8| SigningKey::from_slice(&[n; 32]).unwrap();
        let people = Self {
            directory: tempfile::tempdir().unwrap(),
            ann: key(1),
            bob: key(2),
            eve: key(3),
            conductor: key(4),
        };
        for (name, key) in [("ann", &people.ann), ("bob", &people.bob)] {
            people.trust(name, key);
        }
        people
    }

    fn trust(&self, name: &str, key: &SigningKey) {
        let pem = key
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .unwrap();
        std::fs::write(self.directory.path().join(format!("{name}.pub")), pem).unwrap();
    }

    fn keys(&self) -> Keyring {
        let people = keyring(self.directory.path()).unwrap();
        people
            .with_conductor(*self.key(CONDUCTOR).verifying_key())
            .unwrap()
    }

    fn depot(&self) -> Depot {
        Depot::open(&self.directory.path().join("train")).unwrap()
    }

    fn key(&self, name: &str) -> &SigningKey {
        match name {
            "ann" => &self.ann,
            "bob" => &self.bob,
            CONDUCTOR => &self.conductor,
            _ => &self.eve,
        }
    }

    fn add(&self, by: &str, act: Act) -> Result<Train, DepotError> {
        self.add_under(by, act, &Rules::default())
    }

    fn add_under(&self, by: &str, act: Act, rules: &Rules) -> Result<Train, DepotError> {
        let person = By::Person {
            name: by,
            key: self.key(by),
        };
        let by = match by {
            CONDUCTOR => By::Conductor {
                key: &self.conductor,
            },
            _ => person,
        };
        let added = self.depot().add(&by, act, 1_000, &self.keys(), rules);
        added.map(|(_, train)| train)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.depot().records()).unwrap()
    }
}

fn released(release: u64, parent: Option<u64>) -> Act {
    Act::Released {
        release,
        revision: format!("r-{release}"),
        digest: digest(release),
        parent,
        note: String::new(),
        tried: Tried::default(),
        loosens: Vec::new(),
        tightens: Vec::new(),
    }
}

fn digest(release: u64) -> String {
    format!("{release:064x}")
}

fn approved(release: u64) -> Act {
    Act::Approved {
        release,
        digest: digest(release),
    }
}

fn step(release: u64, step: usize, nodes: &[&str]) -> Act {
    Act::Step {
        release,
        step,
        nodes: nodes.iter().map(|n| (*n).to_owned()).collect(),
        evidence: None,
    }
}

fn completed(release: u64) -> Act {
    Act::Completed {
        release,
        evidence: None,
    }
}

fn withdrawn(release: u64) -> Act {
    Act::Withdrawn {
        release,
        reasons: vec!["it leaks".into()],
        evidence: None,
    }
}

fn frozen() -> Act {
    Act::Frozen {
        reason: "audit".into(),
    }
}

/// A train on which release 1 is stable.
fn begun() -> People {
    let people = People::new();
    people.add("ann", released(1, None)).unwrap();
    people.add("bob", approved(1)).unwrap();
    people.add("ann", Act::Promoted { release: 1 }).unwrap();
    let train = people.add(CONDUCTOR, completed(1)).unwrap();
    assert_eq!(train.stable, Some(1));
    people
}

#[test]
fn a_release_gets_from_some_to_all() {
    let people = begun();
    people.add("bob", released(2, Some(1))).unwrap();
    people.add("ann", approved(2)).unwrap();
    let train = people.add("ann", Act::Promoted { release: 2 }).unwrap();
    assert_eq!(train.canary.as_ref().unwrap().step, None);
    people.add(CONDUCTOR, step(2, 0, &["b", "a"])).unwrap();
    let train = people.add(CONDUCTOR, step(2, 1, &["a", "b", "c"])).unwrap();
    let (release, canary) = train.under_way().unwrap();
    assert_eq!((release.number, canary.step), (2, Some(1)));
    assert_eq!(canary.nodes, ["a", "b", "c"]);
    let train = people.add(CONDUCTOR, completed(2)).unwrap();
    assert_eq!((train.stable, &train.canary), (Some(2), &None));
    assert_eq!(train.releases[&1].standing, Standing::Superseded);
    // And back: a new number, old content.
    let back = Act::RolledBack {
        release: 3,
        of: 1,
        digest: digest(1),
        reason: "tickets".into(),
    };
    let train = people.add("ann", back).unwrap();
    let three = &train.releases[&3];
    assert_eq!((train.stable, three.rollback_of), (Some(3), Some(1)));
    assert_eq!(
        (&three.digest, &three.revision),
        (&digest(1), &"r-1".into())
    );
    assert_eq!(three.parent, Some(2));
    // What is on the disk says the same.
    assert_eq!(people.depot().read(&people.keys()).unwrap(), train);
}

#[test]
fn what_may_not_be_done_is_not_done() {
    let other = Rules {
        approvals: 2,
        author_may_approve: true,
    };
    let untested = || match released(2, Some(1)) {
        Act::Released {
            release,
            revision,
            digest,
            parent,
            note,
            loosens,
            tightens,
            ..
        } => Act::Released {
            release,
            revision,
            digest,
            parent,
            note,
            tried: Tried {
                failed: 1,
                ..Tried::default()
            },
            loosens,
            tightens,
        },
        act => act,
    };
    let back = |of: u64, content: u64| Act::RolledBack {
        release: 3,
        of,
        digest: digest(content),
        reason: String::new(),
    };
    let promoted = || Act::Promoted { release: 2 };
    type Step<'a> = (&'a str, Act);
    let two = || ("ann", released(2, Some(1)));
    let under_way = || {
        vec![
            two(),
            ("bob", approved(2)),
            ("ann", promoted()),
            (CONDUCTOR, step(2, 0, &["a"])),
        ]
    };
    let cases: Vec<(Vec<Step<'_>>, Step<'_>, &str)> = vec![
        (
            vec![],
            ("ann", released(3, Some(1))),
            "the next release is 2, not 3",
        ),
        (
            vec![],
            ("ann", released(2, None)),
            "was tried against no release, but release 1 is stable",
        ),
        (vec![], ("ann", approved(9)), "there is no release 9"),
        (
            vec![],
            ("ann", approved(1)),
            "release 1 is stable, and no candidate",
        ),
        (
            vec![two()],
            ("ann", approved(2)),
            "somebody else has to approve it",
        ),
        (
            vec![two(), ("bob", approved(2))],
            ("bob", approved(2)),
            "bob has approved release 2 already",
        ),
        (
            vec![two()],
            (
                "bob",
                Act::Approved {
                    release: 2,
                    digest: digest(1),
                },
            ),
            "another content",
        ),
        (
            vec![two()],
            ("bob", promoted()),
            "release 2 has 0 of 1 approvals",
        ),
        (
            vec![("ann", untested()), ("bob", approved(2))],
            ("bob", promoted()),
            "release 2 did not pass its tests",
        ),
        (
            vec![two(), ("bob", approved(2)), ("bob", frozen())],
            ("ann", promoted()),
            "frozen by bob: audit",
        ),
        (vec![("bob", frozen())], ("bob", frozen()), "frozen by bob"),
        (vec![], ("bob", Act::Thawed {}), "not frozen"),
        (
            [
                under_way(),
                vec![("ann", released(3, Some(1))), ("bob", approved(3))],
            ]
            .concat(),
            ("bob", Act::Promoted { release: 3 }),
            "release 2 is under way",
        ),
        (
            [
                under_way(),
                vec![
                    ("ann", released(3, Some(1))),
                    ("bob", approved(3)),
                    (CONDUCTOR, completed(2)),
                ],
            ]
            .concat(),
            ("bob", Act::Promoted { release: 3 }),
            "was tried against release 1, but release 2 is stable",
        ),
        (
            under_way(),
            (CONDUCTOR, step(2, 2, &["a"])),
            "at step 0: step 2 does not follow",
        ),
        (
            under_way(),
            (CONDUCTOR, step(2, 1, &[])),
            "a step needs nodes",
        ),
        (
            [under_way(), vec![("bob", frozen())]].concat(),
            (CONDUCTOR, step(2, 1, &["a"])),
            "frozen",
        ),
        (
            [under_way(), vec![("bob", frozen())]].concat(),
            (CONDUCTOR, completed(2)),
            "frozen",
        ),
        (
            vec![two()],
            (CONDUCTOR, completed(2)),
            "release 2 is not under way",
        ),
        (
            vec![two(), ("bob", approved(2)), ("ann", promoted())],
            (CONDUCTOR, completed(2)),
            "before some nodes have tried it",
        ),
        (
            vec![],
            (CONDUCTOR, withdrawn(1)),
            "release 1 is not under way",
        ),
        (
            vec![two()],
            ("ann", back(2, 2)),
            "release 2 was never stable",
        ),
        (
            vec![two()],
            ("ann", back(1, 1)),
            "release 1 is stable already",
        ),
        (
            [under_way(), vec![(CONDUCTOR, completed(2))]].concat(),
            ("ann", back(1, 2)),
            "another content",
        ),
        (vec![], (CONDUCTOR, released(2, Some(1))), "somebody has to"),
        (under_way(), ("ann", completed(2)), "for conductor alone"),
        (
            vec![],
            ("eve", released(2, Some(1))),
            "eve is not among those who may sign (ann, bob)",
        ),
    ];
    for (before, (by, act), want) in cases {
        let people = begun();
        for (by, act) in before {
            people.add(by, act).unwrap();
        }
        let text = people.text();
        let error = people.add(by, act.clone()).expect_err(want).to_string();
        assert!(error.contains(want), "{error} is not {want}");
        assert_eq!(people.text(), text, "{act:?}");
    }
    // Other rules.
    let people = begun();
    people.add("ann", released(2, Some(1))).unwrap();
    people.add_under("ann", approved(2), &other).unwrap();
    let error = people.add_under("ann", promoted(), &other).unwrap_err();
    assert_eq!(error.to_string(), "release 2 has 1 of 2 approvals");
    people.add_under("bob", approved(2), &other).unwrap();
    people.add_under("ann", promoted(), &other).unwrap();
    // Another's key.
    let by = By::Person {
        name: "ann",
        key: &people.bob,
    };
    let added = people
        .depot()
        .add(&by, frozen(), 1, &people.keys(), &Rules::default());
    let error = added.unwrap_err().to_string();
    assert_eq!(error, "the key is not the one that is trusted as ann's");
}

#[test]
fn a_freeze_stops_what_goes_on_but_not_what_goes_back() {
    let people = begun();
    people.add("ann", released(2, Some(1))).unwrap();
    people.add("bob", approved(2)).unwrap();
    people.add("ann", Act::Promoted { release: 2 }).unwrap();
    people.add(CONDUCTOR, step(2, 0, &["a"])).unwrap();
    people.add("bob", frozen()).unwrap();
    let train = people.add(CONDUCTOR, withdrawn(2)).unwrap();
    assert_eq!(train.canary, None);
    assert_eq!(train.releases[&2].reasons, ["it leaks"]);
    let train = people.add("ann", Act::Thawed {}).unwrap();
    assert_eq!(train.frozen, None);
}

/// Whoever changes the records without a key is found out, whatever they change.
#[test]
fn changed_records_are_not_believed() {
    let people = begun();
    people.add("ann", released(2, Some(1))).unwrap();
    people.add("bob", approved(2)).unwrap();
    let good = people.text();
    let lines: Vec<&str> = good.lines().collect();
    let read = |text: &str| {
        std::fs::write(people.depot().records(), text).unwrap();
        match people.depot().read(&people.keys()) {
            Err(DepotError::Records { source, .. }) => Err(source),
            Ok(train) => Ok(train),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(read(&good).unwrap().records, 6);
    for at in 0..lines.len() - 1 {
        let without: Vec<&str> = (lines.iter().enumerate())
            .filter(|(n, _)| *n != at)
            .map(|(_, l)| *l)
            .collect();
        let error = read(&(without.join("\n") + "\n")).unwrap_err();
        assert!(matches!(error, RecordError::Chain { .. }), "{error}");
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        read(&(swapped.join("\n") + "\n")).unwrap_err();
    }
    for (from, to) in [
        ("\"by\":\"bob\"", "\"by\":\"ann\""),
        ("\"by\":\"bob\"", "\"by\":\"eve\""),
        ("\"note\":\"\"", "\"note\":\"x\""),
        ("\"note\":\"\"", "\"note\": \"\""),
        ("\"note\":\"\"", "\"more\":1,\"note\":\"\""),
        ("1000", "1001"),
    ] {
        read(&good.replace(from, to)).expect_err(to);
    }
    // A record that nobody signed is nobody's but the service's, which may not approve.
    let last: crate::record::Record = serde_json::from_str(lines[5]).unwrap();
    for by in ["bob", CONDUCTOR] {
        let forged = crate::record::Record {
            by: by.to_owned(),
            signature: None,
            ..last.clone()
        };
        let text = format!("{}\n{}\n", lines[..5].join("\n"), forged.line().unwrap());
        read(&text).expect_err(by);
    }
    // Somebody else's signature.
    let mut forged = last;
    crate::record::sign(&mut forged, &people.eve).unwrap();
    let text = format!("{}\n{}\n", lines[..5].join("\n"), forged.line().unwrap());
    assert!(matches!(
        read(&text).unwrap_err(),
        RecordError::Signature { line: 6, .. }
    ));
}

#[test]
fn a_line_that_was_torn_off_counts_for_nothing() {
    let people = begun();
    let good = people.text();
    let last = good.lines().next_back().unwrap().len() + 1;
    for cut in 1..last {
        std::fs::write(people.depot().records(), &good[..good.len() - cut]).unwrap();
        let train = people.depot().read(&people.keys()).unwrap();
        assert_eq!((train.records, train.stable), (3, None));
    }
    let train = people.add(CONDUCTOR, completed(1)).unwrap();
    assert_eq!(train.stable, Some(1));
    assert_eq!(people.text(), good);
}

#[test]
fn bundles_stay_what_they_are() {
    let people = People::new();
    let depot = people.depot();
    let digest = depot.keep(b"content").unwrap();
    assert_eq!(depot.keep(b"content").unwrap(), digest);
    assert_eq!(depot.bundle(&digest).unwrap(), b"content");
    std::fs::write(depot.bundle_path(&digest), b"contend").unwrap();
    let error = depot.bundle(&digest).unwrap_err();
    assert!(matches!(error, DepotError::Bundle(_)), "{error}");
    // What is broken is made whole by keeping it again.
    depot.keep(b"content").unwrap();
    assert_eq!(depot.bundle(&digest).unwrap(), b"content");
}

#[test]
fn signatures_are_what_openssl_makes() {
    let people = begun();
    let text = people.text();
    let line = text.lines().next().unwrap();
    let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
    let signature = record.as_object_mut().unwrap().remove("signature").unwrap();
    let at = people.directory.path();
    let signed = format!("maestro-release-record/v1\n{record}");
    std::fs::write(at.join("signed"), signed).unwrap();
    let der = base64::engine::general_purpose::STANDARD.decode(signature.as_str().unwrap());
    std::fs::write(at.join("signature"), der.unwrap()).unwrap();
    let ran = std::process::Command::new("openssl")
        .current_dir(at)
        .args([
            "dgst",
            "-sha256",
            "-verify",
            "ann.pub",
            "-signature",
            "signature",
            "signed",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("Verified OK"),
        "{ran:?}"
    );
}

#[test]
fn keys_that_can_t_be_told_apart_are_refused() {
    let people = People::new();
    people.trust("twin", &people.ann);
    let error = keyring(people.directory.path()).unwrap_err();
    let DepotError::Keys { source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(
        source.to_string(),
        "ann and twin have the same key: each person needs one of their own"
    );
    for name in ["conductor", "Ann", ".x", "a b"] {
        assert!(!crate::run::is_key_name(name), "{name}");
    }
}

#[test]
fn a_key_that_is_retired_vouches_for_what_it_signed_and_nothing_else() {
    let people = begun();
    let at = |name: &str| people.directory.path().join(name);
    // Ann signed records 1 and 3.
    std::fs::rename(at("ann.pub"), at("ann@3.pub")).unwrap();
    people.depot().read(&people.keys()).unwrap();
    let error = people
        .add("ann", released(2, Some(1)))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "ann is not among those who may sign (bob)");
    // With another key of hers she goes on.
    let other = SigningKey::from_slice(&[9; 32]).unwrap();
    people.trust("ann", &other);
    let by = By::Person {
        name: "ann",
        key: &other,
    };
    let added = people
        .depot()
        .add(&by, frozen(), 1, &people.keys(), &Rules::default());
    assert_eq!(added.unwrap().0.at_unix_ms, 1_000, "time does not go back");
    std::fs::rename(at("ann@3.pub"), at("ann.until.3.pub")).unwrap();
    people.depot().read(&people.keys()).unwrap();
    std::fs::rename(at("ann.until.3.pub"), at("ann@2.pub")).unwrap();
    let error = people.depot().read(&people.keys()).unwrap_err();
    let DepotError::Records { source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(source.to_string(), "line 3 is not signed by ann");
}

#[test]
fn what_was_read_before_still_stands_or_it_is_noticed() {
    let people = begun();
    let before = people.depot().read(&people.keys()).unwrap();
    people.add("ann", released(2, Some(1))).unwrap();
    let after = people.depot().read(&people.keys()).unwrap();
    assert!(after.goes_on_from(before.records, &before.head));
    assert!(!before.goes_on_from(after.records, &after.head));
    assert!(!after.goes_on_from(before.records, &after.head));
    assert!(after.goes_on_from(0, ""));
}
