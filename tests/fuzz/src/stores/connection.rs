//! A connection, whole.

use std::time::{Duration, Instant};

use engine::guard::{Connection, Guard, Route};

use super::{NOW, OPENING_BYTES};
use crate::bytes::splits;

/// How long one may take at most: byte by byte, without optimisation.
const LONGEST: Duration = Duration::from_secs(5);

/// The longest choice of a Bolt version, which is kept beside a message.
const CHOICE: usize = 14;

/// What the client says, and what the store answers to it.
pub struct Script<'a> {
    /// What the client says before it waits for an answer.
    pub before: &'a [u8],
    /// The answer.
    pub answer: &'a [u8],
    /// What the client says then.
    pub after: &'a [u8],
}

/// What came of a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub admitted: bool,
    /// The code of the decision, if there was one; none if it allows.
    pub ruling: Option<Option<String>>,
    pub to_store: Vec<u8>,
    pub to_responder: Vec<u8>,
}

/// Runs a connection that begins at the store (Bolt) or nowhere yet (PostgreSQL), cut in three ways.
pub fn run(guard: &mut Guard, script: &Script<'_>, at_store: bool, seed: u8) -> [Seen; 3] {
    let began = Instant::now();
    let [a, b, c] = splits(script.before, seed);
    let [d, e, f] = splits(script.answer, seed);
    let [g, h, i] = splits(script.after, seed);
    let seen = [[a, d, g], [b, e, h], [c, f, i]].map(|pieces| once(guard, &pieces, at_store));
    assert!(began.elapsed() < LONGEST, "took {:?}", began.elapsed());
    seen
}

fn once(guard: &mut Guard, [before, answer, after]: &[Vec<&[u8]>; 3], at_store: bool) -> Seen {
    let mut connection = Connection::new(guard).expect("a store with connections");
    let mut seen = Seen {
        admitted: false,
        ruling: None,
        to_store: Vec::new(),
        to_responder: Vec::new(),
    };
    let mut route = at_store.then_some(Route::Store);
    let mut client = |connection: &mut Connection, pieces: &[&[u8]], seen: &mut Seen| {
        for piece in pieces {
            let let_in = connection.is_admitted();
            let moved = connection.client(guard, piece, NOW);
            assert!(!let_in || moved.forward == *piece, "it passes untouched");
            assert!(
                connection.held() <= OPENING_BYTES + CHOICE,
                "it holds {}",
                connection.held()
            );
            route = route.or(moved.route);
            match route {
                Some(Route::Store) => seen.to_store.extend(&moved.forward),
                Some(Route::Refusal) => seen.to_responder.extend(&moved.forward),
                None => assert!(moved.forward.is_empty(), "it goes nowhere"),
            }
            if let Some(ruling) = moved.ruling {
                assert!(seen.ruling.is_none(), "two rulings");
                assert_eq!(ruling.verdict.is_ok(), connection.is_admitted());
                assert_eq!(ruling.record.code.is_none(), ruling.verdict.is_ok());
                seen.ruling = Some(ruling.record.code);
            }
            assert!(!moved.end || !connection.is_admitted());
        }
    };
    client(&mut connection, before, &mut seen);
    for piece in answer {
        if connection.store(piece, false).broken {
            seen.ruling = Some(Some("STORE_MALFORMED".to_owned()));
        }
    }
    client(&mut connection, after, &mut seen);
    let _ = connection.store(b"\n", true);
    seen.admitted = connection.is_admitted();
    assert_eq!(seen.admitted, seen.ruling == Some(None));
    assert_eq!(connection.is_decided(), seen.ruling.is_some());
    seen
}
