//! Several filters in one exchange.

use crate::support::*;
use harness::{Chain, FailurePolicy, Host, Plugin, PluginOptions, ReplyPath, VmOptions};

fn plugins(scripts: &[&str], failure_policy: FailurePolicy) -> (Host, Vec<Plugin>) {
    let host = Host::new();
    let make = |(index, script): (usize, &&str)| {
        let vm_id = format!("vm{index}");
        let options = VmOptions {
            vm_id,
            host: Some(host.clone()),
            failure_policy,
            ..Default::default()
        };
        let allow_on_headers_stop_iteration = true;
        let plugin = PluginOptions {
            allow_on_headers_stop_iteration,
            ..(*script).into()
        };
        vm(options).plugin(plugin).unwrap()
    };
    let plugins = scripts.iter().enumerate().map(make).collect();
    (host, plugins)
}

fn order(host: &Host, what: &str) -> Vec<String> {
    let lines = host.logs();
    let lines = lines
        .iter()
        .filter(|line| line.message.starts_with(&format!("> {what}")));
    lines.map(|line| line.vm_id.clone()).collect()
}

#[test]
fn requests_pass_forward_and_responses_backward() {
    let (host, plugins) = plugins(
        &[
            "request_headers: add 0 x a\nresponse_headers: add 2 y a",
            "request_headers: get 0 x; add 0 x b\nresponse_headers: add 2 y b",
        ],
        FailurePolicy::Closed,
    );
    let outcome = exchange().run(Chain::new(&plugins)).unwrap();
    assert_eq!(outcome.upstream.headers.unwrap().get_all("x"), ["a", "b"]);
    assert_eq!(outcome.downstream.headers.unwrap().get_all("y"), ["b", "a"]);
    assert_eq!(order(&host, "request_headers"), ["vm0", "vm1"]);
    assert_eq!(order(&host, "response_headers"), ["vm1", "vm0"]);
    assert_eq!(order(&host, "log"), ["vm0", "vm1"]);
    let filters: Vec<usize> = outcome
        .figures
        .callbacks
        .iter()
        .map(|own| own.filter)
        .collect();
    assert_eq!(filters[..2], [0, 1]);
}

#[test]
fn a_filter_that_denies_keeps_later_ones_out_of_request_and_response() {
    let (host, plugins) = plugins(
        &["request_headers: reply 403 no ''", ""],
        FailurePolicy::Closed,
    );
    let outcome = exchange().run(Chain::new(&plugins)).unwrap();
    assert_eq!(outcome.status(), Some(403));
    assert_eq!(outcome.local_replies[0].path, ReplyPath::ThroughFilters);
    assert_eq!(order(&host, "request_headers"), ["vm0"]);
    assert_eq!(order(&host, "response_headers"), ["vm0"]);
    // Every filter logs, as in Envoy.
    assert_eq!(order(&host, "log"), ["vm0", "vm1"]);
}

#[test]
fn the_later_filter_denies_and_the_earlier_one_sees_the_reply() {
    let (host, plugins) = plugins(
        &[
            "response_headers: add 2 x-seen 1",
            "request_headers: reply 403 no ''",
        ],
        FailurePolicy::Closed,
    );
    let outcome = exchange().run(Chain::new(&plugins)).unwrap();
    assert_eq!(outcome.downstream.header("x-seen").as_deref(), Some("1"));
    assert_eq!(order(&host, "response_headers"), ["vm1", "vm0"]);
    assert_eq!(outcome.upstream.headers, None);
}

#[test]
fn what_one_filter_holds_the_next_one_gets_changed_and_whole() {
    let (_, plugins) = plugins(
        &[
            "response_headers: return 1\nresponse_body#1: return 1\nresponse_body#2: setbuf 1 99 0 '!'",
            "response_body#1: setbuf 1 0 99 XY\nresponse_headers: return 1",
        ],
        FailurePolicy::Closed,
    );
    let mut exchange = exchange();
    exchange.response.headers.remove("content-length");
    exchange.response.chunks = vec![b"ab".to_vec(), b"cd".to_vec()];
    let outcome = exchange.run(Chain::new(&plugins)).unwrap();
    assert_eq!(outcome.text(), "XYcd!");
    assert!(outcome.is_complete());
    assert_eq!(outcome.problems, [""; 0]);
}

#[test]
fn a_trap_of_one_vm_leaves_the_other_vms_alone() {
    let (_, plugins) = plugins(&["", "request_headers: trap"], FailurePolicy::Closed);
    assert_eq!(
        exchange().run(Chain::new(&plugins)).unwrap().status(),
        Some(503)
    );
    assert!(!plugins[0].vm().has_failed());
    assert_eq!(exchange().run(&plugins[0]).unwrap().status(), Some(200));
    assert_eq!(exchange().run(&plugins[1]).unwrap().status(), Some(503));
}

#[test]
fn a_trap_on_the_way_of_anothers_reply_is_503_and_not_that_reply() {
    let (_, plugins) = plugins(
        &["response_headers: trap", "request_headers: reply 403 no ''"],
        FailurePolicy::Closed,
    );
    let outcome = exchange().run(Chain::new(&plugins)).unwrap();
    assert_eq!((outcome.status(), outcome.text().as_str()), (Some(503), ""));
    assert_eq!(outcome.local_replies[1].path, ReplyPath::Direct);
}

#[test]
fn two_plugins_of_one_vm_in_one_chain() {
    let vm = vm(VmOptions::default());
    let one = vm.plugin("request_headers: add 0 x a").unwrap();
    let two = vm.plugin("request_headers: add 0 x b").unwrap();
    let outcome = exchange().run(Chain::new([&one, &two])).unwrap();
    assert_eq!(outcome.upstream.headers.unwrap().get_all("x"), ["a", "b"]);
    assert_eq!(
        outcome.figures.memory,
        vm.figures().memory,
        "one VM is counted once"
    );
}

#[test]
#[should_panic(expected = "one host")]
fn plugins_of_different_hosts_are_no_chain() {
    Chain::new([&plugin(""), &plugin("")]);
}
