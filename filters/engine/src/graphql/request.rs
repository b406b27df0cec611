//! GraphQL requests over HTTP (GraphQL-over-HTTP specification, JSON encoding), one or a batch.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A request, its query text borrowed from the body where it has no escapes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GraphqlRequest<'a> {
    /// The document.
    #[serde(borrow, default)]
    pub query: Option<Cow<'a, str>>,
    /// Which operation runs.
    #[serde(borrow, default)]
    pub operation_name: Option<Cow<'a, str>>,
    /// The variables, not looked into.
    #[serde(borrow, default)]
    pub variables: Option<&'a RawValue>,
    /// Extensions, not looked into but for `persistedQuery`.
    #[serde(borrow, default)]
    pub extensions: Option<&'a RawValue>,
    /// The id of a persisted document.
    #[serde(borrow, default)]
    pub document_id: Option<Cow<'a, str>>,
}

/// What a body holds.
#[derive(Debug)]
pub enum Requests<'a> {
    /// One request.
    One(GraphqlRequest<'a>),
    /// An array of requests.
    Batch(Vec<GraphqlRequest<'a>>),
}

/// How a request names a document that the server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersistedId {
    /// By its SHA-256, in lower-case hexadecimal digits.
    Hash(String),
    /// By another name.
    Name(String),
}

/// Why a body is not a GraphQL request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or not a request: the message says where, never what the value was.
    #[error(
        "the body is not a GraphQL request (line {line}, column {column}): it must be one JSON \
         object with `query` and, if needed, `operationName`, `variables`, `extensions`, each once"
    )]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// An array of too many or no requests.
    #[error("a batch may hold 1 to {0} operations")]
    Batch(usize),
    /// Arrays are not served.
    #[error("batched requests are not accepted: send one operation a request")]
    NoBatch,
    /// Neither `query` nor the name of a persisted one.
    #[error("the request has no `query`")]
    NoQuery,
    /// `extensions.persistedQuery` is malformed.
    #[error("`persistedQuery` must be {{\"version\":1,\"sha256Hash\":\"…\"}} and stand once")]
    Persisted,
    /// `variables` or `extensions` is not an object.
    #[error("`{0}` must be an object or null")]
    NotAnObject(&'static str),
    /// A query string that can't be read.
    #[error(
        "the query string is malformed: it must hold `query` and, if needed, `operationName`, \
         `variables`, `extensions`, each once"
    )]
    QueryString,
}

impl RequestError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. }
            | Self::NotAnObject(_)
            | Self::NoQuery
            | Self::Persisted
            | Self::QueryString => "BAD_REQUEST",
            Self::Batch(_) => "BATCH_TOO_LARGE",
            Self::NoBatch => "BATCHING_NOT_SUPPORTED",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersistedQuery<'a> {
    version: u32,
    #[serde(borrow, rename = "sha256Hash")]
    sha256_hash: Cow<'a, str>,
}

impl<'a> Requests<'a> {
    /// Reads a body that may hold up to `batch` requests in an array; with 0 none. Members that are
    /// unknown or stand twice are refused: another parser might understand them otherwise.
    ///
    /// # Errors
    /// The body is anything else.
    pub fn parse(body: &'a [u8], batch: usize) -> Result<Self, RequestError> {
        let malformed = |e: serde_json::Error| RequestError::Malformed {
            line: e.line(),
            column: e.column(),
        };
        if body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
            if batch == 0 {
                return Err(RequestError::NoBatch);
            }
            let raw: Vec<&RawValue> = serde_json::from_slice(body).map_err(malformed)?;
            if raw.is_empty() || raw.len() > batch {
                return Err(RequestError::Batch(batch));
            }
            let requests = raw.into_iter().map(|r| {
                // A list of values in the order of the members would be read as well.
                if !r.get().starts_with('{') {
                    return Err(RequestError::Malformed { line: 1, column: 1 });
                }
                let request: GraphqlRequest<'a> =
                    serde_json::from_str(r.get()).map_err(malformed)?;
                request.checked()
            });
            return Ok(Self::Batch(requests.collect::<Result<_, _>>()?));
        }
        let request: GraphqlRequest<'a> = serde_json::from_slice(body).map_err(malformed)?;
        Ok(Self::One(request.checked()?))
    }
}

