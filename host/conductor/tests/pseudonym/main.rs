//! Pseudonym look-ups: what they say, what they record, and what they never show.

mod office;

use office::{ADA, ADA_K1, K1, K2, Office, STAFF};
use serde_json::Value;

const EMAIL: [&str; 2] = ["acme", "Person.email"];

#[test]
fn a_value_has_one_pseudonym_a_key() {
    let office = Office::new();
    let seen = office.look_up("of", EMAIL, &[], &format!("{ADA}\n"));
    assert_eq!(seen.code, 0, "{}", seen.error);
    let lines: Vec<&str> = seen.out.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("h:k2:") && lines[1] == ADA_K1,
        "{}",
        seen.out
    );
    // The coordinate of the interface is the same key.
    let contact = ["acme", "Contact.email"];
    let seen = office.look_up("of", contact, &["--key-id", "k1", "--json"], ADA);
    let json: Value = serde_json::from_str(&seen.out).expect("JSON");
    assert_eq!(json["pseudonyms"], serde_json::json!([ADA_K1]));
    assert_eq!(json["audit"]["line"], 2);
    let asked = &office.last()["asked"][0];
    assert_eq!(asked["coordinate"], "Contact.email");
    assert_eq!(asked["keyIds"], serde_json::json!(["k1"]));
}

#[test]
fn a_pseudonym_of_a_response_is_found_after_a_rotation() {
    let office = Office::new();
    let seen = office.look_up("find", EMAIL, &[ADA_K1], STAFF);
    assert_eq!(seen.code, 0, "{}", seen.error);
    assert_eq!(seen.out, "found: the candidate on line 2, of 3\n");
    let last = office.last();
    assert_eq!(last["result"], "found");
    assert_eq!(
        (&last["case"], &last["by"]),
        (&"ORDER-17".into(), &"ann".into())
    );
    assert_eq!(last["candidates"], 3);
    assert_eq!(last["asked"][0]["domain"], "Contact.email");
    assert_eq!(last["asked"][0]["pseudonyms"][0], ADA_K1);

    let file = office.directory.path().join("staff.txt");
    std::fs::write(&file, STAFF).expect("written");
    let from_file = [ADA_K1, "--candidates", &file.to_string_lossy(), "--reveal"];
    let seen = office.look_up("find", EMAIL, &from_file, "");
    assert_eq!(
        seen.out,
        format!("found: the candidate on line 2, of 3: {ADA}\n")
    );
    assert_eq!(office.last()["reveal"], true);

    for (place, more, stdin) in [
        (["globex", "Person.email"], &[ADA_K1][..], STAFF),
        (["acme", "Asset.email"], &[ADA_K1], STAFF),
        (EMAIL, &[ADA_K1, "--reveal"], "grace@acme.example\n"),
    ] {
        let seen = office.look_up("find", place, more, stdin);
        assert_eq!(seen.code, 1, "{place:?}: {}", seen.error);
        assert!(seen.out.starts_with("not found among"), "{}", seen.out);
        assert_eq!(office.last()["result"], "not found");
    }
    let seen = office.look_up("find", EMAIL, &[ADA_K1, "--json"], STAFF);
    let json: Value = serde_json::from_str(&seen.out).expect("JSON");
    assert_eq!(
        (&json["result"], &json["line"]),
        (&"found".into(), &2.into())
    );
    assert_eq!(json.get("value"), None);
}

