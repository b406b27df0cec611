//! Envoy's gRPC access log service (`envoy.service.accesslog.v3`). A gateway or sidecar puts what it would
//! write into its file into the custom tags of each entry, a request's or a connection's: the same keys,
//! all as text. Each entry is a message of its own: an Envoy that dies takes none with it that it could have
//! sent.
//!
//! The service knows no acknowledgement: what was sent and not stored is lost, and what Envoy could not
//! send it counts (`access_logs.grpc_access_log.logs_dropped`). While nothing can be stored, nothing is
//! read either, so that Envoy notices.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpConnectInfo, TcpIncoming};
use tonic::{Extensions, Request, Response, Status, Streaming};

use crate::error::DecisionsError;
use crate::intake::Intake;
use crate::mask::MaskPolicy;
use crate::record::Sink;
use crate::run::{Backoff, told};
use crate::sender::{Field, Sender};
use crate::time;

/// Bytes of a message.
const LARGEST: usize = 16 << 20;

/// Entries, and messages, that are stored at once.
const MOST: u64 = 10_000;

/// Bytes of lines after which no more are taken into a batch.
const MOST_BYTES: usize = 16 << 20;

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
    sender_of: Arc<dyn Fn(&Extensions) -> Sender + Send + Sync>,
}

/// Serves without encryption until `shutdown` is done. Nodes are believed to be who they say they are.
///
/// # Errors
/// The transport failed.
pub async fn serve<S: Sink>(
    listener: TcpListener,
    sink: S,
    mask: Option<MaskPolicy>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DecisionsError> {
    let believed = |_: &TcpConnectInfo| Sender::Believed;
    serve_incoming(TcpIncoming::from(listener), believed, sink, mask, shutdown).await
}

/// Serves on connections of any kind until `shutdown` is done. `sender_of` tells from what a connection
/// knows of itself who is on its other side.
///
/// # Errors
/// The transport failed.
pub async fn serve_incoming<I, C, E, S: Sink>(
    incoming: I,
    sender_of: impl Fn(&C::ConnectInfo) -> Sender + Send + Sync + 'static,
    sink: S,
    mask: Option<MaskPolicy>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DecisionsError>
where
    I: Stream<Item = Result<C, E>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let sender_of = move |extensions: &Extensions| match extensions.get::<C::ConnectInfo>() {
        Some(info) => sender_of(info),
        // No connection is without: but if one were, it would have proven nothing.
        None => Sender::Nobody {
            reason: "nothing is known of the connection".to_owned(),
        },
    };
    let service = AccessLogServiceServer::new(Receiver {
        sink,
        mask,
        sender_of: Arc::new(sender_of),
    });
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_service(service.max_decoding_message_size(LARGEST))
        .serve_with_incoming_shutdown(incoming, shutdown)
        .await?;
    Ok(())
}

#[tonic::async_trait]
impl<S: Sink> AccessLogService for Receiver<S> {
    async fn stream_access_logs(
        &self,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let sender = (self.sender_of)(request.extensions());
        let refused = |why: String| {
            self.sink.refused(sender.name(), &why);
            Status::permission_denied(why)
        };
        let mut stream = request.into_inner();
        let mut mask = self.mask.clone();
        let mut source: Option<String> = None;
        let mut at = 0;
        // Places are counted anew in each stream.
        let stream_name = format!("stream of {}", time::now_ms());
        let mut more = true;
        while more {
            let Some(message) = stream.message().await? else {
                break;
            };
            // Only the first message says who sends.
            let node = message.identifier.as_ref().and_then(|i| i.node.as_ref());
            let source = match (node, &mut source) {
                (_, Some(source)) => &*source,
                (Some(node), none) => {
                    let locality = node.locality.as_ref();
                    sender
                        .may_say(&[
                            (Field::Node, Some(&node.id)),
                            (Field::Role, Some(&node.cluster)),
                            (Field::Region, locality.map(|l| l.region.as_str())),
                        ])
                        .map_err(refused)?;
                    &*none.insert(format!("grpc:{}", node.id))
                }
                (None, None) => {
                    return Err(Status::invalid_argument("the first message names no node"));
                }
            };
            let mut intake = Intake::new(source, mask.as_mut());
            let mut take = |message, intake: &mut Intake<'_>| {
                take(message, &sender, intake, &stream_name, &mut at).map_err(refused)
            };
            // What has come meanwhile is stored with it: a commit takes longer than many messages. What
            // came before a connection broke, or before what the node may not say, is stored too.
            let mut broken = take(message, &mut intake).err();
            let mut messages = 1;
            while broken.is_none() && messages < MOST && intake.has_room(MOST, MOST_BYTES) {
                let waiting = tokio::select! {
                    biased;
                    waiting = stream.message() => waiting,
                    () = std::future::ready(()) => break,
                };
                match waiting {
                    Ok(Some(message)) => {
                        messages += 1;
                        broken = take(message, &mut intake).err();
                    }
                    Ok(None) => {
                        more = false;
                        break;
                    }
                    Err(error) => {
                        broken = Some(error);
                        break;
                    }
                }
            }
            let batch = intake.done(&stream_name, at);
            let mut backoff = Backoff::default();
            while let Err(error) = self.sink.commit(batch.clone()).await {
                self.sink.trouble(source, Some(&told(&*error)));
                backoff.wait().await;
            }
            self.sink.trouble(source, None);
            if let Some(error) = broken {
                return Err(error);
            }
        }
        Ok(Response::new(StreamAccessLogsResponse::default()))
    }
}

