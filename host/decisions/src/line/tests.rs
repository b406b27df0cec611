use serde_json::{Value, json};

use super::*;

pub fn access(masking: Option<Value>, residency: Option<Value>) -> Value {
    json!({
        "decision": masking.map(|m| m.to_string()),
        "residency": residency.map(|m| m.to_string()),
        "duration_ms": 12, "own_before_us": 300, "own_after_us": 45, "response_code": 200,
        "node": "gateway-eu", "region": "eu", "time": "2026-11-27T17:00:00.123Z",
        "user_agent": "a \"quoted\" one", "bytes_sent": 7, "authority": null,
    })
}

pub fn masking(id: &str) -> Value {
    json!({"decisionId": id, "outcome": "allowed", "tenant": "acme", "subject": "ann",
            "revision": "r-1", "reason": "role!=admin", "counts": {"A.b": 2, "C.d|E.f": 3}})
}

pub fn residency(id: &str) -> Value {
    json!({"decisionId": id, "outcome": "denied", "tenant": "hooli", "revision": "r-2",
            "reason": "no"})
}

fn line(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

#[test]
fn a_line_is_one_decision_whoever_decided() {
    let text = line(&access(Some(masking("dec_1")), Some(residency("dec_2"))));
    let Line::Record(both) = read(&text) else {
        panic!("{text:?}")
    };
    assert_eq!(
        (both.id.as_str(), both.beside.as_deref()),
        ("dec_1", Some("dec_2"))
    );
    assert_eq!(
        (both.outcome.as_str(), both.revision.as_str()),
        ("allowed", "r-1")
    );
    assert_eq!(
        (both.masked, both.own_us, both.duration_ms),
        (5, Some(345), Some(12))
    );
    assert_eq!(
        (both.tenant.as_deref(), both.node.as_str()),
        (Some("acme"), "gateway-eu")
    );
    assert_eq!(both.time_ms, 1_795_798_800_123);
    assert_eq!(both.line.as_bytes(), text);

    let mut alone = access(None, Some(residency("dec_2")));
    alone["duration_ms"] = json!("17");
    alone["own_after_us"] = json!("-");
    let Line::Record(alone) = read(&line(&alone)) else {
        panic!()
    };
    assert_eq!((alone.id.as_str(), alone.beside), ("dec_2", None));
    assert_eq!(
        (alone.outcome.as_str(), alone.tenant.as_deref()),
        ("denied", Some("hooli"))
    );
    assert_eq!((alone.duration_ms, alone.own_us), (Some(17), None));
}

#[test]
fn without_a_decision_only_a_server_error_is_kept() {
    let mut nobody = access(None, None);
    assert!(matches!(read(&line(&nobody)), Line::Undecided));
    assert!(matches!(read(b"{}"), Line::Undecided));
    nobody["decision"] = json!("-");
    nobody["response_code"] = json!(503);
    let Line::Record(kept) = read(&line(&nobody)) else {
        panic!()
    };
    assert_eq!((kept.kind, kept.id.len()), (Kind::Undecided, 64));
    let Line::Record(again) = read(&line(&nobody)) else {
        panic!()
    };
    assert_eq!(kept.id, again.id);
}

pub fn egress(id: &str) -> Value {
    json!({"decisionId": id, "outcome": "denied", "tenant": "acme", "home": "eu",
            "regionSrc": "eu", "regionDst": "us", "store": {"kind": "s3", "name": "objects",
            "object": "data-acme"}, "operation": "read", "context": "dec_0", "revision": "r-1+3",
            "reason": "the store is in another region", "code": "CROSS_REGION"})
}

/// A sidecar's line about an HTTP store, or about a connection.
pub fn sidecar(egress: Option<Value>, code: Option<u16>) -> Value {
    json!({"bytes_received": 3, "duration_ms": 4, "egress": egress.map(|e| e.to_string()),
            "listener": "objects", "node": "sidecar-eu-7", "region": "eu", "response_code": code,
            "store_region": "eu", "time": "2026-11-27T17:00:00.123Z", "upstream_cluster": null})
}

#[test]
fn a_guards_decision_is_one_of_its_own_kind() {
    for code in [Some(403), None] {
        let text = line(&sidecar(Some(egress("dec_5")), code));
        let Line::Record(guard) = read(&text) else {
            panic!("{text:?}")
        };
        assert_eq!((guard.kind, guard.id.as_str()), (Kind::Guard, "dec_5"));
        assert_eq!(
            (guard.outcome.as_str(), guard.revision.as_str()),
            ("denied", "r-1+3")
        );
        assert_eq!(
            (guard.store.as_deref(), guard.store_region.as_deref()),
            (Some("objects"), Some("us"))
        );
        assert_eq!(
            (guard.tenant.as_deref(), guard.node.as_str()),
            (Some("acme"), "sidecar-eu-7")
        );
        assert_eq!(
            (guard.response_code, guard.duration_ms),
            (code.map(i64::from), Some(4))
        );
        assert_eq!(guard.line.as_bytes(), text);
    }
    let broken = json!({"decisionId": "dec_5", "outcome": "denied", "revision": "r-1"});
    let Line::Malformed(why) = read(&line(&sidecar(Some(broken), None))) else {
        panic!()
    };
    assert!(why.contains("record of a guard"), "{why}");
}

#[test]
fn where_no_guard_decided_only_what_was_refused_is_kept() {
    let ended = |termination: Value| {
        let mut line = sidecar(None, None);
        line["termination"] = termination;
        line
    };
    for (value, kept) in [
        (sidecar(None, None), false),
        (sidecar(None, Some(400)), false),
        (sidecar(None, Some(403)), true),
        (sidecar(None, Some(503)), true),
        (ended(json!(null)), false),
        (ended(json!("-")), false),
        (
            ended(json!("rbac_access_denied_matched_policy[none]")),
            true,
        ),
    ] {
        match (read(&line(&value)), kept) {
            (Line::Undecided, false) => {}
            (Line::Record(record), true) => {
                assert_eq!((record.kind, record.id.len()), (Kind::Guard, 64));
                assert_eq!(
                    (record.outcome.as_str(), record.revision.as_str()),
                    ("", "")
                );
                assert_eq!(record.store.as_deref(), Some("objects"));
            }
            other => panic!("{value}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_line_says_why() {
    let timeless = |mut value: Value| {
        value["time"] = json!("soon");
        line(&value)
    };
    let mut foreign = access(None, None);
    foreign["decision"] = json!("not JSON");
    for (text, why) in [
        (b"GET / HTTP/1.1".to_vec(), "no object"),
        (b"".to_vec(), "no object"),
        (b"\xff{}".to_vec(), "UTF-8"),
        (b"[]".to_vec(), "no object"),
        (b"{".to_vec(), "EOF"),
        (b"{\"decision\":7}".to_vec(), "a text or nothing"),
        (line(&foreign), "record of masking"),
        (
            line(&access(Some(json!({"outcome": "allowed"})), None)),
            "record of masking",
        ),
        (timeless(access(Some(masking("dec_1")), None)), "no time"),
    ] {
        let Line::Malformed(said) = read(&text) else {
            panic!("{text:?}")
        };
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_decision_behind_a_torn_line_is_found() {
    let whole = line(&access(Some(masking("dec_1")), Some(residency("dec_2"))));
    for torn in 1..whole.len() {
        let glued = [&whole[..torn], &whole[..]].concat();
        match read(&glued) {
            Line::Behind { torn: at, record } => {
                assert_eq!((at, record.id.as_str()), (torn, "dec_1"));
            }
            other => panic!("{torn}: {other:?}"),
        }
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        read(&bytes);
    }
}
