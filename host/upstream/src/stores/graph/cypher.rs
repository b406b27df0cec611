//! The statements that are known, and how others are refused
//! (<https://neo4j.com/docs/status-codes/current/errors/all-errors/>).

use axum::{
    Json,
    body::Body,
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};

use crate::stores::statement::Statement;

/// An error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    pub code: &'static str,
    pub message: &'static str,
}

const fn bad_request(code: &'static str, message: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code,
        message,
    }
}

impl Refusal {
    pub(super) const UNKNOWN: Self = bad_request(
        "Neo.ClientError.Statement.SyntaxError",
        "This store knows: CREATE (s:IgSentinel {nonce: $nonce, tenant: $tenant}); \
         MATCH (s:IgSentinel {nonce: $nonce}) RETURN s.tenant; \
         MATCH (s:IgSentinel {nonce: $nonce}) DELETE s; \
         CALL dbms.listConfig('initial.server.tags') YIELD value RETURN value.",
    );
    pub(super) const MISSING: Self = bad_request(
        "Neo.ClientError.Statement.ParameterMissing",
        "A parameter of the statement is not given.",
    );
    pub(super) const NO_TEXT: Self = bad_request(
        "Neo.ClientError.Statement.TypeError",
        "This store keeps texts only: a parameter is something else.",
    );
    pub(super) const NO_QUERY: Self = bad_request(
        "Neo.ClientError.Request.Invalid",
        "The body is not {\"statement\": TEXT, \"parameters\": {…}} in JSON.",
    );
    pub(super) const LONG: Self = bad_request(
        "Neo.ClientError.Request.Invalid",
        "The body is longer than 1 MiB, or has broken off.",
    );
    pub(super) const NO_DATABASE: Self = bad_request(
        "Neo.ClientError.Database.DatabaseNotFound",
        "No database has such a name.",
    );
    pub(super) const FULL: Self = bad_request(
        "Neo.TransientError.General.MemoryPoolOutOfMemoryError",
        "This store is full.",
    );
    pub(super) const NOT_FOUND: Self = Self {
        status: StatusCode::NOT_FOUND,
        ..bad_request(
            "Neo.ClientError.Request.Invalid",
            "This store knows POST /db/DATABASE/query/v2.",
        )
    };
    pub(super) const NOT_ALLOWED: Self = Self {
        status: StatusCode::METHOD_NOT_ALLOWED,
        ..Self::NOT_FOUND
    };

    pub(super) fn into_response(self) -> Response<Body> {
        let errors = json!({"errors": [{"code": self.code, "message": self.message}]});
        (self.status, Json(errors)).into_response()
    }
}

/// One of the statements, with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Query<'a> {
    Create { nonce: &'a str, tenant: &'a str },
    Tenant { nonce: &'a str },
    Delete { nonce: &'a str },
    ServerTags,
}

impl<'a> Query<'a> {
    pub(super) fn of(text: &str, parameters: &'a Map<String, Value>) -> Result<Self, Refusal> {
        let parameter = |name| match parameters.get(name) {
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(Refusal::NO_TEXT),
            None => Err(Refusal::MISSING),
        };
        let statement = Statement::read(text).ok_or(Refusal::UNKNOWN)?;
        let is = |form| statement.fit::<0>(form).is_some();
        if is("CREATE ( s : IgSentinel { nonce : $ nonce , tenant : $ tenant } )") {
            return Ok(Self::Create {
                nonce: parameter("nonce")?,
                tenant: parameter("tenant")?,
            });
        }
        if is("MATCH ( s : IgSentinel { nonce : $ nonce } ) RETURN s . tenant") {
            return Ok(Self::Tenant {
                nonce: parameter("nonce")?,
            });
        }
        if is("MATCH ( s : IgSentinel { nonce : $ nonce } ) DELETE s") {
            return Ok(Self::Delete {
                nonce: parameter("nonce")?,
            });
        }
        match statement.fit("CALL dbms . listConfig ( ? ) YIELD value RETURN value") {
            Some(["initial.server.tags"]) => Ok(Self::ServerTags),
            _ => Err(Refusal::UNKNOWN),
        }
    }
}