/// Takes the entries of a message in, up to one that the sender may not say.
///
/// # Errors
/// Why it may not.
fn take(
    message: StreamAccessLogsMessage,
    sender: &Sender,
    intake: &mut Intake<'_>,
    stream: &str,
    at: &mut u64,
) -> Result<(), String> {
    let Some(entries) = message.log_entries else {
        return Ok(());
    };
    for entry in common(entries) {
        sender.may_say(&[
            (Field::Node, tag(&entry, "node")),
            (Field::Region, tag(&entry, "region")),
            (Field::Role, role(&entry)),
        ])?;
        intake.line(line(entry).as_bytes(), stream, *at);
        *at += 1;
    }
    Ok(())
}

/// Whose line it is by what stands in it, as [`line::read`] tells guards' from gateways': a gateway decides about
/// requests, a sidecar about what comes by a listener. Nobody's, if both stand in it.
fn role(entry: &Option<AccessLogCommon>) -> Option<&'static str> {
    let has = |names: &[&str]| names.iter().any(|name| tag(entry, name).is_some());
    match (
        has(&["decision", "residency"]),
        has(&["egress", "listener"]),
    ) {
        (true, true) => None,
        (false, true) => Some("sidecar"),
        (_, false) => Some("gateway"),
    }
}

/// A custom tag of an entry.
fn tag<'e>(entry: &'e Option<AccessLogCommon>, name: &str) -> Option<&'e str> {
    let tags = &entry.as_ref()?.custom_tags;
    tags.get(name).map(String::as_str)
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

    #[test]
    fn whose_line_it_is_stands_in_it() {
        for (names, want) in [
            (&["decision", "residency", "region"][..], Some("gateway")),
            // An answer without a decision.
            (&["node", "region"], Some("gateway")),
            (&[], Some("gateway")),
            (&["egress", "listener", "store_region"], Some("sidecar")),
            (&["listener"], Some("sidecar")),
            // Without its listener it would be read as a gateway's.
            (&["store_region"], Some("gateway")),
            // A sidecar's that would be read as a gateway's, and the other way round.
            (&["listener", "decision"], None),
            (&["egress", "residency"], None),
        ] {
            let tags = names
                .iter()
                .map(|name| ((*name).to_owned(), "x".to_owned()));
            let entry = AccessLogCommon {
                custom_tags: tags.collect(),
                ..Default::default()
            };
            assert_eq!(role(&Some(entry)), want, "{names:?}");
        }
    }
}
