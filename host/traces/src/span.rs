use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use serde::Serialize;

/// One span of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The trace, in 32 hexadecimal digits.
    pub trace_id: String,
    /// The span, in 16 hexadecimal digits.
    pub span_id: String,
    /// The span above it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// What it is about.
    pub name: String,
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it ended, in nanoseconds since 1970.
    pub end_ns: u64,
    /// The node that sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The region of the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region_src: Option<String>,
    /// The region of the data, if the request came to a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region_dst: Option<String>,
    /// The response's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl Span {
    /// What is kept of a span; `None` if it has no ids, which OTLP asks for.
    pub(crate) fn read(span: otlp::Span) -> Option<Self> {
        if span.trace_id.len() != 16 || span.span_id.len() != 8 {
            return None;
        }
        let text = |key: &str| attribute(&span.attributes, key).filter(|text| text != "-");
        Some(Self {
            node: text("ig.node"),
            region_src: text("region_src"),
            region_dst: text("region_dst"),
            status: text("http.status_code"),
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent_id: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
            start_ns: span.start_time_unix_nano,
            end_ns: span.end_time_unix_nano,
            name: span.name,
        })
    }

    /// Whether data of another region than the gateway's was asked for.
    pub fn crosses(&self) -> bool {
        matches!((&self.region_src, &self.region_dst), (Some(src), Some(dst)) if src != dst)
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|a| a.key == key)?.value.as_ref()?;
    match value {
        AnyValue {
            value: Some(any_value::Value::StringValue(text)),
        } => Some(text.clone()),
        AnyValue {
            value: Some(any_value::Value::IntValue(number)),
        } => Some(number.to_string()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
