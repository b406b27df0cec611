//! Every case of `policies/cases`, natively and as Wasm, with the response cut in many ways.

use e2e::{Case, Kind, Native, Outcome, Wasm, bundle, cases};
use harness::EndOfBody;

/// Runs all cases and gathers what is wrong, so that one look shows all of it.
fn check(kind: Kind, mut run: impl FnMut(&Case, &[Vec<u8>]) -> Vec<(&'static str, Outcome)>) {
    let cases = cases(kind);
    assert!(cases.len() >= 10, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        for pieces in case.splits() {
            let outcomes = run(case, &pieces);
            for (how, outcome) in &outcomes {
                let at = format!("{}, {how}, in {} pieces", case.name, pieces.len());
                wrong.extend(
                    outcome
                        .against(&case.want)
                        .iter()
                        .map(|w| format!("{at}: {w}")),
                );
                if !is_same(outcome, &outcomes[0].1) {
                    wrong.push(format!(
                        "{at}: {outcome:#?}\nnot as native: {:#?}",
                        outcomes[0].1
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Whether two runs had the same outcome. How much of a response had gone on before it was cut off
/// depends on whether its end came with its last piece.
fn is_same(a: &Outcome, b: &Outcome) -> bool {
    if a.reset && b.reset && (a.body.starts_with(&b.body) || b.body.starts_with(&a.body)) {
        let body = a.body.clone();
        return *a == Outcome { body, ..b.clone() };
    }
    a == b
}

#[test]
fn the_engine_decides_every_case_as_wanted() {
    let mut native = Native::new(bundle());
    for kind in [Kind::Masking, Kind::Residency] {
        check(kind, |case, pieces| {
            vec![("native", native.run(case, pieces))]
        });
    }
}

#[test]
fn the_filters_do_what_the_engine_does() {
    let mut native = Native::new(bundle());
    let mut wasm = Wasm::new(bundle());
    for kind in [Kind::Masking, Kind::Residency] {
        check(kind, |case, pieces| {
            vec![
                ("native", native.run(case, pieces)),
                ("wasm", wasm.run(case, pieces, EndOfBody::Alone)),
                (
                    "wasm, end with the last piece",
                    wasm.run(case, pieces, EndOfBody::WithLastPiece),
                ),
            ]
        });
    }
}

/// What breaks off after more than is held back can't be a clean reply any more: the response is cut
/// off, and what has gone out is masked.
#[test]
fn a_late_failure_cuts_the_response_off() {
    let mail = "ada.lovelace@acme.eu.example";
    let person = format!(r#"{{"name":"Ada","email":"{mail}"}}"#);
    let people = vec![person; 3000].join(",");
    let body = format!(r#"{{"data":{{"people":[{people},{{"name":"Ada","email":"{mail}""#);
    let case: Case = e2e::case(
        "late",
        Kind::Masking,
        &serde_json::json!({
            "gateway_region": "eu",
            "claims": {"sub": "ann", "tenant": "acme", "roles": ["analyst"]},
            "request": {"body": {"query": "{ people { name email } }"}},
            "response": {"body": body},
        }),
        &serde_json::json!({
            "status": 200,
            "code": "UPSTREAM_TRUNCATED",
            "absent": [mail],
            "record": {"outcome": "failed"},
        }),
    );
    let pieces: Vec<Vec<u8>> = body.as_bytes().chunks(8192).map(<[u8]>::to_vec).collect();
    let native = Native::new(bundle()).run(&case, &pieces);
    let wasm = Wasm::new(bundle()).run(&case, &pieces, EndOfBody::Alone);
    for outcome in [&native, &wasm] {
        assert_eq!(outcome.against(&case.want), Vec::<String>::new());
        assert!(
            outcome.reset
                && outcome
                    .body
                    .starts_with(br#"{"data":{"people":[{"name":"Ada""#)
        );
    }
    assert_eq!(native, wasm);
}
