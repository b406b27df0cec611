//! Case folders, as `policies/cases/README.md` describes them.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use bundle::Patch;
use engine::warrant::WARRANT_HEADER;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use upstream::warrants::{self, RecordedWarrant};

use crate::fixture::checkout;

/// Which filters a case is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Residency and masking.
    Masking,
    /// Residency alone.
    Residency,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Masking => "masking",
            Self::Residency => "residency",
        }
    }
}

/// A case.
#[derive(Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// Which filters it is for.
    pub kind: Kind,
    /// What happens.
    pub input: Input,
    /// What must come of it.
    pub want: Want,
}

/// What happens: `input.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The region of the gateway.
    pub gateway_region: String,
    /// The verified claims of the token.
    pub claims: Value,
    /// What the client sends.
    pub request: RequestInput,
    /// The warrant that it presents.
    #[serde(default)]
    pub warrant: Option<RecordedWarrant>,
    /// The time of the request, in seconds since 1970.
    #[serde(default = "new_year")]
    pub now: u64,
    /// What the upstream answers if it is reached; `{"data":{}}` if it does not matter.
    #[serde(default)]
    pub response: ResponseInput,
    /// What this case changes of `masking.json`.
    #[serde(default)]
    settings: Option<Value>,
    /// What it changes of the policies' data, below `ig`.
    #[serde(default)]
    data: Option<Value>,
    /// What it adds to the schema.
    #[serde(default)]
    schema: Option<String>,
}

/// 2026-01-01T00:00:00Z
fn new_year() -> u64 {
    1_767_225_600
}

impl Input {
    /// The headers of the request, pseudo-headers first.
    pub fn headers(&self) -> Pairs {
        let mut pairs = self.request.headers();
        if let Some(warrant) = &self.warrant {
            pairs.push((WARRANT_HEADER.into(), warrant.text().into_bytes()));
        }
        pairs
    }

    /// What the case changes of the policies. Keys of authorities stand there by their names.
    pub fn patch(&self) -> Patch {
        let mut data = self.data.clone();
        if let Some(data) = &mut data {
            warrants::name_keys(data);
        }
        Patch {
            settings: self.settings.clone(),
            data,
            schema: self.schema.clone(),
        }
    }
}

/// What the client sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestInput {
    /// `POST` if it is left out.
    #[serde(default)]
    pub method: Option<String>,
    /// `/graphql` if it is left out.
    #[serde(default)]
    pub path: Option<String>,
    /// Headers beside those that a body brings.
    #[serde(default)]
    pub headers: BTreeMap<String, Values>,
    /// The body: JSON as it stands in the file, or a JSON string for any other text.
    #[serde(default)]
    body: Option<Box<RawValue>>,
    /// A body that is no text, in base64.
    #[serde(default)]
    body_base64: Option<String>,
}

/// What the upstream answers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseInput {
    /// 200 if it is left out.
    #[serde(default)]
    pub status: Option<u16>,
    /// Headers beside those that a body brings.
    #[serde(default)]
    pub headers: BTreeMap<String, Values>,
    /// The body: JSON as it stands in the file, or a JSON string for any other text.
    #[serde(default)]
    body: Option<Box<RawValue>>,
    /// A body that is no text, in base64.
    #[serde(default)]
    body_base64: Option<String>,
    /// Trailers, if there are any.
    #[serde(default)]
    pub trailers: Option<BTreeMap<String, String>>,
    /// Offsets at which the body is cut, beside the cuts that every case is run with.
    #[serde(default)]
    pub split: Vec<usize>,
}

fn bytes(body: Option<&RawValue>, base64: Option<&str>) -> Option<Vec<u8>> {
    let raw = match (body, base64) {
        (body, None) => body?.get(),
        (_, Some(text)) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            return Some(bytes.expect("body_base64 is base64"));
        }
    };
    Some(match serde_json::from_str::<String>(raw) {
        Ok(text) => text.into_bytes(),
        Err(_) => raw.as_bytes().to_vec(),
    })
}

/// The values of a header: none takes a header away that is set by itself.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// `null`
    None,
    /// One.
    One(String),
    /// Several lines of one name.
    Many(Vec<String>),
}

