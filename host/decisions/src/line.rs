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
pub(crate) mod tests;
