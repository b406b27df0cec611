//! Holding and letting go: headers, bodies, trailers.

use crate::support::*;
use harness::{EndOfBody, Exchange, Message, Outcome};

fn response(chunks: &[&str]) -> Exchange {
    let mut response = Message::new([(":status", "200")]);
    response.chunks = chunks
        .iter()
        .map(|chunk| chunk.as_bytes().to_vec())
        .collect();
    Exchange::new(Message::get("/"), response)
}

fn chunks(outcome: &Outcome) -> Vec<String> {
    let chunks = outcome.downstream.chunks.iter();
    chunks
        .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
        .collect()
}

#[test]
fn without_a_filter_acting_every_piece_passes_by_itself() {
    let plugin = plugin("");
    let outcome = response(&["ab", "c"]).run(&plugin).unwrap();
    assert_eq!(chunks(&outcome), ["ab", "c"]);
    assert_eq!(
        stream_calls(&plugin.host()),
        [
            "request_headers 4 1",
            "response_headers 1 0",
            "response_body 2 0",
            "response_body 1 0",
            "response_body 0 1"
        ]
    );
    assert_eq!(outcome.problems, [""; 0]);
}

#[test]
fn the_end_may_come_with_the_last_piece() {
    let plugin = plugin("");
    let mut exchange = response(&["ab", "c"]);
    exchange.end_of_body = EndOfBody::WithLastPiece;
    exchange.run(&plugin).unwrap();
    assert_eq!(
        stream_calls(&plugin.host())[2..],
        ["response_body 2 0", "response_body 1 1"]
    );
}

#[test]
fn pause_in_headers_holds_everything_unless_the_plugin_may_hold_headers_alone() {
    let script = "response_headers: return 1";
    let plugin = plugin(script);
    let outcome = response(&["ab"]).run(&plugin).unwrap();
    assert_eq!(outcome.downstream.headers, None);
    assert!(
        !called(&plugin.host())
            .iter()
            .any(|call| call.starts_with("response_body"))
    );
    assert_eq!(
        outcome.problems,
        ["a filter holds the response and nothing will let it go"]
    );

    let plugin = holding_plugin(script);
    let outcome = response(&["ab"]).run(&plugin).unwrap();
    // The first body callback continues: headers go out then, and the body after them.
    assert_eq!(
        (outcome.status(), chunks(&outcome)),
        (Some(200), vec!["ab".to_owned()])
    );
    assert_eq!(outcome.problems, [""; 0]);
}

#[test]
fn held_headers_can_be_changed_until_the_body_lets_them_go() {
    let plugin = holding_plugin(
        "response_headers: return 1\n\
         response_body#1: return 1\n\
         response_body#2: replace 2 x-late yes",
    );
    let mut stream = plugin.http();
    stream
        .request_headers(&Message::get("/").headers, true)
        .unwrap();
    stream
        .response_headers([(":status", "200")], false)
        .unwrap();
    stream.response_body("ab", false).unwrap();
    assert_eq!(stream.downstream().headers, None);
    stream.response_body("cd", false).unwrap();
    let downstream = stream.downstream();
    assert_eq!(downstream.header("x-late").as_deref(), Some("yes"));
    assert_eq!(downstream.chunks, [b"abcd"]);
    stream.response_body("", true).unwrap();
    assert!(stream.downstream().is_complete());
    assert_eq!(said(&plugin.host()), ["replace 0"]);
}

#[test]
fn headers_that_passed_can_be_neither_read_nor_changed() {
    let plugin = plugin(
        "response_body#1: pairs 2; get 2 :status; replace 2 x-late yes; pairs 0; get 0 :path",
    );
    let outcome = response(&["ab"]).run(&plugin).unwrap();
    assert_eq!(
        said(&plugin.host()),
        ["pairs 0 -", "get 2", "replace 2", "pairs 0 -", "get 2"]
    );
    assert_eq!(outcome.downstream.header("x-late"), None);
}

