//! HTTP and gRPC callouts.

use crate::support::*;
use harness::{GrpcAnswer, GrpcEvent, Host, HttpAnswer};
use std::time::Duration;

const CALL: &str = "http auth 5000 body ':method=GET,:path=/x,:authority=auth'; return 1";

fn plugin_with(script: &str, host: impl FnOnce(&Host)) -> harness::Plugin {
    let own = Host::new();
    host(&own);
    let options = harness::VmOptions {
        host: Some(own),
        ..Default::default()
    };
    vm(options).plugin(script).unwrap()
}

#[test]
fn an_answer_is_read_in_its_callback_and_nowhere_else() {
    let plugin = plugin_with(
        &format!(
            "request_headers: {CALL}\n\
             http_call_response: buf 4 0 99; get 6 :status; get 7 t; status; effective @; \
             get 0 :path; size 6; continue 0; get 0 :path; buf 4 0 99"
        ),
        |host| {
            host.on_http_call("auth", |call| {
                let trailers = call.trailers.clone();
                HttpAnswer::respond_with(
                    [(":status", "201")],
                    [&call.body[..], b"!"].concat(),
                    trailers,
                )
            });
        },
    );
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(outcome.status(), Some(200));
    assert_eq!(
        said(&plugin.host()),
        [
            "http 0 1",
            "buf 0 body!",
            "get 0 201",
            "get 0 1",
            "status 0 0 -",
            "effective 0",
            "get 0 /p",
            "size 2",
            "continue 0",
            "get 2",
            "buf 0 body!"
        ]
    );
    assert!(called(&plugin.host()).contains(&"http_call_response 1 1 5 1".to_owned()));
    assert_eq!(plugin.host().http_calls().len(), 1);
}

#[test]
fn a_reset_has_no_headers_and_a_status() {
    let plugin = plugin_with(
        &format!(
            "request_headers: {CALL}\nhttp_call_response: get 6 :status; buf 4 0 9; status; effective @; continue 0"
        ),
        |host| host.on_http_call("auth", |_| HttpAnswer::reset()),
    );
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(outcome.status(), Some(200));
    assert_eq!(
        said(&plugin.host())[1..4],
        ["get 2", "buf 1", "status 0 11 reset"]
    );
}

#[test]
fn silence_is_a_504_after_the_timeout() {
    let plugin = plugin_with(
        &format!(
            "request_headers: {CALL}\nhttp_call_response: get 6 :status; effective @; continue 0"
        ),
        |host| host.on_http_call("auth", |_| HttpAnswer::silence()),
    );
    let before = plugin.host().now();
    exchange().run(&plugin).unwrap();
    assert_eq!(plugin.host().now() - before, Duration::from_secs(5));
    assert_eq!(said(&plugin.host())[1], "get 0 504");
}

#[test]
fn a_body_that_arrives_during_a_callout_waits_for_it() {
    let plugin = plugin_with(
        &format!(
            "request_headers: {CALL}\nhttp_call_response: effective @; continue 0\nrequest_body: buf 0 0 99"
        ),
        |host| {
            host.on_http_call("auth", |_| {
                HttpAnswer::respond(200, "").after(Duration::from_millis(3))
            })
        },
    );
    let mut stream = plugin.http();
    stream
        .request_headers([(":path", "/"), (":method", "POST")], false)
        .unwrap();
    stream.request_body("ab", true).unwrap();
    plugin.host().advance(Duration::from_millis(2));
    assert_eq!(stream.upstream().headers, None);
    plugin.host().advance(Duration::from_millis(1));
    assert_eq!(stream.upstream().text(), "ab");
    assert!(stream.upstream().ended);
}

#[test]
fn calls_that_cannot_be_made_are_bad_arguments() {
    let said = in_request_headers(
        "http nowhere 1 '' ':method=GET,:path=/,:authority=a'; http nowhere 1 '' ':method=GET'; \
         http nowhere -1 '' ''",
    );
    assert_eq!(said, ["http 2", "http 2", "http 2"]);
}

