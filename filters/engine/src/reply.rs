//! What a client gets instead of a response.

use serde_json::json;

/// A response made by a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers beside the status.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// The stable code, also for the access log.
    pub code: String,
    /// Why, for the access log: the sentence that the body gives unless there is more to say.
    pub reason: String,
}

impl Reply {
    /// A GraphQL error: `{"errors":[{"message", "extensions":{"code"}}]}`.
    pub fn graphql(status: u16, code: &str, message: &str) -> Self {
        let body = json!({"errors": [{"message": message, "extensions": {"code": code}}]});
        Self::new(status, code, message, "application/json", body.to_string())
    }

    /// A problem document (RFC 9457).
    pub fn problem(status: u16, code: &str, detail: &str) -> Self {
        let body = json!({
            "type": format!("urn:maestro:{}", code.to_lowercase().replace('_', "-")),
            "title": title(status),
            "status": status,
            "detail": detail,
            "code": code,
        });
        Self::new(
            status,
            code,
            detail,
            "application/problem+json",
            body.to_string(),
        )
    }

    /// A GraphQL error on a GraphQL path, else a problem document.
    pub fn for_path(graphql: bool, status: u16, code: &str, message: &str) -> Self {
        if graphql {
            Self::graphql(status, code, message)
        } else {
            Self::problem(status, code, message)
        }
    }

    fn new(status: u16, code: &str, reason: &str, content_type: &str, body: String) -> Self {
        Self {
            status,
            headers: vec![
                ("content-type", content_type.to_owned()),
                ("cache-control", "no-store".to_owned()),
            ],
            body,
            code: code.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// The reply with another reason for the access log than the sentence that the client gets.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        reason.clone_into(&mut self.reason);
        self
    }

    /// The reply with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

fn title(status: u16) -> &'static str {
    match status {
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
