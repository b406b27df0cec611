//! Filters that others wrote: the examples of the proxy-wasm Rust SDK by its authors, as published
//! in the package `proxy-wasm-experimental` 0.0.8. They are copied out of the registry's sources,
//! built for wasm32-wasip1 and asked for what they document.

mod build;

use build::example;
use harness::{
    AbiVersion, EndOfBody, Exchange, Host, HttpAnswer, LogLevel, Message, ReplyPath, Vm, VmOptions,
};
use std::time::Duration;

fn load(name: &str) -> Vm {
    Vm::load(&example(name), VmOptions::default())
        .unwrap_or_else(|error| panic!("{}", error.chain()))
}

fn messages(host: &Host) -> Vec<String> {
    host.logs().into_iter().map(|line| line.message).collect()
}

#[test]
fn hello_world_greets_and_then_tells_time_and_a_lucky_number_every_five_seconds() {
    let vm = load("hello_world");
    assert_eq!(vm.imports().abi, AbiVersion::V0_2_0);
    let host = vm.host();
    let _plugin = vm.plugin("").unwrap();
    assert_eq!(messages(&host), ["Hello, World!"]);

    host.advance(Duration::from_millis(4_999));
    assert_eq!(host.logs().len(), 1);
    host.advance(Duration::from_millis(1));
    host.advance(Duration::from_secs(10));
    let lines = messages(&host);
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, second) in lines[1..].iter().zip([5, 10, 15]) {
        let time = format!("It's 2026-01-01 00:00:{second:02} UTC, your lucky number is ");
        assert!(line.starts_with(&time), "{line}");
    }
    assert!(host.logs().iter().all(|line| line.level == LogLevel::Info));

    // The same seed, the same numbers; another one, others.
    let run = |seed| {
        let vm = Vm::load(
            &example("hello_world"),
            VmOptions {
                seed,
                ..Default::default()
            },
        )
        .unwrap();
        let _plugin = vm.plugin("").unwrap();
        vm.host().advance(Duration::from_secs(60));
        messages(&vm.host())
    };
    assert_eq!(run(0)[1..4], lines[1..4]);
    assert_ne!(run(1), run(0));
}

#[test]
fn http_headers_logs_every_header_and_answers_hello_by_itself() {
    let vm = load("http_headers");
    let plugin = vm.plugin("").unwrap();
    let outcome = Exchange::new(
        Message::get("/hello").with_header("x-one", "1"),
        Message::json(200, "{}"),
    )
    .run(&plugin)
    .unwrap();
    assert_eq!(outcome.status(), Some(200));
    assert_eq!(outcome.text(), "Hello, World!\n");
    assert_eq!(
        outcome.downstream.header("powered-by").as_deref(),
        Some("proxy-wasm")
    );
    assert_eq!(outcome.upstream.headers, None);
    assert_eq!(outcome.local_replies[0].path, ReplyPath::ThroughFilters);
    let lines: Vec<String> = outcome
        .logs
        .iter()
        .map(|line| line.message.clone())
        .collect();
    let context = outcome
        .logs
        .iter()
        .find(|line| line.message.contains("x-one"))
        .unwrap()
        .context;
    assert!(
        lines.contains(&format!("#{context} -> x-one: 1")),
        "{lines:?}"
    );
    // Its own reply passes its response callbacks.
    assert!(
        lines.contains(&format!("#{context} <- :status: 200")),
        "{lines:?}"
    );
    assert_eq!(lines.last(), Some(&format!("#{context} completed.")));

    let outcome = Exchange::new(Message::get("/other"), Message::json(200, "{}"));
    let outcome = outcome.run(&plugin).unwrap();
    assert_eq!(outcome.text(), "{}");
    assert_eq!(outcome.upstream.header(":path").as_deref(), Some("/other"));
    assert_eq!(outcome.problems, [""; 0]);
}

#[test]
fn http_body_redacts_a_secret_and_keeps_other_bodies_under_every_split() {
    let vm = load("http_body");
    let plugin = vm.plugin("").unwrap();
    for (body, expected) in [
        (
            "a body with a secret in it",
            "Original message body (26 bytes) redacted.",
        ),
        ("a body with nothing in it", "a body with nothing in it"),
    ] {
        let exchange = Exchange::new(Message::get("/"), Message::json(200, body));
        exchange
            .run_under_splits(&plugin, 1, |cut, outcome| {
                assert_eq!(outcome.text(), expected, "{cut}");
                assert!(outcome.is_complete(), "{cut}");
                assert_eq!(outcome.downstream.header("content-length"), None);
                assert_eq!(outcome.problems, [""; 0], "{cut}");
            })
            .unwrap();
    }
}

