//! One response in every form that a server may send it in.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::body::{BatchBody, BodyError, BodyLimits, EventsBody, Form, MultipartBody};
use engine::json;
use engine::mask::{self, Envelope, Plan};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::dice::Dice;

/// What a form made of the response: all that it wrote, and the response in it.
pub struct Delivered {
    /// The form's name.
    pub form: &'static str,
    /// Everything that was sent on.
    pub text: String,
    /// The response, put together; `None` where a stricter one than that of the plain form is
    /// right, since a part does not tell the type of an object that an earlier part told.
    pub response: Option<Value>,
}

const LIMITS: BodyLimits = BodyLimits {
    json: json::Limits {
        depth: 128,
        token: 4096,
        held: 65_536,
        keys: 65_536,
    },
    part: 1 << 20,
};

/// Pushes a body in pieces of random sizes.
pub fn push(dice: &mut Dice, form: &mut dyn Form, body: &str) -> Result<String, BodyError> {
    let mut out = Vec::new();
    let mut rest = body.as_bytes();
    while !rest.is_empty() {
        let most = *dice.pick(&[1, 8, 40, 400]);
        let (piece, tail) = rest.split_at((1 + dice.below(most)).min(rest.len()));
        form.push(piece, &mut out)?;
        rest = tail;
    }
    form.finish(&mut out)?;
    Ok(String::from_utf8(out).expect("what is sent on is UTF-8"))
}

/// An element of a batch.
pub fn batch(dice: &mut Dice, plan: &Arc<Plan>, raw: &str) -> Result<Vec<Delivered>, BodyError> {
    let refused = mask::refused(&Envelope::Generic { codes: Vec::new() });
    let plans = vec![plan.clone(); 1 + dice.below(3)];
    let body = format!("[{}]", vec![raw; plans.len()].join(" , "));
    let mut form = BatchBody::new(plans, Arc::new(refused), LIMITS);
    let text = push(dice, &mut form, &body)?;
    let responses: Vec<Value> = serde_json::from_str(&text).expect("an array");
    Ok(responses
        .into_iter()
        .map(|response| Delivered {
            form: "batch",
            text: text.clone(),
            response: Some(response),
        })
        .collect())
}

/// Parts, of which a later one brings an object or the end of a list, if the response has one.
/// `masked` is what the plain form becomes, `types_told` whether an object may tell its type.
pub fn parts(
    dice: &mut Dice,
    plan: &Arc<Plan>,
    raw: &str,
    masked: &Value,
    types_told: bool,
) -> Result<Vec<Delivered>, BodyError> {
    let mut places = Vec::new();
    find_places(&masked["data"], &mut Vec::new(), &mut places);
    let later = (!places.is_empty()).then(|| {
        let path = dice.pick(&places).clone();
        Later::new(dice, raw, path)
    });
    let parts = match &later {
        Some(later) => later.parts.clone(),
        None => vec![raw.to_owned()],
    };
    let multipart = {
        let mut body = String::new();
        for part in &parts {
            body.push_str("\r\n--graphql\r\nContent-Type: application/json\r\n\r\n");
            body.push_str(part);
        }
        body.push_str("\r\n--graphql--\r\n");
        let mut form = MultipartBody::new(plan, LIMITS, "graphql");
        push(dice, &mut form, &body)?
    };
    let events = {
        let mut body = String::new();
        for part in &parts {
            body.push_str("event: next\n");
            for line in part.split('\n') {
                body.push_str(&format!("data: {line}\n"));
            }
            body.push('\n');
        }
        body.push_str("event: complete\ndata:\n\n");
        let mut form = EventsBody::new(plan, LIMITS);
        push(dice, &mut form, &body)?
    };
    let of_multipart: Vec<Value> = multipart
        .split("--graphql")
        .filter_map(|part| part.split_once("\r\n\r\n"))
        .map(|(_, body)| serde_json::from_str(body.trim()).expect("a part is JSON"))
        .collect();
    let of_events: Vec<Value> = events
        .split("\n\n")
        .map(|event| {
            let data = event.lines().filter_map(|l| l.strip_prefix("data: "));
            data.collect::<Vec<_>>().join("\n")
        })
        .filter(|data| !data.is_empty())
        .map(|data| serde_json::from_str(&data).expect("an event is JSON"))
        .collect();
    Ok([
        ("multipart", multipart, of_multipart),
        ("events", events, of_events),
    ]
    .into_iter()
    .map(|(form, text, parts)| Delivered {
        form,
        text,
        response: match &later {
            Some(_) if types_told => None,
            Some(later) => later.merge(&parts),
            None => parts.into_iter().next(),
        },
    })
    .collect())
}