#[test]
fn an_answer_to_a_stream_that_is_gone_changes_nothing() {
    let plugin = plugin_with(
        &format!("request_headers: {CALL}\nhttp_call_response: effective 2; continue 0"),
        |host| {
            host.on_http_call("auth", |_| {
                HttpAnswer::respond(200, "").after(Duration::from_secs(1))
            })
        },
    );
    let mut stream = plugin.http();
    stream
        .request_headers([(":path", "/"), (":method", "POST")], false)
        .unwrap();
    stream.downstream_reset();
    drop(stream);
    plugin.host().advance(Duration::from_secs(1));
    assert_eq!(said(&plugin.host())[1..], ["effective 2", "continue 0"]);
}

#[test]
fn a_grpc_call_gets_a_message_or_a_failure() {
    let script = "request_headers: grpc auth hello 1000; return 1\n\
                  grpc_receive: buf 5 0 99; effective @; continue 0\n\
                  grpc_close: status; effective @; continue 0";
    let plugin = plugin_with(script, |host| {
        host.on_grpc_call("auth", |call| {
            assert_eq!((call.service.as_str(), call.method.as_str()), ("svc", "Do"));
            assert_eq!(call.metadata.get("k").as_deref(), Some("v"));
            GrpcAnswer::message(call.message.as_deref().unwrap_or_default())
        });
    });
    exchange().run(&plugin).unwrap();
    assert_eq!(
        said(&plugin.host()),
        ["grpc 0 1", "buf 0 hello", "effective 0", "continue 0"]
    );

    let plugin = plugin_with(script, |host| {
        host.on_grpc_call("auth", |_| GrpcAnswer::failure(7, "no"))
    });
    exchange().run(&plugin).unwrap();
    assert_eq!(said(&plugin.host())[1], "status 0 7 no");
    assert!(called(&plugin.host()).contains(&"grpc_close 1 7".to_owned()));

    let plugin = plugin_with(script, |host| {
        host.on_grpc_call("auth", |_| GrpcAnswer::silence())
    });
    exchange().run(&plugin).unwrap();
    assert_eq!(said(&plugin.host())[1], "status 0 4 deadline exceeded");

    assert_eq!(
        in_request_headers("grpc nowhere x 1; stream nowhere"),
        ["grpc 4", "stream 4"]
    );
}

#[test]
fn a_grpc_stream_sends_receives_and_closes() {
    let plugin = plugin_with(
        "request_headers: stream auth; gsend 2 one 0; gsend 1 x 0; gsend 4 x 0; gclose 2; gcancel 8; gclose 3\n\
         grpc_metadata: pairs 4\ngrpc_receive: buf 5 0 99\ngrpc_trailers: get 5 t\ngrpc_close: status",
        |host| {
            host.on_grpc_call("auth", |call| match &call.message {
                None => GrpcAnswer::events([GrpcEvent::Metadata([("m", "1")].into())]),
                Some(message) => GrpcAnswer::events([
                    GrpcEvent::Message(message.clone()),
                    GrpcEvent::Trailers([("t", "2")].into()),
                    GrpcEvent::Close(0, String::new()),
                ]),
            });
        },
    );
    exchange().run(&plugin).unwrap();
    assert_eq!(
        said(&plugin.host()),
        [
            "stream 0 2",
            "gsend 0",
            "gsend 2",
            "gsend 1",
            "gclose 0",
            "gcancel 1",
            "gclose 1",
            "pairs 0 \\01\\00\\00\\00\\01\\00\\00\\00\\01\\00\\00\\00m\\001\\00",
            "buf 0 one",
            "get 0 2",
            "status 0 0 -",
        ]
    );
    let sent = plugin.host().grpc_calls();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|call| call.stream));
}

#[test]
fn a_cancelled_call_is_never_answered() {
    let plugin = plugin_with(
        "request_headers: grpc auth x 0; gcancel 1; gcancel 1",
        |host| {
            host.on_grpc_call("auth", |_| GrpcAnswer::message("late"));
        },
    );
    exchange().run(&plugin).unwrap();
    assert_eq!(said(&plugin.host()), ["grpc 0 1", "gcancel 0", "gcancel 1"]);
    assert!(
        !called(&plugin.host())
            .iter()
            .any(|call| call.starts_with("grpc"))
    );
}