impl<'a> GraphqlRequest<'a> {
    /// Reads the parameters of a query string.
    ///
    /// # Errors
    /// One is unknown, stands twice, or is not what it must be.
    pub fn from_parameters(parameters: &'a [(String, String)]) -> Result<Self, RequestError> {
        let mut request = Self::default();
        for (i, (name, value)) in parameters.iter().enumerate() {
            let before = parameters.get(..i).unwrap_or_default();
            if before.iter().any(|(n, _)| n == name) {
                return Err(RequestError::QueryString);
            }
            let raw = || -> Result<Option<&'a RawValue>, RequestError> {
                if value.is_empty() {
                    return Ok(None);
                }
                serde_json::from_str(value)
                    .map(Some)
                    .map_err(|_| RequestError::QueryString)
            };
            let text = (!value.is_empty()).then_some(Cow::Borrowed(value.as_str()));
            match name.as_str() {
                "query" => request.query = text,
                "operationName" => request.operation_name = text,
                "variables" => request.variables = raw()?,
                "extensions" => request.extensions = raw()?,
                "documentId" => request.document_id = text,
                _ => return Err(RequestError::QueryString),
            }
        }
        request.checked()
    }

    fn checked(self) -> Result<Self, RequestError> {
        for (name, value) in [
            ("variables", self.variables),
            ("extensions", self.extensions),
        ] {
            if value.is_some_and(|v| !v.get().starts_with('{') && v.get() != "null") {
                return Err(RequestError::NotAnObject(name));
            }
        }
        Ok(self)
    }

    /// The persisted document that the request names, if it names one.
    ///
    /// # Errors
    /// It names one in a way that is not known, or in two ways.
    pub fn persisted(&self) -> Result<Option<PersistedId>, RequestError> {
        let named = self.document_id.as_deref();
        let hashed = self.extension("persistedQuery")?;
        match (named, hashed) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(RequestError::Persisted),
            (Some(name), None) => Ok(Some(match name.strip_prefix("sha256:") {
                Some(hash) => PersistedId::Hash(hash.to_ascii_lowercase()),
                None => PersistedId::Name(name.to_owned()),
            })),
            (None, Some(raw)) => {
                if !raw.get().starts_with('{') {
                    return Err(RequestError::Persisted);
                }
                let query: PersistedQuery<'_> =
                    serde_json::from_str(raw.get()).map_err(|_| RequestError::Persisted)?;
                if query.version != 1 || query.sha256_hash.len() > 256 {
                    return Err(RequestError::Persisted);
                }
                Ok(Some(PersistedId::Hash(
                    query.sha256_hash.to_ascii_lowercase(),
                )))
            }
        }
    }

    fn extension(&self, name: &str) -> Result<Option<&'a RawValue>, RequestError> {
        let mut found = None;
        for (key, value) in self.extension_list()? {
            if key == name && found.replace(value).is_some() {
                return Err(RequestError::Persisted);
            }
        }
        Ok(found)
    }

    fn extension_list(&self) -> Result<Vec<(String, &'a RawValue)>, RequestError> {
        match self.extensions {
            None => Ok(Vec::new()),
            Some(raw) if raw.get() == "null" => Ok(Vec::new()),
            Some(raw) => {
                let members: Members<'a> = serde_json::from_str(raw.get())
                    .map_err(|_| RequestError::NotAnObject("extensions"))?;
                Ok(members.0)
            }
        }
    }

    /// The same request with the whole document and without a name for it.
    pub fn spelled_out<'b>(&'b self, query: &'b str) -> SpelledOut<'b> {
        let kept = self.extension_list().unwrap_or_default();
        let kept: Vec<_> = kept
            .into_iter()
            .filter(|(name, _)| name != "persistedQuery")
            .collect();
        SpelledOut {
            query,
            operation_name: self.operation_name.as_deref(),
            variables: self.variables,
            extensions: (!kept.is_empty()).then_some(Members(kept)),
        }
    }
}

/// A request as it goes to the upstream in the place of one that names a persisted document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpelledOut<'a> {
    /// The document.
    pub query: &'a str,
    /// Which operation runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_name: Option<&'a str>,
    /// The variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<&'a RawValue>,
    /// The extensions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Members<'a>>,
}

/// The members of an object, in order, their values not looked into.
#[derive(Debug)]
pub struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Serialize for Members<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object<'a>(std::marker::PhantomData<&'a ()>);

        impl<'de: 'a, 'a> serde::de::Visitor<'de> for Object<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members<'a>, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry::<String, &'a RawValue>()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }

        d.deserialize_map(Object(std::marker::PhantomData))
    }
}
