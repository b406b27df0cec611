use super::*;
use crate::config::refusals::tests::unseen;
use crate::guard::decide::Ask;
use crate::policy::EgressOperation::{self, Connect, Delete, Read, Write};

fn code(
    guard: &mut Guard,
    claims: &ContextToken,
    object: Option<&str>,
    operation: EgressOperation,
) -> Option<String> {
    let token = sign(claims);
    let objects = object.map(|o| (o, operation)).into_iter().collect();
    let ask = Ask {
        objects,
        user: None,
    };
    // Twice: the second one comes from the cache.
    let first = guard.decide(Some(token.as_bytes()), &ask, operation, NOW);
    let second = guard.decide(Some(token.as_bytes()), &ask, operation, NOW);
    assert_eq!(first.verdict, second.verdict);
    assert_ne!(first.record.decision_id, second.record.decision_id);
    let allowed = first.verdict.is_ok();
    assert_eq!(
        first.record.outcome,
        if allowed {
            Outcome::Allowed
        } else {
            Outcome::Denied
        }
    );
    assert_eq!(first.record.code.is_none(), allowed);
    assert!(!first.record.reason.is_empty());
    first.record.code
}

#[test]
fn a_tenant_reaches_its_own_region_and_objects_only() {
    let mut own = guard(json!({"kind": "postgres", "objects": [
        {"name": "{tenant}"}, {"name": "shared"}, {"name": "abroad", "region": "us"},
        {"name": "mars", "region": "mars"},
    ]}));
    let mut far = guard(json!({"kind": "postgres", "region": "us"}));
    let acme = claims("acme", "eu");
    let some = |code: &str| Some(code.to_owned());
    assert_eq!(code(&mut own, &acme, Some("acme"), Connect), None);
    assert_eq!(code(&mut own, &acme, Some("shared"), Connect), None);
    assert_eq!(
        code(&mut own, &acme, Some("globex"), Connect),
        some("OBJECT_FOREIGN")
    );
    assert_eq!(
        code(&mut own, &acme, Some("abroad"), Connect),
        some("CROSS_REGION")
    );
    assert_eq!(
        code(&mut own, &acme, Some("mars"), Connect),
        some("REGION_UNKNOWN")
    );
    assert_eq!(
        code(&mut far, &acme, Some("acme"), Connect),
        some("CROSS_REGION")
    );
    let initech = claims("initech", "us");
    assert_eq!(
        code(&mut own, &initech, Some("initech"), Connect),
        some("CROSS_REGION")
    );
    assert_eq!(
        code(&mut far, &initech, Some("initech"), Connect),
        some("CROSS_REGION")
    );
    assert_eq!(
        code(&mut own, &claims("nobody", "eu"), Some("nobody"), Connect),
        some("TENANT_UNKNOWN")
    );
    assert_eq!(
        code(&mut own, &claims("shut", "eu"), Some("shut"), Connect),
        some("TENANT_QUARANTINED")
    );
    // Of a tenant that several regions serve.
    assert_eq!(
        code(&mut own, &claims("wide", "us"), Some("wide"), Connect),
        None
    );
    let mut listed =
        guard(json!({"kind": "s3", "hosts": ["s3"], "objects": [{"name": "data-{tenant}"}]}));
    assert_eq!(
        code(&mut listed, &acme, Some("other"), Read),
        some("OBJECT_UNKNOWN")
    );
}

#[test]
fn what_is_refused_is_refused_whatever_is_said_about_it() {
    use crate::policy::{EgressDecision, Policy};

    for entry in [json!(false), json!(null), json!({}), json!({"reason": "x"})] {
        let mut source = policy();
        source["data"]["ig"]["quarantine"]["acme"] = entry.clone();
        source["data"]["ig"]["revocations"]["wrt_1"] = entry.clone();
        let source = serde_json::from_value(source).unwrap();
        let mut policy = Policy::load::<EgressDecision>(&source).unwrap();
        let mut ask = |tenant: &str, home: &str, warrant: Option<WarrantUse>| {
            let input = json!({
                "tenant": tenant, "home": home, "region": "eu", "operation": "read",
                "store": {"kind": "s3", "region": "eu", "name": "main"}, "warrant": warrant,
            });
            let decision = policy.ask::<EgressDecision>(&input.to_string()).unwrap();
            (decision.code, decision.reason)
        };
        let (code, _) = ask("acme", "eu", None);
        assert_eq!(code.as_deref(), Some("TENANT_QUARANTINED"), "{entry}");
        let (code, reason) = ask("initech", "us", Some(warrant("wrt_1", &["read"])));
        assert_eq!(code.as_deref(), Some("CROSS_REGION"), "{entry}");
        assert!(reason.contains("the warrant is revoked"), "{reason}");
        let (code, _) = ask("initech", "us", Some(warrant("wrt_2", &["read"])));
        assert_eq!(code, None);
    }
}

