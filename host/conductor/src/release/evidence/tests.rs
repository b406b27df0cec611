use std::path::Path;

use super::*;

/// A decision as a gateway's log has it.
fn line(n: usize, tenant: &str, masked: &[&str]) -> Recorded {
    let record = serde_json::json!({
        "decisionId": format!("dec_{n:032x}"), "outcome": "allowed", "tenant": tenant,
        "subject": "ann", "roles": ["analyst"], "purpose": "analytics", "region": "eu",
        "revision": "r-x", "surface": "graphql",
        "operation": {"name": null, "kind": "query", "hash": "00"},
        "maskSet": masked, "redactSet": [], "revealed": [],
    });
    let residency = serde_json::json!({
        "decisionId": format!("dec_r{n:031x}"), "outcome": "allowed", "tenant": tenant, "home": "eu",
        "regionSrc": "eu", "revision": "r-x",
    });
    let line = serde_json::json!({
        "time": "2026-11-27T10:00:00.000Z", "decision": record.to_string(),
        "residency": residency.to_string(),
    });
    Recorded::parse(&line.to_string())
}

#[test]
fn a_tenant_that_is_shut_out_and_a_mask_on_what_was_clear_are_seen() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let old = Bundle::read(&policies).unwrap();
    let mut new = old.clone();
    new.policy.data["ig"]["quarantine"]["globex"] = serde_json::json!({"reason": "x"});
    new.policy.data["ig"]["fields"]["Person.name"] =
        serde_json::json!({"class": "identity", "strategy": "redact"});
    let pair = Pair::of(Default::default(), old, new).unwrap();
    let judged = |tightens: &[&str]| {
        let declared = Declared {
            tightens: tightens.iter().map(|t| (*t).to_owned()).collect(),
            ..Declared::default()
        };
        // Twenty of the stable release's, and five of the new one's, which names what it masked.
        let theirs = (0..20).map(|n| line(n, ["acme", "globex"][usize::from(n < 4)], &[]));
        let ours = (20..25).map(|n| line(n, "acme", &["Person.name"]));
        let found = made_again(&pair, ours.collect(), theirs.collect(), &declared).unwrap();
        (found, declared.denies())
    };
    let (found, denies) = judged(&[]);
    assert!(found.loosened.is_empty() && !denies, "{:?}", found.loosened);
    assert_eq!(found.shut_out, [("globex".to_owned(), 4)].into());
    let part = |of, all| Part { of, all };
    assert_eq!(found.tightened["(residency)"], part(4, 20));
    assert_eq!(
        found.tightened["Person.name"],
        part(5, 5),
        "{:?}",
        found.tightened
    );
    let (found, denies) = judged(&["tenant:globex", "Person.name"]);
    assert!(found.shut_out.is_empty() && denies);
    assert!(!found.tightened.contains_key("Person.name"));
    // Of the tenant that it says it shuts out nothing counts, and of the others all does.
    assert!(found.tightened.is_empty(), "{:?}", found.tightened);
    assert_eq!(found.decisions, 25);
    for (word, want) in [
        ("Person.name", false),
        ("(introspection)", false),
        ("(request)", true),
        ("(residency)", true),
    ] {
        assert_eq!(judged(&[word]).1, want, "{word}");
    }
    let (found, _) = judged(&["tenant:acme"]);
    assert_eq!(found.tightened["(residency)"], part(4, 4));
    assert_eq!(found.shut_out, [("globex".to_owned(), 4)].into());
}

#[test]
fn what_no_decision_shows_has_to_be_named() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let old = Bundle::read(&policies).unwrap();
    let found = |change: &dyn Fn(&mut Bundle), loosens: &[&str]| {
        let mut new = old.clone();
        change(&mut new);
        let declared = Declared {
            loosens: loosens.iter().map(|l| (*l).to_owned()).collect(),
            ..Declared::default()
        };
        let pair = Pair::of(Default::default(), old.clone(), new).unwrap();
        let found = made_again(&pair, vec![], vec![], &declared).unwrap();
        assert_eq!(found.decisions, 0);
        found.loosened.into_keys().collect::<Vec<_>>()
    };
    assert!(found(&|_| (), &[]).is_empty());
    let shadow = |b: &mut Bundle| b.settings.mode = engine::config::Mode::Shadow;
    assert_eq!(found(&shadow, &[]), ["settings.mode"]);
    assert!(found(&shadow, &["settings.mode"]).is_empty());
    let open = |b: &mut Bundle| {
        let modules = b.policy.modules.iter_mut();
        let egress = modules.filter(|m| m.path == "ig/egress.rego");
        assert_eq!(egress.map(|m| m.text.push_str("\n# wider\n")).count(), 1);
    };
    assert_eq!(found(&open, &[]), ["ig.egress"]);
    assert_eq!(found(&open, &["settings.mode"]), ["ig.egress"]);
    // Nobody called.
    let grant = |b: &mut Bundle| {
        let grants = b.policy.data["ig"]["grants"].as_array_mut().unwrap();
        let mut grant = grants[0].clone();
        grant["role"] = "support".into();
        grants.push(grant);
    };
    let shown = found(&grant, &[]);
    assert!(
        !shown.is_empty() && shown.iter().all(|c| c.contains('.')),
        "{shown:?}"
    );
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    assert!(found(&grant, &shown).is_empty());
    let everywhere = |b: &mut Bundle| {
        b.policy.data["ig"]["tenants"]["hooli"]["regions"] = serde_json::json!(["eu", "apac"]);
    };
    assert!(found(&everywhere, &[]).contains(&"ig.tenants.hooli".to_owned()));
    let moved = |b: &mut Bundle| b.policy.data["ig"]["tenants"]["acme"]["region"] = "us".into();
    assert_eq!(found(&moved, &[]), ["ig.tenants.acme"]);
    let newcomer = |b: &mut Bundle| {
        b.policy.data["ig"]["tenants"]["stark"] =
            serde_json::json!({"region": "eu", "risk": "low"});
    };
    assert!(found(&newcomer, &[]).is_empty());
}
