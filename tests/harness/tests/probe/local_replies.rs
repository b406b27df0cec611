//! Responses that a filter sends by itself, in every phase.

use crate::support::*;
use harness::{Exchange, Message, ReplyPath};

const REPLY: &str = "reply 403 'not you' 'x-why=no,content-type=application/problem+json'";

#[test]
fn in_request_headers_it_passes_the_response_callbacks_and_the_upstream_sees_nothing() {
    let plugin = plugin(&format!(
        "request_headers: {REPLY}\nresponse_headers: add 2 x-seen 1"
    ));
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(
        (outcome.status(), outcome.text().as_str()),
        (Some(403), "not you")
    );
    assert_eq!(outcome.downstream.header("x-seen").as_deref(), Some("1"));
    assert_eq!(outcome.downstream.header("x-why").as_deref(), Some("no"));
    assert_eq!(
        outcome.downstream.header("content-length").as_deref(),
        Some("7")
    );
    assert_eq!(outcome.upstream.headers, None);
    assert_eq!(outcome.local_replies[0].path, ReplyPath::ThroughFilters);
    assert_eq!(outcome.local_replies[0].reply.details, "probe");
    // What the callback returned (0) did not count, and the body of the request went nowhere.
    assert!(
        !called(&plugin.host())
            .iter()
            .any(|call| call.starts_with("request_body"))
    );
}

#[test]
fn in_a_request_body_the_upstream_that_saw_headers_is_reset() {
    let plugin = plugin(&format!("request_body: {REPLY}"));
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(outcome.status(), Some(403));
    assert!(outcome.upstream.headers.is_some());
    assert!(outcome.upstream.reset.is_some());
    assert_eq!(outcome.upstream.body(), b"");
}

#[test]
fn in_request_trailers_too() {
    let plugin = plugin(&format!("request_trailers: {REPLY}"));
    let request = Message::post("/", "abc").with_trailers([("x-t", "1")]);
    let outcome = Exchange::new(request, Message::json(200, "{}"))
        .run(&plugin)
        .unwrap();
    assert_eq!(outcome.status(), Some(403));
    assert!(outcome.upstream.reset.is_some());
}

#[test]
fn in_response_headers_it_goes_to_the_client_directly() {
    let plugin = plugin(&format!("response_headers: {REPLY}"));
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(
        (outcome.status(), outcome.text().as_str()),
        (Some(403), "not you")
    );
    assert_eq!(outcome.local_replies[0].path, ReplyPath::Direct);
    let calls = called(&plugin.host());
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.starts_with("response_headers"))
            .count(),
        1
    );
    assert!(!calls.iter().any(|call| call.starts_with("response_body")));
}

#[test]
fn in_a_body_while_headers_are_held_it_replaces_the_response() {
    let plugin = holding_plugin(&format!(
        "response_headers: return 1\nresponse_body: {REPLY}"
    ));
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(
        (outcome.status(), outcome.text().as_str()),
        (Some(403), "not you")
    );
    assert_eq!(
        outcome.downstream.header("content-type").as_deref(),
        Some("application/problem+json")
    );
    assert_eq!(outcome.local_replies[0].path, ReplyPath::Direct);
    assert_eq!(outcome.problems, [""; 0]);
}

#[test]
fn in_a_body_after_headers_went_out_the_transfer_is_truncated() {
    let plugin = plugin(&format!("response_body#2: {REPLY}"));
    let response = Message::json(200, "response").split_at(&[3]);
    let outcome = Exchange::new(Message::get("/"), response)
        .run(&plugin)
        .unwrap();
    assert_eq!(
        (outcome.status(), outcome.text().as_str()),
        (Some(200), "res")
    );
    assert!(outcome.downstream.reset.is_some());
    assert!(!outcome.is_complete());
    assert_eq!(outcome.local_replies[0].path, ReplyPath::Reset);
}

#[test]
fn closing_a_stream_resets_it() {
    for script in ["request_headers: close 0", "response_headers: close 1"] {
        let plugin = plugin(script);
        let outcome = exchange().run(&plugin).unwrap();
        assert_eq!(outcome.downstream.headers, None, "{script}");
        assert!(outcome.downstream.reset.is_some(), "{script}");
    }
    assert_eq!(in_request_headers("close 9"), ["close 2"]);
}

#[test]
fn a_grpc_request_gets_a_grpc_answer() {
    let plugin = plugin("request_headers: reply 200 'bad day' '' 14");
    let request = Message::new([
        (":method", "POST"),
        (":path", "/svc/Do"),
        (":authority", "a"),
        ("content-type", "application/grpc"),
    ]);
    let outcome = Exchange::new(request, Message::default())
        .run(&plugin)
        .unwrap();
    assert_eq!(
        outcome.downstream.header("grpc-status").as_deref(),
        Some("14")
    );
    assert_eq!(
        outcome.downstream.header("grpc-message").as_deref(),
        Some("bad day")
    );
    assert_eq!(outcome.downstream.body(), b"");
    assert!(outcome.is_complete());
}

#[test]
fn an_upstream_that_breaks_before_responding_is_503_and_later_a_cut() {
    let plugin = plugin("");
    let mut stream = plugin.http();
    stream
        .request_headers(&Message::get("/").headers, true)
        .unwrap();
    stream.upstream_reset();
    assert_eq!(stream.downstream().status(), Some(503));

    let mut stream = plugin.http();
    stream
        .request_headers(&Message::get("/").headers, true)
        .unwrap();
    stream
        .response_headers([(":status", "200")], false)
        .unwrap();
    stream.upstream_reset();
    assert_eq!(stream.downstream().status(), Some(200));
    assert!(stream.downstream().reset.is_some());
}