#[test]
fn names_that_no_store_has_are_refused_before_the_rules_are_asked() {
    let name = |size: usize| "x".repeat(size);
    for objects in [json!([]), json!([{"name": "{tenant}"}])] {
        let mut own = guard(json!({"kind": "postgres", "objects": objects, "users": objects}));
        let wide = claims(&name(63), "eu");
        let unknown = Some("TENANT_UNKNOWN".to_owned());
        assert_eq!(code(&mut own, &wide, Some(&name(63)), Connect), unknown);
        let ask = Ask {
            objects: vec![("acme", Connect)],
            user: Some(&name(64)),
        };
        let acme = sign(&claims("acme", "eu"));
        let by_user = own.decide(Some(acme.as_bytes()), &ask, Connect, NOW);
        let long = name(10_000);
        let ask = Ask {
            objects: vec![(&long, Connect)],
            user: None,
        };
        let by_object = own.decide(Some(acme.as_bytes()), &ask, Connect, NOW);
        for ruling in [by_user, by_object] {
            assert_eq!(ruling.record.code.as_deref(), Some("OBJECT_NAME_LONG"));
            assert!(ruling.record.store.object.is_none_or(|o| o == "acme"));
            assert_eq!(ruling.verdict.unwrap_err().kind, DenialKind::Malformed);
        }
    }
}

#[test]
fn a_warrant_opens_a_border_for_what_it_is_for() {
    let mut own = guard(json!({"kind": "postgres"}));
    let mut far = guard(json!({"kind": "postgres", "region": "us"}));
    let with = |warrant: WarrantUse| ContextToken {
        warrant: Some(warrant),
        ..claims("initech", "us")
    };
    let cross = Some("CROSS_REGION".to_owned());
    for guard in [&mut own, &mut far] {
        for (operations, asked, want) in [
            (&["read"][..], Read, &None),
            (&["read"], Write, &cross),
            (&["read"], Delete, &cross),
            (&["read"], Connect, &cross),
            (&["read", "write"], Connect, &cross),
            (&["read", "write", "delete"], Connect, &None),
            (&["connect"], Connect, &cross),
            (&[], Connect, &cross),
        ] {
            let claims = with(warrant("wrt_1", operations));
            assert_eq!(
                &code(guard, &claims, Some("x"), asked),
                want,
                "{operations:?} {asked:?}"
            );
        }
        let all = &["read", "write", "delete"];
        for spoil in [
            |w: &mut WarrantUse| w.id = "wrt_0".into(),
            |w: &mut WarrantUse| w.src = "eu".into(),
            |w: &mut WarrantUse| w.dst = "us".into(),
            |w: &mut WarrantUse| w.src = "apac".into(),
        ] {
            let mut spoilt = warrant("wrt_1", all);
            spoil(&mut spoilt);
            assert_eq!(
                code(guard, &with(spoilt.clone()), Some("x"), Read),
                cross,
                "{spoilt:?}"
            );
        }
    }
    let mut third = guard(
        json!({"kind": "postgres", "objects": [{"name": "x", "region": "us"}, {"name": "{tenant}"}]}),
    );
    let all = with(warrant("wrt_1", &["read"]));
    assert_eq!(code(&mut third, &all, Some("x"), Read), None);
    assert_eq!(
        code(&mut third, &all, Some("acme"), Read),
        Some("OBJECT_FOREIGN".into())
    );
}

#[test]
fn a_warrant_stands_in_the_record() {
    let mut own = guard(json!({"kind": "postgres"}));
    let mut claims = claims("initech", "us");
    claims.warrant = Some(warrant("wrt_1", &["read", "write", "delete"]));
    let ruling = own.decide(
        Some(sign(&claims).as_bytes()),
        &Ask::default(),
        Connect,
        NOW,
    );
    let record = serde_json::to_value(&ruling.record).unwrap();
    let id = record["decisionId"].as_str().unwrap();
    assert!(id.starts_with("dec_") && id.len() == 36);
    assert_eq!(
        record,
        json!({
            "decisionId": id, "outcome": "allowed", "tenant": "initech", "home": "us",
            "regionSrc": "eu", "regionDst": "eu", "store": {"kind": "postgres", "name": "main"},
            "operation": "connect", "warrant": "wrt_1", "context": "dec_0", "revision": "r-1",
            "reason": "warrant wrt_1 of us-court, case C-1",
        })
    );
}

