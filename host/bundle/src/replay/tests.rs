use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use upstream::warrants::{self, RecordedWarrant};

use super::answer::{Asked, MaskingAnswer};
use super::*;
use crate::cases::{Authorities, Case, Kind, Native, Outcome, read_cases};

struct Known;

impl Authorities for Known {
    fn sign(&self, warrant: &Value) -> Result<String, String> {
        let warrant: RecordedWarrant =
            serde_json::from_value(warrant.clone()).map_err(|e| e.to_string())?;
        Ok(warrant.text())
    }

    fn name_keys(&self, data: &mut Value) {
        warrants::name_keys(data);
    }
}

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

fn bundle() -> Bundle {
    Bundle::read(&policies()).unwrap()
}

/// All cases of the repository, and what came of them.
fn outcomes() -> Vec<(Case, Outcome)> {
    let mut native = Native::new(bundle());
    let cases = Kind::ALL
        .into_iter()
        .flat_map(|kind| read_cases(&policies().join("cases"), kind, &Known).unwrap());
    cases
        .map(|case| {
            let pieces: Vec<Vec<u8>> = case.input.response.body().into_iter().collect();
            let outcome = native.run(&case, &pieces).unwrap();
            (case, outcome)
        })
        .collect()
}

/// A line as a gateway writes it.
fn line(time: &str, residency: Option<&Value>, masking: Option<&Value>) -> String {
    let text = |record: Option<&Value>| record.map(Value::to_string);
    json!({"time": time, "residency": text(residency), "decision": text(masking), "path": "/graphql"})
        .to_string()
}

#[test]
fn what_the_filters_record_can_be_asked_again_and_is_answered_alike() {
    let mut asked = Asked::new(&bundle()).unwrap();
    let (mut decided, mut crossed, mut refused, mut lines) = (0, 0, 0, Vec::new());
    for (case, outcome) in outcomes() {
        let text = line(
            "2026-01-01T00:00:00.123Z",
            outcome.residency.as_ref(),
            outcome.masking.as_ref(),
        );
        let recorded = Recorded::parse(&text);
        lines.push(recorded.clone());
        let facts = match recorded {
            Recorded::Decision(facts) if case.input.patch().is_empty() => facts,
            Recorded::Unreadable(reason) => panic!("{}: {reason}: {text}", case.name),
            _ => continue,
        };
        if let (Some(residency), Some(record)) = (&facts.residency, &outcome.residency) {
            let input = asked.residency_input(residency, Some(case.input.now));
            let answer = asked.residency(&input);
            match answer {
                // Something else than the policy refused it.
                answer
                    if record["outcome"] == "denied"
                        && Some(record["code"].as_str().unwrap()) != answer.code() =>
                {
                    refused += 1;
                }
                answer::ResidencyAnswer::Allowed(region, warrant) => {
                    assert_eq!(record["regionDst"], region, "{}", case.name);
                    let used = record["warrantUsed"].as_bool() == Some(true);
                    assert_eq!(used, warrant.is_some(), "{}", case.name);
                }
                answer::ResidencyAnswer::Denied { .. } => {
                    assert_eq!(record["outcome"], "denied", "{}", case.name);
                }
                answer::ResidencyAnswer::Failed(error) => panic!("{}: {error}", case.name),
            }
            crossed += 1;
        }
        let (Some(masking), Some(record)) = (&facts.masking, &outcome.masking) else {
            continue;
        };
        for input in masking.inputs() {
            let answer = asked.masking(&input);
            let MaskingAnswer::Allowed { fields, .. } = answer else {
                assert_eq!(record["outcome"], "denied", "{}", case.name);
                continue;
            };
            let of = |set: &str| -> Vec<String> {
                let names = record[set].as_array().into_iter().flatten();
                names.map(|n| n.as_str().unwrap().to_owned()).collect()
            };
            for name in of("maskSet").iter().chain(&of("redactSet")) {
                if let Some(effect) = fields.get(name) {
                    assert!(!effect.is_clear(), "{}: {name}", case.name);
                    decided += 1;
                }
            }
            for name in of("revealed") {
                assert!(fields[&name].is_clear(), "{}: {name}", case.name);
            }
        }
    }
    assert!(
        decided > 300 && crossed > 50 && refused < 20,
        "{decided} {crossed} {refused}"
    );

    let count = lines.len() as u64;
    let same = compare(&bundle(), &bundle(), lines.into_iter()).unwrap();
    assert_eq!(
        (same.changed, same.possibly_changed, same.unreadable),
        (0, 0, 0)
    );
    assert_eq!(same.decisions + same.unasked, count);
    assert!(
        same.decisions > 300 && same.questions < same.decisions,
        "{same:?}"
    );
}

