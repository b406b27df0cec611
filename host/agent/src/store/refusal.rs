//! How guards and stores say no, in each store's own form.

use serde_json::Value;

use super::told::Told;
use super::xml::element;
use crate::outcome::OutcomeKind;

/// SQLSTATE with which the guard denies.
const GUARD_DENIES: [&str; 3] = ["28000", "0A000", "08P01"];

/// SQLSTATE with which PostgreSQL denies: authorization, password, privilege.
const POSTGRES_DENIES: [&str; 3] = ["28000", "28P01", "42501"];

/// What an ErrorResponse of PostgreSQL says. The guard's has its code and decision in the detail.
pub(super) fn postgres(state: &str, message: &str, detail: Option<&str>) -> Told {
    match detail.and_then(guard_detail) {
        Some((code, decision)) => {
            guard(GUARD_DENIES.contains(&state), code, message, Some(decision))
        }
        None => store(POSTGRES_DENIES.contains(&state), state, message),
    }
}

/// What an error of S3 says. The guard's has its code beside S3's, and its decision as the request.
pub(super) fn s3(status: u16, body: &str) -> Told {
    let part = |name| element(body, name).unwrap_or_default();
    let message = part("Message");
    match (part("GuardCode"), part("Code")) {
        (code, _) if is_code(&code) => {
            let decision = Some(part("RequestId")).filter(|id| id.starts_with("dec_"));
            guard(is_denial(status), &code, &message, decision.as_deref())
        }
        (_, code) if code.is_empty() => wordless(status),
        (_, code) => store(matches!(status, 401 | 403), &code, &message),
    }
}

/// What an answer of Neo4j says that is no success: the guard's a problem document, the store's own a
/// list of errors, which also comes with success.
pub(super) fn neo4j(status: u16, problem: bool, body: &Value) -> Told {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let error = body.pointer("/errors/0").unwrap_or(&Value::Null);
    let own = text(error.get("code").unwrap_or(&Value::Null));
    match body.get("code").map(text) {
        Some(code) if problem && is_code(&code) => {
            let detail = text(body.get("detail").unwrap_or(&Value::Null));
            guard(is_denial(status), &code, &detail, None)
        }
        _ if own.is_empty() => wordless(status),
        _ => {
            let message = text(error.get("message").unwrap_or(&Value::Null));
            let denied = own.starts_with("Neo.ClientError.Security.");
            store(denied, &own, &message)
        }
    }
}

/// `CODE, decision dec_…`.
fn guard_detail(detail: &str) -> Option<(&str, &str)> {
    let (code, decision) = detail.split_once(", decision ")?;
    (is_code(code) && decision.starts_with("dec_")).then_some((code, decision))
}

fn is_code(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(legal)
}

fn is_denial(status: u16) -> bool {
    (400..500).contains(&status)
}

fn guard(denied: bool, code: &str, message: &str, decision: Option<&str>) -> Told {
    let decision = decision.map(|id| format!(", decision {id}"));
    let reason = format!("{message}{}", decision.unwrap_or_default());
    let told = Told::refused(Some(code.to_owned()), reason);
    match denied {
        true => told,
        false => Told {
            result: OutcomeKind::Failed,
            ..told
        },
    }
}

fn store(denied: bool, code: &str, message: &str) -> Told {
    let reason = format!("the store says {code}: {message}");
    match denied {
        true => Told::refused(None, reason),
        false => Told::failed(reason),
    }
}

