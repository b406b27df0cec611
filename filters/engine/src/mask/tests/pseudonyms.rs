use super::*;

/// After a rotation: `k2` is current, `k1` is the key of [`keyring`].
fn rotated() -> Keyring {
    Keyring::parse(
        "k2:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8,\
         k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    )
    .unwrap()
}

fn make(keys: &Keyring, key_id: &str, tenant: &str, domain: &str, value: &str) -> String {
    let pseudonymizer = Pseudonymizer::new(keys, key_id, tenant, domain).unwrap();
    pseudonymizer.pseudonym(value).unwrap().to_string()
}

/// The pseudonym that a response shows.
fn seen(bench: &Bench, query: &str, value: &str) -> String {
    let value = serde_json::to_string(value).unwrap();
    let data = bench.data(query, &format!(r#"{{"me":{{"email":{value}}}}}"#));
    let data: Value = serde_json::from_str(&data).unwrap();
    data["me"]["email"].as_str().unwrap().to_owned()
}

#[test]
fn a_look_up_makes_what_a_response_shows() {
    let mut bench = bench(json!({}));
    let domain = key_domain(&bench.schema, "Person.email").unwrap();
    let long = "x".repeat(60_000);
    for value in [
        "ada@x.example",
        "",
        "a \"quoted\" \\ value",
        "tab\tand\u{1}",
        "😀 é",
        &long,
    ] {
        bench.keys = Some(keyring());
        bench.tenant = "acme";
        let before = seen(&bench, "{me{email}}", value);
        assert_eq!(make(&rotated(), "k1", "acme", &domain, value), before);
        bench.keys = Some(rotated());
        let after = seen(&bench, "{me{email}}", value);
        assert_eq!(make(&rotated(), "k2", "acme", &domain, value), after);
        assert_ne!(before.rsplit(':').next(), after.rsplit(':').next());
        bench.tenant = "globex";
        let elsewhere = seen(&bench, "{me{email}}", value);
        assert_eq!(make(&rotated(), "k2", "globex", &domain, value), elsewhere);
        assert_ne!(elsewhere, after);
    }
}

#[test]
fn a_key_that_the_ring_lacks_makes_nothing() {
    assert!(Pseudonymizer::new(&keyring(), "k2", "acme", "Contact.email").is_none());
    let ring = rotated();
    assert_eq!(ring.ids().collect::<Vec<_>>(), ["k2", "k1"]);
    let one = Pseudonymizer::new(&ring, "k1", "acme", "Contact.email").unwrap();
    assert_eq!(
        format!("{one:?}"),
        r#"Pseudonymizer("Contact.email")"#,
        "keys are not shown"
    );
}

#[test]
fn reads_pseudonyms_and_never_repeats_them() {
    let text = make(&keyring(), "k1", "acme", "Contact.email", "ada");
    let read = Pseudonym::parse(&text).unwrap();
    assert_eq!((read.key_id(), read.to_string()), ("k1", text));
    for (text, want) in [
        ("", PseudonymError::Form),
        ("secret@x.example", PseudonymError::Form),
        ("h:secret", PseudonymError::Form),
        ("H:k1:AAAAAAAAAAAAAAAAAAAAAA", PseudonymError::Form),
        ("h::AAAAAAAAAAAAAAAAAAAAAA", PseudonymError::KeyId),
        ("h:k 1:AAAAAAAAAAAAAAAAAAAAAA", PseudonymError::KeyId),
        ("h:k1:secret", PseudonymError::Length(6)),
        ("h:k1:secret…", PseudonymError::Length(7)),
        ("h:k1:AAAAAAAAAAAAAAAAAAAAAA==", PseudonymError::Length(24)),
        ("h:k1:AAAAAAAAAAAA secret AA", PseudonymError::Tag),
        // 128 bits leave four of the last character's bits zero: one value, one text.
        ("h:k1:AAAAAAAAAAAAAAAAAAAAAB", PseudonymError::Tag),
    ] {
        let seen = Pseudonym::parse(text).unwrap_err();
        assert_eq!(seen, want, "{text}");
        assert!(!seen.to_string().contains("secret"));
    }
}

#[test]
fn a_coordinate_leads_to_its_key() {
    let schema = Schema::parse(SDL).unwrap();
    for (coordinate, want) in [
        ("Person.email", "Contact.email"),
        ("Vendor.email", "Contact.email"),
        ("Contact.email", "Contact.email"),
        ("Asset.email", "Asset.email"),
        ("Person.name", "Named.name"),
        ("Person.tags", "Person.tags"),
        ("All.id", "All.id"),
    ] {
        assert_eq!(
            key_domain(&schema, coordinate).as_deref(),
            Ok(want),
            "{coordinate}"
        );
    }
    for (coordinate, want) in [
        ("Person.mail", "the schema has no field `Person.mail`"),
        ("Persn.email", "the schema has no field `Persn.email`"),
        ("email", "the schema has no field `email`"),
        ("Person.*", "the schema has no field `Person.*`"),
        ("Person.salary", "`Person.salary` is neither String nor ID"),
        ("All.kind", "`All.kind` is neither"),
        ("Person.manager", "`Person.manager` is neither"),
        (
            "Found.email",
            "several keys: give one of Person.email, Vendor.email, Asset.email",
        ),
    ] {
        let error = key_domain(&schema, coordinate).unwrap_err().to_string();
        assert!(error.contains(want), "{coordinate}: {error}");
    }
}
