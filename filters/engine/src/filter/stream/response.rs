//! The response: masked by the plan, part by part, or withheld.

use crate::audit::Outcome;
use crate::filter::{Edit, Headers, Masking, is_among, is_reserved};
use crate::json::{self, JsonError, Limits, Rewriter};
use crate::mask::PlanMasker;
use crate::reply::Reply;

use super::{BodyEffect, MaskingStream, ResponseEffect, State, Tally};

/// Response headers that pass. Any other can hold what the body must not show (a location, a cookie,
/// something for debugging), or describes a body that is no longer the same.
const PASSES: [&str; 15] = [
    ":status",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "content-type",
    "date",
    "retry-after",
    "server",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "x-request-id",
];

/// Bytes of a response that are held back while its end has not come.
const HOLD: usize = 65_536;

/// Parts of a response that are held back: each of them moves all that is held.
const HOLD_PARTS: u32 = 256;

/// Whether a content type is one of GraphQL's over HTTP.
fn says_json(content_type: Option<&str>) -> bool {
    let essence = content_type
        .and_then(|c| c.split(';').next())
        .unwrap_or_default()
        .trim();
    is_among(
        essence,
        &["application/json", "application/graphql-response+json"],
    )
}

impl MaskingStream {
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
        if headers.has_encoded_body() {
            let reason = "the upstream compressed its response although it was asked not to";
            return ResponseEffect::Reply(self.fail("UPSTREAM_ENCODING", reason));
        }
        let configured = &filter.config().response_headers;
        let passes =
            |n: &str| is_among(n, &PASSES) || configured.iter().any(|c| c.eq_ignore_ascii_case(n));
        let mut edits: Vec<Edit> = headers.removals(|n| is_reserved(n) || !passes(n));
        if !says_json(headers.text("content-type")) {
            // Whatever the upstream says it is, what goes out is JSON.
            edits.push(Edit::Set("content-type", "application/json".into()));
        }
        edits.push(Edit::Set("cache-control", "private, no-store".into()));
        if admin {
            edits.push(Edit::Set("x-ig-mask", self.mask_header()));
        }
        if end_of_stream {
            self.state = State::Complete;
            self.record.outcome = Outcome::Allowed;
        } else {
            let limits = Limits {
                depth: filter.config().limits.response_depth,
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
                if json::equal(&out, chunk) {
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

    fn unparsable(&mut self, error: JsonError) -> Reply {
        let code = format!("UPSTREAM_{}", error.problem.code().to_uppercase());
        let reason = "the upstream's response can't be masked, so it is withheld";
        let reply = self.fail("MASKING_FAILED", reason);
        self.record.code = Some(code);
        self.record.reason = format!("the upstream's response can't be masked: {error}");
        reply
    }
}