#[test]
fn http_body_never_finishes_when_trailers_follow() {
    // The example waits for an end of stream that a body with trailers does not have: Envoy holds
    // the body until the trailers' callback lets it go, unchanged.
    let vm = load("http_body");
    let plugin = vm.plugin("").unwrap();
    let response = Message::json(200, "a secret").with_trailers([("x-end", "1")]);
    let outcome = Exchange::new(Message::get("/"), response)
        .run(&plugin)
        .unwrap();
    assert_eq!(outcome.text(), "a secret");
    assert!(outcome.downstream.trailers.is_some());
}

#[test]
fn http_body_over_the_buffer_limit_is_a_reset_since_headers_are_out() {
    let vm = load("http_body");
    let plugin = vm.plugin("").unwrap();
    let body = vec![b'x'; (1 << 20) + 1];
    let outcome = Exchange::new(Message::get("/"), Message::json(200, &body))
        .run(&plugin)
        .unwrap();
    assert!(outcome.downstream.reset.is_some());
    assert_eq!(outcome.downstream.body(), b"");
}

#[test]
fn http_config_puts_its_configuration_into_a_response_header() {
    let vm = load("http_config");
    let (one, two) = (vm.plugin("first").unwrap(), vm.plugin("second").unwrap());
    for (plugin, expected) in [(&one, "first"), (&two, "second"), (&one, "first")] {
        let exchange = Exchange::new(Message::get("/"), Message::json(200, "{}"));
        let outcome = exchange.run(plugin).unwrap();
        assert_eq!(
            outcome.downstream.header("custom-header").as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn http_auth_random_asks_another_cluster_and_obeys_its_answer() {
    let vm = load("http_auth_random");
    let host = vm.host();
    let plugin = vm.plugin("").unwrap();
    let answer_with = |byte: u8| {
        host.on_http_call("httpbin", move |call| {
            assert_eq!(call.headers.get(":path").as_deref(), Some("/bytes/1"));
            assert_eq!(call.timeout, Duration::from_secs(5));
            HttpAnswer::respond(200, [byte]).after(Duration::from_millis(20))
        });
    };
    let mut exchange = Exchange::new(Message::post("/", "{}"), Message::json(200, "[1]"));

    for end_of_body in [EndOfBody::Alone, EndOfBody::WithLastPiece] {
        exchange.end_of_body = end_of_body;
        answer_with(4);
        let before = host.now();
        let outcome = exchange.run(&plugin).unwrap();
        assert_eq!(
            (outcome.status(), outcome.text().as_str()),
            (Some(200), "[1]")
        );
        assert_eq!(outcome.upstream.text(), "{}");
        assert_eq!(
            outcome.downstream.header("powered-by").as_deref(),
            Some("proxy-wasm")
        );
        assert_eq!(host.now() - before, Duration::from_millis(20));
        assert_eq!(outcome.problems, [""; 0]);
    }

    answer_with(5);
    let outcome = exchange.run(&plugin).unwrap();
    assert_eq!(
        (outcome.status(), outcome.text().as_str()),
        (Some(403), "Access forbidden.\n")
    );
    assert_eq!(outcome.upstream.headers, None);
    assert!(
        outcome
            .logs
            .iter()
            .any(|line| line.message == "Access forbidden.")
    );
}

#[test]
fn http_auth_random_without_its_cluster_traps_and_every_later_stream_is_refused() {
    let vm = load("http_auth_random");
    let plugin = vm.plugin("").unwrap();
    let exchange = Exchange::new(Message::get("/"), Message::json(200, "{}"));
    let outcome = exchange.run(&plugin).unwrap();
    assert_eq!((outcome.status(), outcome.text().as_str()), (Some(503), ""));
    assert_eq!(outcome.traps.len(), 1);
    assert_eq!(outcome.traps[0].callback, "proxy_on_request_headers");
    assert!(
        outcome.traps[0].backtrace.contains("http_auth_random"),
        "{:?}",
        outcome.traps[0]
    );
    // The panic's message goes to standard error, which Envoy logs, and to the SDK's panic hook.
    assert!(
        outcome
            .logs
            .iter()
            .any(|line| line.message.contains("BadArgument"))
    );

    assert!(vm.has_failed());
    let outcome = exchange.run(&plugin).unwrap();
    assert_eq!(outcome.status(), Some(503));
    assert_eq!(outcome.traps, []);
}