/// What must come of it: `want.json`. What is left out is not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Want {
    /// The status that the client sees.
    pub status: Option<u16>,
    /// The body that the client sees: JSON, compared as such, or a string, compared as text.
    pub body: Option<Value>,
    /// The code of the refusal or failure, in the record and in the body.
    pub code: Option<String>,
    /// Response headers that the client must see (with this value) or must not (`null`).
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// Request headers that the upstream must see (with this value) or must not (`null`).
    #[serde(default)]
    pub upstream: BTreeMap<String, Option<String>>,
    /// Whether the response is cut off in its middle.
    pub reset: Option<bool>,
    /// The body that the upstream gets: JSON, compared as such, or a string, compared as text.
    pub upstream_body: Option<Value>,
    /// Members of the context token that the upstream gets; `null`: it gets none.
    #[serde(default, deserialize_with = "given")]
    pub context: Option<Value>,
    /// Texts that stand nowhere, in no usual encoding, in what the client gets or the record says.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Members of the record: the masking filter's, or residency's where it alone decided.
    #[serde(default)]
    pub record: Option<Value>,
    /// Whether the request reaches the upstream.
    pub allow: Option<bool>,
    /// The cluster that the request is sent to.
    pub cluster: Option<String>,
    /// Where the request is and where its data is.
    pub regions: Option<Regions>,
}

/// The regions of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regions {
    /// Of the gateway.
    pub src: String,
    /// Of the data.
    pub dst: Option<String>,
}

/// A member that is there, even if it is null.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// All cases of a kind, by name.
///
/// # Panics
/// A case can't be read; the message names the file.
pub fn cases(kind: Kind) -> Vec<Case> {
    let folder = checkout().join("policies/cases").join(kind.folder());
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|e| {
            e.expect("the folder can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| Case {
            input: read(&folder.join(&name).join("input.json")),
            want: read(&folder.join(&name).join("want.json")),
            name,
            kind,
        })
        .collect()
}

/// A case that is made up by a test.
///
/// # Panics
/// It has another form than the files of a case.
pub fn case(name: &str, kind: Kind, input: &Value, want: &Value) -> Case {
    Case {
        name: name.to_owned(),
        kind,
        input: serde_json::from_str(&input.to_string()).expect("the input has its form"),
        want: serde_json::from_str(&want.to_string()).expect("the wants have their form"),
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

type Pairs = Vec<(String, Vec<u8>)>;

impl RequestInput {
    /// The body, if there is one.
    pub fn body(&self) -> Option<Vec<u8>> {
        bytes(self.body.as_deref(), self.body_base64.as_deref())
    }

    /// The headers, pseudo-headers first.
    pub fn headers(&self) -> Pairs {
        let method = self.method.as_deref().unwrap_or("POST");
        let path = self.path.as_deref().unwrap_or("/graphql");
        let mut pairs: Pairs = [
            (":method", method),
            (":scheme", "http"),
            (":authority", "gateway.test"),
            (":path", path),
        ]
        .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
        .into();
        with_body(&mut pairs, self.body());
        lay_over(&mut pairs, &self.headers);
        pairs
    }
}

impl ResponseInput {
    /// The body, if there is one.
    pub fn body(&self) -> Option<Vec<u8>> {
        bytes(self.body.as_deref(), self.body_base64.as_deref())
    }

    /// The headers, the status first.
    pub fn headers(&self) -> Pairs {
        let status = self.status.unwrap_or(200).to_string();
        let mut pairs: Pairs = vec![(":status".to_owned(), status.into_bytes())];
        with_body(&mut pairs, self.body());
        lay_over(&mut pairs, &self.headers);
        pairs
    }
}

impl Case {
    /// The response's body in pieces, by every way to cut it that the case is run with.
    pub fn splits(&self) -> Vec<Vec<Vec<u8>>> {
        let response = &self.input.response;
        let Some(body) = response.body() else {
            return vec![Vec::new()];
        };
        let mut splits = vec![vec![body.clone()]];
        // What has come in more parts than these goes on before it is known to be whole.
        let most = if self.want.code.is_some() { 250 } else { 2000 };
        for size in [1, 7, 64] {
            if body.len() / size < most && body.len() > size {
                splits.push(body.chunks(size).map(<[u8]>::to_vec).collect());
            }
        }
        if !response.split.is_empty() {
            splits.push(harness::splits::at(&body, &response.split));
        }
        splits
    }
}

fn with_body(pairs: &mut Pairs, body: Option<Vec<u8>>) {
    if let Some(bytes) = body {
        pairs.push(("content-type".into(), b"application/json".to_vec()));
        pairs.push((
            "content-length".into(),
            bytes.len().to_string().into_bytes(),
        ));
    }
}

fn lay_over(pairs: &mut Pairs, headers: &BTreeMap<String, Values>) {
    for (name, values) in headers {
        pairs.retain(|(n, _)| n != name);
        let values: &[String] = match values {
            Values::None => &[],
            Values::One(value) => std::slice::from_ref(value),
            Values::Many(values) => values,
        };
        pairs.extend(
            values
                .iter()
                .map(|v| (name.clone(), v.clone().into_bytes())),
        );
    }
}
