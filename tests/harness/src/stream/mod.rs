//! Streams: what passes through filters, held and let go as Envoy's filter manager does it.

mod chain;
mod http;
mod info;
mod local_reply;
mod passing;
mod state;
mod tcp;

pub use http::{Chain, HttpStream};
pub use info::{Property, StreamInfo};
pub use local_reply::LocalReply;
pub use state::{Delivered, LocalReplyRecord, ReplyPath};
pub use tcp::TcpStream;

pub(crate) use chain::HttpShared;
pub(crate) use tcp::TcpShared;

use std::sync::Weak;

/// Bytes that a guest can see and change.
pub(crate) type Buffer = Vec<u8>;

/// Which way something passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the upstream, through the filters in order.
    Request,
    /// From the upstream to the client, through the filters in reverse order.
    Response,
}

/// Runs something on a stream that may be gone.
pub(crate) fn with<S>(stream: &Weak<S>, run: impl FnOnce(&std::sync::Arc<S>)) {
    if let Some(stream) = stream.upgrade() {
        run(&stream);
    }
}