/// What an analyst's query for people was decided, and by whose gateway it was let in.
fn decision(n: u64, role: &str, masked: &[&str], redacted: &[&str]) -> Recorded {
    let masking = json!({
        "decisionId": format!("dec_{n:032x}"), "outcome": "allowed", "tenant": "acme", "subject": "ann",
        "roles": [role], "purpose": null, "region": "eu", "revision": "r-x", "surface": "graphql",
        "operation": {"name": null, "kind": "query", "hash": "00"},
        "maskSet": masked, "redactSet": redacted, "revealed": [], "reason": "", "counts": {},
        "dropped": 0, "mismatched": 0,
    });
    let residency = json!({
        "decisionId": format!("dec_{:032x}", n + 1_000_000), "outcome": "allowed", "tenant": "acme",
        "home": "eu", "regionSrc": "eu", "regionDst": "eu", "revision": "r-x", "reason": "home",
    });
    Recorded::parse(&line(
        "2026-11-27T10:00:00.000Z",
        Some(&residency),
        Some(&masking),
    ))
}

fn with(edit: impl FnOnce(&mut Bundle)) -> Bundle {
    let mut bundle = bundle();
    edit(&mut bundle);
    bundle
}

fn names(changes: &[Change]) -> Vec<(&str, &str, &str, u64)> {
    changes
        .iter()
        .map(|c| (&*c.coordinate, &*c.old, &*c.new, c.decisions))
        .collect()
}

#[test]
fn a_field_that_is_loosened_concerns_those_who_select_it() {
    let looser = with(|b| {
        b.policy.data["ig"]["fields"]["Contact.email"]["strategy"] = "partial".into();
    });
    let lines = (0..20).map(|n| match n % 10 {
        0 => decision(n, "analyst", &["Contact.email", "Person.email"], &[]),
        _ => decision(n, "analyst", &[], &["Person.phone"]),
    });
    let compared = compare(&bundle(), &looser, lines).unwrap();
    assert_eq!(
        (compared.decisions, compared.changed),
        (20, 2),
        "{compared:?}"
    );
    assert_eq!(compared.questions, 2);
    let loosened = names(&compared.loosened);
    assert!(
        loosened
            .iter()
            .all(|(_, _, new, n)| new.starts_with("partial") && *n == 2),
        "{loosened:?}"
    );
    assert!(
        !loosened.is_empty() && compared.tightened.is_empty(),
        "{compared:?}"
    );
    assert_eq!(
        compared.loosened[0].examples,
        [
            "dec_00000000000000000000000000000000",
            "dec_0000000000000000000000000000000a"
        ]
    );
    let back = (0..20).map(|n| decision(n, "analyst", &["Contact.email", "Person.email"], &[]));
    let compared = compare(&looser, &bundle(), back).unwrap();
    assert_eq!(compared.changed, 20);
    assert!(!compared.tightened.is_empty() && compared.loosened.is_empty());
}

#[test]
fn a_field_that_was_clear_may_be_selected_or_not() {
    let stricter = with(|b| {
        b.policy.data["ig"]["fields"]["Person.name"] =
            json!({"class": "personal", "strategy": "hash"});
    });
    let lines = (0..5).map(|n| decision(n, "analyst", &["Person.email"], &[]));
    let compared = compare(&bundle(), &stricter, lines).unwrap();
    assert_eq!((compared.changed, compared.possibly_changed), (0, 5));
    assert_eq!(
        names(&compared.possibly_tightened),
        [("Person.name", "clear", "hash", 5)]
    );
}

#[test]
fn served_somewhere_else_is_looser_under_a_name_of_its_own() {
    let served = |region: &str| super::answer::ResidencyAnswer::Allowed(region.into(), None);
    let of = |old: &str, new: &str| {
        let deltas = served(old).against(&served(new));
        let of = |d: &Delta| (d.coordinate.clone(), d.direction, d.denies, d.ends);
        deltas.iter().map(of).collect::<Vec<_>>()
    };
    let moved = [(REGION.to_owned(), Direction::Loosened, false, false)];
    assert_eq!(
        (of("eu", "us"), of("us", "eu")),
        (moved.to_vec(), moved.to_vec())
    );
    assert!(of("eu", "eu").is_empty());
}

#[test]
fn requests_that_are_refused_or_go_elsewhere_are_changes() {
    let quarantined = with(|b| {
        b.policy.data["ig"]["tenants"]["acme"]["region"] = "us".into();
    });
    let lines = (0..4).map(|n| decision(n, "analyst", &[], &[]));
    let compared = compare(&bundle(), &quarantined, lines).unwrap();
    assert_eq!(compared.changed, 4);
    let moved = &compared.tightened[0];
    assert_eq!(
        (&*moved.coordinate, &*moved.old),
        ("(residency)", "served in eu")
    );
    assert!(moved.new.starts_with("denied "), "{moved:?}");

    let no_role = with(|b| {
        b.policy.data["ig"]["roles"]
            .as_object_mut()
            .unwrap()
            .remove("analyst");
    });
    let lines = (0..4).map(|n| decision(n, "analyst", &[], &[]));
    let compared = compare(&bundle(), &no_role, lines).unwrap();
    assert_eq!(
        names(&compared.tightened),
        [("(request)", "allowed", "denied ROLE_UNKNOWN", 4)]
    );
    let lines = (0..4).map(|n| decision(n, "analyst", &[], &[]));
    assert_eq!(
        names(&compare(&no_role, &bundle(), lines).unwrap().loosened)[0].0,
        "(request)"
    );

    let shadow = with(|b| b.settings.mode = engine::config::Mode::Shadow);
    let compared = compare(&bundle(), &shadow, std::iter::empty()).unwrap();
    assert_eq!(compared.settings[0].0, "mode");
}

