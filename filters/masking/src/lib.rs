//! The masking filter: what a caller may not see does not leave the gateway.
//!
//! Only translation happens here; what is decided is in [`engine::filter`].

#![expect(
    missing_docs,
    reason = "the entry point that the SDK's macro exports has none"
)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::cell::RefCell;
use std::rc::Rc;

use engine::audit::Outcome;
use engine::config::Mode;
use engine::filter::{
    BodyEffect, Edit, HeadEffect, Headers, Masking, MaskingStream, ResponseEffect,
};
use engine::reply::Reply;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, Status};
use shell::{MetadataClaims, Metric};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { filter: None }));
}}

#[derive(Clone, Copy)]
struct Metrics {
    allowed: Metric,
    denied: Metric,
    failures: Metric,
    incomplete: Metric,
    unavailable: Metric,
    values: Metric,
    dropped: Metric,
    mismatched: Metric,
    rewrite_us: Metric,
}

struct Loaded {
    masking: RefCell<Masking>,
    claims: Vec<String>,
    revision: String,
    metrics: Metrics,
    /// Values masked, by what kind of data the policy says they are.
    classes: Vec<(Box<str>, Metric)>,
}

struct Root {
    filter: Option<Rc<Loaded>>,
}

impl Context for Root {}

impl Root {
    fn load(config: &[u8]) -> Result<Loaded, String> {
        let masking = Masking::configure(config, shell::environment).map_err(|e| e.to_string())?;
        if !masking.has_keys() {
            let variable = &masking.config().keys_env;
            let message = format!("ig.masking: {variable} is not set: `hash` redacts");
            shell::log(LogLevel::Warn, &message);
        }
        let metrics = Metrics {
            allowed: Metric::counter("ig.masking.allowed"),
            denied: Metric::counter("ig.masking.denied"),
            failures: Metric::counter("ig.masking.failures"),
            incomplete: Metric::counter("ig.masking.incomplete"),
            unavailable: Metric::counter("ig.masking.upstream_unavailable"),
            values: Metric::counter("ig.masking.values_masked"),
            dropped: Metric::counter("ig.masking.members_dropped"),
            mismatched: Metric::counter("ig.masking.values_mismatched"),
            rewrite_us: Metric::histogram("ig.masking.rewrite_us"),
        };
        let claims = masking.config().claims.clone();
        let classes = masking.classes().iter().map(|class| {
            let name = format!("ig.masking.class.{}", shell::metric_name(class));
            (class.clone(), Metric::counter(&name))
        });
        let classes = classes.collect();
        if masking.config().mode == Mode::Shadow {
            let message = "ig.masking: this revision is in shadow mode: nothing is masked";
            shell::log(LogLevel::Warn, message);
        }
        let revision = masking.config().revision.clone();
        shell::announce(REVISION, &revision)
            .map_err(|e| format!("the revision in force can't be announced: {e:?}"))?;
        Ok(Loaded {
            masking: RefCell::new(masking),
            claims,
            revision,
            metrics,
            classes,
        })
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        self.filter = shell::configured("ig.masking", size, Self::load).map(Rc::new);
        self.filter.is_some()
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            filter: self.filter.clone(),
            stream: MaskingStream::new(),
            spent_us: 0,
            recorded: false,
            held: 0,
            released: false,
        }))
    }
}

/// Under this name the filter announces which revision is in force.
const REVISION: &str = "ig.masking.revision";

struct Stream {
    filter: Option<Rc<Loaded>>,
    stream: MaskingStream,
    /// Time spent on rewriting, in microseconds.
    spent_us: u64,
    /// Whether the final record was left.
    recorded: bool,
    /// Bytes at the start of the response buffer that are rewritten and wait for more.
    held: usize,
    /// Whether a part of the response's body has gone on.
    released: bool,
}

impl Stream {
    /// Leaves the final record and counts it, once.
    fn conclude(&mut self) {
        if std::mem::replace(&mut self.recorded, true) {
            return;
        }
        shell::leave_record("ig.decision", &self.stream.record());
        let Some(loaded) = &self.filter else { return };
        let metrics = loaded.metrics;
        let outcome = match self.stream.outcome() {
            Outcome::Allowed => metrics.allowed,
            Outcome::Denied => metrics.denied,
            Outcome::Failed => metrics.failures,
            Outcome::Incomplete => metrics.incomplete,
            Outcome::Unavailable => metrics.unavailable,
        };
        outcome.add(1);
        let tally = self.stream.tally();
        for (class, count) in self.stream.classes() {
            if let Some((_, metric)) = loaded.classes.iter().find(|(c, _)| **c == *class) {
                metric.add(count);
            }
        }
        metrics.values.add(tally.masked);
        metrics.dropped.add(tally.dropped);
        metrics.mismatched.add(tally.mismatched);
        if self.spent_us > 0 {
            metrics.rewrite_us.record(self.spent_us);
        }
    }

