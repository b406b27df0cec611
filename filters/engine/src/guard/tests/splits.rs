//! Whatever comes, in whatever pieces: no panic, and the same verdict.

use proptest::prelude::*;

use super::*;

/// What a client, the store and the log see of a connection.
#[derive(Debug, PartialEq)]
struct Seen {
    to_store: Vec<u8>,
    code: Option<Option<String>>,
    admitted: bool,
    ended: bool,
    back: Vec<u8>,
}

/// Runs a connection with these pieces: first `before`, then the store's answer to it, then the rest.
fn run(guard: &mut Guard, before: &[&[u8]], answer: &[u8], pieces: &[&[u8]]) -> Seen {
    let mut connection = Connection::new(guard).unwrap();
    let mut seen = Seen {
        to_store: Vec::new(),
        code: None,
        admitted: false,
        ended: false,
        back: Vec::new(),
    };
    let mut client = |connection: &mut Connection, piece: &[u8], seen: &mut Seen| {
        let moved = connection.client(guard, piece, NOW);
        seen.to_store.extend(moved.forward);
        seen.ended |= moved.end;
        if let Some(ruling) = moved.ruling {
            assert!(seen.code.is_none(), "two rulings");
            seen.code = Some(ruling.record.code);
        }
    };
    for piece in before {
        client(&mut connection, piece, &mut seen);
    }
    if !answer.is_empty() {
        seen.back.extend(connection.store(answer, false).forward);
    }
    for piece in pieces {
        client(&mut connection, piece, &mut seen);
    }
    let last = connection.store(b"", true);
    let text = String::from_utf8_lossy(&last.forward).into_owned();
    // Decision ids differ from run to run.
    let text = text
        .split("decision dec_")
        .next()
        .unwrap_or_default()
        .to_owned();
    seen.back.extend(text.bytes());
    seen.admitted = connection.is_admitted();
    seen
}

/// The bytes at these places cut apart.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = places.iter().map(|p| p.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
}

fn opening(kind: u8, tenant: bool) -> Vec<u8> {
    let token = if tenant {
        token("acme", "eu")
    } else {
        token("initech", "us")
    };
    let agent = format!("a ig.context={token}");
    match kind % 4 {
        0 => postgres_of(&token),
        1 => bolt_message(1, &[("user_agent", &agent)]),
        2 => [
            bolt_message(1, &[("user_agent", "a")]),
            bolt_message(0x6a, &[("user_agent", &agent)]),
        ]
        .concat(),
        _ => [
            &b"\0\0\x08\x05\0"[..],
            &bolt_message(1, &[("user_agent", &agent)]),
        ]
        .concat(),
    }
}

fn both(kind: u8, bytes: &[u8], places: &[prop::sample::Index]) -> (Seen, Seen) {
    let pieces = cut(bytes, places);
    match kind % 4 {
        0 => {
            let store = json!({"kind": "postgres"});
            let whole = run(&mut guard(store.clone()), &[], b"", &[bytes]);
            (whole, run(&mut guard(store), &[], b"", &pieces))
        }
        n => {
            let store = json!({"kind": "bolt"});
            let answer: &[u8] = if n == 3 {
                b"\0\0\x01\xff\x01\0\x08\x08\x05\0"
            } else {
                b"\0\0\x04\x05"
            };
            let (head, tail) = BOLT_HANDSHAKE.split_at(places.first().map_or(0, |p| p.index(20)));
            let whole = run(
                &mut guard(store.clone()),
                &[BOLT_HANDSHAKE],
                answer,
                &[bytes],
            );
            (
                whole,
                run(&mut guard(store), &[head, tail], answer, &pieces),
            )
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same_verdict(
        kind in 0_u8..4,
        tenant: bool,
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = opening(kind, tenant);
        let (whole, split) = both(kind, &bytes, &places);
        prop_assert_eq!(whole.admitted, tenant);
        prop_assert_eq!(whole.code.is_some(), true);
        if kind != 2 || tenant {
            prop_assert_eq!(whole, split);
        } else {
            // A HELLO may have gone on before LOGON came: the verdict is the same.
            prop_assert_eq!((whole.code, whole.admitted), (split.code, split.admitted));
        }
    }

    #[test]
    fn changed_bytes_never_panic_and_split_alike(
        kind in 0_u8..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut bytes = opening(kind, true);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (whole, split) = both(kind, &bytes, &places);
        prop_assert_eq!(whole.admitted, split.admitted);
        prop_assert_eq!(whole.code.is_some(), split.code.is_some());
        if whole.admitted {
            prop_assert_eq!(whole.to_store, split.to_store);
        }
    }

    #[test]
    fn random_bytes_are_never_let_in(
        kind in 0_u8..4,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let (whole, split) = both(kind, &bytes, &places);
        // But for a request to cancel, which no one guesses.
        prop_assert!(!whole.admitted && !split.admitted);
    }

    #[test]
    fn random_requests_never_panic(
        method in "(GET|PUT|POST|DELETE|[A-Z]{0,7})",
        host in "(s3.test|[a-z.]{0,9}s3.test|\\PC{0,20})",
        path in "(/[a-z./%]{0,30}|\\PC{0,40})",
        copied in "(/?[a-z./%:]{0,20}|\\PC{0,20})",
    ) {
        let sent: Vec<(String, Vec<u8>)> = [
            (":method", method), (":authority", host), (":path", path), ("x-amz-copy-source", copied),
        ].into_iter().map(|(n, v)| (n.to_owned(), v.into_bytes())).collect();
        for store in [json!({"kind": "s3", "hosts": ["s3.test"]}), json!({"kind": "neo4j"})] {
            prop_assert!(guard(store).http(Headers(&sent), NOW).effect.is_err());
        }
    }
}
