//! A whole exchange in one call: request in, response in, outcome out.

use crate::error::Error;
use crate::figures::Figures;
use crate::headers::Headers;
use crate::host::{LogLine, Metrics, Trap};
use crate::splits;
use crate::stream::{Chain, Delivered, HttpStream, LocalReplyRecord, StreamInfo};

/// The most callout answers that an exchange waits for before it counts as stalled.
const MOST_ANSWERS: usize = 1_000;

/// A request or a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Headers with the pseudo-headers.
    pub headers: Headers,
    /// Body in the pieces in which it arrives. No pieces is no body: headers end the stream.
    pub chunks: Vec<Vec<u8>>,
    /// Trailers.
    pub trailers: Option<Headers>,
}

impl Message {
    /// A message without a body.
    pub fn new(headers: impl Into<Headers>) -> Self {
        Self {
            headers: headers.into(),
            ..Self::default()
        }
    }

    /// A POST of JSON to a path of `example.test`.
    pub fn post(path: &str, body: impl AsRef<[u8]>) -> Self {
        Self::new([
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "example.test"),
            (":path", path),
            ("content-type", "application/json"),
            ("content-length", &body.as_ref().len().to_string()),
        ])
        .with_body(body)
    }

    /// A GET of a path of `example.test`.
    pub fn get(path: &str) -> Self {
        Self::new([
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "example.test"),
            (":path", path),
        ])
    }

    /// A response of JSON.
    pub fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::new([
            (":status", status.to_string().as_str()),
            ("content-type", "application/json"),
            ("content-length", &body.as_ref().len().to_string()),
        ])
        .with_body(body)
    }

    /// The same message with this body in one piece.
    pub fn with_body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.chunks = vec![body.as_ref().to_vec()];
        self
    }

    /// The same message with its body cut at these offsets.
    pub fn split_at(mut self, offsets: &[usize]) -> Self {
        self.chunks = splits::at(&self.body(), offsets);
        self
    }

    /// The same message with one more header.
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// The same message with trailers.
    pub fn with_trailers(mut self, trailers: impl Into<Headers>) -> Self {
        self.trailers = Some(trailers.into());
        self
    }

    /// The body in one piece.
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }
}

/// How the end of a body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndOfBody {
    /// As an empty piece after the last one, as Envoy's HTTP/1 codec does it.
    #[default]
    Alone,
    /// With the last piece, as an HTTP/2 DATA frame may do it.
    WithLastPiece,
}

/// A request and the upstream's response to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// What the client sends.
    pub request: Message,
    /// What the upstream answers, if it is reached.
    pub response: Message,
    /// What Envoy knows of the stream: dynamic metadata with claims, addresses, properties.
    pub info: StreamInfo,
    /// How bodies end.
    pub end_of_body: EndOfBody,
}

impl Exchange {
    /// A request and a response.
    pub fn new(request: Message, response: Message) -> Self {
        let (info, end_of_body) = (StreamInfo::default(), EndOfBody::default());
        Self {
            request,
            response,
            info,
            end_of_body,
        }
    }

    /// The same exchange with verified claims in `jwt_authn`'s metadata under `payload`.
    pub fn with_claims(mut self, claims: serde_json::Value) -> Self {
        self.info.set_claims("payload", claims);
        self
    }

    /// Runs the exchange. Virtual time passes only while the stream waits for a callout.
    ///
    /// # Errors
    ///
    /// None besides misuse; what filters do, traps included, is in the outcome.
    pub fn run(&self, chain: impl Into<Chain>) -> Result<Outcome, Error> {
        let chain = chain.into();
        let host = chain.host();
        let (logs, metrics) = (host.logs().len(), host.metrics());
        let traps = host.traps().len();
        let mut stream = chain.http(self.info.clone());
        self.feed_request(&mut stream)?;
        wait(&mut stream, |stream| {
            stream.upstream().ended || stream.answered_locally()
        });
        if stream.upstream().headers.is_some() && !stream.answered_locally() {
            self.feed_response(&mut stream)?;
        }
        wait(&mut stream, |stream| stream.downstream().ended);
        stream.finish();
        let mut outcome = Outcome {
            downstream: stream.downstream(),
            upstream: stream.upstream(),
            local_replies: stream.local_replies(),
            logs: host.logs().split_off(logs),
            metrics: host.metrics().since(&metrics),
            info: stream.info(),
            traps: host.traps().split_off(traps),
            figures: stream.figures(),
            problems: stream.warnings(),
        };
        outcome.find_problems(&self.request);
        Ok(outcome)
    }

