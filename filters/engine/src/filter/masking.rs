//! The masking filter, as a state machine: events of the proxy in, effects out.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::audit::{DecisionIds, MaskingRecord, OperationRecord, Outcome};
use crate::cache::Cache;
use crate::config::{ConfigError, MaskingConfig};
use crate::graphql::{self, Document, GraphqlRequest};
use crate::identity::{Claims, Identity, IdentityError};
use crate::json::{JsonError, Rewriter};
use crate::mask::{self, Envelope, Keyring, Plan, PlanMasker, RuleTable};
use crate::policy::{Decision, ErrorDetail, MaskingInput, Policy};
use crate::reply::Reply;
use crate::schema::{OperationKind, Schema};

use super::{Edit, Headers, is_intent, is_reserved};

/// A loaded configuration with its caches.
#[derive(Debug)]
pub struct Masking {
    config: MaskingConfig,
    schema: Schema,
    policy: Policy,
    keys: Option<Keyring>,
    documents: Cache<Box<str>, Arc<KnownDocument>>,
    decisions: Cache<String, Arc<KnownDecision>>,
    /// By document, operation and decision.
    plans: Cache<(u64, usize, u64), Arc<Plan>>,
    /// Numbers documents and decisions.
    serial: u64,
    ids: DecisionIds,
    error_codes: Vec<Box<str>>,
}

#[derive(Debug)]
struct KnownDocument {
    serial: u64,
    document: Document,
    hash: String,
}

#[derive(Debug)]
struct KnownDecision {
    serial: u64,
    decision: Decision,
    table: RuleTable,
}

/// How one request stands with the filter.
#[derive(Debug, Default)]
pub struct MaskingStream {
    state: State,
    record: MaskingRecord,
    identity: Option<Identity>,
    tally: Tally,
    /// Parts of the response's body so far.
    parts: u32,
}

#[derive(Debug, Default)]
enum State {
    /// No request headers were seen: an earlier filter answers.
    #[default]
    Fresh,
    /// The request's body is awaited.
    Request,
    /// The request went on; its response is masked by the plan.
    Forwarded { plan: Arc<Plan>, admin: bool },
    /// The proxy answered in the upstream's place: these bytes are the body.
    Substitute(Vec<u8>),
    /// The response is being rewritten.
    Response {
        rewriter: Box<Rewriter>,
        masker: PlanMasker,
        plan: Arc<Plan>,
    },
    /// The proxy or this filter answers; the upstream has no part in it.
    Answered,
    /// The response is complete.
    Complete,
    /// The response was withheld or cut off: nothing more of it goes on.
    Failed,
}

/// Figures of one stream, for the filter's metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Values masked.
    pub masked: u64,
    /// Members left out because they were not selected.
    pub dropped: u64,
    /// Values of unexpected shape.
    pub mismatched: u64,
}

/// What follows from request headers.
#[derive(Debug)]
pub enum HeadEffect {
    /// Change the headers, hold them, and collect the body.
    Hold(Vec<Edit>),
    /// Answer.
    Reply(Reply),
}

/// What follows from response headers.
#[derive(Debug)]
pub enum ResponseEffect {
    /// Not this filter's: an earlier filter answered, or this one did.
    Pass,
    /// Change the headers; if a body follows, hold them until its first part was rewritten.
    Mask(Vec<Edit>),
    /// Answer instead.
    Reply(Reply),
}

/// What follows from a part of the response's body.
#[derive(Debug)]
pub enum BodyEffect {
    /// The part goes on as it is.
    Pass,
    /// These bytes go on in its place.
    Replace(Vec<u8>),
    /// Nothing goes on: answer if nothing has gone on yet, else cut the response off.
    Fail(Reply),
}

/// Bytes of query text that are remembered: callers choose it, and memory that a filter took is
/// never given back.
const CACHED_DOCUMENTS: usize = 4 << 20;

/// Members and masks of all plans that are remembered.
const CACHED_PLANS: usize = 1 << 20;

