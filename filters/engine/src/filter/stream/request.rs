//! The request: who asks for what, and what is decided about it.

use std::sync::Arc;

use crate::audit::OperationRecord;
use crate::filter::{Edit, Headers, Masking, is_among, is_intent, is_reserved};
use crate::graphql::{self, GraphqlRequest};
use crate::identity::{Claims, Identity, IdentityError};
use crate::mask::Plan;
use crate::policy::{Decision, MaskingInput};
use crate::reply::Reply;
use crate::schema::OperationKind;

use super::{HeadEffect, MaskingStream, State};

/// Request headers that ask for something else than the whole body, as it is.
const CONDITIONAL: [&str; 7] = [
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "te",
];

impl MaskingStream {
    /// Request headers have come.
    pub fn request_headers(
        &mut self,
        filter: &mut Masking,
        headers: Headers<'_>,
        claims: &dyn Claims,
        end_of_stream: bool,
    ) -> HeadEffect {
        self.record.decision_id = filter.next_decision_id();
        self.record.region.clone_from(&filter.config().region);
        self.record.revision.clone_from(&filter.config().revision);
        self.state = State::Request;
        match self.admit(filter, headers, claims, end_of_stream) {
            Ok(edits) => HeadEffect::Hold(edits),
            Err(reply) => HeadEffect::Reply(self.deny(reply)),
        }
    }

