//! The request: who asks for what, and what is decided about it.

use std::sync::Arc;

use crate::config::Mode;
use crate::filter::masking::KnownDecision;
use crate::filter::{Edit, Headers, Masking, ROUTE_HEADER, is_among, is_intent, is_reserved};
use crate::identity::{Claims, Identity, IdentityError};
use crate::policy::{Decision, MaskingInput, Surface};
use crate::reply::Reply;
use crate::residency::{CLUSTER_HEADER, OPERATIONS_HEADER};
use crate::schema::OperationKind;
use crate::warrant::WarrantError;

use super::route::Routed;
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

/// How a request goes on from its headers.
enum Admitted {
    /// Its body decides.
    Body(Vec<Edit>),
    /// It is decided.
    Whole(Vec<Edit>, super::Answer, bool),
}

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
        self.record.mode = filter.config().mode;
        self.shadow = self.record.mode == Mode::Shadow;
        self.state = State::Request;
        let way = way(filter, headers);
        let effect = match self.admit(filter, headers, claims, end_of_stream) {
            Ok(Admitted::Body(edits)) => HeadEffect::Hold(self.unless_shadow(edits)),
            Ok(Admitted::Whole(edits, answer, admin)) => {
                self.state = State::Forwarded { answer, admin };
                HeadEffect::Forward(self.unless_shadow(edits))
            }
            Err(reply) => match self.refuse(reply) {
                Ok(()) => HeadEffect::Forward(Vec::new()),
                Err(reply) => HeadEffect::Reply(reply),
            },
        };
        match effect {
            HeadEffect::Hold(mut edits) => {
                edits.extend(way);
                HeadEffect::Hold(edits)
            }
            HeadEffect::Forward(mut edits) => {
                edits.extend(way);
                HeadEffect::Forward(edits)
            }
            HeadEffect::Reply(reply) => HeadEffect::Reply(reply),
        }
    }

    fn unless_shadow(&self, edits: Vec<Edit>) -> Vec<Edit> {
        if self.shadow { Vec::new() } else { edits }
    }

    /// Refuses a request; in shadow mode only says so.
    pub(super) fn refuse(&mut self, reply: Reply) -> Result<(), Reply> {
        let reply = self.deny(reply);
        // Whoever tries masking out does not try borders out: of what is refused nobody knows whether
        // it writes.
        if self.shadow && !self.read_only {
            self.state = State::Watched;
            return Ok(());
        }
        Err(reply)
    }

    fn admit(
        &mut self,
        filter: &mut Masking,
        headers: Headers<'_>,
        claims: &dyn Claims,
        end_of_stream: bool,
    ) -> Result<Admitted, Reply> {
        let graphql = filter
            .config()
            .graphql_paths
            .iter()
            .any(|p| p == headers.path());
        // Before the first refusal. On routes the method has told what the request does.
        self.read_only = graphql && is_read_only(headers);
        let route = if graphql {
            None
        } else {
            filter.routes().find(headers.path())
        };
        if !graphql && route.is_none() {
            return Err(Reply::problem(
                404,
                "NOT_A_MASKED_PATH",
                "no masked route has this path, so it is not served",
            ));
        }
        let identity = Identity::read(claims).map_err(|e| refuse(graphql, &e))?;
        self.record.tenant = Some(identity.tenant.clone());
        self.record.subject = Some(identity.subject.clone());
        self.record.roles.clone_from(&identity.roles);
        self.record.acr.clone_from(&identity.acr);
        let purpose = identity
            .purpose(&headers.all("x-ig-purpose"))
            .map_err(|e| refuse(graphql, &e))?;
        self.record.purpose = purpose.map(str::to_owned);
        self.identity = Some(identity);
        if headers.has("upgrade") || headers.text(":method") == Some("CONNECT") {
            let message = "upgraded connections can't be masked, so they are not served";
            return Err(Reply::for_path(graphql, 403, "UPGRADE_REFUSED", message));
        }
        let config = filter.config();
        let mut edits: Vec<Edit> = headers.removals(|n| {
            let own = is_reserved(n) && !is_intent(n) && !is_among(n, &config.trusted_headers);
            own || is_among(n, &CONDITIONAL)
        });
        edits.push(Edit::Set("accept-encoding", "identity".into()));
        if let Some(index) = route {
            let routed = self.admit_route(filter, index, headers, end_of_stream)?;
            return Ok(match routed {
                Routed::Whole(answer, admin) => Admitted::Whole(edits, answer, admin),
                Routed::Body(body) => {
                    self.state = State::RouteRequest(body);
                    Admitted::Body(edits)
                }
            });
        }
        match headers.text(":method") {
            Some("POST") => {
                post(headers, end_of_stream)?;
                Ok(Admitted::Body(edits))
            }
            Some("GET") if config.graphql.get => {
                no_body(true, "GET", end_of_stream)?;
                let (answer, admin, path) = self.plan_get(filter, headers)?;
                edits.extend(path.map(|p| Edit::Set(":path", p)));
                Ok(Admitted::Whole(edits, answer, admin))
            }
            _ => {
                let (message, allow) = if config.graphql.get {
                    ("send GraphQL requests by POST or GET", "GET, POST")
                } else {
                    ("send GraphQL requests by POST", "POST")
                };
                Err(Reply::graphql(405, "METHOD_NOT_ALLOWED", message).with("allow", allow))
            }
        }
    }

    /// So many bytes of the request's body are there, and more may come.
    ///
    /// # Errors
    /// The body is too long: answer.
    pub fn request_progress(&mut self, filter: &Masking, bytes: usize) -> Result<(), Reply> {
        if bytes <= filter.config().limits.request_bytes || !self.awaits_request() {
            return Ok(());
        }
        let message = "the request body is longer than the gateway accepts";
        let graphql = matches!(self.state, State::Request);
        self.refuse(Reply::for_path(graphql, 413, "REQUEST_TOO_LARGE", message))
    }

    /// Whether the request's body is awaited: after a refusal nothing more of it matters.
    pub fn awaits_request(&self) -> bool {
        matches!(self.state, State::Request | State::RouteRequest(_))
    }

    /// Whether the request's body goes on as it comes.
    pub fn passes_request(&self) -> bool {
        match self.state {
            State::Forwarded { .. } | State::Watched => true,
            State::Answered => false,
            _ => self.shadow && !self.awaits_request(),
        }
    }

    /// The request's body is there. `Some`: these bytes go to the upstream in its place.
    ///
    /// # Errors
    /// The request is refused: answer.
    pub fn request_body(
        &mut self,
        filter: &mut Masking,
        body: &[u8],
    ) -> Result<Option<Vec<u8>>, Reply> {
        if !self.awaits_request() {
            return Ok(None);
        }
        self.request_progress(filter, body.len())?;
        if let State::RouteRequest(route) = &self.state {
            return match route.admit(filter, body) {
                Ok((answer, admin)) => {
                    self.state = State::Forwarded { answer, admin };
                    Ok(None)
                }
                Err(reply) => self.refuse(reply).map(|()| None),
            };
        }
        match self.plan_body(filter, body) {
            Ok((answer, admin, instead)) => {
                self.state = State::Forwarded { answer, admin };
                Ok(instead.filter(|_| !self.shadow))
            }
            Err(reply) => self.refuse(reply).map(|()| None),
        }
    }

    /// What the policy says to this request.
    pub(super) fn decide(
        &self,
        filter: &mut Masking,
        operation: OperationKind,
        (surface, route): (Surface, Option<&str>),
    ) -> Result<Arc<KnownDecision>, Reply> {
        let graphql = surface == Surface::Graphql;
        // Where a policy is broken is for its authors to know, not for callers.
        let broken = |reason: &str| {
            Reply::for_path(
                graphql,
                500,
                "POLICY_FAILED",
                "the policy gives no decision",
            )
            .because(&format!("the policy gives no decision: {reason}"))
        };
        let Some(who) = &self.identity else {
            return Err(broken("no identity"));
        };
        // Only here is it known that an operation writes.
        if self.read_only && operation == OperationKind::Mutation {
            let error = WarrantError::Operation;
            return Err(Reply::graphql(403, error.code(), &error.to_string()));
        }
        let input = MaskingInput {
            tenant: &who.tenant,
            subject: &who.subject,
            roles: &who.roles,
            purpose: self.record.purpose.as_deref(),
            acr: who.acr.as_deref(),
            region: &filter.config().region.clone(),
            operation,
            surface,
            route,
        };
        let decided = filter.decision(&input).map_err(|e| broken(&e))?;
        if !decided.decision.allow {
            return Err(denied(graphql, &decided.decision));
        }
        Ok(decided)
    }
}

