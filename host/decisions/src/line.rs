//! A line of an access log: a gateway's, or a sidecar's. The filters' records stand in it as texts that are
//! JSON themselves.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

use crate::record::{Kind, Record};
use crate::time;

/// What a line is.
#[derive(Debug)]
pub enum Line {
    /// A decision.
    Record(Record),
    /// JSON in which no filter says anything.
    Undecided,
    /// A decision behind the torn rest of another line, as a crash of the writer leaves it.
    Behind {
        /// Bytes of the rest.
        torn: usize,
        /// The decision.
        record: Record,
    },
    /// No line of an access log.
    Malformed(String),
}

/// Places in a line at which a second one is looked for.
const TRIES: usize = 64;

/// Reads a line.
pub fn read(line: &[u8]) -> Line {
    match parse(line) {
        Ok(Some(record)) => Line::Record(record),
        Ok(None) => Line::Undecided,
        Err(error) => {
            let begins = memchr::memmem::find_iter(line, b"{\"").filter(|&at| at > 0);
            for torn in begins.take(TRIES) {
                if let Some(Ok(Some(record))) = line.get(torn..).map(parse)
                    && matches!(record.kind, Kind::Gateway | Kind::Guard)
                    && !record.revision.is_empty()
                {
                    return Line::Behind { torn, record };
                }
            }
            Line::Malformed(error)
        }
    }
}

#[derive(Deserialize)]
struct Access<'a> {
    #[serde(borrow, default)]
    decision: Text<'a>,
    #[serde(borrow, default)]
    residency: Text<'a>,
    #[serde(borrow, default)]
    egress: Text<'a>,
    /// A sidecar's line names the listener, which is the store's name.
    #[serde(borrow, default)]
    listener: Text<'a>,
    #[serde(borrow, default)]
    store_region: Text<'a>,
    /// Why a connection was ended, where it was not by one of its ends.
    #[serde(borrow, default)]
    termination: Text<'a>,
    #[serde(borrow, default)]
    time: Text<'a>,
    #[serde(borrow, default)]
    node: Text<'a>,
    #[serde(borrow, default)]
    request_id: Text<'a>,
    #[serde(default)]
    response_code: Number,
    #[serde(default)]
    duration_ms: Number,
    #[serde(default)]
    own_before_us: Number,
    #[serde(default)]
    own_after_us: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Masking<'a> {
    #[serde(borrow)]
    decision_id: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow, default)]
    tenant: Text<'a>,
    #[serde(borrow)]
    revision: Cow<'a, str>,
    #[serde(default)]
    counts: Sum,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Residency<'a> {
    #[serde(borrow)]
    decision_id: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow, default)]
    tenant: Text<'a>,
    #[serde(borrow)]
    revision: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Egress<'a> {
    #[serde(borrow)]
    decision_id: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow, default)]
    tenant: Text<'a>,
    #[serde(borrow)]
    revision: Cow<'a, str>,
    #[serde(borrow, default)]
    region_dst: Text<'a>,
    #[serde(borrow)]
    store: EgressStore<'a>,
}

#[derive(Deserialize)]
struct EgressStore<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

