//! Modules that Envoy would not load.

use crate::support::*;
use harness::{AbiVersion, Error, Vm, VmOptions, check_imports};

fn load(text: &str) -> Result<Vm, Error> {
    Vm::load(&wat::parse_str(text).unwrap(), VmOptions::default())
}

const ABI: &str = r#"(func (export "proxy_abi_version_0_2_0"))"#;
const MEMORY: &str = r#"(memory (export "memory") 1)"#;
const MALLOC: &str = r#"(func (export "malloc") (param i32) (result i32) (i32.const 1024))"#;

#[test]
fn an_import_that_envoy_does_not_offer_is_named() {
    for import in [
        r#"(import "env" "proxy_dispatch_http_call" (func))"#,
        r#"(import "wasi_snapshot_preview1" "sock_accept" (func))"#,
        r#"(import "other" "proxy_log" (func))"#,
        r#"(import "env" "proxy_log" (global i32))"#,
    ] {
        let error = load(&format!("(module {import} {ABI} {MEMORY} {MALLOC})"))
            .err()
            .unwrap();
        let name = import.split('"').nth(3).unwrap();
        assert!(matches!(error, Error::ForbiddenImport { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn an_import_with_another_signature_does_not_link() {
    let import = r#"(import "env" "proxy_log" (func (param i64)))"#;
    let error = load(&format!("(module {import} {ABI} {MEMORY} {MALLOC})"))
        .err()
        .unwrap();
    assert!(matches!(error, Error::Instantiate(_)));
    assert!(error.chain().contains("proxy_log"), "{}", error.chain());
}

#[test]
fn what_a_module_must_export_is_named() {
    assert!(matches!(
        load(&format!("(module {MEMORY} {MALLOC})")),
        Err(Error::NoAbiVersion)
    ));
    assert!(matches!(
        load(&format!("(module {ABI} {MALLOC})")),
        Err(Error::MissingExport("memory"))
    ));
    assert!(matches!(
        load(&format!("(module {ABI} {MEMORY})")),
        Err(Error::MissingExport(_))
    ));
    let wrong = r#"(func (export "proxy_on_tick") (param i32 i32))"#;
    let error = load(&format!("(module {ABI} {MEMORY} {MALLOC} {wrong})"))
        .err()
        .unwrap();
    let message = "the export `proxy_on_tick` takes 2 parameters and the ABI has 1";
    assert_eq!(error.to_string(), message);
    assert!(matches!(
        Vm::load(b"nonsense", VmOptions::default()),
        Err(Error::Compile(_))
    ));
}

#[test]
fn a_trap_while_starting_is_an_error_with_its_place() {
    let start = r#"(func $broken (export "_initialize") (unreachable))"#;
    let error = load(&format!("(module {ABI} {MEMORY} {MALLOC} {start})"))
        .err()
        .unwrap();
    let Error::Trapped {
        callback,
        backtrace,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((callback, backtrace.as_str()), ("_initialize", "broken"));
}

#[test]
fn initialize_and_main_or_else_start_run_once() {
    // Each sets a byte that `proxy_on_configure` returns the sum of.
    let module = |exports: &str| {
        let configure = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
            (i32.load8_u (i32.const 0)))"#;
        let add = r#"(func $add (param i32) (i32.store8 (i32.const 0)
            (i32.add (i32.load8_u (i32.const 0)) (local.get 0))))"#;
        load(&format!(
            "(module {ABI} {MEMORY} {MALLOC} {configure} {add} {exports})"
        ))
        .unwrap()
    };
    let initialize = r#"(func (export "_initialize") (call $add (i32.const 1)))"#;
    let main = r#"(func (export "main") (param i32 i32) (result i32)
        (call $add (i32.const 255)) (i32.const 0))"#;
    let start = r#"(func (export "_start") (call $add (i32.const 255)))"#;
    // 1 + 255 is 0 in a byte: refused.
    assert!(module(initialize).plugin("").is_ok());
    assert!(module(&format!("{initialize}{main}")).plugin("").is_err());
    assert!(module(start).plugin("").is_ok());
    assert!(
        module(&format!("{initialize}{start}")).plugin("").is_ok(),
        "_start ran as well"
    );
    assert!(
        module(main).plugin("").is_err(),
        "main does not run without _initialize"
    );
}

#[test]
fn version_0_1_0_has_shorter_callbacks_and_softer_maps() {
    let vm = load(&format!(
        r#"(module
            (import "env" "proxy_get_header_map_value"
                (func $get (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_add_header_map_value"
                (func $add (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_send_local_response"
                (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (func (export "proxy_abi_version_0_1_0")) {MEMORY} {MALLOC}
            (data (i32.const 64) "missing")
            (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
                (drop (call $add (i32.const 0) (i32.const 64) (i32.const 7) (i32.const 64) (i32.const 1)))
                ;; 200 and the status of asking for a header that is not there
                (drop (call $reply
                    (i32.add (i32.const 200) (call $get (i32.const 0) (i32.const 64) (i32.const 6)
                        (i32.const 128) (i32.const 132)))
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const -1)))
                (i32.const 0)))"#
    ))
    .unwrap();
    assert_eq!(vm.imports().abi, AbiVersion::V0_1_0);
    let outcome = exchange().run(&vm.plugin("").unwrap()).unwrap();
    assert_eq!(outcome.status(), Some(200));
    assert_eq!(outcome.info.route_cache_clears, 1);
}

#[test]
fn the_probe_imports_every_call_that_a_filter_of_today_can_make() {
    let report = check_imports(probe()).unwrap();
    assert_eq!(report.abi, AbiVersion::V0_2_1);
    let missing: Vec<_> = harness::ENV_IMPORTS
        .iter()
        .filter(|name| !report.env.iter().any(|own| own == *name))
        .collect();
    assert_eq!(missing, [&""; 0], "host calls that no test makes");
}