/// Response headers that describe the unmasked body.
const DESCRIBES_BODY: [&str; 11] = [
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "content-range",
    "digest",
    "etag",
    "expires",
    "last-modified",
    "repr-digest",
    "trailer",
];

/// Bytes of a response that are held back while its end has not come.
const HOLD: usize = 65_536;

/// Parts of a response that are held back: each of them moves all that is held.
const HOLD_PARTS: u32 = 256;

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

impl Masking {
    /// Loads a configuration, a JSON text, and the keys, as the environment has them.
    ///
    /// # Errors
    /// A part of it is malformed; the error names the part and the place.
    pub fn configure(config: &[u8], keys: Option<&str>) -> Result<Self, ConfigError> {
        Self::load(serde_json::from_slice(config)?, keys)
    }

    /// The name of the environment variable that holds the keys, by the configuration.
    ///
    /// # Errors
    /// The configuration is malformed.
    pub fn keys_env(config: &[u8]) -> Result<String, ConfigError> {
        Ok(serde_json::from_slice::<MaskingConfig>(config)?.keys_env)
    }

    /// Loads a configuration.
    ///
    /// # Errors
    /// As [`Masking::configure`].
    pub fn load(config: MaskingConfig, keys: Option<&str>) -> Result<Self, ConfigError> {
        if config.graphql_paths.is_empty() {
            return Err(ConfigError::Empty("graphql_paths"));
        }
        let schema = Schema::parse(&config.schema)?;
        if let Some(fields) = config
            .policy
            .data
            .pointer("/ig/fields")
            .and_then(|f| f.as_object())
        {
            for coordinate in fields.keys() {
                schema.expand(coordinate)?;
            }
        }
        let policy = Policy::load::<Decision>(&config.policy)?;
        let keys = keys.map(Keyring::parse).transpose()?;
        let mut error_codes: Vec<Box<str>> = config
            .error_codes
            .iter()
            .map(|c| c.as_str().into())
            .collect();
        error_codes.sort_unstable();
        let entries = config.limits.cache_entries;
        Ok(Self {
            documents: Cache::weighing(entries, CACHED_DOCUMENTS),
            decisions: Cache::new(entries),
            plans: Cache::weighing(entries, CACHED_PLANS),
            serial: 0,
            ids: DecisionIds::default(),
            config,
            schema,
            policy,
            keys,
            error_codes,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &MaskingConfig {
        &self.config
    }

    /// Whether pseudonyms can be made.
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn document(&mut self, query: &str) -> Result<Arc<KnownDocument>, graphql::GraphqlError> {
        if let Some(known) = self.documents.get(query) {
            return Ok(known);
        }
        let limits = graphql::Limits {
            tokens: self.config.limits.query_tokens,
            depth: self.config.limits.query_depth,
        };
        let document = Document::parse(query, limits)?;
        let hash = hex(&Sha256::digest(query.as_bytes()));
        let known = Arc::new(KnownDocument {
            serial: self.next_serial(),
            document,
            hash,
        });
        self.documents
            .insert_weighing(query.into(), known.clone(), query.len());
        Ok(known)
    }

    fn decision(&mut self, input: &MaskingInput<'_>) -> Result<Arc<KnownDecision>, String> {
        let key = serde_json::to_string(input).map_err(|e| e.to_string())?;
        if let Some(known) = self.decisions.get(key.as_str()) {
            return Ok(known);
        }
        let decision = self
            .policy
            .ask::<Decision>(&key)
            .map_err(|e| e.to_string())?;
        let table = RuleTable::new(&self.schema, &decision)
            .map_err(|e| format!("the policy's rules: {e}"))?;
        let known = Arc::new(KnownDecision {
            serial: self.next_serial(),
            decision,
            table,
        });
        self.decisions.insert(key, known.clone());
        Ok(known)
    }
}

impl MaskingStream {
    /// A stream that nothing is known of.
    pub fn new() -> Self {
        Self::default()
    }

    /// The record, as it stands, as JSON.
    pub fn record(&self) -> String {
        serde_json::to_string(&self.record).unwrap_or_default()
    }

    /// What came of the stream so far.
    pub fn outcome(&self) -> Outcome {
        self.record.outcome
    }

    /// Whether the filter took part in this stream.
    pub fn took_part(&self) -> bool {
        !matches!(self.state, State::Fresh)
    }

    /// The figures so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The plan, while the response is awaited or rewritten.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        match &self.state {
            State::Forwarded { plan, .. } | State::Response { plan, .. } => Some(plan),
            _ => None,
        }
    }

    /// Whether the caller is told what masking does, while the response is awaited.
    pub fn is_admin(&self) -> bool {
        matches!(self.state, State::Forwarded { admin: true, .. })
    }

    /// Request headers have come.
    pub fn request_headers(
        &mut self,
        filter: &mut Masking,
        headers: Headers<'_>,
        claims: &dyn Claims,
        end_of_stream: bool,
    ) -> HeadEffect {
        self.record.decision_id = filter.ids.next_id();
        self.record.region.clone_from(&filter.config.region);
        self.record.revision.clone_from(&filter.config.revision);
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
        let config = &filter.config;
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
        if headers
            .all("content-encoding")
            .iter()
            .any(|e| !e.eq_ignore_ascii_case(b"identity"))
        {
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
            let own = is_reserved(n)
                && !is_intent(n)
                && !config
                    .trusted_headers
                    .iter()
                    .any(|t| t.eq_ignore_ascii_case(n));
            own || CONDITIONAL.iter().any(|c| c.eq_ignore_ascii_case(n))
        });
        edits.push(Edit::Set("accept-encoding", "identity".into()));
        Ok(edits)
    }

