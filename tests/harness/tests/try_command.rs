//! The example `try`: what it prints and how it exits.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The example's binary. `cargo test` builds it unless it is told to build one test only.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("this test's path");
        let profile = test
            .parent()
            .and_then(Path::parent)
            .expect("a target directory");
        let binary = profile
            .join("examples/try")
            .with_extension(std::env::consts::EXE_EXTENSION);
        if !binary.exists() {
            let target = profile.parent().expect("a target directory");
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args([
                "build",
                "-q",
                "-p",
                "harness",
                "--example",
                "try",
                "--target-dir",
            ]);
            assert!(cargo.arg(target).status().expect("cargo runs").success());
        }
        binary
    })
}

/// A filter in text form: answers `/deny` by itself, traps at `/trap`, logs the rest.
const FILTER: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_property" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "request\00path") (data (i32.const 16) "denied") (data (i32.const 32) "seen")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $buffer (i32.const 7) (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 68)))
        ;; A configuration that begins with an opening brace is good.
        (i32.eq (i32.load8_u (i32.load (i32.const 64))) (i32.const 123)))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (local $letter i32)
        (drop (call $property (i32.const 0) (i32.const 12) (i32.const 64) (i32.const 68)))
        (drop (call $log (i32.const 2) (i32.load (i32.const 64)) (i32.load (i32.const 68))))
        (drop (call $set (i32.const 32) (i32.const 4) (i32.load (i32.const 64)) (i32.load (i32.const 68))))
        (local.set $letter (i32.load8_u offset=1 (i32.load (i32.const 64))))
        (if (i32.eq (local.get $letter) (i32.const 116)) (then unreachable))
        (if (i32.eq (local.get $letter) (i32.const 104)) (then (return (i32.const 1))))
        (if (i32.eq (local.get $letter) (i32.const 100)) (then
            (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 6)
                (i32.const 0) (i32.const 0) (i32.const -1)))))
        (i32.const 0)))"#;

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new(path: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).expect("a file");
        };
        write("filter.wasm", &wat::parse_str(FILTER).expect("a module"));
        write("good.json", b"{}");
        write("bad.json", b"no");
        let exchange = serde_json::json!({
            "filters": [{"wasm": "filter.wasm", "config": "good.json"}],
            "request": {"method": "GET", "path": path},
            "response": {"status": 200, "body": [1, 2], "split_every": 2},
        });
        write("exchange.json", exchange.to_string().as_bytes());
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("try runs")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn it_prints_what_came_out_was_forwarded_logged_and_spent() {
    let output = Case::new("/ok").run(&["exchange.json"]);
    let printed = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{printed}{}",
        text(&output.stderr)
    );
    for part in [
        "client received\n  :status: 200",
        "[1,2]",
        "upstream received\n  :method: GET",
        "log\n  info  filter/filter #2: /ok",
        "filter state\n  wasm.seen = /ok",
        "filter 0 proxy_on_request_headers: ",
        "proxy_get_property × 1",
        "memory 64 KiB",
    ] {
        assert!(printed.contains(part), "{part} is missing in\n{printed}");
    }
}

#[test]
fn json_is_for_programs() {
    let output = Case::new("/deny").run(&["--json", "exchange.json"]);
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(printed["downstream"]["status"], 403);
    assert_eq!(printed["downstream"]["body"], "denied");
    assert_eq!(printed["upstream"]["headers"], Value::Null);
    assert_eq!(printed["local_replies"][0]["path"], "ThroughFilters");
    assert!(printed["cost"]["fuel"].as_u64() > Some(0));
}

#[test]
fn a_trap_and_a_hang_exit_with_1() {
    let output = Case::new("/trap").run(&["exchange.json"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    assert!(
        printed.contains("traps\n  filter in proxy_on_request_headers: "),
        "{printed}"
    );

    let output = Case::new("/hang").run(&["exchange.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("a filter holds the request's headers"));
}

#[test]
fn what_is_wrong_with_the_files_exits_with_2_and_names_the_place() {
    let case = Case::new("/ok");
    for (arguments, part) in [
        (&["none.json"][..], "could not read none.json"),
        (&["good.json"], "missing field `request` at line 1"),
        (
            &["--filter", "none.wasm", "exchange.json"],
            "could not read none.wasm",
        ),
        (
            &["--filter", "good.json", "exchange.json"],
            "could not compile",
        ),
        (
            &[
                "--filter",
                "filter.wasm",
                "--config",
                "bad.json",
                "exchange.json",
            ],
            "refused its configuration",
        ),
        (
            &["--config", "good.json", "exchange.json"],
            "`--config` needs `--filter`",
        ),
        (&["--env", "NAME", "exchange.json"], "NAME=VALUE"),
        (&[], "Usage"),
    ] {
        let output = case.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let errors = text(&output.stderr);
        assert!(errors.contains(part), "{part} is missing in\n{errors}");
    }
    let output = case.run(&[
        "--filter",
        "filter.wasm",
        "--config",
        "good.json",
        "exchange.json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
