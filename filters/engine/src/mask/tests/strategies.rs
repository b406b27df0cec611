use super::*;

/// What `strategy` makes of a value of a field of `All`.
fn masked(strategy: &str, field: &str, value: &str) -> String {
    let bench = bench(json!({format!("All.{field}"): strategy}));
    let out = bench.data(
        &format!("{{all{{{field}}}}}"),
        &format!(r#"{{"all":{{"{field}":{value}}}}}"#),
    );
    let prefix = format!(r#"{{"all":{{"{field}":"#);
    let inner = out.strip_prefix(&prefix).and_then(|o| o.strip_suffix("}}"));
    shorten(inner.unwrap_or_else(|| panic!("{out}")))
}

#[test]
fn every_strategy_on_every_type_keeps_the_clients_types() {
    const GONE: &str = r#""[REDACTED]""#;
    for (field, value, partial, hash, null, redact) in [
        (
            "text",
            r#""secret-value""#,
            r#""****alue""#,
            r##""#""##,
            "null",
            GONE,
        ),
        (
            "text1",
            r#""secret-value""#,
            r#""****alue""#,
            r##""#""##,
            GONE,
            GONE,
        ),
        ("text", "null", "null", "null", "null", GONE),
        ("id", "12345678", GONE, r##""#""##, "null", GONE),
        (
            "id1",
            r#""secret-value""#,
            r#""****alue""#,
            r##""#""##,
            GONE,
            GONE,
        ),
        ("int", "7", "null", "null", "null", "null"),
        ("int1", "7", "0", "0", "0", "0"),
        ("float", "7.5", "null", "null", "null", "null"),
        ("float1", "7.5", "0.0", "0.0", "0.0", "0.0"),
        ("flag", "true", "null", "null", "null", "null"),
        ("flag1", "true", "false", "false", "false", "false"),
        ("kind", r#""SECOND""#, "null", "null", "null", "null"),
        (
            "kind1",
            r#""SECOND""#,
            r#""FIRST""#,
            r#""FIRST""#,
            r#""FIRST""#,
            r#""FIRST""#,
        ),
        ("any", r#"{"a":[1]}"#, "null", "null", "null", "null"),
        ("any1", r#"{"a":[1]}"#, GONE, GONE, GONE, GONE),
        ("any1", r#""secret-value""#, GONE, GONE, GONE, GONE),
        // Elements, each for itself.
        (
            "texts",
            r#"["secret-value","x"]"#,
            r#"["****alue","[REDACTED]"]"#,
            r##"["#","#"]"##,
            r#"["[REDACTED]","[REDACTED]"]"#,
            r#"["[REDACTED]","[REDACTED]"]"#,
        ),
        ("texts", "[]", "[]", "[]", "[]", "[]"),
        ("ints", "[1,2]", "[0,0]", "[0,0]", "[0,0]", "[0,0]"),
        (
            "maybe",
            "[1,null]",
            "[null,null]",
            "[null,null]",
            "[null,null]",
            "[null,null]",
        ),
        ("maybe", "null", "null", "null", "null", "null"),
        // Values that the schema does not expect there.
        ("text", "true", GONE, GONE, "null", GONE),
        ("text", r#"{"a":"secret"}"#, GONE, GONE, "null", GONE),
        ("int1", r#""secret""#, "0", "0", "0", "0"),
        (
            "int",
            r#"[{"a":"secret"}]"#,
            "[null]",
            "[null]",
            "[null]",
            "[null]",
        ),
    ] {
        let seen = ["partial", "hash", "null", "redact"].map(|s| masked(s, field, value));
        assert_eq!(seen, [partial, hash, null, redact], "{field}: {value}");
    }
}

#[test]
fn long_values_are_replaced_unseen() {
    let long = format!("\"{}\"", "x".repeat(70_000));
    assert_eq!(masked("hash", "text", &long), r#""[REDACTED]""#);
    assert_eq!(masked("partial", "text", &long), r#""[REDACTED]""#);
    assert_eq!(masked("null", "text", &long), "null");
    assert_eq!(masked("hash", "int", &long), "null");
}

/// Tags are made four at a time, but nothing goes on without its tag.
#[test]
fn every_pseudonym_is_complete_when_a_chunk_goes_on() {
    let texts: Vec<String> = (0..9).map(|i| format!("{i}").repeat(i * 9)).collect();
    let body = format!(r#"{{"data":{{"all":{{"texts":{}}}}}}}"#, json!(texts));
    let plan = bench(json!({"All.texts": "hash"}))
        .plan("{all{texts}}", None)
        .unwrap();
    let whole = rewrite(&plan, &body).0;
    assert_eq!(shorten(&whole).matches('#').count(), texts.len());
    for cut in 0..=body.len() {
        let mut rewriter = Rewriter::new(plan.program.clone(), json::Limits::default());
        let mut masker = PlanMasker::new(plan.clone());
        let mut gone = String::new();
        let (head, tail) = body.as_bytes().split_at(cut);
        for chunk in [head, tail] {
            let mut out = Vec::new();
            rewriter.push(chunk, &mut masker, &mut out).unwrap();
            gone += std::str::from_utf8(&out).unwrap();
            assert!(whole.starts_with(&gone), "cut at {cut}: {gone}");
        }
        assert_eq!(gone, whole);
    }
    // A document that breaks off: what was rewritten before is complete too.
    let mut rewriter = Rewriter::new(plan.program.clone(), json::Limits::default());
    let mut out = Vec::new();
    let broken = br#"{"data":{"all":{"texts":["a","b",x"#;
    let mut masker = PlanMasker::new(plan.clone());
    assert!(rewriter.push(broken, &mut masker, &mut out).is_err());
    assert!(!String::from_utf8(out).unwrap().contains("---"));
}

#[test]
fn pseudonyms_are_stable_and_separate() {
    let mut bench = bench(json!({"All.text": "hash", "All.id": "hash"}));
    let hash = |bench: &Bench, query: &str, key: &str, value: &str| {
        bench
            .data(
                &format!("{{all{{{query}}}}}"),
                &format!(r#"{{"all":{{"{key}":{value}}}}}"#),
            )
            .split("h:k1:")
            .nth(1)
            .map(|h| h[..22].to_owned())
            .unwrap()
    };
    let one = hash(&bench, "text", "text", r#""abc""#);
    assert_eq!(
        hash(&bench, "text int", "text", r#""abc""#),
        one,
        "another query"
    );
    assert_eq!(hash(&bench, "x:text", "x", r#""abc""#), one, "another key");
    assert_eq!(
        hash(&bench, "text", "text", r#""\u0061b\u0063""#),
        one,
        "escaped"
    );
    assert_eq!(
        hash(&bench, "text", "text", r#""\ud83d\ude00/""#),
        hash(&bench, "text", "text", r#""😀\/""#),
        "escaped"
    );
    assert_ne!(
        hash(&bench, "text", "text", r#""abd""#),
        one,
        "another value"
    );
    assert_ne!(
        hash(&bench, "id", "id", r#""abc""#),
        one,
        "another coordinate"
    );
    assert_eq!(
        hash(&bench, "id", "id", "17"),
        hash(&bench, "id", "id", r#""17""#),
        "an ID is a text"
    );
    bench.tenant = "globex";
    assert_ne!(
        hash(&bench, "text", "text", r#""abc""#),
        one,
        "another tenant"
    );
}

#[test]
fn without_a_key_nothing_that_can_be_looked_up_goes_out() {
    let mut bench = bench(json!({}));
    bench.keys = None;
    bench.check(
        "{me{email}}",
        r#"{"me":{"email":"a@x"}}"#,
        r#"{"me":{"email":"[REDACTED]"}}"#,
    );
    bench.check(
        "{me{email}}",
        r#"{"me":{"email":null}}"#,
        r#"{"me":{"email":"[REDACTED]"}}"#,
    );
}

#[test]
fn partial_counts_characters_as_people_do() {
    let rule = |first: u8, last: u8| json!({"All.text": {"strategy": "partial", "reason": "", "keep_first": first, "keep_last": last}});
    for (first, last, value, want) in [
        (0, 4, "555-0123", "****0123"),
        (0, 4, "555-012", "[REDACTED]"),
        (0, 2, "123456", "****56"),
        (0, 2, "12345", "[REDACTED]"),
        (1, 1, "ada@example", "a****e"),
        (0, 0, "abcd", "****"),
        (0, 0, "abc", "[REDACTED]"),
        (0, 0, "", "[REDACTED]"),
        (2, 2, "aé漢字かなxy", "aé****xy"),
        // A family, a flag and a letter with two marks are one character each.
        (0, 2, "abcdef👨‍👩‍👧e\u{301}\u{323}", "****👨‍👩‍👧e\u{301}\u{323}"),
        (1, 0, "🇩🇪abcdef", "🇩🇪****"),
        (0, 2, "👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧", "[REDACTED]"),
        (255, 255, "abcdefgh", "[REDACTED]"),
    ] {
        let value = serde_json::to_string(value).unwrap();
        let want = serde_json::to_string(want).unwrap();
        bench(rule(first, last)).check(
            "{all{text}}",
            &format!(r#"{{"all":{{"text":{value}}}}}"#),
            &format!(r#"{{"all":{{"text":{want}}}}}"#),
        );
    }
    // What is kept is written as JSON again.
    bench(rule(2, 2)).check(
        "{all{text}}",
        r#"{"all":{"text":"\u0022\\bcdef\u0001\n"}}"#,
        r#"{"all":{"text":"\"\\****\u0001\n"}}"#,
    );
}

#[test]
fn masked_values_are_counted_by_coordinate() {
    let bench = bench(json!({"Vendor.email": "hash"}));
    let plan = bench
        .plan("{me{a:email b:email} contact{email}}", None)
        .unwrap();
    let response = r#"{"data":{"me":{"a":"1","b":"2"},"contact":{"email":"3"}}}"#;
    let counts = rewrite(&plan, response).2;
    let by: Vec<(String, u64)> = plan
        .specs
        .iter()
        .map(|s| s.coordinates.join("|"))
        .zip(counts)
        .collect();
    assert_eq!(
        by,
        [
            ("Person.email".into(), 2),
            ("Person.email|Vendor.email".into(), 1)
        ]
    );
}