/// The paths of all objects and lists that are shown, but for the root and what is within a value
/// whose content no schema describes.
fn find_places(value: &Value, path: &mut Vec<Value>, found: &mut Vec<Vec<Value>>) {
    let steps: Vec<(Value, &Value)> = match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(key, _)| !key.contains("JSON"));
            members.map(|(key, v)| (json!(key), v)).collect()
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, v)| (json!(i), v))
            .collect(),
        _ => return,
    };
    for (step, below) in steps {
        path.push(step);
        if below.is_object() || below.is_array() {
            found.push(path.clone());
        }
        find_places(below, path, found);
        path.pop();
    }
}

/// A response of which something comes later.
struct Later {
    parts: Vec<String>,
    path: Vec<Value>,
    /// Where the list breaks off, if it is one.
    from: Option<usize>,
    notation: usize,
}

impl Later {
    fn new(dice: &mut Dice, raw: &str, path: Vec<Value>) -> Self {
        let data = members(raw)["data"];
        let target = path.iter().fold(data, |text, step| match step {
            Value::String(key) => {
                let members = members(text);
                members[key.as_str()]
            }
            index => items(text)[index.as_u64().expect("an index") as usize],
        });
        let at = target.as_ptr() as usize - raw.as_ptr() as usize;
        let end = at + target.len();
        let notation = dice.below(3);
        let (stays, from, brings) = if target.starts_with('[') {
            let items = items(target);
            let from = dice.below(items.len() + 1);
            let (first, rest) = items.split_at(from);
            let brings = format!("\"items\" : [{}]", rest.join(","));
            (format!("[{}]", first.join(",")), Some(from), brings)
        } else {
            ("{}".to_owned(), None, format!("\"data\" : {target}"))
        };
        let mut first = [&raw[..at], &stays, &raw[end..]].concat();
        let mut whole_path = path.clone();
        // With a path, streamed items say the index of the first.
        whole_path.extend(from.filter(|_| notation < 2).map(|i| json!(i)));
        let whole_path = json!(whole_path);
        let second = match notation {
            0 => format!("{{{brings},\"path\":{whole_path},\"hasNext\":false}}"),
            1 => {
                format!(
                    "{{\"incremental\":[{{\"path\":{whole_path},{brings}}}],\"hasNext\":false}}"
                )
            }
            _ => format!(
                "{{\"hasNext\":false,\"completed\":[{{\"id\":\"s\"}}],\
                 \"incremental\":[{{{brings},\"id\":\"s\"}}]}}"
            ),
        };
        let close = first.rfind('}').expect("an object");
        let more = match notation {
            2 => format!(",\"pending\":[{{\"id\":\"s\",\"path\":{whole_path}}}],\"hasNext\":true"),
            _ => ",\"hasNext\":true".to_owned(),
        };
        first.insert_str(close, &more);
        Self {
            parts: vec![first, second],
            path,
            from,
            notation,
        }
    }

    /// The response that a client puts together; `None` if what came later is masked whole.
    fn merge(&self, parts: &[Value]) -> Option<Value> {
        let [first, second] = parts else {
            panic!("two parts were sent: {parts:?}");
        };
        let mut data = first["data"].clone();
        let place = self.path.iter().fold(&mut data, |value, step| match step {
            Value::String(key) => &mut value[key.as_str()],
            index => &mut value[index.as_u64().expect("an index") as usize],
        });
        let brought = match self.notation {
            0 => second,
            _ => &second["incremental"][0],
        };
        match self.from {
            None => *place = brought["data"].clone(),
            Some(from) => {
                let items = brought["items"].as_array()?;
                let list = place.as_array_mut().expect("a list");
                assert_eq!(list.len(), from);
                list.extend(items.iter().cloned());
            }
        }
        Some(json!({ "data": data }))
    }
}

fn members(text: &str) -> BTreeMap<String, &str> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).expect("an object");
    members.into_iter().map(|(k, v)| (k, v.get())).collect()
}

fn items(text: &str) -> Vec<&str> {
    let items: Vec<&RawValue> = serde_json::from_str(text).expect("an array");
    items.into_iter().map(RawValue::get).collect()
}
