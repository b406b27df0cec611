//! How Bolt connections are opened.

use std::cell::RefCell;

use engine::guard::Guard;
use serde_json::json;

use super::connection::{Script, run};
use super::{TENANTS, guard, has_token};

thread_local! {
    static GUARD: RefCell<Guard> = RefCell::new(guard(json!({"kind": "bolt"})));
}

/// Bytes of a client's handshake.
const HANDSHAKE: usize = 20;

/// Answers to it: versions, the manifest, none, and what is none of Bolt.
const ANSWERS: [&[u8]; 7] = [
    b"\0\0\x04\x05",
    b"\0\0\0\x05",
    b"\0\0\x04\x04",
    b"\0\0\x01\xff\x02\0\x08\x08\x05\0\x02\x04\x04\0",
    b"\0\0\0\0",
    b"\0\0\0\x02",
    b"HTTP/1.1 400",
];

const GOODBYE: &[u8] = b"\0\x02\xb0\x02\0\0";

/// The messages at the start of the bytes, joined from their chunks, as far as they are whole.
fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut messages, mut message) = (Vec::new(), Vec::new());
    while let Some((size, rest)) = bytes.split_first_chunk::<2>() {
        let size = usize::from(u16::from_be_bytes(*size));
        let Some((chunk, rest)) = rest.split_at_checked(size) else {
            break;
        };
        bytes = rest;
        message.extend_from_slice(chunk);
        if size == 0 && !message.is_empty() {
            messages.push(std::mem::take(&mut message));
        }
    }
    messages
}

/// What follows the choice of a version, where the store's answer was the manifest.
fn after_choice(bytes: &[u8]) -> &[u8] {
    let rest = bytes.get(4..).unwrap_or_default();
    let end = rest.iter().position(|b| b & 0x80 == 0).map(|at| at + 1);
    end.and_then(|end| rest.get(end..)).unwrap_or_default()
}

/// A client of Bolt that says anything: bytes that choose the store's answer and the pieces, then its
/// own, the handshake first.
pub fn bolt(data: &[u8]) {
    let [answer, seed, bytes @ ..] = data else {
        return;
    };
    let answer = ANSWERS[usize::from(*answer) % ANSWERS.len()];
    let (before, after) = bytes.split_at(HANDSHAKE.min(bytes.len()));
    let script = Script {
        before,
        answer: if before.len() == HANDSHAKE {
            answer
        } else {
            b""
        },
        after,
    };
    let [whole, others @ ..] = GUARD.with_borrow_mut(|guard| run(guard, &script, true, *seed));
    let said = match answer {
        b"\0\0\x01\xff\x02\0\x08\x08\x05\0\x02\x04\x04\0" => after_choice(after),
        _ => after,
    };
    for seen in [&whole].into_iter().chain(&others) {
        assert_eq!(seen.admitted, whole.admitted, "by how it is cut");
        assert_eq!(seen.ruling, whole.ruling, "by how it is cut");
        if seen.admitted {
            assert_eq!(seen.to_store, bytes, "all of it gets to the store");
            continue;
        }
        let sent = &seen.to_store;
        let sent = sent.strip_suffix(GOODBYE).unwrap_or(sent);
        assert!(bytes.starts_with(sent), "it says what the client has not");
        let choice = after.len() - said.len();
        let sent = sent.get(before.len() + choice..).unwrap_or_default();
        let got = messages(sent);
        assert!(got.len() <= 1, "more than a greeting: {got:x?}");
        assert!(got.iter().all(|m| m.starts_with(b"\xb1\x01")), "{got:x?}");
    }
    if whole.admitted {
        let heard = messages(said);
        let (first, second) = (heard.first(), heard.get(1));
        let brings = |m: Option<&Vec<u8>>, tag: &[u8]| {
            m.is_some_and(|m| m.starts_with(tag) && TENANTS.iter().any(|t| has_token(m, t)))
        };
        let greeted = first.is_some_and(|m| m.starts_with(b"\xb1\x01"));
        assert!(
            brings(first, b"\xb1\x01") || greeted && brings(second, b"\xb1\x6a"),
            "no token: {heard:x?}"
        );
    }
}