#[test]
fn pause_in_a_body_shows_all_that_is_held_next_time_and_continue_lets_all_go() {
    let plugin = plugin(
        "response_body#1: buf 1 0 99; return 1\n\
         response_body#2: buf 1 0 99; setbuf 1 0 99 NEW; return 1\n\
         response_body#3: buf 1 0 99",
    );
    let outcome = response(&["ab", "cd", "ef"]).run(&plugin).unwrap();
    assert_eq!(
        said(&plugin.host()),
        ["buf 0 ab", "buf 0 abcd", "setbuf 0", "buf 0 NEWef"]
    );
    assert_eq!(chunks(&outcome), ["NEWef"]);
    assert!(outcome.is_complete());
}

#[test]
fn watermark_keeps_pieces_without_showing_them_again() {
    let plugin = plugin("response_body#1: return 2\nresponse_body#2: buf 1 0 99");
    let outcome = response(&["ab", "cd"]).run(&plugin).unwrap();
    assert_eq!(said(&plugin.host()), ["buf 0 cd"]);
    assert_eq!(outcome.text(), "abcd");
}

#[test]
fn no_buffer_drops_the_piece_and_the_end_still_passes() {
    let plugin = plugin("response_body: return 3");
    let mut stream = plugin.http();
    stream
        .request_headers(&Message::get("/").headers, true)
        .unwrap();
    stream
        .response_headers([(":status", "200")], false)
        .unwrap();
    stream.response_body("ab", true).unwrap();
    assert!(!stream.downstream().ended);
    drop(stream);

    let plugin = crate::support::plugin("response_body#1: return 3");
    let outcome = response(&["ab", "cd"]).run(&plugin).unwrap();
    assert_eq!(outcome.text(), "cd");
    assert!(outcome.is_complete());
}

#[test]
fn with_trailers_the_body_never_ends_and_they_let_go_what_is_held() {
    let plugin = holding_plugin(
        "response_headers: return 1\n\
         response_body: return 1\n\
         response_trailers: buf 1 0 99; setbuf 1 99 0 '+'; get 3 x-t; add 3 y-t 2; replace 2 x-h 1",
    );
    let mut exchange = response(&["ab", "cd"]);
    exchange.response.trailers = Some([("x-t", "1")].into());
    let outcome = exchange.run(&plugin).unwrap();
    assert_eq!(
        said(&plugin.host()),
        ["buf 0 abcd", "setbuf 0", "get 0 1", "add 0", "replace 0"]
    );
    assert_eq!(chunks(&outcome), ["abcd+"]);
    assert_eq!(outcome.downstream.header("x-h").as_deref(), Some("1"));
    assert_eq!(
        outcome.downstream.trailers,
        Some([("x-t", "1"), ("y-t", "2")].into())
    );
    assert!(
        !called(&plugin.host())
            .iter()
            .any(|call| call.starts_with("response_body") && call.ends_with(" 1"))
    );
}

#[test]
fn request_trailers_reach_the_upstream() {
    let plugin = plugin("request_trailers: add 1 y-t 2");
    let request = Message::post("/", "abc").with_trailers([("x-t", "1")]);
    let outcome = Exchange::new(request, Message::json(200, "{}"))
        .run(&plugin)
        .unwrap();
    assert_eq!(
        outcome.upstream.trailers,
        Some([("x-t", "1"), ("y-t", "2")].into())
    );
    assert_eq!(outcome.upstream.text(), "abc");
    assert!(outcome.upstream.ended);
}

#[test]
fn trailers_held_alone_are_let_go_by_continue() {
    let plugin = plugin(
        "response_trailers: return 1\nconfigure: tick 1000; return 1\n\
         tick: effective @; continue 1",
    );
    let mut stream = plugin.http();
    stream
        .request_headers(&Message::get("/").headers, true)
        .unwrap();
    stream
        .response_headers([(":status", "200")], false)
        .unwrap();
    stream.response_body("ab", false).unwrap();
    stream.response_trailers([("x-t", "1")]).unwrap();
    assert_eq!(stream.downstream().text(), "ab");
    assert!(!stream.downstream().ended);
    plugin.host().advance(std::time::Duration::from_secs(1));
    assert!(stream.downstream().is_complete());
    assert!(stream.downstream().trailers.is_some());
}

