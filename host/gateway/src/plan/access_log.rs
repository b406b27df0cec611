//! The access log: one JSON line a request, with the filters' decisions in it.
//!
//! The message is written by hand where prost would not write it twice the same: the format is a
//! `google.protobuf.Struct`, a map, and prost keeps maps in hash maps. Envoy sorts the keys of the
//! lines that it writes.

use std::collections::BTreeMap;
use std::path::Path;

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::google::protobuf::{Any, Value, value::Kind};
use prost::Message;

use crate::spec::GatewaySpec;

const TYPE_URL: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

/// What is logged of a request: key and Envoy's command for it.
const FIELDS: [(&str, &str); 23] = [
    ("authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
    ("decision", "%FILTER_STATE(wasm.ig.decision:PLAIN)%"),
    ("duration_ms", "%DURATION%"),
    ("method", "%REQ(:METHOD)%"),
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

pub(super) fn access_log(spec: &GatewaySpec) -> accesslog::AccessLog {
    let constants = [("node", spec.node_id.as_str()), ("region", &spec.region)];
    file(&spec.access_log, &FIELDS, &constants)
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