/// The way to the cluster that the residency filter chose: nobody else's word on it counts.
fn way(filter: &Masking, headers: Headers<'_>) -> Option<Edit> {
    let trusted = &filter.config().trusted_headers;
    let cluster = headers.text(CLUSTER_HEADER)?;
    is_among(CLUSTER_HEADER, trusted).then(|| Edit::Set(ROUTE_HEADER, cluster.to_owned()))
}

/// Whether the residency filter serves the request under a warrant that does not cover writing. Who
/// else sends the header only takes something from himself.
fn is_read_only(headers: Headers<'_>) -> bool {
    let covered = headers.all(OPERATIONS_HEADER);
    let writes = |list: &[u8]| list.split(|b| *b == b',').any(|o| o == b"write");
    !covered.iter().all(|list| writes(list))
}

/// What a GraphQL request by POST must be like.
fn post(headers: Headers<'_>, end_of_stream: bool) -> Result<(), Reply> {
    // Some servers let a `query` of the URL win over the body's.
    if headers.text(":path") != Some(headers.path()) {
        let message = "send the request in the body: its path must not have a query string";
        return Err(Reply::graphql(400, "QUERY_STRING_REFUSED", message));
    }
    if !is_json(&headers.all("content-type")) {
        let message = "the content type of a GraphQL request must be application/json, in UTF-8";
        return Err(Reply::graphql(415, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    if headers.has_encoded_body() {
        let message = "send the request body without content encoding";
        return Err(Reply::graphql(415, "UNSUPPORTED_ENCODING", message));
    }
    if end_of_stream {
        let message = "the request has no body";
        return Err(Reply::graphql(400, "BAD_REQUEST", message));
    }
    Ok(())
}

/// Whether a method asks for something to be read, by its own.
pub(super) fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// Refuses a body where none has a meaning (RFC 9110, §9.3.1): some servers read it all the same.
pub(super) fn no_body(graphql: bool, method: &str, end_of_stream: bool) -> Result<(), Reply> {
    if end_of_stream {
        return Ok(());
    }
    let message = format!("a {method} request must not have a body");
    Err(Reply::for_path(graphql, 400, "BAD_REQUEST", &message))
}

fn is_json(content_types: &[&[u8]]) -> bool {
    essence(content_types).as_deref() == Some("application/json")
}

/// The one content type, in lower case, if it is in UTF-8: under another charset the upstream would
/// read another request than the one that was looked into.
pub(super) fn essence(content_types: &[&[u8]]) -> Option<String> {
    let [content_type] = content_types else {
        return None;
    };
    let content_type = std::str::from_utf8(content_type).ok()?;
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let utf8 = |parameter: &str| {
        ["charset=utf-8", "charset=\"utf-8\""]
            .iter()
            .any(|utf8| parameter.eq_ignore_ascii_case(utf8))
    };
    parts.all(utf8).then_some(essence)
}

fn refuse(graphql: bool, error: &IdentityError) -> Reply {
    Reply::for_path(graphql, error.status(), error.code(), &error.to_string())
}

/// The policy's denials: the first one's code, everyone's reason.
fn denied(graphql: bool, decision: &Decision) -> Reply {
    let denials = &decision.denials;
    let code = denials.first().map_or("POLICY_DENIED", |d| &d.code);
    let reasons: Vec<&str> = denials.iter().map(|d| d.reason.as_str()).collect();
    let reason = if reasons.is_empty() {
        "the policy refuses the request".to_owned()
    } else {
        reasons.join("; ")
    };
    Reply::for_path(graphql, 403, code, &reason)
}
