//! A response body whose framing is under control: piece by piece, with trailers, or cut off.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE},
};
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

/// What is sent.
pub(crate) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub chunks: Box<dyn Iterator<Item = Bytes> + Send>,
    pub trailers: Option<HeaderMap>,
    /// Waits after each chunk.
    pub pace: Option<Pace>,
    /// Breaks the connection at the end of the chunks.
    pub reset: bool,
    /// Announced length; without it the body is chunked.
    pub length: Option<u64>,
}

impl Reply {
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )]),
            length: u64::try_from(body.len()).ok(),
            chunks: Box::new(std::iter::once(body)),
            trailers: None,
            pace: None,
            reset: false,
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// As a response that adds every byte that leaves to `served`.
    pub(crate) fn into_response(self, served: Arc<AtomicU64>) -> Response<Body> {
        let (status, headers) = (self.status, self.headers.clone());
        let mut response = Response::new(Body::new(ReplyBody {
            reply: self,
            served,
        }));
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        response
    }
}

/// The wait between two chunks: at least until the one before is flushed.
pub(crate) struct Pace {
    pause: Duration,
    state: PaceState,
}

enum PaceState {
    Go,
    Yield,
    Sleep(Pin<Box<Sleep>>),
}

impl Pace {
    pub(crate) fn new(pause: Duration) -> Self {
        Self {
            pause,
            state: PaceState::Go,
        }
    }

    fn sent(&mut self) {
        self.state = if self.pause.is_zero() {
            PaceState::Yield
        } else {
            PaceState::Sleep(Box::pin(tokio::time::sleep(self.pause)))
        };
    }

    /// Pending flushes: the connection writes out what it has while the body has nothing more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ready = match &mut self.state {
            PaceState::Go => Poll::Ready(()),
            PaceState::Yield => {
                cx.waker().wake_by_ref();
                self.state = PaceState::Go;
                return Poll::Pending;
            }
            PaceState::Sleep(sleep) => sleep.as_mut().poll(cx),
        };
        if ready.is_ready() {
            self.state = PaceState::Go;
        }
        ready
    }
}

struct ReplyBody {
    reply: Reply,
    served: Arc<AtomicU64>,
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(pace) = &mut self.reply.pace {
            std::task::ready!(pace.poll(cx));
        }
        if let Some(chunk) = self.reply.chunks.next() {
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            self.served.fetch_add(length, Ordering::Relaxed);
            if let Some(pace) = &mut self.reply.pace {
                pace.sent();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if self.reply.reset {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
        }
        let trailers = self.reply.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn size_hint(&self) -> SizeHint {
        self.reply
            .length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
