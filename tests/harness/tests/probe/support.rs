//! Building the probe and reading what it logged.

use harness::{Exchange, Host, LogLevel, Message, Plugin, PluginOptions, Vm, VmOptions};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The probe's module, built once a process.
pub fn probe() -> &'static [u8] {
    static PROBE: OnceLock<Vec<u8>> = OnceLock::new();
    PROBE.get_or_init(|| {
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/probe/guest.rs");
        let module = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("probe.wasm");
        artifacts::checkout(&source)
            .and_then(|checkout| artifacts::ensure_target(&checkout))
            .unwrap_or_else(|error| panic!("{error}"));
        // The compiler that built this test: of the toolchain that the repository names.
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let output = Command::new(rustc)
            .args([
                "--edition",
                "2024",
                "--target",
                "wasm32-wasip1",
                "--crate-type",
                "cdylib",
            ])
            .args(["--crate-name", "probe", "-O", "-C", "strip=debuginfo"])
            .arg(&source)
            .arg("-o")
            .arg(&module)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("rustc runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the probe does not compile:\n{errors}"
        );
        std::fs::read(&module).expect("the probe's module")
    })
}

pub fn vm(options: VmOptions) -> Vm {
    Vm::load(probe(), options).unwrap_or_else(|error| panic!("{}", error.chain()))
}

pub fn plugin(script: &str) -> Plugin {
    vm(VmOptions::default())
        .plugin(script)
        .unwrap_or_else(|error| panic!("{}", error.chain()))
}

/// A plugin whose headers can be held while its body passes.
pub fn holding_plugin(script: &str) -> Plugin {
    let options = PluginOptions {
        allow_on_headers_stop_iteration: true,
        ..script.into()
    };
    vm(VmOptions::default())
        .plugin(options)
        .unwrap_or_else(|error| panic!("{}", error.chain()))
}

/// What steps logged.
pub fn said(host: &Host) -> Vec<String> {
    lines(host, |level| level != LogLevel::Trace)
}

/// Which callbacks happened.
pub fn called(host: &Host) -> Vec<String> {
    let lines = lines(host, |level| level == LogLevel::Trace);
    lines
        .into_iter()
        .filter_map(|line| line.strip_prefix("> ").map(str::to_owned))
        .collect()
}

fn lines(host: &Host, keep: impl Fn(LogLevel) -> bool) -> Vec<String> {
    let lines = host.logs().into_iter().filter(|line| keep(line.level));
    lines.map(|line| line.message).collect()
}

/// The callbacks of streams, without those that every stream has.
pub fn stream_calls(host: &Host) -> Vec<String> {
    let noise = [
        "context_create",
        "vm_start",
        "configure",
        "log",
        "done",
        "delete",
    ];
    let calls = called(host);
    calls
        .into_iter()
        .filter(|call| !noise.contains(&call.split(' ').next().unwrap_or("")))
        .collect()
}

pub fn exchange() -> Exchange {
    Exchange::new(
        Message::post("/p", "request"),
        Message::json(200, "response"),
    )
}

/// Runs one step in request headers and says what it logged.
pub fn in_request_headers(steps: &str) -> Vec<String> {
    let plugin = plugin(&format!("request_headers: {steps}"));
    exchange().run(&plugin).unwrap();
    said(&plugin.host())
}
