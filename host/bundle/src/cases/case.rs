//! Case folders, as `policies/cases/README.md` describes them.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use engine::warrant::WARRANT_HEADER;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Authorities, CaseError};
use crate::Patch;

/// Which filters a case is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Residency and masking.
    Masking,
    /// Residency alone.
    Residency,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Masking, Self::Residency];

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
    warrant: Option<Value>,
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
            // A case that was read has it signed: a text.
            let text = warrant.as_str().unwrap_or_default();
            pairs.push((WARRANT_HEADER.into(), text.as_bytes().to_vec()));
        }
        pairs
    }

    /// Puts signed warrants and keys in the place of what names them, and looks whether bodies are what
    /// they say.
    fn complete(&mut self, authorities: &dyn Authorities) -> Result<(), String> {
        if let Some(warrant) = &mut self.warrant {
            *warrant = authorities.sign(warrant)?.into();
        }
        if let Some(data) = &mut self.data {
            authorities.name_keys(data);
        }
        for text in [&self.request.body_base64, &self.response.body_base64] {
            decoded(text.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }

    /// What the case changes of the policies.
    pub fn patch(&self) -> Patch {
        Patch {
            settings: self.settings.clone(),
            data: self.data.clone(),
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
        (_, Some(text)) => return decoded(text).ok(),
    };
    Some(match serde_json::from_str::<String>(raw) {
        Ok(text) => text.into_bytes(),
        Err(_) => raw.as_bytes().to_vec(),
    })
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes.map_err(|e| format!("`body_base64` is no base64: {e}"))
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

/// All cases of a kind below a directory, by name: none if there is no folder of that kind.
///
/// # Errors
/// A case can't be read; the error names the file.
pub fn read_cases(
    directory: &Path,
    kind: Kind,
    authorities: &dyn Authorities,
) -> Result<Vec<Case>, CaseError> {
    let folder = directory.join(kind.folder());
    let unreadable = |source| CaseError::Read {
        path: folder.clone(),
        source,
    };
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unreadable(e)),
    };
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    let case = |name: String| {
        let input = folder.join(&name).join("input.json");
        let want = folder.join(&name).join("want.json");
        Case::new(&name, kind, read(&input)?, read(&want)?, authorities).map_err(|reason| {
            CaseError::Form {
                path: input,
                reason,
            }
        })
    };
    names.into_iter().map(case).collect()
}

/// What happens in the case of one directory, and what must come of it, if the directory says that.
///
/// # Errors
/// It can't be read; the error names the file.
pub fn read_case(
    directory: &Path,
    authorities: &dyn Authorities,
) -> Result<(Input, Option<Want>), CaseError> {
    let path = directory.join("input.json");
    let mut input: Input = read(&path)?;
    input
        .complete(authorities)
        .map_err(|reason| CaseError::Form { path, reason })?;
    let want = match read(&directory.join("want.json")) {
        Err(CaseError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            None
        }
        want => Some(want?),
    };
    Ok((input, want))
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, CaseError> {
    let text = std::fs::read_to_string(path).map_err(|source| CaseError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|e| CaseError::Form {
        path: path.to_owned(),
        reason: e.to_string(),
    })
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
    /// A case of what its files say.
    ///
    /// # Errors
    /// A warrant can't be signed, or a body is not in base64.
    pub fn new(
        name: &str,
        kind: Kind,
        mut input: Input,
        want: Want,
        authorities: &dyn Authorities,
    ) -> Result<Self, String> {
        input.complete(authorities)?;
        Ok(Self {
            name: name.to_owned(),
            kind,
            input,
            want,
        })
    }

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
            splits.push(cut(&body, &response.split));
        }
        splits
    }
}

/// Cuts at offsets; those that are out of order or beyond the end are left out.
fn cut(body: &[u8], offsets: &[usize]) -> Vec<Vec<u8>> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    for &offset in offsets.iter().chain([&body.len()]) {
        if let Some(piece) = body.get(from..offset).filter(|p| !p.is_empty()) {
            pieces.push(piece.to_vec());
            from = offset;
        }
    }
    pieces
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
