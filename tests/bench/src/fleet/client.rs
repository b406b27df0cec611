//! The clients.
//!
//! Of a message only the beginning is kept, where this server writes type and nonce; the rest is counted. So
//! ten thousand clients fit into one process, which a client that kept what it was sent would not.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

const CALL: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// Bytes of a message that are kept: more than type, version and nonce have.
const HEAD: usize = 400;

/// The prefix of a gRPC message.
const PREFIX: usize = 5;

/// A response that was read to its end and accepted.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// When.
    pub at: Instant,
    /// Bytes of the message.
    pub bytes: usize,
}

/// Open streams.
pub struct Fleet {
    answered: mpsc::UnboundedReceiver<anyhow::Result<Answered>>,
}

impl Fleet {
    /// Opens streams, several on a connection, each subscribed to these types: all of them, or these names.
    ///
    /// # Errors
    /// The server does not take them.
    pub async fn open(
        server: SocketAddr,
        streams: usize,
        on_each: usize,
        types: &[(String, Vec<String>)],
    ) -> anyhow::Result<Self> {
        let (sender, answered) = mpsc::unbounded_channel();
        let mut opened = 0;
        while opened < streams {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            let (requests, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            for _ in 0..on_each.min(streams - opened) {
                opened += 1;
                let id = format!("sidecar-{opened}");
                let talk = converse(requests.clone(), server, first(&id, types), sender.clone());
                let sender = sender.clone();
                tokio::spawn(async move {
                    let ended = match talk.await {
                        Ok(()) => anyhow::anyhow!("the server ended {id}"),
                        Err(error) => error.context(id),
                    };
                    let _ = sender.send(Err(ended));
                });
            }
        }
        Ok(Self { answered })
    }

    /// Waits for so many answers.
    ///
    /// # Errors
    /// A stream ended.
    pub async fn answers(&mut self, count: usize) -> anyhow::Result<Vec<Answered>> {
        let mut answers = Vec::with_capacity(count);
        while answers.len() < count {
            answers.push(self.answered.recv().await.context("all streams ended")??);
        }
        Ok(answers)
    }
}

/// The requests with which a stream begins.
fn first(id: &str, types: &[(String, Vec<String>)]) -> Vec<DeltaDiscoveryRequest> {
    let node = Node {
        id: id.to_owned(),
        cluster: "sidecar".to_owned(),
        locality: Some(Locality {
            region: "eu".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut node = Some(node);
    types
        .iter()
        .map(|(type_url, names)| DeltaDiscoveryRequest {
            node: node.take(),
            type_url: type_url.clone(),
            resource_names_subscribe: names.clone(),
            ..Default::default()
        })
        .collect()
}

type Requests = StreamBody<
    tokio_stream::adapters::Map<
        UnboundedReceiverStream<Bytes>,
        fn(Bytes) -> Result<Frame<Bytes>, std::convert::Infallible>,
    >,
>;

async fn converse(
    mut connection: http2::SendRequest<Requests>,
    server: SocketAddr,
    first: Vec<DeltaDiscoveryRequest>,
    answered: mpsc::UnboundedSender<anyhow::Result<Answered>>,
) -> anyhow::Result<()> {
    let (requests, receiver) = mpsc::unbounded_channel();
    for request in first {
        requests.send(framed(&request))?;
    }
    let frame: fn(Bytes) -> _ = |bytes| Ok(Frame::data(bytes));
    let body = StreamBody::new(UnboundedReceiverStream::new(receiver).map(frame));
    let request = Request::post(format!("http://{server}{CALL}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)?;
    let mut responses = connection.send_request(request).await?.into_body();
    while let Some((head, bytes)) = next(&mut responses).await? {
        let request = DeltaDiscoveryRequest {
            type_url: head.type_url,
            response_nonce: head.nonce,
            ..Default::default()
        };
        requests.send(framed(&request))?;
        let at = Instant::now();
        answered.send(Ok(Answered { at, bytes }))?;
    }
    Ok(())
}

/// Reads a message, and returns what stands before its resources, and its length.
async fn next(body: &mut Incoming) -> anyhow::Result<Option<(DeltaDiscoveryResponse, usize)>> {
    let mut head = BytesMut::new();
    let mut read = 0;
    loop {
        let Some(frame) = body.frame().await else {
            return Ok(None);
        };
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        read += data.len();
        if head.len() < HEAD {
            head.extend_from_slice(data.get(..data.len().min(HEAD)).unwrap_or_default());
        }
        let Some(length) = head.get(1..PREFIX) else {
            continue;
        };
        let length = u32::from_be_bytes(length.try_into()?) as usize;
        // A client has one type's response at a time, so none begins in the frame that ends another.
        anyhow::ensure!(read <= length + PREFIX, "two responses in a frame");
        if read == length + PREFIX {
            let head = head.get(PREFIX..).unwrap_or_default();
            return Ok(Some((before_resources(head)?, length)));
        }
    }
}

/// Decodes the fields of a response that stand before its resources.
fn before_resources(mut head: &[u8]) -> anyhow::Result<DeltaDiscoveryResponse> {
    use prost::encoding::{decode_key, decode_varint};
    let whole = head;
    loop {
        let rest = head;
        if rest.is_empty() {
            break;
        }
        let (tag, _) = decode_key(&mut head)?;
        if tag == 2 {
            let before = whole.get(..whole.len() - rest.len());
            return Ok(DeltaDiscoveryResponse::decode(before.unwrap_or_default())?);
        }
        let length = usize::try_from(decode_varint(&mut head)?)?;
        head = head.get(length..).context("a field is cut off")?;
    }
    Ok(DeltaDiscoveryResponse::decode(whole)?)
}

fn framed(request: &DeltaDiscoveryRequest) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + request.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(request.encoded_len()).unwrap_or_default());
    let _ = request.encode(&mut bytes);
    bytes.freeze()
}