    /// Whether other policies are in force than those of this stream. A worker that lags behind can
    /// begin one after they were announced.
    fn is_superseded(&self) -> bool {
        let loaded = self.filter.as_ref();
        !loaded.is_some_and(|loaded| shell::is_announced(REVISION, &loaded.revision))
    }

    fn answer(&mut self, reply: &Reply) -> Action {
        self.conclude();
        shell::send(reply);
        Action::Pause
    }

    /// The filter itself is broken: nothing goes through it.
    fn unavailable(&mut self, reason: &str) -> Action {
        if let Some(loaded) = &self.filter {
            loaded.metrics.failures.add(1);
        }
        shell::send(&Reply::problem(503, "MASKING_UNAVAILABLE", reason));
        Action::Pause
    }

    /// Puts `bytes` in the place of what has newly come into the response buffer, and says how many
    /// they are. A buffer is replaced whole: the host takes no other start than its own.
    fn replace(&self, size: usize, bytes: Vec<u8>) -> Result<usize, Status> {
        let written = bytes.len();
        let mut all = shell::body(BufferType::HttpResponseBody, 0, self.held)?;
        let all = if all.is_empty() {
            bytes
        } else {
            all.extend(bytes);
            all
        };
        hostcalls::set_buffer(BufferType::HttpResponseBody, 0, size, &all)?;
        Ok(written)
    }

