//! The receiver on a real socket, asked as Envoy asks it.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tonic::codec::CompressionEncoding;
use traces::{Spans, Summary};

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..Default::default()
    }
}

fn span(trace: u8, id: &[u8], dst: &str) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: id.to_vec(),
        parent_span_id: vec![9; 8],
        name: "ingress".to_owned(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        attributes: vec![
            text("region_src", "eu"),
            text("region_dst", dst),
            text("ig.node", "gateway-eu"),
            text("http.status_code", "200"),
        ],
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_taken_for_what_they_say() {
    let spans = Spans::new(10);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(traces::run::serve(listener, spans.clone(), async {
        let _ = stopped.await;
    }));
    let mut client = TraceServiceClient::connect(url)
        .await
        .unwrap()
        .send_compressed(CompressionEncoding::Gzip);
    let sent = vec![
        span(1, &[1; 8], "eu"),
        span(2, &[1; 8], "us"),
        // Not decided when the span ended: no crossing.
        span(3, &[1; 8], "-"),
        // No id of OTLP's length.
        span(4, &[1; 7], "us"),
    ];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: sent,
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    client.export(request).await.unwrap();
    let want = Summary {
        received: 3,
        malformed: 1,
        evicted: 0,
        crossings: 1,
    };
    assert_eq!(spans.summary(), want);
    let crossing = &spans.of(&"02".repeat(16))[0];
    assert_eq!(crossing.span_id, "01".repeat(8));
    assert_eq!(crossing.parent_id.as_deref(), Some(&*"09".repeat(8)));
    assert_eq!(crossing.region_src.as_deref(), Some("eu"));
    assert_eq!(crossing.region_dst.as_deref(), Some("us"));
    assert_eq!(crossing.node.as_deref(), Some("gateway-eu"));
    assert_eq!(crossing.status.as_deref(), Some("200"));
    assert_eq!(spans.of(&"03".repeat(16))[0].region_dst, None);
    assert!(spans.of(&"04".repeat(16)).is_empty());
    drop(client);
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}
