//! The aggregated discovery service on tonic.

use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    aggregated_discovery_service_server::{
        AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
    },
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::cache::Cache;
use crate::config::Config;
use crate::delta::Delta;
use crate::protocol::Protocol;
use crate::sotw::Sotw;
use crate::stream;

/// The service. [`crate::run::serve`] runs it; to serve it beside others, or behind TLS, add
/// [`Ads::into_service`] to a tonic server.
pub struct Ads {
    cache: Cache,
    config: Arc<Config>,
    closing: watch::Receiver<bool>,
}

impl Ads {
    /// A service over a cache. When `closing` turns true, all streams end.
    pub fn new(cache: Cache, config: Config, closing: watch::Receiver<bool>) -> Self {
        Self {
            cache,
            config: Arc::new(config),
            closing,
        }
    }

    /// The service as tonic takes it, with the configured limit on requests.
    pub fn into_service(self) -> AggregatedDiscoveryServiceServer<Self> {
        let max_request_bytes = self.config.max_request_bytes;
        AggregatedDiscoveryServiceServer::new(self).max_decoding_message_size(max_request_bytes)
    }

    fn open<P: Protocol>(
        &self,
        request: Request<Streaming<P::Request>>,
    ) -> Response<ReceiverStream<Result<P::Response, Status>>> {
        let (sender, receiver) = mpsc::channel(self.config.response_queue.max(1));
        tokio::spawn(stream::serve::<P>(
            self.cache.clone(),
            Arc::clone(&self.config),
            request.remote_addr(),
            request.into_inner(),
            sender,
            self.closing.clone(),
        ));
        Response::new(ReceiverStream::new(receiver))
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Ok(self.open::<Sotw>(request))
    }

    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Ok(self.open::<Delta>(request))
    }
}
