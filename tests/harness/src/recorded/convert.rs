//! From the words of a recording to messages.

use crate::error::Error;
use crate::exchange::Message;
use crate::headers::Headers;
use crate::recorded::HeaderValues;
use crate::splits;
use crate::stream::Property;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

pub(super) fn property(value: &Json) -> Property {
    match value {
        Json::String(text) => text.as_str().into(),
        Json::Bool(value) => Property::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Property::Int(whole),
            None => Property::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        other => Property::Json(other.clone()),
    }
}

pub(super) enum Cut<'a> {
    Whole,
    At(&'a [usize]),
    Every(usize),
}

pub(super) fn body(
    place: &'static str,
    json: Option<&RawValue>,
    text: Option<&str>,
) -> Result<Option<Vec<u8>>, Error> {
    match (json, text) {
        (Some(_), Some(_)) => Err(Error::RecordedValue {
            place,
            problem: "stands beside `text`; a body is one or the other".to_owned(),
        }),
        (Some(json), None) => Ok(Some(json.get().as_bytes().to_vec())),
        (None, text) => Ok(text.map(|text| text.as_bytes().to_vec())),
    }
}

pub(super) fn cut<'a>(
    place: &'static str,
    splits: Option<&'a [usize]>,
    every: Option<usize>,
) -> Result<Cut<'a>, Error> {
    let problem = match (splits, every) {
        (Some(_), Some(_)) => "stand beside `split_every`; use one of them",
        (_, Some(0)) => "`split_every` is 0; pieces have at least one byte",
        (Some(offsets), None) if !offsets.is_sorted() => "are not in ascending order",
        (Some(offsets), None) => return Ok(Cut::At(offsets)),
        (None, Some(size)) => return Ok(Cut::Every(size)),
        (None, None) => return Ok(Cut::Whole),
    };
    Err(Error::RecordedValue {
        place,
        problem: problem.to_owned(),
    })
}

pub(super) fn message(
    mut headers: Headers,
    recorded: &BTreeMap<String, HeaderValues>,
    body: Option<Vec<u8>>,
    cut: Cut<'_>,
    trailers: Option<&BTreeMap<String, HeaderValues>>,
) -> Message {
    add(&mut headers, recorded);
    let chunks = match (&body, cut) {
        (None, _) => Vec::new(),
        (Some(body), Cut::Whole) => vec![body.clone()],
        (Some(body), Cut::At(offsets)) => splits::at(body, offsets),
        (Some(body), Cut::Every(size)) => splits::every(body, size),
    };
    if let Some(body) = &body
        && headers.get_bytes("content-length").is_none()
        && headers.get_bytes("transfer-encoding").is_none()
    {
        headers.add("content-length", body.len().to_string());
    }
    let trailers = trailers.map(|recorded| {
        let mut trailers = Headers::new();
        add(&mut trailers, recorded);
        trailers
    });
    Message {
        headers,
        chunks,
        trailers,
    }
}

fn add(headers: &mut Headers, recorded: &BTreeMap<String, HeaderValues>) {
    for (name, values) in recorded {
        match values {
            HeaderValues::One(value) => headers.add(name, value),
            HeaderValues::Several(values) => {
                for value in values {
                    headers.add(name, value);
                }
            }
        }
    }
}
