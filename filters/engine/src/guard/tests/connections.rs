use super::*;

fn open(guard: &Guard) -> Connection {
    Connection::new(guard).unwrap()
}

fn postgres() -> Guard {
    guard(
        json!({"kind": "postgres", "objects": [{"name": "{tenant}"}], "users": [{"name": "app"}, {"name": "app_{tenant}"}]}),
    )
}

fn code(moved: &FromClient) -> Option<&str> {
    moved.ruling.as_ref()?.record.code.as_deref()
}

/// The fields of an ErrorResponse.
fn error_fields(bytes: &[u8]) -> Vec<String> {
    assert_eq!(bytes[0], b'E');
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap() + 1, bytes.len());
    let text = String::from_utf8(bytes[5..].to_vec()).unwrap();
    text.trim_end_matches('\0')
        .split('\0')
        .map(str::to_owned)
        .collect()
}

#[test]
fn postgres_lets_in_with_all_that_came() {
    let mut guard = postgres();
    let mut connection = open(&guard);
    let bytes = [&postgres_of(&token("acme", "eu"))[..], b"Q\0\0\0\x05\0"].concat();
    let moved = connection.client(&mut guard, &bytes, NOW);
    assert_eq!((moved.forward, moved.route), (bytes, Some(Route::Store)));
    assert_eq!(
        moved.ruling.unwrap().record.store.object.as_deref(),
        Some("acme")
    );
    assert!(connection.is_admitted() && connection.is_decided());
    assert_eq!(connection.client(&mut guard, b"more", NOW).forward, b"more");
    assert_eq!(connection.store(b"back", true).forward, b"back");
}

#[test]
fn postgres_refuses_in_its_own_words() {
    for (parameters, want, state) in [
        (
            vec![("user", "app"), ("database", "acme")],
            "CONTEXT_MISSING",
            "C28000",
        ),
        (
            vec![
                ("user", "app"),
                ("database", "globex"),
                ("application_name", "TOKEN"),
            ],
            "OBJECT_FOREIGN",
            "C28000",
        ),
        (
            vec![
                ("user", "root"),
                ("database", "acme"),
                ("application_name", "TOKEN"),
            ],
            "OBJECT_UNKNOWN",
            "C28000",
        ),
        (
            vec![
                ("user", "app_globex"),
                ("database", "acme"),
                ("application_name", "TOKEN"),
            ],
            "OBJECT_FOREIGN",
            "C28000",
        ),
        (
            vec![
                ("user", "app"),
                ("replication", "true"),
                ("application_name", "TOKEN"),
            ],
            "REPLICATION_REFUSED",
            "C28000",
        ),
        (
            vec![("user", "app"), ("user", "app")],
            "STARTUP_MALFORMED",
            "C08P01",
        ),
    ] {
        let mut guard = postgres();
        let mut connection = open(&guard);
        let token = token("acme", "eu");
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(n, v)| (*n, if *v == "TOKEN" { token.as_str() } else { v }))
            .collect();
        let moved = connection.client(&mut guard, &startup(&parameters), NOW);
        assert_eq!(code(&moved), Some(want));
        // The responder gets nothing of what the client sent.
        assert_eq!(
            (&moved.forward[..], moved.route),
            (&b"\n"[..], Some(Route::Refusal))
        );
        assert!(
            connection
                .client(&mut guard, b"more", NOW)
                .forward
                .is_empty()
        );
        let back = connection.store(b"\n", false);
        assert!(back.end);
        let fields = error_fields(&back.forward);
        assert_eq!(fields[..3], ["SFATAL", "VFATAL", state], "{want}");
        assert!(
            fields[4].starts_with(&format!("D{want}, decision dec_")),
            "{fields:?}"
        );
        assert!(!connection.is_admitted() && connection.is_decided());
        assert!(connection.store(b"\n", false).forward.is_empty());
    }
}

const TLS: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
const GSS: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";