#[test]
fn a_token_that_is_not_to_be_believed_opens_nothing() {
    let mut own = guard(json!({"kind": "postgres"}));
    let good = token("acme", "eu");
    for (token, now, want) in [
        (None, NOW, "CONTEXT_MISSING"),
        (Some("x"), NOW, "CONTEXT_MALFORMED"),
        (Some(good.as_str()), 1_066, "CONTEXT_EXPIRED"),
        (Some(good.as_str()), 994, "CONTEXT_EARLY"),
    ] {
        let ruling = own.decide(token.map(str::as_bytes), &Ask::default(), Connect, now);
        assert_eq!(ruling.record.code.as_deref(), Some(want));
        assert_eq!(ruling.record.tenant, None);
        assert_eq!(ruling.verdict.unwrap_err().kind, DenialKind::Context);
    }
}

#[test]
fn configurations_that_would_not_guard_are_refused() {
    let base = json!({
        "revision": "r", "region": "eu", "policy": policy(), "cluster": "c",
        "store": {"kind": "postgres", "name": "main", "region": "eu"},
    });
    let configure = |patch: &dyn Fn(&mut Value), keys: Option<&str>| {
        let mut config = base.clone();
        patch(&mut config);
        Guard::configure(config.to_string().as_bytes(), |_| keys.map(str::to_owned))
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert_eq!(configure(&|_| (), Some(KEYS)), Ok(()));
    for (data, at) in unseen() {
        let error = configure(&|c| c["policy"]["data"] = data.clone(), Some(KEYS)).unwrap_err();
        assert!(error.contains(&at), "{at}: {error}");
    }
    // The keys are where the configuration says.
    for (named, want) in [(None, "IG_CONTEXT_KEYS"), (Some("OURS"), "OURS")] {
        let mut config = base.clone();
        if let Some(named) = named {
            config["keys_env"] = json!(named);
        }
        let environment = |name: &str| (name == want).then(|| KEYS.to_owned());
        let guard = Guard::configure(config.to_string().as_bytes(), environment);
        assert!(guard.is_ok(), "{want}");
    }
    type Patch = fn(&mut Value);
    let cases: [(Patch, Option<&str>, &str); 10] = [
        (|_| (), None, "no context keys"),
        (|_| (), Some(""), "no context keys"),
        (|_| (), Some("k1:AAAA"), "at least 32 bytes"),
        (|c| c["region"] = json!(""), Some(KEYS), "empty `region`"),
        (|c| c["typo"] = json!(1), Some(KEYS), "typo"),
        // serde's own structs can be read from arrays: this would be all the defaults.
        (
            |c| c["limits"] = json!([]),
            Some(KEYS),
            "expected an object",
        ),
        (
            |c| c["store"]["kind"] = json!("s3"),
            Some(KEYS),
            "empty `store.hosts`",
        ),
        (
            |c| c["store"]["hosts"] = json!(["a"]),
            Some(KEYS),
            "no `hosts`",
        ),
        (
            |c| c["store"] = json!({"kind": "bolt", "name": "n", "region": "eu", "objects": [{"name": "{tenant}"}]}),
            Some(KEYS),
            "no `objects`",
        ),
        (
            |c| c["policy"]["modules"] = json!([]),
            Some(KEYS),
            "data.ig.egress.decision",
        ),
    ];
    for (patch, keys, want) in cases {
        let error = configure(&patch, keys).unwrap_err();
        assert!(error.contains(want), "{want}: {error}");
    }
}

#[test]
fn a_policy_that_fails_is_no_permission_and_stays_among_its_authors() {
    let mut config = json!({
        "revision": "r", "region": "eu", "cluster": "c",
        "store": {"kind": "postgres", "name": "main", "region": "eu"},
        "policy": {"modules": [{"path": "m.rego", "text": "package ig.egress\n\ndefault decision := {\"allow\": false, \"reason\": \"no\"}\n\ndecision := {\"alow\": true} if input.tenant == \"acme\""}], "data": {}},
    });
    config["store"]["objects"] = json!([]);
    let mut guard = Guard::configure(config.to_string().as_bytes(), |_| Some(KEYS.into())).unwrap();
    let ruling = guard.decide(
        Some(token("acme", "eu").as_bytes()),
        &Ask::default(),
        Connect,
        NOW,
    );
    let denial = ruling.verdict.unwrap_err();
    assert_eq!(
        (denial.kind, denial.code.as_str()),
        (DenialKind::Failed, "POLICY_FAILED")
    );
    assert!(!denial.message.contains("alow") && ruling.record.reason.contains("alow"));
    assert_eq!(ruling.record.outcome, Outcome::Failed);
    let ruling = guard.decide(
        Some(token("globex", "eu").as_bytes()),
        &Ask::default(),
        Connect,
        NOW,
    );
    assert_eq!(ruling.record.code.as_deref(), Some("EGRESS_DENIED"));
}
