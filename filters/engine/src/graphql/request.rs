//! The body of a GraphQL request over HTTP (GraphQL-over-HTTP specification, JSON encoding).

use serde::Deserialize;
use serde_json::value::RawValue;

/// A request, its query text borrowed from the body where it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphqlRequest<'a> {
    /// The document.
    #[serde(borrow)]
    pub query: std::borrow::Cow<'a, str>,
    /// Which operation runs.
    #[serde(borrow, default, rename = "operationName")]
    pub operation_name: Option<std::borrow::Cow<'a, str>>,
    /// The variables, not looked into.
    #[serde(borrow, default)]
    pub variables: Option<&'a RawValue>,
    /// Extensions, not looked into but for `persistedQuery`.
    #[serde(borrow, default)]
    pub extensions: Option<&'a RawValue>,
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
    /// An array of requests.
    #[error("batched requests are not accepted: send one operation a request")]
    Batch,
    /// Only a hash of the query was sent, or one beside it.
    #[error("persisted queries are not accepted: send the query without `persistedQuery`")]
    PersistedQuery,
    /// `variables` or `extensions` is not an object.
    #[error("`{0}` must be an object or null")]
    NotAnObject(&'static str),
}

impl RequestError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } | Self::NotAnObject(_) => "BAD_REQUEST",
            Self::Batch => "BATCHING_NOT_SUPPORTED",
            Self::PersistedQuery => "PERSISTED_QUERY_NOT_SUPPORTED",
        }
    }
}

impl<'a> GraphqlRequest<'a> {
    /// Reads a body. Members that are unknown or stand twice are refused: another parser might
    /// understand them otherwise.
    ///
    /// # Errors
    /// The body is anything else than one request.
    pub fn parse(body: &'a [u8]) -> Result<Self, RequestError> {
        if body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
            return Err(RequestError::Batch);
        }
        let request: Self = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(e) => {
                let hash_only = serde_json::from_slice::<HashOnly<'_>>(body)
                    .is_ok_and(|h| persisted(h.extensions));
                if hash_only {
                    return Err(RequestError::PersistedQuery);
                }
                return Err(RequestError::Malformed {
                    line: e.line(),
                    column: e.column(),
                });
            }
        };
        for (name, value) in [
            ("variables", request.variables),
            ("extensions", request.extensions),
        ] {
            if value.is_some_and(|v| !v.get().starts_with('{') && v.get() != "null") {
                return Err(RequestError::NotAnObject(name));
            }
        }
        if persisted(request.extensions) {
            return Err(RequestError::PersistedQuery);
        }
        Ok(request)
    }
}

/// A request that sends the hash of its query alone.
#[derive(Deserialize)]
struct HashOnly<'a> {
    #[serde(borrow, default)]
    extensions: Option<&'a RawValue>,
}

fn persisted(extensions: Option<&RawValue>) -> bool {
    extensions.is_some_and(|e| {
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(e.get())
            .is_ok_and(|m| m.contains_key("persistedQuery"))
    })
}
