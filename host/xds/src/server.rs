//! The aggregated discovery service on tonic, less its encoding: see [`crate::wire`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as HttpBody, Frame};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tonic::body::Body;
use tonic::codec::{DecodeBuf, Decoder};
use tonic::server::NamedService;
use tonic::{Status, Streaming};
use tower_service::Service;

use crate::cache::Cache;
use crate::config::Config;
use crate::delta::Delta;
use crate::peer::Peer;
use crate::protocol::Protocol;
use crate::sotw::Sotw;
use crate::stream;
use crate::wire::Encoded;

/// The two calls of `envoy.service.discovery.v3.AggregatedDiscoveryService`.
const SOTW: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// Finds out who is on the other side of the connection of a request.
pub(crate) type PeerOf = Arc<dyn Fn(&http::Extensions) -> Peer + Send + Sync>;

/// The service. [`crate::run::serve`] runs it.
#[derive(Clone)]
pub struct Ads {
    cache: Cache,
    config: Arc<Config>,
    peer_of: PeerOf,
    closing: watch::Receiver<bool>,
}

impl Ads {
    /// A service over a cache. `peer_of` finds out from a request's extensions who asks. When `closing`
    /// turns true, all streams end.
    pub fn new(
        cache: Cache,
        config: Config,
        peer_of: impl Fn(&http::Extensions) -> Peer + Send + Sync + 'static,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self {
            cache,
            config: Arc::new(config),
            peer_of: Arc::new(peer_of),
            closing,
        }
    }

    fn open<P: Protocol>(&self, request: http::Request<Body>) -> http::Response<Body> {
        let (sender, receiver) = mpsc::channel(self.config.response_queue.max(1));
        let peer = (self.peer_of)(request.extensions());
        let requests = Streaming::new_request(
            Plain(PhantomData),
            request.into_body(),
            None,
            Some(self.config.max_request_bytes),
        );
        tokio::spawn(stream::serve::<P>(
            self.cache.clone(),
            Arc::clone(&self.config),
            peer,
            requests,
            sender,
            self.closing.clone(),
        ));
        let mut response = http::Response::new(Body::new(Responses {
            receiver,
            pieces: VecDeque::new(),
            ended: false,
        }));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        response
    }
}

impl NamedService for Ads {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl Service<http::Request<Body>> for Ads {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        ready(Ok(match request.uri().path() {
            SOTW => self.open::<Sotw>(request),
            DELTA => self.open::<Delta>(request),
            _ => Status::unimplemented("the aggregated discovery service has no such call")
                .into_http(),
        }))
    }
}

/// Reads uncompressed protobuf messages.
struct Plain<M>(PhantomData<fn() -> M>);

impl<M: Message + Default> Decoder for Plain<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        match M::decode(from) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(Status::invalid_argument(format!(
                "the request is no protobuf message of its type: {error}"
            ))),
        }
    }
}

/// The responses of a stream, as the body of an HTTP/2 response. The pieces of one wait here, shared with
/// other streams, until the transport has room.
struct Responses {
    receiver: mpsc::Receiver<Result<Encoded, Status>>,
    pieces: VecDeque<Bytes>,
    ended: bool,
}

impl HttpBody for Responses {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let end = match self.receiver.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(response))) => match response.into_pieces() {
                Ok(mut pieces) => {
                    let first = pieces.pop_front().unwrap_or_default();
                    self.pieces = pieces;
                    return Poll::Ready(Some(Ok(Frame::data(first))));
                }
                Err(_) => Status::internal("the response is longer than a message can be"),
            },
            Poll::Ready(Some(Err(status))) => status,
            Poll::Ready(None) => Status::ok(""),
        };
        self.ended = true;
        let mut trailers = HeaderMap::new();
        end.add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
