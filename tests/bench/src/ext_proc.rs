//! An external processor (Envoy's ext_proc protocol) that masks response bodies by pattern.
//!
//! It is local, in this process, on threads of its own, and answers what Envoy asks in the mode of
//! the listener: a whole body in one message, or pieces in full duplex. It is asked for nothing but
//! the response: no headers of the request, no claims, no operation. A processor that decides what
//! to mask would be asked for them too.

mod pattern;

use std::net::{Ipv4Addr, SocketAddr};

use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answered;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeadersResponse, ProcessingRequest,
    ProcessingResponse, ProtocolConfiguration, StreamedBodyResponse, TrailersResponse,
};
use pattern::Replacer;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Messages hold whole bodies.
const LARGEST_MESSAGE: usize = 256 << 20;

/// Starts the server, for the life of the runtime, and says where it listens.
///
/// # Errors
/// No port is free.
pub async fn start() -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let service = ExternalProcessorServer::new(Masker)
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(LARGEST_MESSAGE);
    let incoming = TcpListenerStream::new(listener).map(|stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    });
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .add_service(service)
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    Ok(address)
}

struct Masker;

#[tonic::async_trait]
impl ExternalProcessor for Masker {
    type ProcessStream = ReceiverStream<Result<ProcessingResponse, Status>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let mut messages = request.into_inner();
        let (answers, stream) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut exchange = Exchange::default();
            while let Ok(Some(message)) = messages.message().await {
                let answer = exchange.answer(message);
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

#[derive(Default)]
struct Exchange {
    replacer: Replacer,
    /// Whether Envoy takes the body's pieces as they come: it says so in its first message.
    streams: bool,
}

impl Exchange {
    fn answer(&mut self, message: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        if let Some(ProtocolConfiguration {
            response_body_mode, ..
        }) = message.protocol_config
        {
            self.streams = response_body_mode == BodySendMode::FullDuplexStreamed as i32;
        }
        let response = match message.request {
            Some(Asked::ResponseHeaders(_)) => {
                Answered::ResponseHeaders(HeadersResponse::default())
            }
            Some(Asked::ResponseBody(piece)) => {
                let body = self.replacer.push(&piece.body, piece.end_of_stream);
                let mutation = if self.streams {
                    Mutation::StreamedResponse(StreamedBodyResponse {
                        body,
                        end_of_stream: piece.end_of_stream,
                        ..StreamedBodyResponse::default()
                    })
                } else {
                    Mutation::Body(body)
                };
                Answered::ResponseBody(BodyResponse {
                    response: Some(CommonResponse {
                        body_mutation: Some(BodyMutation {
                            mutation: Some(mutation),
                        }),
                        ..CommonResponse::default()
                    }),
                })
            }
            Some(Asked::ResponseTrailers(_)) => {
                Answered::ResponseTrailers(TrailersResponse::default())
            }
            _ => return Err(Status::invalid_argument("only responses are masked here")),
        };
        Ok(ProcessingResponse {
            response: Some(response),
            ..ProcessingResponse::default()
        })
    }
}
