use super::*;

fn load(rego: &str, data: serde_json::Value) -> Result<Policy, PolicyError> {
    let modules = vec![Module {
        path: "m.rego".into(),
        text: rego.into(),
    }];
    Policy::load::<Decision>(&PolicySource { modules, data })
}

const GOOD: &str = r#"package ig.masking
default decision := {"allow": false, "denials": [{"code": "X", "reason": "no"}]}
decision := {"allow": true, "rules": rules} if input.tenant == "acme"
rules[c] := {"strategy": s, "reason": "because"} if some c, s in data.fields
"#;

#[test]
fn evaluates_by_input_and_data() {
    let mut policy = load(
        GOOD,
        serde_json::json!({"fields": {"A.b": "hash", "A.c": "reveal"}}),
    )
    .unwrap();
    let yes = policy.ask::<Decision>(r#"{"tenant":"acme"}"#).unwrap();
    assert!(yes.allow);
    assert_eq!(yes.rules["A.b"].strategy, Verdict::Mask(StrategyKind::Hash));
    assert_eq!(yes.rules["A.c"].strategy, Verdict::Reveal);
    let no = policy.ask::<Decision>(r#"{"tenant":"other"}"#).unwrap();
    assert_eq!((no.allow, no.denials[0].code.as_str()), (false, "X"));
    assert!(
        policy
            .ask::<Decision>(r#"{"tenant":"acme"}"#)
            .unwrap()
            .allow
    );
}

use crate::mask::StrategyKind;

#[test]
fn says_where_a_policy_is_broken() {
    let data = serde_json::json!({});
    for (rego, want) in [
        ("package ig.masking\ndecision := {", "m.rego"),
        ("package ig.masking\nx := 1", "data.ig.masking.decision"),
        (
            "package ig.masking\ndecision := {\"allow\": true} if input.nope",
            "undefined",
        ),
        ("package ig.masking\ndecision := 1", "gives no decision"),
        ("package ig.masking\ndecision := {\"alow\": true}", "alow"),
        (
            "package ig.masking\ndecision := {\"allow\": true, \"rules\": {\"A.b\": {\"strategy\": \"rot13\", \"reason\": \"\"}}}",
            "no strategy `rot13`",
        ),
    ] {
        let seen = load(rego, data.clone()).expect_err(rego).to_string();
        assert!(seen.contains(want), "{rego}\n  gave {seen}\n  want {want}");
        assert!(!seen.contains('\n'), "{seen}");
    }
    assert!(matches!(
        load(GOOD, serde_json::json!([1])),
        Err(PolicyError::Data(_))
    ));
}

#[test]
fn a_policy_that_loops_is_ended() {
    let endless = r#"package ig.masking
default decision := {"allow": false}
decision := {"allow": true} if {
    input.loop
    count({1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a + b < 0}) > 0
}
"#;
    let mut policy = load(endless, serde_json::json!({})).unwrap();
    let error = policy.ask::<Decision>(r#"{"loop":true}"#).unwrap_err();
    assert!(matches!(error, PolicyError::Evaluate { .. }), "{error}");
    assert!(!policy.ask::<Decision>("{}").unwrap().allow);
}

#[test]
fn a_policy_uses_patterns_and_fails_on_those_it_can_not() {
    let rego = r#"package ig.masking
default decision := {"allow": false}
decision := {"allow": true, "rules": {"A.b": {"strategy": "hash", "reason": reason}}} if {
    regex.match(`^[a-z]+-\d+$`, input.tenant)
    not regex.match(data.never, input.tenant)
    reason := concat("+", regex.split(`-`, regex.replace(input.tenant, `\d+`, "<$0>")))
}
"#;
    let mut policy = load(rego, serde_json::json!({"never": "^x"})).unwrap();
    let yes = policy.ask::<Decision>(r#"{"tenant":"acme-12"}"#).unwrap();
    assert_eq!(yes.rules["A.b"].reason, "acme+<12>");
    assert!(
        !policy
            .ask::<Decision>(r#"{"tenant":"acme"}"#)
            .unwrap()
            .allow
    );
    // A pattern that can't be used is a failure, not a "does not match": nothing is negated into
    // a permission.
    let mut policy = load(rego, serde_json::json!({"never": r"\p{Greek}"})).unwrap();
    let error = policy
        .ask::<Decision>(r#"{"tenant":"acme-12"}"#)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(r"\p{Greek}") && error.contains("Unicode classes"),
        "{error}"
    );
}

#[test]
fn a_tenant_is_in_quarantine_whatever_is_said_about_it() {
    let text = include_str!("../../../../policies/ig/residency.rego");
    for entry in [false.into(), serde_json::Value::Null, serde_json::json!({})] {
        let source = PolicySource {
            modules: vec![Module {
                path: "ig/residency.rego".into(),
                text: text.into(),
            }],
            data: serde_json::json!({"ig": {"regions": {"eu": {}}, "quarantine": {"acme": entry}}}),
        };
        let mut policy = Policy::load::<ResidencyDecision>(&source).unwrap();
        for (tenant, want) in [("acme", Some("TENANT_QUARANTINED")), ("globex", None)] {
            let input = serde_json::json!({"tenant": tenant, "home": "eu", "gateway_region": "eu"});
            let decision = policy.ask::<ResidencyDecision>(&input.to_string()).unwrap();
            assert_eq!(decision.code.as_deref(), want, "{tenant} {entry}");
        }
    }
}

#[test]
fn answers_are_remembered_by_their_input_and_failures_are_not() {
    let rego = r#"package ig.masking
default decision := {"allow": false}
decision := {"allow": true} if input.tenant == "acme"
decision := {"alow": true} if input.tenant == "broken"
"#;
    let modules = vec![Module {
        path: "m.rego".into(),
        text: rego.into(),
    }];
    let data = serde_json::json!({});
    let mut decisions = Decisions::<Decision>::load(&PolicySource { modules, data }, 10).unwrap();
    let mut ask = |tenant: &str| decisions.ask(&serde_json::json!({ "tenant": tenant }));
    let first = ask("acme").unwrap();
    assert!(first.allow && !ask("other").unwrap().allow);
    for _ in 0..2 {
        assert!(matches!(ask("broken"), Err(PolicyError::Shape { .. })));
    }
    assert!(std::sync::Arc::ptr_eq(&first, &ask("acme").unwrap()));
}