#[test]
fn two_pseudonyms_are_of_one_value_or_not() {
    let office = Office::new();
    let make = |place, key_id, value: &str| {
        let seen = office.look_up("of", place, &["--key-id", key_id], value);
        seen.out.trim_end().to_owned()
    };
    let rotated = make(EMAIL, "k2", ADA);
    let grace = make(EMAIL, "k2", "grace@acme.example");
    let stranger = make(EMAIL, "k2", "stranger@acme.example");
    let globex = make(["globex", "Person.email"], "k1", ADA);
    let asset = make(["acme", "Asset.email"], "k1", ADA);
    let elsewhere = ["--tenant-b", "globex"];
    let on_asset = ["--coordinate-b", "Asset.email"];
    for (a, b, more, code, want) in [
        (ADA_K1, &rotated, &[][..], 0, "yes\n"),
        (&rotated, &ADA_K1.to_owned(), &[], 0, "yes\n"),
        (ADA_K1, &globex, &elsewhere, 0, "yes\n"),
        (ADA_K1, &asset, &on_asset, 0, "yes\n"),
        (ADA_K1, &grace, &[], 1, "no\n"),
        (ADA_K1, &stranger, &[], 1, "no\n"),
        (ADA_K1, &globex, &[], 1, "no\n"),
        // One key: no candidate is needed.
        (&grace, &grace, &[], 0, "yes\n"),
        (&grace, &rotated, &[], 1, "no\n"),
    ] {
        let seen = office.look_up("same", EMAIL, &[&[a, b][..], more].concat(), STAFF);
        assert_eq!(
            (seen.code, &*seen.out),
            (code, want),
            "{a} {b}: {}",
            seen.error
        );
        assert_eq!(office.last()["result"], want.trim_end());
        assert_eq!(office.last()["asked"].as_array().map(Vec::len), Some(2));
    }
    let old_stranger = make(EMAIL, "k1", "stranger@acme.example");
    let seen = office.look_up("same", EMAIL, &[&stranger, &old_stranger], STAFF);
    assert_eq!(seen.code, 1);
    assert_eq!(seen.out, "unknown: neither was found among 3 candidates\n");
    let seen = office.look_up("same", EMAIL, &[ADA_K1, &rotated, "--reveal"], STAFF);
    assert_eq!(seen.out, format!("yes: {ADA}\n"));
}

#[test]
fn wrong_usage_ends_with_2_and_answers_nothing() {
    let office = Office::new();
    for (place, more, stdin, want) in [
        (
            EMAIL,
            &["h:k3:VUhaJMlWbt2Gy8zBjCwnGw"][..],
            STAFF,
            "no key `k3`: IG_MASK_KEYS has k2, k1",
        ),
        (EMAIL, &[ADA], STAFF, "a pseudonym is h:KEYID:TAG"),
        (EMAIL, &["h:k1:VUhaJMlW…"], STAFF, "is it cut off?"),
        (EMAIL, &[ADA_K1], "", "there is none; give one a line"),
        (
            EMAIL,
            &[ADA_K1, "--candidates", "nowhere"],
            "",
            "can't read nowhere",
        ),
        (
            EMAIL,
            &[ADA_K1, "--keys-env", "NO_SUCH_KEYS"],
            STAFF,
            "the variable that --keys-env names is not set",
        ),
        (
            EMAIL,
            &[ADA_K1, "--keys-env", K1],
            STAFF,
            "the variable that --keys-env names is not set",
        ),
        (
            EMAIL,
            &[ADA_K1, "--keys-env", &*office.keys],
            STAFF,
            "takes the name of",
        ),
        (
            EMAIL,
            &[ADA_K1, "--policies", "nowhere"],
            STAFF,
            "can't read nowhere",
        ),
        (
            ["acme", "Persn.email"],
            &[ADA_K1],
            STAFF,
            "near are Person.email",
        ),
        (
            ["acme", "SearchResult.email"],
            &[ADA_K1],
            STAFF,
            "several keys: give one of",
        ),
        (["acme", "Person.salary"], &[ADA_K1], STAFF, "never hashed"),
        (
            ["", "Person.email"],
            &[ADA_K1],
            STAFF,
            "the tenant must not be empty",
        ),
    ] {
        let seen = office.look_up("find", place, more, stdin);
        assert_eq!(seen.code, 2, "{more:?}: {}", seen.out);
        assert!(seen.error.contains(want), "{more:?}: {}", seen.error);
        assert_eq!((&*seen.out, &*office.record()), ("", ""), "{more:?}");
    }
    let audit = office.audit.to_string_lossy().into_owned();
    for without in ["--case", "--by", "--audit"] {
        let mut args = vec![
            "pseudonym",
            "find",
            "--tenant",
            "acme",
            "--coordinate",
            "Person.email",
        ];
        for (name, value) in [("--case", "1"), ("--by", "ann"), ("--audit", &*audit)] {
            if name != without {
                args.extend([name, value]);
            }
        }
        args.push(ADA_K1);
        let seen = office.run(&args, STAFF);
        assert_eq!(seen.code, 2);
        assert!(seen.error.contains(without), "{}", seen.error);
    }
    let seen = office.look_up("of", EMAIL, &["--key-id", "k9"], ADA);
    assert!(
        seen.code == 2 && seen.error.contains("k2, k1"),
        "{}",
        seen.error
    );
}