#[test]
fn a_body_held_since_headers_is_shown_once_they_are_continued() {
    let plugin = plugin(
        "request_headers: return 1\nconfigure: tick 1000; return 1\n\
         tick: effective @; continue 0\nrequest_body: buf 0 0 99",
    );
    let mut stream = plugin.http();
    stream
        .request_headers(&Message::post("/", "").headers, false)
        .unwrap();
    stream.request_body("ab", false).unwrap();
    stream.request_body("cd", true).unwrap();
    assert_eq!(stream.upstream().headers, None);
    plugin.host().advance(std::time::Duration::from_secs(1));
    assert!(said(&plugin.host()).contains(&"buf 0 abcd".to_owned()));
    assert!(stream.upstream().is_complete());
    assert_eq!(stream.upstream().text(), "abcd");
    // A second tick continues what is no longer held: nothing happens, and it is told.
    plugin.host().advance(std::time::Duration::from_secs(1));
    assert_eq!(stream.warnings().len(), 1);
}

#[test]
fn continue_after_a_paused_body_does_not_show_it_again() {
    let plugin = plugin(
        "request_body: return 1\nconfigure: tick 1000; return 1\ntick: effective @; continue 0",
    );
    let mut stream = plugin.http();
    stream
        .request_headers(&Message::post("/", "").headers, false)
        .unwrap();
    stream.request_body("ab", true).unwrap();
    plugin.host().advance(std::time::Duration::from_secs(1));
    assert_eq!(stream.upstream().text(), "ab");
    assert!(stream.upstream().is_complete());
    let bodies = called(&plugin.host())
        .iter()
        .filter(|call| call.starts_with("request_body"))
        .count();
    assert_eq!(bodies, 1);
}

#[test]
fn over_the_buffer_limit_a_request_is_413_and_a_response_500() {
    let chain = |script: &str| harness::Chain::from(&holding_plugin(script)).with_buffer_limit(4);
    let outcome = exchange().run(chain("request_body: return 1")).unwrap();
    assert_eq!(
        (outcome.status(), outcome.text().as_str()),
        (Some(413), "Payload Too Large")
    );
    let script = "response_headers: return 1\nresponse_body: return 1";
    let outcome = exchange().run(chain(script)).unwrap();
    assert_eq!(
        (outcome.status(), outcome.text().as_str()),
        (Some(500), "Internal Server Error")
    );
    // Headers were out: nothing but a cut is left.
    let outcome = exchange().run(chain("response_body: return 1")).unwrap();
    assert!(outcome.downstream.reset.is_some());
    assert_eq!(outcome.downstream.body(), b"");
    // At the limit is not over it.
    let outcome = response(&["ab", "cd"])
        .run(chain("response_body#1: return 1"))
        .unwrap();
    assert_eq!(outcome.text(), "abcd");
}

#[test]
fn a_wrong_content_length_is_a_problem() {
    let plugin = plugin("response_body#1: setbuf 1 0 99 longer-than-before");
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(
        outcome.problems,
        ["the response's content-length says 8 and its body has 18 bytes"]
    );
}

#[test]
fn events_in_an_impossible_order_are_refused() {
    let plugin = plugin("");
    let mut stream = plugin.http();
    assert!(stream.request_body("x", false).is_err());
    assert!(stream.response_headers([(":status", "200")], true).is_err());
    stream
        .request_headers(&Message::get("/").headers, true)
        .unwrap();
    assert!(
        stream
            .request_headers(&Message::get("/").headers, true)
            .is_err()
    );
    assert!(stream.request_body("x", false).is_err());
    stream
        .response_headers([(":status", "200")], false)
        .unwrap();
    stream.response_body("x", true).unwrap();
    assert!(stream.response_trailers([("a", "b")]).is_err());
}
