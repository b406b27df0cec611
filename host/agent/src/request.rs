//! What the agent is asked.

use serde::Deserialize;

use crate::names::{NameError, Nonce, Run, Tenant, Token};
use crate::outcome::Operation;

/// What comes through the gateway: the query of `POST /ig/probe`. It names no tenant: the token does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Under which its outcome is remembered.
    pub run: Run,
    /// The store.
    pub store: String,
    /// What is done.
    pub op: Operation,
    /// The sentinel.
    pub nonce: Nonce,
}

/// What comes from the prober itself: the body of `POST /attempt`, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The store.
    pub store: String,
    /// What is done.
    pub op: Operation,
    /// The sentinel.
    pub nonce: Nonce,
    /// The context token that is passed on, if any.
    pub context: Option<Token>,
    /// Whose database, user or bucket is opened, whatever the token says.
    pub tenant: Tenant,
}

/// Why a request is malformed. It repeats nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A parameter is not there.
    #[error("the query has no `{0}`")]
    Missing(&'static str),
    /// A parameter is there more than once.
    #[error("the query has more than one `{0}`")]
    Twice(&'static str),
    /// There is another parameter.
    #[error("the query has something else than `run`, `store`, `op` and `nonce`")]
    Unknown,
    /// There is no such operation.
    #[error("`op` is none of write, read and delete")]
    Operation,
    /// The prober has not announced it.
    #[error("no probe of this run is awaited")]
    Unexpected,
    /// There is no such store.
    #[error("no store of this name is configured")]
    Store,
    /// A name is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is more than one token.
    #[error("the request has more than one context token")]
    Tokens,
    /// The body is none.
    #[error("the body is not an attempt: line {}, column {}", .0.line(), .0.column())]
    Body(serde_json::Error),
}

impl Probe {
    /// Reads a query. No legal value needs an escape, so none is read.
    ///
    /// # Errors
    /// It is malformed, or says more or less than it must.
    pub fn parse(query: &str) -> Result<Self, RequestError> {
        let (mut run, mut store, mut op, mut nonce) = (None, None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, place) = match name {
                "run" => ("run", &mut run),
                "store" => ("store", &mut store),
                "op" => ("op", &mut op),
                "nonce" => ("nonce", &mut nonce),
                _ => return Err(RequestError::Unknown),
            };
            if place.replace(value.to_owned()).is_some() {
                return Err(RequestError::Twice(name));
            }
        }
        Ok(Self {
            run: run.ok_or(RequestError::Missing("run"))?.try_into()?,
            store: store.ok_or(RequestError::Missing("store"))?,
            op: match op.ok_or(RequestError::Missing("op"))?.as_str() {
                "write" => Operation::Write,
                "read" => Operation::Read,
                "delete" => Operation::Delete,
                _ => return Err(RequestError::Operation),
            },
            nonce: nonce.ok_or(RequestError::Missing("nonce"))?.try_into()?,
        })
    }
}

impl Attempt {
    /// Reads a body.
    ///
    /// # Errors
    /// It is no attempt.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        serde_json::from_slice(body).map_err(RequestError::Body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_query_says_all_that_it_must_and_no_more() {
        let good = format!("run={RUN}&store=people&op=write&nonce=n-1");
        let probe = Probe::parse(&good).unwrap();
        assert_eq!(
            (
                probe.run.as_str(),
                probe.store.as_str(),
                probe.op,
                probe.nonce.as_str()
            ),
            (RUN, "people", Operation::Write, "n-1")
        );
        let swapped = format!("nonce=n-1&op=write&store=people&run={RUN}");
        assert_eq!(Probe::parse(&swapped).unwrap(), probe);
        for (query, says) in [
            (String::new(), "no `run`"),
            (good.replace("store=people&", ""), "no `store`"),
            (good.replace("op=write&", ""), "no `op`"),
            (good.replace("&nonce=n-1", ""), "no `nonce`"),
            (good.replace("write", "drop"), "none of write"),
            (good.replace("n-1", "n'1"), "a nonce is"),
            (good.replace("n-1", "n%2D1"), "a nonce is"),
            (good.replace(RUN, "1"), "a run is"),
            (format!("{good}&op=read"), "more than one `op`"),
            (format!("{good}&tenant=globex"), "something else"),
        ] {
            let error = Probe::parse(&query).unwrap_err().to_string();
            assert!(error.contains(says), "{query}: {error}");
        }
    }

    #[test]
    fn an_attempt_is_read_strictly() {
        let good = r#"{"store":"s","op":"read","nonce":"n","context":null,"tenant":"acme"}"#;
        let attempt = Attempt::parse(good.as_bytes()).unwrap();
        assert_eq!((attempt.op, attempt.context), (Operation::Read, None));
        for bad in [
            good.replace("null", "1"),
            good.replace("acme", "../acme"),
            good.replace("\"n\"", "\"N\""),
            good.replace("read", "look"),
            good.replace("\"store\"", "\"shop\""),
            good.replace('}', ",\"x\":1}"),
            "secret".to_owned(),
        ] {
            let error = Attempt::parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