#[test]
fn broken_keys_are_not_repeated() {
    let mut office = Office::new();
    for (keys, want) in [
        (String::new(), "there are no keys: set IG_MASK_KEYS"),
        (K1.to_owned(), "mask key 1 is not KEYID:BASE64"),
        (format!("k1:{K1},k1:{K2}"), "stands twice"),
    ] {
        office.keys = keys;
        let seen = office.look_up("find", EMAIL, &[ADA_K1], STAFF);
        assert_eq!(seen.code, 2);
        assert!(seen.error.contains(want), "{}", seen.error);
    }
}

#[test]
fn what_cannot_be_recorded_is_not_answered() {
    let mut office = Office::new();
    let broken = office.directory.path().join("broken.jsonl");
    std::fs::write(&broken, "{\"prev\":\"\"}\n").expect("written");
    for audit in [
        office.directory.path().to_owned(),
        office.directory.path().join("nowhere/audit.jsonl"),
        "/dev/null".into(),
        "/dev/full".into(),
        broken,
    ] {
        office.audit = audit;
        for command in ["of", "find"] {
            let more: &[&str] = if command == "of" {
                &[]
            } else {
                &[ADA_K1, "--reveal"]
            };
            let seen = office.look_up(command, EMAIL, more, STAFF);
            assert_eq!(seen.code, 2, "{}", office.audit.display());
            assert_eq!(seen.out, "");
            assert!(seen.error.contains("nothing is answered"), "{}", seen.error);
        }
    }
}

#[test]
fn a_line_that_is_gone_shows() {
    let office = Office::new();
    let mut heads = Vec::new();
    for _ in 0..3 {
        let seen = office.look_up("find", EMAIL, &[ADA_K1, "--json"], STAFF);
        let json: Value = serde_json::from_str(&seen.out).expect("JSON");
        heads.push(json["audit"]["sha256"].as_str().expect("a hash").to_owned());
    }
    let audit = office.audit.to_string_lossy().into_owned();
    let check = |more: &[&str]| office.run(&[&["pseudonym", "audit", &audit], more].concat(), "");
    let seen = check(&["--head", &heads[1]]);
    assert_eq!(seen.code, 0, "{}", seen.out);
    assert!(
        seen.out.contains("is whole: 3 lines") && seen.out.contains(&heads[2]),
        "{}",
        seen.out
    );

    let record = office.record();
    let lines: Vec<&str> = record.split_inclusive('\n').collect();
    std::fs::write(&office.audit, [lines[0], lines[2]].concat()).expect("written");
    let seen = check(&[]);
    assert_eq!(seen.code, 1);
    assert!(
        seen.out.contains("is broken: line 2 does not follow"),
        "{}",
        seen.out
    );
    let seen = check(&["--json"]);
    let json: Value = serde_json::from_str(&seen.out).expect("JSON");
    assert_eq!((&json["whole"], &json["line"]), (&false.into(), &2.into()));

    std::fs::write(&office.audit, [lines[0], lines[1]].concat()).expect("written");
    assert_eq!(check(&[]).code, 0);
    let seen = check(&["--head", &heads[2]]);
    assert!(
        seen.code == 1 && seen.out.contains("at its end"),
        "{}",
        seen.out
    );

    let seen = office.run(&["pseudonym", "audit", "nowhere.jsonl"], "");
    assert!(
        seen.code == 2 && seen.error.contains("can't read nowhere.jsonl"),
        "{}",
        seen.error
    );
    let seen = office.run(&["pseudonym", "audit", "/dev/full"], "");
    assert!(
        seen.code == 2 && seen.error.contains("no regular file"),
        "{}",
        seen.error
    );
}

#[test]
fn every_help_has_an_example() {
    let office = Office::new();
    for command in ["of", "find", "same", "audit"] {
        let seen = office.run(&["pseudonym", command, "--help"], "");
        assert_eq!(seen.code, 0);
        let example = format!("Example: conductor pseudonym {command} ");
        assert!(seen.out.contains(&example), "{}", seen.out);
    }
}