fn wordless(status: u16) -> Told {
    Told::failed(format!(
        "the store's answer has status {status} and no reason"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(told: &Told) -> (OutcomeKind, Option<&str>, &str) {
        let reason = told.reason.as_deref().unwrap_or_default();
        (told.result, told.code.as_deref(), reason)
    }

    #[test]
    fn postgres_says_no() {
        use OutcomeKind::{Failed, Refused};
        for (state, detail, want, code, says) in [
            (
                "28000",
                Some("CROSS_REGION, decision dec_1"),
                Refused,
                Some("CROSS_REGION"),
                "no, decision dec_1",
            ),
            (
                "08P01",
                Some("CONTEXT_AMBIGUOUS, decision dec_1"),
                Refused,
                Some("CONTEXT_AMBIGUOUS"),
                "no, decision dec_1",
            ),
            (
                "0A000",
                Some("VERSION_UNKNOWN, decision dec_1"),
                Refused,
                Some("VERSION_UNKNOWN"),
                "no, decision dec_1",
            ),
            // The guard could not decide: that is no decision.
            (
                "58000",
                Some("POLICY_FAILED, decision dec_1"),
                Failed,
                Some("POLICY_FAILED"),
                "no, decision dec_1",
            ),
            (
                "28000",
                Some("role is not permitted"),
                Refused,
                None,
                "the store says 28000: no",
            ),
            ("28000", None, Refused, None, "the store says 28000: no"),
            ("28P01", None, Refused, None, "the store says 28P01: no"),
            ("42501", None, Refused, None, "the store says 42501: no"),
            ("08P01", None, Failed, None, "the store says 08P01: no"),
            ("3D000", None, Failed, None, "the store says 3D000: no"),
        ] {
            let told = postgres(state, "no", detail);
            assert_eq!(seen(&told), (want, code, says), "{state} {detail:?}");
        }
    }

    #[test]
    fn s3_says_no() {
        use OutcomeKind::{Failed, Refused};
        let xml = |code: &str, more: &str| {
            format!(
                "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>a &lt; b &amp;amp;</Message>{more}</Error>"
            )
        };
        let ours = "<GuardCode>CROSS_REGION</GuardCode><RequestId>dec_1</RequestId>";
        for (status, body, want, code, says) in [
            (
                403,
                xml("AccessDenied", ours),
                Refused,
                Some("CROSS_REGION"),
                "a < b &amp;, decision dec_1",
            ),
            (
                400,
                xml("InvalidRequest", "<GuardCode>S3_MALFORMED</GuardCode>"),
                Refused,
                Some("S3_MALFORMED"),
                "a < b &amp;",
            ),
            (
                500,
                xml("InternalError", "<GuardCode>POLICY_FAILED</GuardCode>"),
                Failed,
                Some("POLICY_FAILED"),
                "a < b &amp;",
            ),
            (
                403,
                xml("AccessDenied", "<RequestId>7</RequestId>"),
                Refused,
                None,
                "the store says AccessDenied: a < b &amp;",
            ),
            (
                404,
                xml("NoSuchBucket", ""),
                Failed,
                None,
                "the store says NoSuchBucket: a < b &amp;",
            ),
            (
                403,
                "RBAC: access denied".to_owned(),
                Failed,
                None,
                "the store's answer has status 403 and no reason",
            ),
        ] {
            let told = s3(status, &body);
            assert_eq!(seen(&told), (want, code, says), "{body}");
        }
    }

    #[test]
    fn neo4j_says_no() {
        use OutcomeKind::{Failed, Refused};
        let ours = json!({"status": 403, "detail": "no", "code": "CROSS_REGION"});
        let theirs = |code: &str| json!({"errors": [{"code": code, "message": "no"}]});
        let security = theirs("Neo.ClientError.Security.Unauthorized");
        let syntax = theirs("Neo.ClientError.Statement.SyntaxError");
        for (status, problem, body, want, code, says) in [
            (403, true, &ours, Refused, Some("CROSS_REGION"), "no"),
            (401, true, &ours, Refused, Some("CROSS_REGION"), "no"),
            (500, true, &ours, Failed, Some("CROSS_REGION"), "no"),
            (
                403,
                false,
                &ours,
                Failed,
                None,
                "the store's answer has status 403 and no reason",
            ),
            (
                401,
                false,
                &security,
                Refused,
                None,
                "the store says Neo.ClientError.Security.Unauthorized: no",
            ),
            (
                400,
                false,
                &syntax,
                Failed,
                None,
                "the store says Neo.ClientError.Statement.SyntaxError: no",
            ),
            (
                502,
                false,
                &Value::Null,
                Failed,
                None,
                "the store's answer has status 502 and no reason",
            ),
        ] {
            let told = neo4j(status, problem, body);
            assert_eq!(seen(&told), (want, code, says), "{body}");
        }
    }
}
