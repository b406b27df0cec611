//! Recorded cases (`policies/cases/README.md`), as far as they tell a request.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use base64::Engine as _;
use bundle::Patch;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{PATH, Request};

/// A case's request, and what the case changes of the policies.
pub struct Recorded {
    pub request: Request,
    pub patch: Patch,
    /// Whether it goes on to the upstream, where its `want.json` says that.
    pub allowed: Option<bool>,
}

#[derive(Deserialize)]
struct Want {
    allow: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    gateway_region: String,
    claims: Map<String, Value>,
    request: RequestInput,
    #[serde(default, rename = "response")]
    _response: IgnoredAny,
    #[serde(default)]
    settings: Option<Value>,
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    schema: Option<String>,
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
    let input: Input =
        serde_json::from_str(&text).with_context(|| format!("{} is no case", file.display()))?;
    let body = body(&input.request).with_context(|| format!("{} is no case", file.display()))?;
    let file = directory.join("want.json");
    let allowed = match std::fs::read_to_string(&file) {
        Ok(text) => {
            serde_json::from_str::<Want>(&text)
                .with_context(|| format!("{} says not what is wanted", file.display()))?
                .allow
        }
        Err(_) => None,
    };
    Ok(Recorded {
        request: Request {
            headers: headers(&input.request, body.is_some()),
            region: input.gateway_region,
            claims: input.claims,
            body,
        },
        allowed,
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

fn headers(request: &RequestInput, body: bool) -> Vec<(String, Vec<u8>)> {
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
    pairs
        .into_iter()
        .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
        .collect()
}