    fn admit(
        &mut self,
        filter: &Masking,
        headers: Headers<'_>,
        claims: &dyn Claims,
        end_of_stream: bool,
    ) -> Result<Vec<Edit>, Reply> {
        let config = filter.config();
        if !config.graphql_paths.iter().any(|p| p == headers.path()) {
            return Err(Reply::problem(
                404,
                "NOT_A_MASKED_PATH",
                "no masked route has this path, so it is not served",
            ));
        }
        let identity = Identity::read(claims).map_err(|e| refuse(&e))?;
        self.record.tenant = Some(identity.tenant.clone());
        self.record.subject = Some(identity.subject.clone());
        self.record.roles.clone_from(&identity.roles);
        let purpose = identity
            .purpose(&headers.all("x-ig-purpose"))
            .map_err(|e| refuse(&e))?;
        self.record.purpose = purpose.map(str::to_owned);
        self.identity = Some(identity);
        if headers.has("upgrade") {
            let message = "upgraded connections can't be masked, so they are not served";
            return Err(Reply::graphql(403, "UPGRADE_REFUSED", message));
        }
        if headers.text(":method") != Some("POST") {
            let message = "send GraphQL requests by POST";
            return Err(Reply::graphql(405, "METHOD_NOT_ALLOWED", message).with("allow", "POST"));
        }
        // Some servers let a `query` of the URL win over the body's.
        if headers.text(":path") != Some(headers.path()) {
            let message = "send the request in the body: its path must not have a query string";
            return Err(Reply::graphql(400, "QUERY_STRING_REFUSED", message));
        }
        if !is_json(&headers.all("content-type")) {
            let message =
                "the content type of a GraphQL request must be application/json, in UTF-8";
            return Err(Reply::graphql(415, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        if headers.has_encoded_body() {
            let message = "send the request body without content encoding";
            return Err(Reply::graphql(415, "UNSUPPORTED_ENCODING", message));
        }
        if end_of_stream {
            return Err(Reply::graphql(
                400,
                "BAD_REQUEST",
                "the request has no body",
            ));
        }
        let mut edits: Vec<Edit> = headers.removals(|n| {
            let own = is_reserved(n) && !is_intent(n) && !is_among(n, &config.trusted_headers);
            own || is_among(n, &CONDITIONAL)
        });
        edits.push(Edit::Set("accept-encoding", "identity".into()));
        Ok(edits)
    }

    /// So many bytes of the request's body are there, and more may come.
    ///
    /// # Errors
    /// The body is too long: answer.
    pub fn request_progress(&mut self, filter: &Masking, bytes: usize) -> Result<(), Reply> {
        if bytes <= filter.config().limits.request_bytes {
            return Ok(());
        }
        let message = "the request body is longer than the gateway accepts";
        Err(self.deny(Reply::graphql(413, "REQUEST_TOO_LARGE", message)))
    }

    /// Whether the request's body is awaited: after a refusal nothing more of it matters.
    pub fn awaits_request(&self) -> bool {
        matches!(self.state, State::Request)
    }

    /// The request's body is there.
    ///
    /// # Errors
    /// The request is refused: answer.
    pub fn request_body(&mut self, filter: &mut Masking, body: &[u8]) -> Result<(), Reply> {
        if !matches!(self.state, State::Request) {
            return Ok(());
        }
        self.request_progress(filter, body.len())?;
        match self.plan_request(filter, body) {
            Ok((plan, admin)) => {
                self.state = State::Forwarded { plan, admin };
                Ok(())
            }
            Err(reply) => Err(self.deny(reply)),
        }
    }

    fn plan_request(
        &mut self,
        filter: &mut Masking,
        body: &[u8],
    ) -> Result<(Arc<Plan>, bool), Reply> {
        let request = GraphqlRequest::parse(body)
            .map_err(|e| Reply::graphql(400, e.code(), &e.to_string()))?;
        let graphql = |e: graphql::GraphqlError| Reply::graphql(400, e.code(), &e.to_string());
        let known = filter.document(&request.query).map_err(graphql)?;
        let (index, operation) = known
            .document
            .operation(request.operation_name.as_deref())
            .map_err(graphql)?;
        self.record.operation = Some(OperationRecord {
            name: operation.name.as_deref().map(str::to_owned),
            kind: operation.kind,
            hash: known.hash.clone(),
        });
        if operation.kind == OperationKind::Subscription {
            let message = "subscriptions can't be masked, so they are not served";
            return Err(Reply::graphql(403, "SUBSCRIPTION_REFUSED", message));
        }
        // Where a policy is broken is for its authors to know, not for callers.
        let broken = |reason: &str| {
            Reply::graphql(500, "POLICY_FAILED", "the policy gives no decision")
                .because(&format!("the policy gives no decision: {reason}"))
        };
        let Some(who) = &self.identity else {
            return Err(broken("no identity"));
        };
        let input = MaskingInput {
            tenant: &who.tenant,
            subject: &who.subject,
            roles: &who.roles,
            purpose: self.record.purpose.as_deref(),
            acr: who.acr.as_deref(),
            region: &filter.config().region.clone(),
            operation: operation.kind,
        };
        let decided = filter.decision(&input).map_err(|e| broken(&e))?;
        if !decided.decision.allow {
            return Err(denied(&decided.decision));
        }
        let plan = filter
            .plan(&known, (index, operation), &decided, &who.tenant)
            .map_err(graphql)?;
        let (masked, redacted) = plan.sets();
        self.record.mask_set = masked.into_iter().map(str::to_owned).collect();
        self.record.redact_set = redacted.into_iter().map(str::to_owned).collect();
        self.record.revealed = plan.revealed.iter().map(|c| c.to_string()).collect();
        self.record.reason = plan.reasons();
        Ok((plan, decided.decision.admin))
    }
}

/// Whether there is one content type, and it is JSON in UTF-8: under another charset the upstream
/// would read another request than the one that was planned for.
fn is_json(content_types: &[&[u8]]) -> bool {
    let [content_type] = content_types else {
        return false;
    };
    let Ok(content_type) = std::str::from_utf8(content_type) else {
        return false;
    };
    let mut parts = content_type.split(';').map(str::trim);
    parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| {
            ["charset=utf-8", "charset=\"utf-8\""]
                .iter()
                .any(|utf8| parameter.eq_ignore_ascii_case(utf8))
        })
}

fn refuse(error: &IdentityError) -> Reply {
    Reply::graphql(error.status(), error.code(), &error.to_string())
}

/// The policy's denials: the first one's code, everyone's reason.
fn denied(decision: &Decision) -> Reply {
    let denials = &decision.denials;
    let code = denials.first().map_or("POLICY_DENIED", |d| &d.code);
    let reasons: Vec<&str> = denials.iter().map(|d| d.reason.as_str()).collect();
    let reason = if reasons.is_empty() {
        "the policy refuses the request".to_owned()
    } else {
        reasons.join("; ")
    };
    Reply::graphql(403, code, &reason)
}