    /// So many bytes of the request's body are there, and more may come.
    ///
    /// # Errors
    /// The body is too long: answer.
    pub fn request_progress(&mut self, filter: &Masking, bytes: usize) -> Result<(), Reply> {
        if bytes <= filter.config.limits.request_bytes {
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
            region: &filter.config.region.clone(),
            operation: operation.kind,
        };
        let decided = filter.decision(&input).map_err(|e| broken(&e))?;
        if !decided.decision.allow {
            let denials = &decided.decision.denials;
            let code = denials.first().map_or("POLICY_DENIED", |d| &d.code);
            let reasons: Vec<&str> = denials.iter().map(|d| d.reason.as_str()).collect();
            let reason = if reasons.is_empty() {
                "the policy refuses the request".to_owned()
            } else {
                reasons.join("; ")
            };
            return Err(Reply::graphql(403, code, &reason));
        }
        let key = (known.serial, index, decided.serial);
        let plan = match filter.plans.get(&key) {
            Some(plan) => plan,
            None => {
                let envelope = match decided.decision.errors {
                    ErrorDetail::Verbatim => Envelope::Verbatim,
                    ErrorDetail::Generic => Envelope::Generic {
                        codes: filter.error_codes.clone(),
                    },
                };
                let plan = mask::compile(
                    &filter.schema,
                    &known.document,
                    operation,
                    &decided.table,
                    &envelope,
                    filter.keys.as_ref().map(|k| (k, who.tenant.as_str())),
                    mask::Limits::default(),
                );
                let plan = Arc::new(plan.map_err(graphql)?);
                filter.plans.insert_weighing(key, plan.clone(), plan.size());
                plan
            }
        };
        let (masked, redacted) = plan.sets();
        self.record.mask_set = masked.into_iter().map(str::to_owned).collect();
        self.record.redact_set = redacted.into_iter().map(str::to_owned).collect();
        self.record.revealed = plan.revealed.iter().map(|c| c.to_string()).collect();
        self.record.reason = plan.reasons();
        Ok((plan, decided.decision.admin))
    }

