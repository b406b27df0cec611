//! The response: masked by the plan, part by part, or withheld.

use crate::audit::Outcome;
use crate::body::{BatchBody, BodyError, BodyLimits, Encoding, Form, Inflate};
use crate::config::Format;
use crate::filter::{Edit, Headers, Masking, is_reserved};
use crate::json::{self, Limits};
use crate::policy::Surface;
use crate::reply::Reply;

use super::written::{
    comes_in_parts, graphql_form, has_header_row, json_type, route_form, written_as,
};
use super::{Answer, BodyEffect, MaskingStream, ResponseEffect, State, passes};

/// Bytes of a response that are held back while its end has not come.
const HOLD: usize = 65_536;

/// Parts of a response that are held back: each of them moves all that is held.
const HOLD_PARTS: u32 = 256;

/// Bytes of the header that says what an export redacts.
const LONGEST_MAP: usize = 4096;

impl MaskingStream {
    /// The proxy answers in the upstream's place, which is down or too slow: its words become a
    /// GraphQL error under the same status. Asked before [`MaskingStream::response_headers`], which
    /// is not asked then; `None` where the answer is not for a request that went on.
    pub fn proxy_reply(&mut self, headers: Headers<'_>) -> Option<Vec<Edit>> {
        if !matches!(self.state, State::Forwarded { .. }) || self.shadow {
            return None;
        }
        let status = headers
            .text(":status")
            .and_then(|s| s.parse().ok())
            .unwrap_or(503);
        let reason = "the upstream can't be reached or does not answer";
        let graphql = self.record.surface == Surface::Graphql;
        let reply = Reply::for_path(graphql, status, "UPSTREAM_UNAVAILABLE", reason);
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
        // What shadow mode lets pass is not masked, whatever it is, and lasts as long.
        self.live = self.shadow && comes_in_parts(headers.text("content-type"));
        let (answer, admin) = match &self.state {
            State::Forwarded { answer, admin } => (answer.clone(), *admin),
            State::Fresh | State::Answered | State::Watched => return ResponseEffect::Pass,
            // A response before the request was planned comes from the proxy itself: it holds
            // nothing of the upstream's, which has seen nothing. So does one after a failure.
            State::Request | State::RouteRequest(_) | State::Failed => {
                self.state = State::Answered;
                return ResponseEffect::Pass;
            }
            State::Response { .. } | State::Substitute(_) | State::Complete => {
                let reason = "the upstream's response has two heads, so it is withheld";
                return ResponseEffect::Reply(self.fail("MASKING_FAILED", reason));
            }
        };
        let (body, content_type) = match self.body(filter, headers, &answer, end_of_stream) {
            Ok(found) => found,
            Err(_) if self.shadow => {
                self.finish(Outcome::Failed);
                return ResponseEffect::Pass;
            }
            Err(reply) => return ResponseEffect::Reply(reply),
        };
        let live = matches!(&body, Some((form, _)) if form.is_live());
        self.live |= live;
        match body {
            Some((body, decoder)) => self.state = State::Response { body, decoder },
            None => self.finish(Outcome::Allowed),
        }
        if self.shadow {
            return ResponseEffect::Pass;
        }
        let configured = &filter.config().response_headers;
        let goes = |n: &str| match n.eq_ignore_ascii_case("content-type") {
            true => content_type.is_none(),
            false => is_reserved(n) || !passes::passes(n, headers, configured),
        };
        let mut edits: Vec<Edit> = headers.removals(goes);
        let said = headers.all("content-type");
        edits.extend(
            content_type
                .filter(|c| said != [c.as_bytes()])
                .map(|c| Edit::Set("content-type", c)),
        );
        edits.push(Edit::Set("cache-control", "private, no-store".into()));
        if admin {
            edits.push(Edit::Set("x-ig-mask", self.mask_header()));
        }
        if let Answer::Route(index, plan) = &answer
            && self.record.surface == Surface::Export
            && let Some(route) = filter.config().routes.get(*index)
        {
            let table = written_as(route.format, headers.text("content-type"));
            let map = plan.redactions(table == Some(Format::Csv));
            let map = ascii(&serde_json::to_string(&map).unwrap_or_default());
            if map.len() <= LONGEST_MAP {
                edits.push(Edit::Set("x-ig-redactions", map));
            }
        }
        if live {
            ResponseEffect::Stream(edits)
        } else {
            ResponseEffect::Mask(edits)
        }
    }

    /// How the body is written, unless there is none; and the content type to send, if any: it is
    /// never the upstream's own, whose parameters can hold anything.
    fn body(
        &mut self,
        filter: &Masking,
        headers: Headers<'_>,
        answer: &Answer,
        end_of_stream: bool,
    ) -> Result<(Option<Body>, Option<String>), Reply> {
        let decoder = match self.encoding(headers)? {
            Some(encoding) => {
                let ratio = filter.config().limits.decoded_ratio;
                Some(Inflate::new(encoding, ratio))
            }
            None => None,
        };
        let limits = BodyLimits {
            json: Limits {
                depth: filter.config().limits.response_depth,
                ..Default::default()
            },
            part: filter.config().limits.part_bytes,
        };
        let said = headers.text("content-type");
        let (form, content_type): (Box<dyn Form>, String) = match answer {
            Answer::Graphql(plan) => graphql_form(plan, said, limits),
            Answer::Batch(plans, refused) => (
                Box::new(BatchBody::new(plans.clone(), refused.clone(), limits)),
                json_type(said),
            ),
            Answer::Route(index, plan) => {
                let status = headers.text(":status").and_then(|s| s.parse().ok());
                if let Some(status) = status.filter(|s| *s >= 400) {
                    // What an error says can be anything.
                    return Err(self.upstream_error(status));
                }
                let route = filter.config().routes.get(*index);
                let format = route.map(|r| r.format).unwrap_or_default();
                let Some(format) = written_as(format, said) else {
                    if end_of_stream {
                        return Ok((None, None));
                    }
                    let reason = "the upstream's response is neither JSON nor rows";
                    return Err(self.fail("UPSTREAM_CONTENT_TYPE", reason));
                };
                if format == Format::Csv && !end_of_stream && !has_header_row(said) {
                    let reason = "the upstream says that its rows have no header, so nothing tells \
                                  what they hold";
                    return Err(self.fail("UPSTREAM_NO_HEADER", reason));
                }
                route_form(plan, format, said, limits)
            }
        };
        if end_of_stream {
            return Ok((None, Some(content_type)));
        }
        Ok((Some((form, decoder)), Some(content_type)))
    }

