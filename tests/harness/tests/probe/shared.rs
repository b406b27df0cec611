//! Shared data, queues and metrics.

use crate::support::*;
use harness::{Host, VmOptions};

#[test]
fn shared_data_is_swapped_only_by_who_read_the_last_value() {
    let said = in_request_headers(
        "sget k; sset k one 0; sget k; sset k two 7; sset k two 1; sget k; sset k three 0; sget k; \
         sset other x 9; sset empty '' 0; sget empty",
    );
    assert_eq!(
        said,
        [
            "sget 1  0",
            "sset 0",
            "sget 0 one 1",
            "sset 8",
            "sset 0",
            "sget 0 two 2",
            "sset 0",
            "sget 0 three 3",
            "sset 0",
            "sset 0",
            "sget 0 - 5"
        ]
    );
}

#[test]
fn shared_data_is_shared_by_vms_of_one_id_and_process_only() {
    let host = Host::new();
    let vm = |id: &str, host: &Host| {
        vm(VmOptions {
            vm_id: id.into(),
            host: Some(host.clone()),
            ..Default::default()
        })
    };
    vm("a", &host)
        .plugin("configure: sset k v 0; return 1")
        .unwrap();
    vm("a", &host)
        .plugin("configure: sget k; return 1")
        .unwrap();
    vm("b", &host)
        .plugin("configure: sget k; return 1")
        .unwrap();
    assert_eq!(said(&host), ["sset 0", "sget 0 v 1", "sget 1  0"]);
    assert_eq!(host.shared_data("a", "k"), Some(b"v".to_vec()));
    let other = Host::new();
    vm("a", &other)
        .plugin("configure: sget k; return 1")
        .unwrap();
    assert_eq!(said(&other), ["sget 1  0"]);
}

#[test]
fn a_queue_tells_the_root_that_registered_it_and_yields_in_order() {
    let host = Host::new();
    let vm = |id: &str| {
        vm(VmOptions {
            vm_id: id.into(),
            host: Some(host.clone()),
            ..Default::default()
        })
    };
    let reader = vm("reader");
    reader
        .plugin("configure: qreg q; qreg q; deq 1; return 1\nqueue_ready: deq 1")
        .unwrap();
    let writer = vm("writer");
    writer
        .plugin(
            "configure: qres reader q; qres '' q; enq 1 one; enq 1 two; enq 9 x; deq 9; return 1",
        )
        .unwrap();
    assert_eq!(
        said(&host),
        [
            "qreg 0 1",
            "qreg 0 1",
            "deq 7",
            "qres 0 1",
            "qres 1",
            "enq 0",
            "enq 0",
            "enq 1",
            "deq 1",
            "deq 0 one",
            "deq 0 two"
        ]
    );
    assert_eq!(host.queue("reader", "q"), Some(vec![]));
    assert_eq!(host.queue("reader", "none"), None);
}

#[test]
fn metrics_of_three_kinds() {
    let plugin = plugin(
        "request_headers: mdef 0 hits; mdef 1 open; mdef 2 time; mdef 3 x; minc 4 2; minc 4 -1; minc 4 0; \
         mrec 4 5; mget 4; minc 9 3; minc 9 -1; mget 9; mrec 9 7; mget 9; mrec 14 10; mrec 14 20; \
         minc 14 1; mget 14; minc 99 1; mget 99; mrec 99 1; mdef 0 hits; mget 16",
    );
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(
        said(&plugin.host()),
        [
            "mdef 0 4",
            "mdef 0 9",
            "mdef 0 14",
            "mdef 2",
            "minc 0",
            "minc 2",
            "minc 2",
            "mrec 0",
            "mget 0 7",
            "minc 0",
            "minc 0",
            "mget 0 2",
            "mrec 0",
            "mget 0 7",
            "mrec 0",
            "mrec 0",
            "minc 2",
            "mget 2",
            "minc 1",
            "mget 1",
            "mrec 1",
            "mdef 0 16",
            "mget 0 7"
        ]
    );
    assert_eq!(outcome.metrics.counter("hits"), Some(7));
    assert_eq!(outcome.metrics.gauge("open"), Some(7));
    assert_eq!(outcome.metrics.histogram("time"), Some(&[10, 20][..]));
    assert_eq!(outcome.metrics.counter("open"), None);
    // An outcome has the difference, the host the sum. Definitions of a name share its value.
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(
        plugin.host().metrics().histogram("time").map(<[u64]>::len),
        Some(4)
    );
    assert_eq!(outcome.metrics.histogram("time"), Some(&[10, 20][..]));
}