    fn request_complete(&mut self, size: usize) -> Action {
        if self.stream.passes_request() {
            return Action::Continue;
        }
        if !self.stream.awaits_request() {
            return Action::Pause;
        }
        let Some(loaded) = self.filter.clone() else {
            return self.unavailable("the masking filter has no configuration");
        };
        let Ok(mut masking) = loaded.masking.try_borrow_mut() else {
            return self.unavailable("the masking filter is not in working order");
        };
        let Ok(body) = shell::body(BufferType::HttpRequestBody, 0, size) else {
            return self.unavailable("the request body can't be read");
        };
        match self.stream.request_body(&mut masking, &body) {
            Ok(instead) => {
                if let Some(instead) = instead {
                    let length = Edit::Set("content-length", instead.len().to_string());
                    let replaced =
                        hostcalls::set_buffer(BufferType::HttpRequestBody, 0, size, &instead)
                            .and_then(|()| shell::edit(MapType::HttpRequestHeaders, &[length]));
                    if replaced.is_err() {
                        return self.unavailable("the request body can't be changed");
                    }
                }
                // Should the stream be cut, this is what the access log tells of it.
                shell::leave_record("ig.decision", &self.stream.record());
                Action::Continue
            }
            Err(reply) => self.answer(&reply),
        }
    }
}

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        if self.stream.took_part() {
            self.stream.close();
            self.conclude();
        }
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let Some(loaded) = self.filter.clone() else {
            return self.unavailable("the masking filter has no configuration");
        };
        let Ok(mut masking) = loaded.masking.try_borrow_mut() else {
            return self.unavailable("the masking filter is not in working order");
        };
        let headers = shell::headers(MapType::HttpRequestHeaders);
        let claims = MetadataClaims::read(&loaded.claims);
        let effect =
            self.stream
                .request_headers(&mut masking, Headers(&headers), &claims, end_of_stream);
        match effect {
            HeadEffect::Hold(edits) => {
                if shell::edit(MapType::HttpRequestHeaders, &edits).is_err() {
                    return self.unavailable("the request headers can't be changed");
                }
                // The upstream sees nothing before the operation was understood.
                Action::Pause
            }
            HeadEffect::Forward(edits) => {
                if shell::edit(MapType::HttpRequestHeaders, &edits).is_err() {
                    return self.unavailable("the request headers can't be changed");
                }
                shell::leave_record("ig.decision", &self.stream.record());
                Action::Continue
            }
            HeadEffect::Reply(reply) => self.answer(&reply),
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.stream.passes_request() {
            return Action::Continue;
        }
        if end_of_stream {
            return self.request_complete(size);
        }
        let Some(loaded) = self.filter.clone() else {
            return Action::Pause;
        };
        let Ok(masking) = loaded.masking.try_borrow() else {
            return self.unavailable("the masking filter is not in working order");
        };
        match self.stream.request_progress(&masking, size) {
            Ok(()) if self.stream.passes_request() => Action::Continue,
            Ok(()) => Action::Pause,
            Err(reply) => self.answer(&reply),
        }
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        // Where trailers follow, the body callback never saw the end of the stream.
        let buffered = hostcalls::get_buffer(BufferType::HttpRequestBody, 0, usize::MAX >> 1);
        let size = buffered.ok().flatten().map_or(0, |b| b.len());
        self.request_complete(size)
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let Some(loaded) = self.filter.clone() else {
            return Action::Continue;
        };
        let Ok(masking) = loaded.masking.try_borrow() else {
            return self.unavailable("the masking filter is not in working order");
        };
        let headers = shell::headers(MapType::HttpResponseHeaders);
        let headers = headers.as_slice();
        let failed = Headers(headers).text(":status").is_some_and(|s| s >= "400");
        if failed
            && !shell::from_upstream()
            && let Some(edits) = self.stream.proxy_reply(Headers(headers))
        {
            if shell::edit(MapType::HttpResponseHeaders, &edits).is_err() {
                return self.unavailable("the response headers can't be changed");
            }
            if end_of_stream {
                self.conclude();
            }
            return Action::Continue;
        }
        let effect = self
            .stream
            .response_headers(&masking, Headers(headers), end_of_stream);
        match effect {
            ResponseEffect::Pass => Action::Continue,
            ResponseEffect::Reply(reply) => self.answer(&reply),
            ResponseEffect::Stream(edits) => {
                if shell::edit(MapType::HttpResponseHeaders, &edits).is_err() {
                    return self.unavailable("the response headers can't be changed");
                }
                self.released = true;
                Action::Continue
            }
            ResponseEffect::Mask(edits) => {
                if shell::edit(MapType::HttpResponseHeaders, &edits).is_err() {
                    return self.unavailable("the response headers can't be changed");
                }
                if end_of_stream {
                    self.conclude();
                    return Action::Continue;
                }
                // Held until the first part of the body was rewritten, so that a failure there is
                // still a clean reply.
                Action::Pause
            }
        }
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if !self.stream.took_part() {
            return Action::Continue;
        }
        let fresh = size.saturating_sub(self.held);
        if fresh > 0 && self.stream.is_live() && self.is_superseded() {
            let reply = self.stream.superseded();
            let _ = hostcalls::set_buffer(BufferType::HttpResponseBody, 0, size, b"");
            return self.answer(&reply);
        }
        // The last part is often empty: not worth two looks at the clock.
        let started = (fresh > 0).then(shell::now);
        let Ok(chunk) = shell::body(BufferType::HttpResponseBody, self.held, fresh) else {
            return self.unavailable("the response body can't be read");
        };
        let written = match self.stream.response_body(&chunk, end_of_stream) {
            BodyEffect::Pass => Ok(fresh),
            BodyEffect::Replace(bytes) => self.replace(size, bytes),
            BodyEffect::Fail(reply) => {
                // Whatever becomes of the reply, the bytes at hand do not go on.
                let _ = hostcalls::set_buffer(BufferType::HttpResponseBody, 0, size, b"");
                return self.answer(&reply);
            }
        };
        let Ok(written) = written else {
            return self.unavailable("the response body can't be changed");
        };
        if let Some(started) = started {
            self.spent_us += shell::now().saturating_sub(started).as_micros() as u64;
        }
        self.held += written;
        if !self.released && self.stream.holds(self.held, end_of_stream) {
            return Action::Pause;
        }
        self.released = true;
        self.held = 0;
        if end_of_stream {
            self.conclude();
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        let rest = match self.stream.response_end() {
            Ok(rest) => rest,
            Err(reply) => return self.answer(&reply),
        };
        if let Some(rest) = rest {
            let end = usize::MAX >> 1;
            if hostcalls::set_buffer(BufferType::HttpResponseBody, end, 0, &rest).is_err() {
                return self.unavailable("the rest of the response body can't be written");
            }
        }
        if !self.stream.masks_trailers() {
            return Action::Continue;
        }
        self.conclude();
        // Nothing says what a trailer may hold: none passes.
        let edits: Vec<Edit> = shell::headers(MapType::HttpResponseTrailers)
            .into_iter()
            .map(|(name, _)| Edit::Remove(name))
            .collect();
        if shell::edit(MapType::HttpResponseTrailers, &edits).is_err() {
            return self.unavailable("the response trailers can't be removed");
        }
        Action::Continue
    }
}
