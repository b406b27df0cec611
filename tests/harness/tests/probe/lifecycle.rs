//! Starting, ticking, trapping, reloading, ending; time, randomness, environment, limits.

use crate::support::*;
use harness::{Error, FailurePolicy, PluginOptions, VmOptions};
use std::time::Duration;

#[test]
fn callbacks_of_a_life_come_in_order() {
    let vm = vm(VmOptions {
        configuration: b"for the vm".to_vec(),
        ..Default::default()
    });
    let one = vm.plugin("log: prop request/path").unwrap();
    let _two = vm
        .plugin("done: return 0\ntick: done\nconfigure: tick 10; return 1")
        .unwrap();
    exchange().run(&one).unwrap();
    assert!(!vm.shut_down());
    vm.host().advance(Duration::from_millis(10));
    let calls = called(&vm.host());
    let calls: Vec<&str> = calls
        .iter()
        .map(String::as_str)
        .filter(|call| !call.contains("_body"))
        .collect();
    assert_eq!(
        calls,
        [
            "context_create 1 0",
            "vm_start for the vm",
            "configure 22",
            "context_create 2 0",
            "configure 54",
            "context_create 3 1",
            "request_headers 6 0",
            "response_headers 3 0",
            "log",
            "done",
            "delete",
            "done",
            "delete",
            "done",
            "tick",
            "delete",
        ]
    );
    assert_eq!(said(&vm.host()), ["tick 0", "prop 0 /p", "done 0"]);
    assert!(vm.shut_down());
}

#[test]
fn a_refused_start_or_configuration_is_an_error_with_the_last_words() {
    let vm = vm(VmOptions {
        configuration: b"refuse".to_vec(),
        ..Default::default()
    });
    assert!(matches!(vm.plugin(""), Err(Error::StartRefused(_))));

    let vm = crate::support::vm(VmOptions::default());
    let good = vm.plugin("").unwrap();
    let error = vm
        .plugin("configure: log 4 'mode is wrong'; return 0")
        .err()
        .unwrap();
    assert!(matches!(error, Error::ConfigurationRefused(_)));
    // The plugins before it stay.
    assert_eq!(exchange().run(&good).unwrap().status(), Some(200));
}

#[test]
fn ticks_come_at_their_time_each_root_its_own() {
    let vm = vm(VmOptions::default());
    let _one = vm
        .plugin("configure: tick 1000; return 1\ntick: time")
        .unwrap();
    let _two = vm
        .plugin("configure: tick 1500; return 1\ntick#1: tick 0")
        .unwrap();
    vm.host().advance(Duration::from_millis(3_000));
    let ticks = called(&vm.host())
        .iter()
        .filter(|call| call.as_str() == "tick")
        .count();
    assert_eq!(ticks, 4);
    let times: Vec<String> = said(&vm.host())
        .into_iter()
        .filter(|line| line.starts_with("time"))
        .collect();
    let expected = |seconds: u64| format!("time 0 {}", (1_767_225_600 + seconds) * 1_000_000_000);
    assert_eq!(times, [expected(1), expected(2), expected(3)]);
    vm.host().tick();
    assert_eq!(
        called(&vm.host())
            .iter()
            .filter(|call| call.as_str() == "tick")
            .count(),
        5
    );
}

#[test]
fn a_trap_in_request_headers_is_503_for_it_and_for_every_plugin_of_the_vm() {
    let vm = vm(VmOptions::default());
    let bad = vm
        .plugin("request_headers: trap\nresponse_headers: add 2 x-seen 1")
        .unwrap();
    let good = vm.plugin("").unwrap();
    let outcome = exchange().run(&bad).unwrap();
    assert_eq!((outcome.status(), outcome.text().as_str()), (Some(503), ""));
    assert_eq!(outcome.local_replies[0].reply.details, "wasm_fail_stream");
    assert_eq!(outcome.upstream.headers, None);
    let trap = &outcome.traps[0];
    assert_eq!(trap.callback, "proxy_on_request_headers");
    assert!(trap.message.contains("unreachable"), "{}", trap.message);
    assert!(
        trap.backtrace.contains("proxy_on_request_headers"),
        "{}",
        trap.backtrace
    );
    assert_eq!(exchange().run(&good).unwrap().status(), Some(503));
    assert!(matches!(vm.plugin(""), Err(Error::VmFailed(_))));
}

#[test]
fn a_trap_later_is_503_while_nothing_was_sent_and_a_cut_afterwards() {
    for script in ["request_body: trap", "response_headers: trap"] {
        let outcome = exchange().run(&plugin(script)).unwrap();
        assert_eq!(outcome.status(), Some(503), "{script}");
        assert!(outcome.is_complete(), "{script}");
    }
    let outcome = exchange().run(&plugin("response_body#1: trap")).unwrap();
    assert_eq!(outcome.status(), Some(200));
    assert_eq!(outcome.downstream.body(), b"");
    assert!(outcome.downstream.reset.is_some());
    let held = holding_plugin("response_headers: return 1\nresponse_body: trap");
    let outcome = exchange().run(&held).unwrap();
    assert_eq!((outcome.status(), outcome.text().as_str()), (Some(503), ""));
}

#[test]
fn a_trap_in_the_log_callback_leaves_the_response_alone() {
    let plugin = plugin("log: trap");
    let outcome = exchange().run(&plugin).unwrap();
    assert!(outcome.is_complete());
    assert_eq!(outcome.traps.len(), 1);
    assert_eq!(exchange().run(&plugin).unwrap().status(), Some(503));
}