#[test]
fn postgres_declines_encryption_and_says_how_to_come_again() {
    for (tenant, requests, want) in [
        ("acme", &[TLS][..], "C08P01"),
        ("acme", &[GSS, TLS], "C08P01"),
        ("initech", &[TLS, GSS], "C28000"),
    ] {
        let mut guard = postgres();
        let mut connection = open(&guard);
        for request in requests {
            let moved = connection.client(&mut guard, request, NOW);
            assert_eq!(
                (moved.forward.len(), moved.route),
                (1, Some(Route::Refusal))
            );
            assert!(moved.ruling.is_none());
            let back = connection.store(b"\n", false);
            assert_eq!((&back.forward[..], back.end), (&b"N"[..], false));
        }
        let home = if tenant == "acme" { "eu" } else { "us" };
        let bytes = startup(&[
            ("user", "app"),
            ("database", tenant),
            ("application_name", &token(tenant, home)),
        ]);
        let moved = connection.client(&mut guard, &bytes, NOW);
        assert_eq!(moved.forward.len(), 1);
        let fields = error_fields(&connection.store(b"\n", false).forward);
        assert_eq!(fields[2], want);
        assert_eq!(
            fields.iter().any(|f| f.contains("sslmode=disable")),
            tenant == "acme",
            "{fields:?}"
        );
        assert!(!connection.is_admitted());
        // What is refused for its form stands in the log as refused.
        assert_eq!(moved.ruling.unwrap().record.outcome, Outcome::Denied);
    }
    for request in [TLS, GSS] {
        let mut guard = postgres();
        let mut connection = open(&guard);
        connection.client(&mut guard, request, NOW);
        connection.store(b"\n", false);
        let moved = connection.client(&mut guard, request, NOW);
        assert!(moved.end && moved.forward.is_empty(), "asked twice");
    }
    // Twice, or with something behind it: what follows could be anyone's.
    for bytes in [
        [TLS, TLS].concat(),
        [TLS, b"x"].concat(),
        [GSS, GSS].concat(),
    ] {
        let mut guard = postgres();
        let moved = open(&guard).client(&mut guard, &bytes, NOW);
        assert!(moved.end && moved.forward.is_empty() && moved.route.is_none());
        assert_eq!(code(&moved), Some("STARTUP_MALFORMED"));
    }
}

#[test]
fn postgres_passes_a_cancel_request_to_its_own_region_only() {
    let cancel = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02";
    let mut own = postgres();
    let mut connection = open(&own);
    let moved = connection.client(&mut own, cancel, NOW);
    assert_eq!(
        (&moved.forward[..], moved.route),
        (&cancel[..], Some(Route::Store))
    );
    let mut far = guard(json!({"kind": "postgres", "region": "us"}));
    let moved = open(&far).client(&mut far, cancel, NOW);
    assert!(moved.end && moved.forward.is_empty());
    assert_eq!(code(&moved), Some("CROSS_REGION"));
    let mut connection = open(&own);
    connection.client(&mut own, TLS, NOW);
    let moved = connection.client(&mut own, cancel, NOW);
    assert!(moved.end && moved.forward.is_empty());
    assert_eq!(code(&moved), Some("CANCEL_REFUSED"));
}

/// Fewer bytes than openings have.
const FEW: GuardLimits = GuardLimits {
    opening_bytes: 600,
    opening_ms: 10_000,
    cache_entries: 16,
};

/// Found by fuzzing: what came in one piece with an opening was held against it.
#[test]
fn what_follows_an_opening_makes_no_difference_to_it() {
    let after = vec![b'x'; 50_000];
    let token = token("acme", "eu");
    let mut guard = guard_within(json!({"kind": "postgres"}), FEW);
    let bytes = [&postgres_of(&token)[..], &after].concat();
    let moved = open(&guard).client(&mut guard, &bytes, NOW);
    assert_eq!(moved.forward, bytes);
    let mut guard = guard_within(json!({"kind": "bolt"}), FEW);
    let hello = bolt_message(1, &[("user_agent", &"x".repeat(500))]);
    let logon = bolt_message(0x6a, &[("user_agent", &agent(&token))]);
    let bytes = [&hello[..], &logon, &after].concat();
    let mut connection = shaken(&mut guard, b"\0\0\x04\x05");
    assert_eq!(connection.client(&mut guard, &bytes, NOW).forward, bytes);
    // Each message by itself is bounded, whole or not.
    let long = bolt_message(0x6a, &[("user_agent", &"x".repeat(700))]);
    for long in [&long[..], &long[..650]] {
        let mut connection = shaken(&mut guard, b"\0\0\x04\x05");
        let moved = connection.client(&mut guard, &[&hello[..], long].concat(), NOW);
        assert_eq!(code(&moved), Some("BOLT_MALFORMED"));
        assert_eq!(connection.held(), 0);
    }
}