    /// Runs the exchange with its bodies cut in every way of [`splits::thorough`], the request's
    /// and the response's at once, and hands each outcome over with a description of the cut.
    ///
    /// # Errors
    ///
    /// As [`Exchange::run`].
    pub fn run_under_splits(
        &self,
        chain: impl Into<Chain>,
        seed: u64,
        mut check: impl FnMut(&str, Outcome),
    ) -> Result<(), Error> {
        let chain = chain.into();
        let requests = splits::thorough(&self.request.body(), seed);
        let responses = splits::thorough(&self.response.body(), seed);
        let none = || ("whole".to_owned(), Vec::new());
        for index in 0..requests.len().max(responses.len()) {
            let (request_cut, request) = requests.get(index).cloned().unwrap_or_else(none);
            let (response_cut, response) = responses.get(index).cloned().unwrap_or_else(none);
            for end_of_body in [EndOfBody::Alone, EndOfBody::WithLastPiece] {
                let mut exchange = Exchange {
                    end_of_body,
                    ..self.clone()
                };
                if !request.is_empty() {
                    exchange.request.chunks.clone_from(&request);
                }
                if !response.is_empty() {
                    exchange.response.chunks.clone_from(&response);
                }
                let cut =
                    format!("request {request_cut}, response {response_cut}, {end_of_body:?}");
                check(&cut, exchange.run(&chain)?);
            }
        }
        Ok(())
    }

    fn feed_request(&self, stream: &mut HttpStream) -> Result<(), Error> {
        let request = &self.request;
        let end = request.chunks.is_empty() && request.trailers.is_none();
        stream.request_headers(&request.headers, end)?;
        for (piece, end) in self.pieces(request) {
            stream.request_body(piece, end)?;
        }
        match &request.trailers {
            Some(trailers) => stream.request_trailers(trailers),
            None => Ok(()),
        }
    }

    fn feed_response(&self, stream: &mut HttpStream) -> Result<(), Error> {
        let response = &self.response;
        let end = response.chunks.is_empty() && response.trailers.is_none();
        stream.response_headers(&response.headers, end)?;
        for (piece, end) in self.pieces(response) {
            stream.response_body(piece, end)?;
        }
        match &response.trailers {
            Some(trailers) => stream.response_trailers(trailers),
            None => Ok(()),
        }
    }

    fn pieces<'a>(&self, message: &'a Message) -> Vec<(&'a [u8], bool)> {
        let mut pieces: Vec<(&[u8], bool)> = message
            .chunks
            .iter()
            .map(|chunk| (chunk.as_slice(), false))
            .collect();
        if message.trailers.is_none() && !pieces.is_empty() {
            match self.end_of_body {
                EndOfBody::Alone => pieces.push((&[], true)),
                EndOfBody::WithLastPiece => {
                    if let Some(last) = pieces.last_mut() {
                        last.1 = true;
                    }
                }
            }
        }
        pieces
    }
}

/// Lets callouts be answered until something has come about.
fn wait(stream: &mut HttpStream, done: impl Fn(&HttpStream) -> bool) {
    for _ in 0..MOST_ANSWERS {
        if done(stream) || !stream.host().run_next_answer() {
            break;
        }
    }
}

/// What came of an exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What the client received.
    pub downstream: Delivered,
    /// What the upstream received.
    pub upstream: Delivered,
    /// Local replies in order.
    pub local_replies: Vec<LocalReplyRecord>,
    /// Lines logged during the exchange.
    pub logs: Vec<LogLine>,
    /// Metrics that changed during the exchange: counters and histograms as differences.
    pub metrics: Metrics,
    /// Filter state, dynamic metadata, how often the route cache was cleared.
    pub info: StreamInfo,
    /// Traps during the exchange.
    pub traps: Vec<Trap>,
    /// What it cost.
    pub figures: Figures,
    /// What is no error of the harness and wrong all the same, in words: a stream that hangs, a
    /// `content-length` that lies, a filter that continues what it does not hold.
    pub problems: Vec<String>,
}

impl Outcome {
    /// Status that the client saw; `None` if it saw none.
    pub fn status(&self) -> Option<u16> {
        self.downstream.status()
    }

    /// Body that the client saw, as text.
    pub fn text(&self) -> String {
        self.downstream.text()
    }

    /// Body that the client saw, as JSON; `None` if it is none.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.downstream.body()).ok()
    }

    /// What a filter stored by `proxy_set_property` under one name.
    pub fn wasm_state(&self, name: &str) -> Option<String> {
        self.info
            .wasm_state(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Whether the client got a whole response.
    pub fn is_complete(&self) -> bool {
        self.downstream.is_complete()
    }

    fn find_problems(&mut self, request: &Message) {
        let head = request.headers.get(":method").as_deref() == Some("HEAD");
        let ends = [
            ("request", &self.upstream, false),
            ("response", &self.downstream, head),
        ];
        for (what, delivered, bodiless) in ends {
            let length = delivered.header("content-length");
            if let Some(length) = length.and_then(|length| length.parse::<usize>().ok())
                && delivered.is_complete()
                && !bodiless
                && length != delivered.body().len()
            {
                self.problems.push(format!(
                    "the {what}'s content-length says {length} and its body has {} bytes",
                    delivered.body().len()
                ));
            }
        }
        let Delivered { ended, reset, .. } = &self.downstream;
        if !ended && reset.is_none() {
            let place = match (&self.upstream.headers, self.upstream.ended) {
                (None, _) => "the request's headers",
                (Some(_), false) => "the request's body",
                (Some(_), true) => "the response",
            };
            self.problems
                .push(format!("a filter holds {place} and nothing will let it go"));
        }
    }
}
