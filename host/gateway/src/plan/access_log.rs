//! The access log: one JSON line a request, with the filters' decisions in it.
//!
//! The message is written by hand where prost would not write it twice the same: the format is a
//! `google.protobuf.Struct`, a map, and prost keeps maps in hash maps. Envoy sorts the keys of the
//! lines that it writes.

use std::collections::BTreeMap;
use std::path::Path;

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};
use envoy_types::pb::google::protobuf::{Any, Value, value::Kind};
use envoy_types::util::pack_any;
use prost::Message;

use super::{millis, uint};
use crate::bootstrap::DECISIONS_CLUSTER;
use crate::spec::GatewaySpec;

const TYPE_URL: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

/// What is logged of a request: key and Envoy's command for it.
const FIELDS: [(&str, &str); 26] = [
    ("authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
    ("decision", "%FILTER_STATE(wasm.ig.decision:PLAIN)%"),
    ("duration_ms", "%DURATION%"),
    ("method", "%REQ(:METHOD)%"),
    // Its own: all Envoys of a region are served the same.
    ("node", "%CEL(xds.node.id)%"),
    // What the gateway itself took: until it asked the upstream, and after the last byte of its answer.
    ("own_after_us", "%COMMON_DURATION(US_RX_END:DS_TX_END:us)%"),
    ("own_before_us", "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%"),
    ("path", "%PATH(NQ:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("request_duration_ms", "%REQUEST_DURATION%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("residency", "%FILTER_STATE(wasm.ig.residency:PLAIN)%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_duration_ms", "%RESPONSE_DURATION%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("route", "%ROUTE_NAME%"),
    ("time", "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%"),
    ("traceparent", "%REQ(TRACEPARENT)%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    (
        "upstream_transport_failure",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
    ("user_agent", "%REQ(USER-AGENT)%"),
];

/// The name of the access log service's log, and of its cluster where that is not the bootstrap's.
pub(crate) const SERVICE: &str = "decisions";

/// The logs of a gateway: the file, and the service if there is one.
pub(super) fn access_logs(spec: &GatewaySpec) -> Vec<accesslog::AccessLog> {
    let constants = [("region", spec.region.as_str())];
    let mut logs = vec![file(&spec.access_log, &FIELDS, &constants)];
    if spec.access_log_service.is_some() {
        let cluster = service_cluster(spec.xds.others_secured);
        logs.push(service(cluster, Entries::Http, &FIELDS, &constants));
    }
    logs
}

/// The cluster of the service: the bootstrap's, where nodes prove who they are.
pub(crate) fn service_cluster(secured: bool) -> &'static str {
    match secured {
        true => DECISIONS_CLUSTER,
        false => SERVICE,
    }
}

/// What is logged to the service: a request or a connection each.
#[derive(Clone, Copy)]
pub(crate) enum Entries {
    Http,
    Tcp,
}

/// The same by Envoy's gRPC access log service: what is a key of the line in the file is a custom tag of the
/// entry.
pub(crate) fn service(
    cluster: &str,
    entries: Entries,
    commands: &[(&str, &str)],
    constants: &[(&str, &str)],
) -> accesslog::AccessLog {
    let tag = |key: &str, r#type| CustomTag {
        tag: key.to_owned(),
        r#type: Some(r#type),
    };
    let commands = commands
        .iter()
        .map(|&(key, command)| tag(key, custom_tag::Type::Value(command.to_owned())));
    let literals = constants.iter().map(|&(key, value)| {
        let value = value.to_owned();
        tag(
            key,
            custom_tag::Type::Literal(custom_tag::Literal { value }),
        )
    });
    let server = core::grpc_service::EnvoyGrpc {
        cluster_name: cluster.to_owned(),
        ..Default::default()
    };
    let common_config = Some(CommonGrpcAccessLogConfig {
        log_name: SERVICE.to_owned(),
        transport_api_version: core::ApiVersion::V3 as i32,
        grpc_service: Some(core::GrpcService {
            target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(server)),
            ..Default::default()
        }),
        buffer_flush_interval: millis(250),
        // None: what is sent at once does not die with the Envoy.
        buffer_size_bytes: uint(0),
        custom_tags: commands.chain(literals).collect(),
        ..Default::default()
    });
    let (name, config) = match entries {
        Entries::Http => (
            "envoy.access_loggers.http_grpc",
            pack_any(HttpGrpcAccessLogConfig {
                common_config,
                ..Default::default()
            }),
        ),
        Entries::Tcp => (
            "envoy.access_loggers.tcp_grpc",
            pack_any(TcpGrpcAccessLogConfig { common_config }),
        ),
    };
    accesslog::AccessLog {
        name: name.to_owned(),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

/// A log in a file: keys and Envoy's commands for them, and keys and what always stands there.
pub(crate) fn file(
    path: &Path,
    commands: &[(&str, &str)],
    constants: &[(&str, &str)],
) -> accesslog::AccessLog {
    let mut fields: BTreeMap<String, Value> = commands
        .iter()
        .map(|&(key, command)| (key.to_owned(), string(command)))
        .collect();
    for &(key, constant) in constants {
        // A percent sign would begin a command.
        fields.insert(key.to_owned(), string(&constant.replace('%', "%%")));
    }
    let log = FileAccessLog {
        path: path.to_string_lossy().into_owned(),
        log_format: Some(SubstitutionFormatString {
            json_format: Some(Struct { fields }),
        }),
    };
    accesslog::AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(Any {
            type_url: TYPE_URL.to_owned(),
            value: log.encode_to_vec(),
        })),
        ..Default::default()
    }
}

fn string(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

/// `envoy.extensions.access_loggers.file.v3.FileAccessLog`, as far as it is used.
#[derive(Clone, PartialEq, Message)]
struct FileAccessLog {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(message, optional, tag = "5")]
    log_format: Option<SubstitutionFormatString>,
}

/// `envoy.config.core.v3.SubstitutionFormatString`, as far as it is used.
#[derive(Clone, PartialEq, Message)]
struct SubstitutionFormatString {
    #[prost(message, optional, tag = "2")]
    json_format: Option<Struct>,
}

/// `google.protobuf.Struct` with its keys in order.
#[derive(Clone, PartialEq, Message)]
struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, Value>,
}
