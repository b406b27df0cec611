//! The demo checks itself, on real Envoys: by every way that configuration and code can take.

use std::process::Command;

use serde_json::Value;

/// One after the other: a demo has checks that look at the time.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn demo(args: &[&str]) {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let output = Command::new(env!("CARGO_BIN_EXE_conductor"))
        .args(["demo", "--check", "--json"])
        .args(args)
        .output()
        .expect("the conductor starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    let checks: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}\n{log}"));
    let failed: Vec<&Value> = checks.iter().filter(|c| c["passed"] != true).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(checks.len() >= 114, "only {} checks ran", checks.len());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn over_delta_with_code_from_a_file() {
    demo(&["--xds", "delta", "--delivery", "path"]);
}

#[test]
fn over_state_of_the_world_with_code_by_http() {
    demo(&["--xds", "sotw", "--delivery", "http"]);
}
