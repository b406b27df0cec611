//! Header maps, buffers, memory.

use crate::support::*;
use harness::{Exchange, Message};

#[test]
fn header_values_are_read_added_replaced_and_removed() {
    let plugin = plugin(
        "request_headers: size 0; get 0 X-One; add 0 x-one 2; get 0 x-one; get 0 none; \
         replace 0 x-one 3; replace 0 x-two 4; remove 0 content-type; remove 0 none; add 0 Upper e",
    );
    let request = Message::new([(":method", "GET"), ("content-type", "a"), ("x-one", "1")]);
    let outcome = Exchange::new(request, Message::json(200, "{}"))
        .run(&plugin)
        .unwrap();
    assert_eq!(
        said(&plugin.host()),
        [
            "size 0 29",
            "get 0 1",
            "add 0",
            "get 0 1",
            "get 1",
            "replace 0",
            "replace 0",
            "remove 0",
            "remove 0",
            "add 0"
        ]
    );
    let expected = [
        (":method", "GET"),
        ("x-one", "3"),
        ("x-two", "4"),
        ("upper", "e"),
    ];
    assert_eq!(outcome.upstream.headers, Some(expected.into()));
}

#[test]
fn all_pairs_are_read_and_replaced_at_once() {
    let plugin = plugin("request_headers: pairs 0; badpairs 0; setpairs 0 ':method=PUT,a=1,a=2'");
    let request = Message::new([(":method", "GET"), ("b", "")]);
    let outcome = Exchange::new(request, Message::json(200, "{}"))
        .run(&plugin)
        .unwrap();
    let raw = "\\02\\00\\00\\00\\07\\00\\00\\00\\03\\00\\00\\00\\01\\00\\00\\00\\00\\00\\00\\00\
               :method\\00GET\\00b\\00\\00";
    assert_eq!(
        said(&plugin.host()),
        [&format!("pairs 0 {raw}"), "badpairs 2", "setpairs 0"]
    );
    let expected = [(":method", "PUT"), ("a", "1"), ("a", "2")];
    assert_eq!(outcome.upstream.headers, Some(expected.into()));
}

#[test]
fn maps_that_are_not_there_are_bad_arguments_or_empty() {
    let said = in_request_headers(
        "get 2 :status; pairs 2; size 3; add 1 a b; get 6 a; pairs 7; get 9 a; pairs -1",
    );
    let expected = [
        "get 2",
        "pairs 0 -",
        "size 2",
        "add 2",
        "get 2",
        "pairs 0 -",
        "get 2",
        "pairs 2",
    ];
    assert_eq!(said, expected);
}

#[test]
fn the_log_callback_reads_headers_of_both_ways_and_cannot_change_them() {
    let plugin =
        plugin("log: get 0 :path; get 2 :status; get 3 x-t; get 1 x-t; size 0; replace 2 a b");
    let mut exchange = exchange();
    exchange.response.trailers = Some([("x-t", "1")].into());
    exchange.run(&plugin).unwrap();
    assert_eq!(
        said(&plugin.host()),
        [
            "get 0 /p",
            "get 0 200",
            "get 0 1",
            "get 1",
            "size 2",
            "replace 2"
        ]
    );
}

#[test]
fn a_body_is_read_in_parts_and_changed_in_the_three_ways_that_envoy_has() {
    let plugin = plugin(
        "request_body#1: bufstatus 0; buf 0 0 3; buf 0 4 99; buf 0 7 1; buf 0 -1 -1; \
         setbuf 0 1 2 X; setbuf 0 0 2 X; setbuf 0 0 0 '<'; setbuf 0 99 0 '>'; buf 0 0 99; \
         setbuf 0 0 99 new; buf 1 0 9; bufstatus 1; setbuf 1 0 0 x; setbuf 7 0 0 x; setbuf 99 0 0 x",
    );
    let mut exchange = exchange();
    exchange.request.headers.remove("content-length");
    let outcome = exchange.run(&plugin).unwrap();
    assert_eq!(
        said(&plugin.host()),
        [
            "bufstatus 0 7 0",
            "buf 0 req",
            "buf 0 est",
            "buf 0 -",
            "buf 0 -",
            "setbuf 2",
            "setbuf 2",
            "setbuf 0",
            "setbuf 0",
            "buf 0 <request>",
            "setbuf 0",
            "buf 0 -",
            "bufstatus 0 0 0",
            "setbuf 2",
            "setbuf 2",
            "setbuf 2"
        ]
    );
    assert_eq!(outcome.upstream.text(), "new");
}

#[test]
fn buffers_of_another_kind_are_not_found() {
    let said =
        in_request_headers("buf 2 0 9; buf 4 0 9; buf 7 0 9; buf 8 0 9; buf 9 0 9; buf 6 0 9");
    assert_eq!(
        said,
        ["buf 1", "buf 1", "buf 1", "buf 0 -", "buf 2", "buf 0 -"]
    );
}

#[test]
fn a_pointer_outside_of_memory_is_a_status() {
    assert_eq!(in_request_headers("outside"), ["outside 6"]);
}

#[test]
fn levels_beyond_the_abi_are_refused_and_low_ones_are_dropped() {
    let plugin =
        plugin("request_headers: level; log 9 x; log 2 low; log 3 high; print '1 2'; complain no");
    plugin.host().set_log_level(harness::LogLevel::Warn);
    exchange().run(&plugin).unwrap();
    let lines: Vec<String> = plugin
        .host()
        .logs()
        .iter()
        .map(ToString::to_string)
        .collect();
    let lines: Vec<&str> = lines
        .iter()
        .skip_while(|line| !line.contains("high"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        lines,
        [
            "warn  vm/plugin #2: high",
            "error vm/plugin #2: no",
            "error vm/plugin #2: "
        ]
    );

    // The standard library writes the end of the line by itself: a line of its own in the log.
    let said = in_request_headers("level; log 9 x; print '1 2'; complain no");
    assert_eq!(said, ["level 0 0", "log 2", "1 2", "no", ""]);
}
