//! Serving: the socket and its end.

use std::future::Future;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::error::ServeError;
use crate::span::Span;
use crate::store::Spans;

/// Bytes of one export.
const LARGEST: usize = 4 << 20;

struct Receiver {
    spans: Spans,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request
            .into_inner()
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .map(Span::read);
        self.spans.take(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Receives spans on a bound socket until `shutdown` is done.
///
/// # Errors
/// The transport failed.
pub async fn serve(
    listener: TcpListener,
    spans: Spans,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let service = TraceServiceServer::new(Receiver { spans })
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(LARGEST);
    Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), shutdown)
        .await?;
    Ok(())
}
