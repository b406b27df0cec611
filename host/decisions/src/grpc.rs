//! Envoy's gRPC access log service (`envoy.service.accesslog.v3`). A gateway or sidecar puts what it would
//! write into its file into the custom tags of each entry, a request's or a connection's: the same keys,
//! all as text.
//!
//! The service knows no acknowledgement: what was sent and not stored is lost, and what Envoy could not
//! send it counts (`access_logs.grpc_access_log.logs_dropped`). While nothing can be stored, nothing is
//! read either, so that Envoy notices.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use envoy_types::pb::envoy::data::accesslog::v3::AccessLogCommon;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::{
    AccessLogService, AccessLogServiceServer,
};
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::error::DecisionsError;
use crate::intake::Intake;
use crate::mask::MaskPolicy;
use crate::record::Sink;
use crate::run::{Backoff, told};
use crate::time;

/// Bytes of a message.
const LARGEST: usize = 16 << 20;

/// Keys of a line whose values are numbers.
const NUMBERS: [&str; 8] = [
    "bytes_received",
    "bytes_sent",
    "duration_ms",
    "own_after_us",
    "own_before_us",
    "request_duration_ms",
    "response_code",
    "response_duration_ms",
];

struct Receiver<S> {
    sink: S,
    mask: Option<MaskPolicy>,
}

/// Serves until `shutdown` is done.
///
/// # Errors
/// The transport failed.
pub async fn serve<S: Sink>(
    listener: TcpListener,
    sink: S,
    mask: Option<MaskPolicy>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DecisionsError> {
    let service = AccessLogServiceServer::new(Receiver { sink, mask });
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_service(service.max_decoding_message_size(LARGEST))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), shutdown)
        .await?;
    Ok(())
}

#[tonic::async_trait]
impl<S: Sink> AccessLogService for Receiver<S> {
    async fn stream_access_logs(
        &self,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let mut stream = request.into_inner();
        let mut mask = self.mask.clone();
        let mut source: Option<String> = None;
        let mut at = 0;
        // Places are counted anew in each stream.
        let stream_name = format!("stream of {}", time::now_ms());
        while let Some(message) = stream.message().await? {
            // Only the first message says who sends.
            let node = message.identifier.and_then(|i| i.node);
            let source = match (node, &mut source) {
                (_, Some(source)) => &*source,
                (Some(node), none) => &*none.insert(format!("grpc:{}", node.id)),
                (None, None) => {
                    return Err(Status::invalid_argument("the first message names no node"));
                }
            };
            let Some(entries) = message.log_entries else {
                continue;
            };
            let mut intake = Intake::new(source, mask.as_mut());
            for entry in common(entries) {
                intake.line(line(entry).as_bytes(), &stream_name, at);
                at += 1;
            }
            let batch = intake.done(&stream_name, at);
            let mut backoff = Backoff::default();
            while let Err(error) = self.sink.commit(batch.clone()).await {
                self.sink.trouble(source, Some(&told(&*error)));
                backoff.wait().await;
            }
            self.sink.trouble(source, None);
        }
        Ok(Response::new(StreamAccessLogsResponse::default()))
    }
}

/// What requests and connections have in common.
fn common(entries: LogEntries) -> Vec<Option<AccessLogCommon>> {
    match entries {
        LogEntries::HttpLogs(of) => {
            let entries = of.log_entry.into_iter();
            entries.map(|entry| entry.common_properties).collect()
        }
        LogEntries::TcpLogs(of) => {
            let entries = of.log_entry.into_iter();
            entries.map(|entry| entry.common_properties).collect()
        }
    }
}

/// An entry as the line of a file.
fn line(common: Option<AccessLogCommon>) -> String {
    let tags: BTreeMap<String, String> = common
        .map(|properties| properties.custom_tags.into_iter().collect())
        .unwrap_or_default();
    let line: Map<String, Value> = tags
        .into_iter()
        .map(|(key, text)| {
            let number = NUMBERS.contains(&key.as_str());
            let number = number.then(|| text.parse::<i64>().ok()).flatten();
            let value = match number {
                Some(number) => number.into(),
                None if text.is_empty() => Value::Null,
                None => text.into(),
            };
            (key, value)
        })
        .collect();
    Value::Object(line).to_string()
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::data::accesslog::v3::{HttpAccessLogEntry, TcpAccessLogEntry};
    use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::{
        HttpAccessLogEntries, TcpAccessLogEntries,
    };

    use super::*;

    #[test]
    fn an_entry_is_a_line() {
        let tags = [
            ("duration_ms", "12"),
            ("path", "/7"),
            ("route", ""),
            ("bytes_sent", "-"),
        ];
        let tags = tags.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let properties = Some(AccessLogCommon {
            custom_tags: tags.into(),
            ..Default::default()
        });
        let request = HttpAccessLogEntry {
            common_properties: properties.clone(),
            ..Default::default()
        };
        let connection = TcpAccessLogEntry {
            common_properties: properties,
            ..Default::default()
        };
        for entries in [
            LogEntries::HttpLogs(HttpAccessLogEntries {
                log_entry: vec![request, HttpAccessLogEntry::default()],
            }),
            LogEntries::TcpLogs(TcpAccessLogEntries {
                log_entry: vec![connection, TcpAccessLogEntry::default()],
            }),
        ] {
            let lines: Vec<String> = common(entries).into_iter().map(line).collect();
            let first = r#"{"bytes_sent":"-","duration_ms":12,"path":"/7","route":null}"#;
            assert_eq!(lines, [first, "{}"]);
        }
    }
}
