//! One request and its response, as a state machine: events of the proxy in, effects out.

mod audit;
mod operations;
mod passes;
mod request;
mod response;
mod route;
mod written;

pub(super) use route::OpenPath;

use std::sync::Arc;

use crate::audit::MaskingRecord;
use crate::body::{Form, Inflate};
use crate::identity::Identity;
use crate::mask::{Plan, RoutePlan};
use crate::reply::Reply;

use super::Edit;

/// How one request stands with the filter.
#[derive(Debug, Default)]
pub struct MaskingStream {
    state: State,
    record: MaskingRecord,
    identity: Option<Identity>,
    tally: Tally,
    shadow: bool,
    /// A GraphQL request is served under a warrant that does not cover writing.
    read_only: bool,
    /// The response comes bit by bit, for as long as the client listens.
    live: bool,
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
    /// The body of a request to a route is awaited.
    RouteRequest(Box<route::RouteBody>),
    /// The request went on; its response is masked by the plan.
    Forwarded { answer: Answer, admin: bool },
    /// The proxy answered in the upstream's place: these bytes are the body.
    Substitute(Vec<u8>),
    /// The response is being rewritten.
    Response {
        body: Box<dyn Form>,
        decoder: Option<Inflate>,
    },
    /// The proxy or this filter answers; the upstream has no part in it.
    Answered,
    /// In shadow mode: the request would have been refused. All of it passes.
    Watched,
    /// The response is complete.
    Complete,
    /// The response was withheld or cut off: nothing more of it goes on.
    Failed,
}

/// What the response will be, and how it is masked.
#[derive(Debug, Clone)]
enum Answer {
    /// The response of one operation.
    Graphql(Arc<Plan>),
    /// The responses of several; or one object where all were refused.
    Batch(Vec<Arc<Plan>>, Arc<Plan>),
    /// The answer of a route, by its place in the configuration.
    Route(usize, Arc<RoutePlan>),
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
    /// Change the headers; the request goes on, and so does its body if it has one.
    Forward(Vec<Edit>),
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
    /// Change the headers; they go on at once, since the body comes bit by bit for as long as the
    /// client listens.
    Stream(Vec<Edit>),
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

impl MaskingStream {
    /// A stream that nothing is known of.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the filter took part in this stream.
    pub fn took_part(&self) -> bool {
        !matches!(self.state, State::Fresh)
    }

    /// Whether the request is GraphQL under a warrant that does not cover writing: a refusal of it
    /// holds in shadow mode too.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether the response's trailers are this filter's to remove.
    pub fn masks_trailers(&self) -> bool {
        self.took_part() && !self.shadow && !matches!(self.state, State::Watched)
    }

    /// The figures so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The plans, while the response is awaited: one an operation, or that of a route.
    pub fn plans(&self) -> Vec<&Arc<Plan>> {
        match &self.state {
            State::Forwarded { answer, .. } => match answer {
                Answer::Graphql(plan) => vec![plan],
                Answer::Batch(plans, _) => plans.iter().collect(),
                Answer::Route(_, route) => vec![&route.plan],
            },
            _ => Vec::new(),
        }
    }

    /// Whether the caller is told what masking does, while the response is awaited.
    pub fn is_admin(&self) -> bool {
        matches!(self.state, State::Forwarded { admin: true, .. })
    }
}