/// Found by fuzzing: a server cuts longer names, and opens what is called as their beginning.
#[test]
fn a_name_that_postgres_would_cut_is_refused() {
    let longer = "x".repeat(64);
    for (name, want) in [
        (&longer[..63], "TENANT_UNKNOWN"),
        (&longer, "OBJECT_NAME_LONG"),
    ] {
        let mut guard = guard(json!({"kind": "postgres", "objects": [{"name": "{tenant}"}]}));
        let token = token(name, "eu");
        let bytes = startup(&[
            ("user", "app"),
            ("database", name),
            ("application_name", &token),
        ]);
        let moved = open(&guard).client(&mut guard, &bytes, NOW);
        assert_eq!(code(&moved), Some(want));
    }
}

#[test]
fn what_is_no_postgres_is_closed_and_endless_openings_end() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\0\xff",
        b"\0\0\0\x01",
    ] {
        let mut guard = postgres();
        let moved = open(&guard).client(&mut guard, bytes, NOW);
        assert!(moved.end && moved.route.is_none());
        assert_eq!(
            moved.ruling.unwrap().verdict.unwrap_err().kind,
            DenialKind::Malformed
        );
    }
    let mut guard = guard_within(json!({"kind": "postgres"}), FEW);
    let long = startup(&[("user", "app"), ("options", &"x".repeat(1_000))]);
    for bytes in [&long[..], &long[..900]] {
        let mut connection = open(&guard);
        let moved = connection.client(&mut guard, bytes, NOW);
        assert_eq!(code(&moved), Some("STARTUP_MALFORMED"));
        assert_eq!(connection.held(), 0);
    }
    assert_eq!(
        guard.expired().record.code.as_deref(),
        Some("OPENING_TIMEOUT")
    );
    assert_eq!(guard.abandoned().record.outcome, Outcome::Incomplete);
}

fn bolt() -> Guard {
    guard(json!({"kind": "bolt"}))
}

fn agent(token: &str) -> String {
    format!("app/1 ig.context={token} more")
}

/// A connection whose handshake the store has answered like this.
fn shaken(guard: &mut Guard, answer: &[u8]) -> Connection {
    let mut connection = open(guard);
    let moved = connection.client(guard, BOLT_HANDSHAKE, NOW);
    assert_eq!(
        (&moved.forward[..], moved.route),
        (BOLT_HANDSHAKE, Some(Route::Store))
    );
    assert!(!connection.is_decided());
    let back = connection.store(answer, false);
    assert_eq!((&back.forward[..], back.end), (answer, false));
    connection
}

const MANIFEST: &[u8] = b"\0\0\x01\xff\x01\0\x08\x08\x05\0";
const CHOICE: &[u8] = b"\0\0\x08\x05\0";

#[test]
fn bolt_lets_in_at_hello_or_logon() {
    let good = agent(&token("acme", "eu"));
    let hello = bolt_message(1, &[("user_agent", &good), ("scheme", "none")]);
    let bare = bolt_message(1, &[("user_agent", "app/1")]);
    let logon = bolt_message(0x6a, &[("user_agent", &good)]);
    for (answer, bytes) in [
        (&b"\0\0\x04\x04"[..], hello.clone()),
        (b"\0\0\x04\x05", [&hello[..], &logon].concat()),
        (b"\0\0\x04\x05", [&bare[..], &logon].concat()),
        (MANIFEST, [CHOICE, &bare, &logon, b"run"].concat()),
        (MANIFEST, [CHOICE, &hello].concat()),
    ] {
        let mut guard = bolt();
        let mut connection = shaken(&mut guard, answer);
        let moved = connection.client(&mut guard, &bytes, NOW);
        assert_eq!((moved.forward, moved.route), (bytes, None));
        assert_eq!(moved.ruling.unwrap().record.tenant.as_deref(), Some("acme"));
        assert!(connection.is_admitted());
    }
    // A HELLO that brings no token goes on, and LOGON waits for what is said to it.
    let mut guard = bolt();
    let mut connection = shaken(&mut guard, MANIFEST);
    let moved = connection.client(&mut guard, &[CHOICE, &bare, &logon[..9]].concat(), NOW);
    assert_eq!(moved.forward, [CHOICE, &bare].concat());
    assert!(moved.ruling.is_none() && !connection.is_decided());
    assert_eq!(connection.store(b"success", false).forward, b"success");
    assert_eq!(
        connection.client(&mut guard, &logon[9..], NOW).forward,
        logon
    );
    assert!(connection.is_admitted());
}