fn parse(line: &[u8]) -> Result<Option<Record>, String> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    // A list would be taken for the fields of an object in their order.
    if !line.starts_with('{') {
        return Err("it is no object".to_owned());
    }
    let access: Access<'_> = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let wrong =
        |filter: &'static str| move |e: serde_json::Error| format!("the record of {filter}: {e}");
    let masking: Option<Masking<'_>> = match access.decision.some() {
        Some(text) => Some(serde_json::from_str(text).map_err(wrong("masking"))?),
        None => None,
    };
    let residency: Option<Residency<'_>> = match access.residency.some() {
        Some(text) => Some(serde_json::from_str(text).map_err(wrong("residency"))?),
        None => None,
    };
    let egress: Option<Egress<'_>> = match access.egress.some() {
        Some(text) => Some(serde_json::from_str(text).map_err(wrong("a guard"))?),
        None => None,
    };
    let time_ms = || {
        let time = access.time.some().and_then(time::read);
        time.ok_or_else(|| "it has no time".to_owned())
    };
    let mut record = Record {
        id: String::new(),
        kind: Kind::Gateway,
        beside: None,
        time_ms: 0,
        node: access.node.some().unwrap_or_default().to_owned(),
        revision: String::new(),
        tenant: None,
        outcome: String::new(),
        response_code: access.response_code.0,
        duration_ms: access.duration_ms.0,
        own_us: access
            .own_before_us
            .0
            .zip(access.own_after_us.0)
            .map(|(a, b)| a.saturating_add(b)),
        masked: 0,
        store: None,
        store_region: None,
        line: String::new(),
    };
    match (masking, residency) {
        (None, None) if egress.is_some() || access.listener.some().is_some() => {
            record.kind = Kind::Guard;
            match egress {
                Some(egress) => {
                    record.tenant = owned(&egress.tenant);
                    record.store_region = owned(&egress.region_dst);
                    record.id = egress.decision_id.into_owned();
                    record.outcome = egress.outcome.into_owned();
                    record.revision = egress.revision.into_owned();
                    record.store = Some(egress.store.name.into_owned());
                }
                None if is_unguarded(&access) => {
                    record.store = owned(&access.listener);
                    record.store_region = owned(&access.store_region);
                    record.id = made_up(&access, line);
                }
                None => return Ok(None),
            }
        }
        (Some(masking), residency) => {
            record.tenant = owned(&masking.tenant);
            record.masked = masking.counts.0;
            record.id = masking.decision_id.into_owned();
            record.outcome = masking.outcome.into_owned();
            record.revision = masking.revision.into_owned();
            record.beside = residency.map(|r| r.decision_id.into_owned());
        }
        (None, Some(residency)) => {
            record.tenant = owned(&residency.tenant);
            record.id = residency.decision_id.into_owned();
            record.outcome = residency.outcome.into_owned();
            record.revision = residency.revision.into_owned();
        }
        (None, None) if record.response_code.is_some_and(|code| code >= 500) => {
            record.kind = Kind::Undecided;
            record.id = made_up(&access, line);
        }
        (None, None) => return Ok(None),
    }
    record.time_ms = time_ms()?;
    record.line = line.to_owned();
    Ok(Some(record))
}

/// The same request has the same id whether a file or a stream tells it.
fn made_up(access: &Access<'_>, line: &str) -> String {
    let node = access.node.some().unwrap_or_default();
    let time = access.time.some().unwrap_or_default();
    let request = access.request_id.some().unwrap_or(line);
    let digest = Sha256::digest(format!("{node} {time} {request}"));
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether a sidecar ended something on which no guard decided: what denies in the place of a guard that is
/// not there answers with 403 or ends the connection.
fn is_unguarded(access: &Access<'_>) -> bool {
    let code = access.response_code.0;
    code.is_some_and(|code| code == 403 || code >= 500) || access.termination.some().is_some()
}

fn owned(text: &Text<'_>) -> Option<String> {
    text.some().map(str::to_owned)
}

/// A text, borrowed where it can be; anything else is none. Envoy writes what it does not have as `null` or
/// as `-`.
#[derive(Default)]
struct Text<'a>(Option<Cow<'a, str>>);

impl Text<'_> {
    fn some(&self) -> Option<&str> {
        self.0
            .as_deref()
            .filter(|text| *text != "-" && !text.is_empty())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or nothing")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

/// A whole number, or the text of one; anything else is none.
#[derive(Default)]
struct Number(Option<i64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or nothing")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(Some(number)))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(i64::try_from(number).ok()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
                // Beyond what is exact nobody measured anything.
                let sound = number.is_finite() && number.abs() < 9e15;
                #[expect(clippy::cast_possible_truncation, reason = "it is in range")]
                Ok(Number(sound.then_some(number as i64)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.parse().ok()))
            }

            fn visit_unit<E: Error>(self) -> Result<Number, E> {
                Ok(Number(None))
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Number, E> {
                Ok(Number(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Number, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Number(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Number(None))
            }
        }
        deserializer.deserialize_any(Numbers)
    }
}

/// The sum of an object's numbers.
#[derive(Default)]
struct Sum(i64);

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sums;
        impl<'de> Visitor<'de> for Sums {
            type Value = Sum;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sum, A::Error> {
                let mut sum = 0i64;
                while let Some((_, number)) = map.next_entry::<IgnoredAny, Number>()? {
                    sum = sum.saturating_add(number.0.unwrap_or_default());
                }
                Ok(Sum(sum))
            }
        }
        deserializer.deserialize_map(Sums)
    }
}

#[cfg(test)]
pub(crate) mod tests {
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
}