#[test]
fn fail_reload_recovers_at_the_next_stream_and_fail_open_lets_pass() {
    let with = |failure_policy| {
        vm(VmOptions {
            failure_policy,
            ..Default::default()
        })
    };
    let vm = with(FailurePolicy::Reload);
    let bad = vm.plugin("request_headers: trap").unwrap();
    let good = vm.plugin("configure: level; return 1").unwrap();
    assert_eq!(exchange().run(&bad).unwrap().status(), Some(503));
    assert!(vm.has_failed());
    let outcome = exchange().run(&good).unwrap();
    assert_eq!((outcome.status(), outcome.traps.len()), (Some(200), 0));
    assert!(!vm.has_failed());
    assert_eq!(said(&vm.host()).len(), 2, "configured twice");
    assert_eq!(exchange().run(&bad).unwrap().status(), Some(503));

    let plugin = with(FailurePolicy::Open)
        .plugin("request_headers: trap")
        .unwrap();
    for _ in 0..2 {
        let outcome = exchange().run(&plugin).unwrap();
        assert_eq!(
            (outcome.status(), outcome.text().as_str()),
            (Some(200), "response")
        );
    }
}

#[test]
fn a_reload_gives_up_what_the_old_instance_held() {
    let vm = vm(VmOptions::default());
    let plugin = vm.plugin("request_headers: return 1").unwrap();
    let mut held = plugin.http();
    held.request_headers([(":path", "/")], false).unwrap();
    vm.reload().unwrap();
    held.request_body("x", true).unwrap();
    drop(held);
    assert!(!called(&vm.host()).contains(&"delete".to_owned()));
    assert!(vm.figures().host_calls_of("proxy_log") > 0);
}

#[test]
fn an_endless_loop_and_too_much_memory_end() {
    let vm = vm(VmOptions {
        fuel_limit: 10_000_000,
        ..Default::default()
    });
    let plugin = vm.plugin("request_headers: spin").unwrap();
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(outcome.status(), Some(503));
    assert!(
        outcome.traps[0].message.contains("fuel"),
        "{}",
        outcome.traps[0].message
    );

    let memory_limit = 4 << 20;
    let vm = crate::support::vm(VmOptions {
        memory_limit,
        ..Default::default()
    });
    let plugin = vm.plugin("request_headers: grow 16; grow 1000").unwrap();
    let before = vm.figures();
    let outcome = exchange().run(&plugin).unwrap();
    assert_eq!(said(&plugin.host()), ["grow 0", "grow 1"]);
    assert_eq!(outcome.figures.memory, before.memory + (16 << 16));
    assert_eq!(outcome.figures.memory_peak, outcome.figures.memory);
}

#[test]
fn figures_count_fuel_and_host_calls_by_callback() {
    let plugin = plugin("request_headers: get 0 :path; get 0 :method");
    let outcome = exchange().run(&plugin).unwrap();
    let figures = &outcome.figures;
    assert_eq!(figures.host_calls_of("proxy_get_header_map_value"), 2);
    let headers = figures
        .callbacks
        .iter()
        .find(|own| own.name == "proxy_on_request_headers")
        .unwrap();
    // Two reads, their two log lines, and the line that names the callback.
    assert_eq!((headers.host_calls, headers.returned), (5, Some(0)));
    assert!(headers.fuel > 100 && figures.fuel_of("proxy_on_request_headers") == headers.fuel);
    let sum: u64 = figures.callbacks.iter().map(|own| own.fuel).sum();
    assert!(
        figures.fuel >= sum,
        "creating and deleting the context cost too"
    );
    // The same work costs the same.
    let again = exchange().run(&plugin).unwrap();
    assert_eq!(again.figures.host_calls, figures.host_calls);
}

#[test]
fn environment_time_and_files_are_what_the_test_gives() {
    let env = vec![("IG_MASK_KEYS".to_owned(), "k1".to_owned())];
    let vm = vm(VmOptions {
        env,
        ..Default::default()
    });
    vm.host().set_now(Duration::from_secs(7));
    let plugin = vm
        .plugin("request_headers: env IG_MASK_KEYS; env HOME; wasi_time; file /etc/passwd")
        .unwrap();
    exchange().run(&plugin).unwrap();
    let said = said(&plugin.host());
    assert_eq!(said[..3], ["env 0 k1", "env 0 -", "wasi_time 0 7"]);
    assert!(!said[3].contains("read"), "{}", said[3]);
}

#[test]
fn the_host_calls_a_function_of_the_guest() {
    let vm = vm(VmOptions::default());
    let plugin = vm
        .plugin("foreign_function: buf 8 0 99\nrequest_headers: buf 8 0 99")
        .unwrap();
    vm.call_guest_function(&plugin, 42, b"data");
    exchange().run(&plugin).unwrap();
    assert!(called(&vm.host()).contains(&"foreign_function 42 4".to_owned()));
    assert_eq!(said(&vm.host()), ["buf 0 data", "buf 0 -"]);
}

#[test]
fn configurations_are_read_while_configuring_only() {
    let plugin = plugin(
        "configure: configuration; buf 7 0 9; return 1\nrequest_headers: configuration; buf 7 0 9",
    );
    exchange().run(&plugin).unwrap();
    let said = said(&plugin.host());
    assert!(
        said[0].starts_with("configuration 0 configure: "),
        "{said:?}"
    );
    assert_eq!(said[1..], ["buf 0 configure", "configuration 0 -", "buf 1"]);
}

#[test]
fn a_plugin_knows_its_own_options() {
    let vm = vm(VmOptions {
        vm_id: "v".into(),
        ..Default::default()
    });
    let options = PluginOptions {
        name: "n".into(),
        root_id: "r".into(),
        ..Default::default()
    };
    let plugin = vm.plugin(options.clone()).unwrap();
    assert_eq!(plugin.options(), options);
    assert_eq!(plugin.root_context(), 1);
}