    /// The proxy answers in the upstream's place, which is down or too slow: its words become a
    /// GraphQL error under the same status. Asked before [`MaskingStream::response_headers`], which
    /// is not asked then; `None` where the answer is not for a request that went on.
    pub fn proxy_reply(&mut self, headers: Headers<'_>) -> Option<Vec<Edit>> {
        if !matches!(self.state, State::Forwarded { .. }) {
            return None;
        }
        let status = headers
            .text(":status")
            .and_then(|s| s.parse().ok())
            .unwrap_or(503);
        let reason = "the upstream can't be reached or does not answer";
        let reply = Reply::graphql(status, "UPSTREAM_UNAVAILABLE", reason);
        self.record.outcome = Outcome::Unavailable;
        self.record.code = Some(reply.code);
        self.record.reason = reply.reason;
        let mut edits: Vec<Edit> =
            headers.removals(|n| is_reserved(n) || n.eq_ignore_ascii_case("content-length"));
        edits.extend(
            reply
                .headers
                .into_iter()
                .map(|(name, value)| Edit::Set(name, value)),
        );
        self.state = State::Substitute(reply.body.into_bytes());
        Some(edits)
    }

    /// Response headers have come.
    pub fn response_headers(
        &mut self,
        filter: &Masking,
        headers: Headers<'_>,
        end_of_stream: bool,
    ) -> ResponseEffect {
        let (plan, admin) = match &self.state {
            State::Forwarded { plan, admin } => (plan.clone(), *admin),
            State::Fresh | State::Answered => return ResponseEffect::Pass,
            // A response before the request was planned comes from the proxy itself: it holds
            // nothing of the upstream's, which has seen nothing. So does one after a failure.
            State::Request | State::Failed => {
                self.state = State::Answered;
                return ResponseEffect::Pass;
            }
            State::Response { .. } | State::Substitute(_) | State::Complete => {
                let reason = "the upstream's response has two heads, so it is withheld";
                return ResponseEffect::Reply(self.fail("MASKING_FAILED", reason));
            }
        };
        if headers
            .all("content-encoding")
            .iter()
            .any(|e| !e.eq_ignore_ascii_case(b"identity"))
        {
            let reason = "the upstream compressed its response although it was asked not to";
            return ResponseEffect::Reply(self.fail("UPSTREAM_ENCODING", reason));
        }
        let mut edits: Vec<Edit> = headers.removals(|n| {
            is_reserved(n) || DESCRIBES_BODY.iter().any(|d| d.eq_ignore_ascii_case(n))
        });
        edits.push(Edit::Set("cache-control", "private, no-store".into()));
        if admin {
            edits.push(Edit::Set("x-ig-mask", self.mask_header()));
        }
        if end_of_stream {
            self.state = State::Complete;
            self.record.outcome = Outcome::Allowed;
        } else {
            let limits = crate::json::Limits {
                depth: filter.config.limits.response_depth,
                ..Default::default()
            };
            self.state = State::Response {
                rewriter: Box::new(Rewriter::new(plan.program.clone(), limits)),
                masker: PlanMasker::new(plan.clone()),
                plan,
            };
        }
        ResponseEffect::Mask(edits)
    }