#[test]
fn bolt_refuses_with_a_failure_when_the_store_has_hung_up() {
    let goodbye = b"\0\x02\xb0\x02\0\0";
    let foreign = agent(&token("initech", "us"));
    let hello = bolt_message(1, &[("user_agent", &foreign)]);
    let bare = bolt_message(1, &[("user_agent", "app/1")]);
    let logon = bolt_message(0x6a, &[("scheme", "basic")]);
    let run = bolt_message(0x10, &[]);
    for (answer, bytes, want, forward) in [
        (
            &b"\0\0\x04\x04"[..],
            hello.clone(),
            "CROSS_REGION",
            goodbye.to_vec(),
        ),
        (
            b"\0\0\x04\x04",
            bare.clone(),
            "CONTEXT_MISSING",
            goodbye.to_vec(),
        ),
        (
            b"\0\0\x04\x05",
            [&bare[..], &logon].concat(),
            "CONTEXT_MISSING",
            goodbye.to_vec(),
        ),
        (
            MANIFEST,
            [CHOICE, &hello].concat(),
            "CROSS_REGION",
            [CHOICE, goodbye].concat(),
        ),
        (
            b"\0\0\x04\x05",
            run.clone(),
            "BOLT_MALFORMED",
            goodbye.to_vec(),
        ),
        (
            b"\0\0\x04\x05",
            [&bare[..], &bare].concat(),
            "BOLT_MALFORMED",
            goodbye.to_vec(),
        ),
        (
            b"\0\0\x04\x05",
            logon.clone(),
            "BOLT_MALFORMED",
            goodbye.to_vec(),
        ),
        (
            b"\0\0\x04\x05",
            vec![0xff; 20_000],
            "BOLT_MALFORMED",
            goodbye.to_vec(),
        ),
    ] {
        let mut guard = bolt();
        let mut connection = shaken(&mut guard, answer);
        let moved = connection.client(&mut guard, &bytes, NOW);
        assert_eq!(code(&moved), Some(want));
        assert_eq!(moved.forward, forward, "{want}");
        assert!(!moved.end && connection.is_decided() && !connection.is_admitted());
        assert!(connection.client(&mut guard, &run, NOW).forward.is_empty());
        assert!(connection.store(b"anything", false).forward.is_empty());
        let back = connection.store(b"", true);
        assert!(back.end);
        let text = String::from_utf8_lossy(&back.forward).into_owned();
        assert!(text.contains(want) && text.contains("Neo."), "{text}");
    }
    // After a HELLO that went on, its answer comes first.
    let mut guard = bolt();
    let mut connection = shaken(&mut guard, b"\0\0\x04\x05");
    assert_eq!(connection.client(&mut guard, &bare, NOW).forward, bare);
    assert_eq!(connection.client(&mut guard, &logon, NOW).forward, goodbye);
    let back = connection.store(b"success", true);
    assert!(back.forward.starts_with(b"success\0") && back.end);
}

#[test]
fn what_is_no_bolt_is_closed() {
    for bytes in [
        &b"GET / HTTP/1.1"[..],
        b"\x16\x03\x01",
        b"\x60\x60\xb0\x17\0\0\x01\xff\0\x08\x08\x05\0\x02\x04\x04\0\0\0\x03x",
    ] {
        let mut guard = bolt();
        let moved = open(&guard).client(&mut guard, bytes, NOW);
        assert!(moved.end && moved.route.is_none() && moved.forward.is_empty());
        assert_eq!(code(&moved), Some("BOLT_MALFORMED"));
    }
    let mut guard = bolt();
    let mut early = open(&guard);
    early.client(&mut guard, BOLT_HANDSHAKE, NOW);
    let moved = early.client(&mut guard, b"\0", NOW);
    assert!(moved.end && code(&moved) == Some("BOLT_MALFORMED"));
    // An answer that is no Bolt ends the connection as well.
    let mut connection = open(&guard);
    connection.client(&mut guard, BOLT_HANDSHAKE, NOW);
    let back = connection.store(b"HTTP/1.1", false);
    assert!(back.end && back.broken);
    let ruling = guard.broken();
    assert_eq!(ruling.record.code.as_deref(), Some("STORE_MALFORMED"));
    assert_eq!(ruling.record.outcome, Outcome::Failed);
    assert_eq!(ruling.verdict.unwrap_err().kind, DenialKind::Failed);
    let mut shaken = shaken(&mut guard, b"\0\0\x04\x04");
    assert!(!shaken.store(b"anything", true).broken);
    assert!(!connection.is_admitted());
}