    /// The encoding of the body, if it has one that can be decoded.
    fn encoding(&mut self, headers: Headers<'_>) -> Result<Option<Encoding>, Reply> {
        if !headers.has_encoded_body() {
            return Ok(None);
        }
        let encodings = headers.all("content-encoding");
        match encodings.as_slice() {
            [one] => match Encoding::parse(one) {
                Some(encoding) => Ok(Some(encoding)),
                None => Err(self.undecodable()),
            },
            _ => Err(self.undecodable()),
        }
    }

    fn undecodable(&mut self) -> Reply {
        let reason = "the upstream encoded its response in a way that can't be decoded";
        self.fail("UPSTREAM_ENCODING", reason)
    }

    fn upstream_error(&mut self, status: u16) -> Reply {
        let reason = format!("the upstream answered with status {status}");
        let reply = Reply::problem(status, "UPSTREAM_ERROR", &reason);
        self.finish(Outcome::Allowed);
        self.state = State::Failed;
        self.record.code = Some(reply.code.clone());
        self.record.reason.clone_from(&reply.reason);
        reply
    }

    /// A part of the response's body has come.
    pub fn response_body(&mut self, chunk: &[u8], end_of_stream: bool) -> BodyEffect {
        self.parts = self.parts.saturating_add(1);
        let (body, decoder) = match &mut self.state {
            State::Response { body, decoder } => (body, decoder),
            State::Fresh | State::Answered | State::Watched => return BodyEffect::Pass,
            State::Substitute(body) => return BodyEffect::Replace(std::mem::take(body)),
            State::Failed => return BodyEffect::Replace(Vec::new()),
            State::Complete if chunk.is_empty() || self.shadow => return BodyEffect::Pass,
            State::Request | State::RouteRequest(_) | State::Forwarded { .. } | State::Complete => {
                let reason = "the upstream's response has a body out of turn, so it is withheld";
                return BodyEffect::Fail(self.fail("MASKING_FAILED", reason));
            }
        };
        // Room for what was carried over and for replacements that are longer than their values.
        let mut out = Vec::with_capacity(chunk.len() + chunk.len() / 8 + body.held() + 64);
        let mut result = match decoder {
            None => body.push(chunk, &mut out),
            Some(decoder) => decoder.push(chunk, |piece| body.push(piece, &mut out)),
        };
        if result.is_ok() && end_of_stream {
            result = end(body.as_mut(), decoder, &mut out);
        }
        match result {
            Err(e) => {
                let reply = self.unparsable(&e);
                if self.shadow {
                    self.state = State::Complete;
                    return BodyEffect::Pass;
                }
                BodyEffect::Fail(reply)
            }
            Ok(()) => {
                if end_of_stream {
                    self.finish(Outcome::Allowed);
                }
                if self.shadow || json::equal(&out, chunk) {
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
        let State::Response { body, .. } = &self.state else {
            return false;
        };
        if end_of_stream || self.shadow || body.is_live() {
            return false;
        }
        written < HOLD && self.parts < HOLD_PARTS
    }

    /// The response ends without a last part of its body: trailers have come. `Some`: these bytes
    /// are the rest of the body.
    ///
    /// # Errors
    /// The body was not whole: cut the response off.
    pub fn response_end(&mut self) -> Result<Option<Vec<u8>>, Reply> {
        let State::Response { body, decoder } = &mut self.state else {
            return Ok(None);
        };
        let mut out = Vec::new();
        match end(body.as_mut(), decoder, &mut out) {
            Ok(()) => {
                self.finish(Outcome::Allowed);
                Ok((!out.is_empty() && !self.shadow).then_some(out))
            }
            Err(e) => {
                let reply = self.unparsable(&e);
                if self.shadow {
                    self.state = State::Complete;
                    return Ok(None);
                }
                Err(reply)
            }
        }
    }

    fn unparsable(&mut self, error: &BodyError) -> Reply {
        let reason = "the upstream's response can't be masked, so it is withheld";
        let reply = self.fail("MASKING_FAILED", reason);
        self.record.code = Some(error.code());
        self.record.reason = format!("the upstream's response can't be masked: {error}");
        reply
    }
}

type Body = (Box<dyn Form>, Option<Inflate>);

/// The body has ended: what it still holds is written.
fn end(
    body: &mut dyn Form,
    decoder: &mut Option<Inflate>,
    out: &mut Vec<u8>,
) -> Result<(), BodyError> {
    if let Some(decoder) = decoder {
        decoder.finish(|piece| body.push(piece, out))?;
    }
    body.finish(out)
}

/// JSON in ASCII: anything else is escaped, as a header needs it.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}