    /// A part of the response's body has come.
    pub fn response_body(&mut self, chunk: &[u8], end_of_stream: bool) -> BodyEffect {
        self.parts = self.parts.saturating_add(1);
        let (rewriter, masker) = match &mut self.state {
            State::Response {
                rewriter, masker, ..
            } => (rewriter, masker),
            State::Fresh | State::Answered => return BodyEffect::Pass,
            State::Substitute(body) => return BodyEffect::Replace(std::mem::take(body)),
            State::Failed => return BodyEffect::Replace(Vec::new()),
            State::Complete if chunk.is_empty() => return BodyEffect::Pass,
            State::Request | State::Forwarded { .. } | State::Complete => {
                let reason = "the upstream's response has a body out of turn, so it is withheld";
                return BodyEffect::Fail(self.fail("MASKING_FAILED", reason));
            }
        };
        // Room for what was carried over and for replacements that are longer than their values.
        let mut out = Vec::with_capacity(chunk.len() + chunk.len() / 8 + rewriter.held() + 64);
        let result = rewriter.push(chunk, masker, &mut out).and_then(|()| {
            if end_of_stream {
                rewriter.finish()
            } else {
                Ok(())
            }
        });
        let stats = rewriter.stats();
        self.tally = Tally {
            masked: masker.total(),
            dropped: stats.dropped,
            mismatched: stats.mismatched,
        };
        match result {
            Err(e) => BodyEffect::Fail(self.unparsable(e)),
            Ok(()) => {
                if end_of_stream {
                    self.finish(Outcome::Allowed);
                }
                if out == chunk {
                    BodyEffect::Pass
                } else {
                    BodyEffect::Replace(out)
                }
            }
        }
    }

    /// Whether what was rewritten so far, `written` bytes, waits for more: as long as nothing has
    /// gone on, a failure is a clean reply and not a response that breaks off.
    pub fn holds(&self, written: usize, end_of_stream: bool) -> bool {
        let more = matches!(self.state, State::Response { .. }) && !end_of_stream;
        more && written < HOLD && self.parts < HOLD_PARTS
    }

    /// The response ends without a last part of its body: trailers have come.
    ///
    /// # Errors
    /// The body was not whole: cut the response off.
    pub fn response_end(&mut self) -> Result<(), Reply> {
        let State::Response { rewriter, .. } = &mut self.state else {
            return Ok(());
        };
        match rewriter.finish() {
            Ok(()) => {
                self.finish(Outcome::Allowed);
                Ok(())
            }
            Err(e) => Err(self.unparsable(e)),
        }
    }

    /// The stream is over, whether or not it came to its end.
    pub fn close(&mut self) {
        if matches!(self.state, State::Response { .. }) {
            self.finish(Outcome::Incomplete);
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.record.outcome = outcome;
        self.record.dropped = self.tally.dropped;
        self.record.mismatched = self.tally.mismatched;
        if let State::Response { masker, plan, .. } =
            std::mem::replace(&mut self.state, State::Complete)
        {
            for (spec, count) in plan.specs.iter().zip(masker.counts()) {
                if *count > 0 {
                    *self
                        .record
                        .counts
                        .entry(spec.coordinates.join("|"))
                        .or_default() += count;
                }
            }
        }
    }

    fn deny(&mut self, reply: Reply) -> Reply {
        self.state = State::Answered;
        self.record.outcome = Outcome::Denied;
        self.record.code = Some(reply.code.clone());
        self.record.reason = reply.reason.clone();
        reply
    }

    fn unparsable(&mut self, error: JsonError) -> Reply {
        let code = format!("UPSTREAM_{}", error.problem.code().to_uppercase());
        let reason = "the upstream's response can't be masked, so it is withheld";
        let reply = self.fail("MASKING_FAILED", reason);
        self.record.code = Some(code);
        self.record.reason = format!("the upstream's response can't be masked: {error}");
        reply
    }

    fn fail(&mut self, code: &'static str, reason: &str) -> Reply {
        self.finish(Outcome::Failed);
        self.state = State::Failed;
        self.record.code = Some(code.to_owned());
        self.record.reason = reason.to_owned();
        Reply::graphql(502, code, reason)
    }

    /// What an admin is told: which coordinates of the operation are masked, and which are shown
    /// though the schema marks them.
    fn mask_header(&self) -> String {
        let list = |set: &[String]| -> String {
            let all = set.join(",");
            if all.len() > 1024 {
                format!("{} coordinates", set.len())
            } else {
                all
            }
        };
        format!(
            "{}; rev={}; mask=\"{}\"; redact=\"{}\"; reveal=\"{}\"",
            self.record.decision_id,
            self.record.revision,
            list(&self.record.mask_set),
            list(&self.record.redact_set),
            list(&self.record.revealed),
        )
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
