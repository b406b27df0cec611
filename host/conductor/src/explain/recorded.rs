//! Recorded cases (`policies/cases/README.md`), as far as they tell a request.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use base64::Engine as _;
use bundle::Patch;
use engine::warrant::WARRANT_HEADER;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use upstream::warrants::{self, RecordedWarrant};

use super::{PATH, Request};

/// A case's request, its time, and what the case changes of the policies.
pub struct Recorded {
    pub request: Request,
    /// In seconds since 1970.
    pub now: u64,
    pub patch: Patch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    gateway_region: String,
    claims: Map<String, Value>,
    request: RequestInput,
    #[serde(default)]
    warrant: Option<RecordedWarrant>,
    #[serde(default = "new_year")]
    now: u64,
    #[serde(default, rename = "response")]
    _response: IgnoredAny,
    #[serde(default)]
    settings: Option<Value>,
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    schema: Option<String>,
}

/// 2026-01-01T00:00:00Z
fn new_year() -> u64 {
    1_767_225_600
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestInput {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Values>,
    #[serde(default)]
    body: Option<Box<RawValue>>,
    #[serde(default)]
    body_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    None,
    One(String),
    Many(Vec<String>),
}

/// Reads the `input.json` of a case's directory.
pub fn read(directory: &Path) -> anyhow::Result<Recorded> {
    let file = directory.join("input.json");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
    let mut input: Input =
        serde_json::from_str(&text).with_context(|| format!("{} is no case", file.display()))?;
    if let Some(data) = &mut input.data {
        warrants::name_keys(data);
    }
    let body = body(&input.request).with_context(|| format!("{} is no case", file.display()))?;
    Ok(Recorded {
        request: Request {
            headers: headers(&input, body.is_some()),
            region: input.gateway_region,
            claims: input.claims,
            body,
        },
        now: input.now,
        patch: Patch {
            settings: input.settings,
            data: input.data,
            schema: input.schema,
        },
    })
}

fn body(request: &RequestInput) -> anyhow::Result<Option<Vec<u8>>> {
    if let Some(text) = &request.body_base64 {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        return Ok(Some(bytes.context("its `body_base64` is no base64")?));
    }
    // A string is the text itself, any other value the JSON that stands there.
    Ok(request.body.as_deref().map(|raw| {
        serde_json::from_str::<String>(raw.get())
            .map_or_else(|_| raw.get().as_bytes().to_vec(), String::into_bytes)
    }))
}

fn headers(input: &Input, body: bool) -> Vec<(String, Vec<u8>)> {
    let request = &input.request;
    let warrant = input.warrant.as_ref().map(RecordedWarrant::text);
    let mut pairs = vec![
        (":method", request.method.as_deref().unwrap_or("POST")),
        (":path", request.path.as_deref().unwrap_or(PATH)),
    ];
    if body {
        pairs.push(("content-type", "application/json"));
    }
    for (name, values) in &request.headers {
        pairs.retain(|(n, _)| n != name);
        match values {
            Values::None => {}
            Values::One(value) => pairs.push((name, value)),
            Values::Many(values) => {
                pairs.extend(values.iter().map(|v| (name.as_str(), v.as_str())))
            }
        }
    }
    pairs.extend(warrant.as_deref().map(|text| (WARRANT_HEADER, text)));
    pairs
        .into_iter()
        .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
        .collect()
}
