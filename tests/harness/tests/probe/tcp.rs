//! TCP connections.

use crate::support::*;
use harness::PeerType;
use std::time::Duration;

#[test]
fn a_filter_reads_first_bytes_chooses_and_lets_go() {
    let plugin = plugin(
        "new_connection: return 1\n\
         downstream_data#1: buf 2 0 99; return 1\n\
         downstream_data#2: buf 2 0 99; setbuf 2 0 99 NEW; setprop chosen eu",
    );
    let mut tcp = plugin.tcp();
    assert!(!tcp.upstream_chosen());
    tcp.from_client("ab", false);
    assert_eq!(tcp.upstream(), (vec![], false));
    tcp.from_client("cd", false);
    assert!(tcp.upstream_chosen());
    assert_eq!(tcp.upstream(), (b"NEW".to_vec(), false));
    assert_eq!(tcp.info().wasm_state("chosen"), Some(&b"eu"[..]));
    tcp.from_client("ef", true);
    assert_eq!(tcp.upstream(), (b"NEWef".to_vec(), true));
    assert_eq!(
        said(&plugin.host()),
        ["buf 0 ab", "buf 0 abcd", "setbuf 0", "setprop 0"]
    );
}

#[test]
fn bytes_of_the_upstream_are_changed_on_their_way() {
    let plugin =
        plugin("upstream_data: buf 3 0 99; setbuf 3 0 99 denied; buf 2 0 9; setbuf 2 0 0 x");
    let mut tcp = plugin.tcp();
    tcp.from_upstream("hello", true);
    assert_eq!(tcp.downstream(), (b"denied".to_vec(), true));
    tcp.close(PeerType::Remote);
    assert_eq!(
        said(&plugin.host()),
        ["buf 0 hello", "setbuf 0", "buf 0 -", "setbuf 2"]
    );
    assert_eq!(
        stream_calls(&plugin.host()),
        [
            "new_connection",
            "upstream_data 5 1",
            "upstream_close 0",
            "downstream_close 2"
        ]
    );
    let calls = called(&plugin.host());
    assert_eq!(calls[calls.len() - 3..], ["log", "done", "delete"]);
}

#[test]
fn closing_continuing_and_trapping() {
    let closing = plugin("downstream_data: close 2");
    let mut tcp = closing.tcp();
    tcp.from_client("x", false);
    assert!(tcp.closed_by_filter());
    drop(tcp);

    let waiting = plugin(
        "downstream_data: return 1\nconfigure: tick 5; return 1\ntick: effective @; continue 2; continue 3",
    );
    let mut tcp = waiting.tcp();
    tcp.from_client("x", true);
    assert_eq!(tcp.upstream(), (vec![], false));
    waiting.host().advance(Duration::from_millis(5));
    assert_eq!(tcp.upstream(), (b"x".to_vec(), true));
    assert_eq!(
        said(&waiting.host())[1..],
        ["effective 0", "continue 0", "continue 12"]
    );
    drop(tcp);

    let trapping = plugin("downstream_data: trap");
    let mut tcp = trapping.tcp();
    tcp.from_client("secret", false);
    assert!(tcp.closed_by_filter());
    assert_eq!(tcp.upstream(), (vec![], false));
    assert!(
        trapping.tcp().closed_by_filter(),
        "later connections are closed at once"
    );
}

#[test]
fn http_calls_on_a_connection_do_nothing() {
    let plugin = plugin("downstream_data: reply 403 x ''; get 0 :path; buf 0 0 9; continue 0");
    let mut tcp = plugin.tcp();
    tcp.from_client("x", false);
    assert_eq!(
        said(&plugin.host()),
        ["reply 0", "get 2", "buf 1", "continue 0"]
    );
}