#[test]
fn lines_that_say_nothing_are_counted() {
    for (text, want) in [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        (r#"{"decision": "{"}"#, "`decision` is no JSON"),
        (r#"{"decision": 5}"#, "`decision` is no record"),
        (r#"{"decision": "{}"}"#, "no record of this version"),
        (
            r#"{"residency": "{\"decisionId\": \"dec_\"}"}"#,
            "no record of this version",
        ),
        (
            r#"{"decisionId": "dec_", "regionSrc": "eu", "tenant": "a", "revision": "r-", "warrant": "wrt_a"}"#,
            "no record of this version",
        ),
    ] {
        let Recorded::Unreadable(reason) = Recorded::parse(text) else {
            panic!("{text}");
        };
        assert!(reason.contains(want), "{text}: {reason}");
    }
    for text in [
        "{}",
        r#"{"decision": null, "residency": "-"}"#,
        r#"{"decisionId": "dec_", "regionSrc": "eu", "tenant": null, "revision": "r-"}"#,
    ] {
        assert!(matches!(Recorded::parse(text), Recorded::Unasked), "{text}");
    }
    // What guards decided is neither asked again nor taken for something else.
    let guards = [
        r#"{"egress": null, "listener": "pg"}"#,
        r#"{"egress": "{\"decisionId\": \"dec_1\"}", "listener": "pg"}"#,
        r#"{"decisionId": "dec_1", "outcome": "denied", "tenant": "a", "regionSrc": "eu", "regionDst": "eu",
            "store": {"kind": "s3", "name": "objects"}, "operation": "read", "revision": "r-"}"#,
    ];
    for text in guards {
        assert!(matches!(Recorded::parse(text), Recorded::Guard), "{text}");
    }
    let lines = ["{", "{", "{}"].into_iter().chain(guards);
    let compared = compare(&bundle(), &bundle(), lines.map(Recorded::parse)).unwrap();
    assert_eq!(
        (compared.unreadable, compared.unasked, compared.decisions),
        (2, 1, 0)
    );
    assert_eq!((compared.guards, compared.changed), (3, 0));
    assert_eq!(compared.unreadable_because["it is no JSON"], 2);
}

#[test]
fn a_revoked_warrant_opens_nothing_in_the_new_revision() {
    let record = json!({
        "decisionId": "dec_1", "outcome": "allowed", "tenant": "acme", "home": "eu", "regionSrc": "us",
        "regionDst": "us", "warrant": "wrt_a", "authority": "court", "case": "C-1", "warrantSrc": "eu",
        "warrantDst": "us", "warrantOperations": ["read"], "warrantPurpose": "audit",
        "warrantJurisdiction": "US", "warrantUsed": true, "revision": "r-x", "reason": "",
    });
    let text = record.to_string();
    let revoked = with(|b| {
        b.policy.data["ig"]["revocations"]["wrt_a"] = json!({"reason": "withdrawn"});
    });
    let compared = compare(&bundle(), &revoked, [Recorded::parse(&text)].into_iter()).unwrap();
    let change = &compared.tightened[0];
    assert_eq!(change.old, "served in us under wrt_a", "{compared:?}");
    assert!(change.new.contains("WARRANT_REVOKED"), "{change:?}");
}

#[test]
fn a_bundle_is_tested_by_its_cases() {
    let cases: Vec<Case> = outcomes().into_iter().map(|(case, _)| case).collect();
    let report = crate::test::run(&bundle(), &cases).unwrap();
    assert!(report.failures.is_empty() && report.cases == cases.len());
    assert!(
        report.passes(90) && !report.passes(101),
        "{}",
        report.coverage_percent
    );
    let egress = report
        .coverage
        .iter()
        .find(|m| m.path == "ig/egress.rego")
        .unwrap();
    assert!(!egress.asked);

    let unreached = with(|b| {
        let module = &mut b.policy.modules;
        let module = module
            .iter_mut()
            .find(|m| m.path == "ig/masking.rego")
            .unwrap();
        module
            .text
            .push_str("\nnever := x if {\n\tinput.purpose == \"no such purpose\"\n\tx := 1\n}\n");
        b.policy.data["ig"]["fields"]["Contact.email"]["strategy"] = "partial".into();
    });
    let report = crate::test::run(&unreached, &cases).unwrap();
    assert!(!report.failures.is_empty() && !report.passes(0));
    let masking = report
        .coverage
        .iter()
        .find(|m| m.path == "ig/masking.rego")
        .unwrap();
    let rule = masking
        .rules
        .iter()
        .find(|r| r.head.starts_with("never"))
        .unwrap();
    assert!(!rule.missed.is_empty(), "{rule:?}");
}
