//! Builds the SDK's examples in the target directory, once for all tests of the process.

use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PACKAGE: &str = "proxy-wasm-experimental";
const EXAMPLES: [&str; 5] = [
    "hello_world",
    "http_auth_random",
    "http_body",
    "http_config",
    "http_headers",
];

/// Versions of everything that the examples are built with.
const LOCK: &str = include_str!("examples.lock");

/// The bytes of an example's module.
pub fn example(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<HashMap<&'static str, Vec<u8>>> = OnceLock::new();
    BUILT.get_or_init(build)[name].clone()
}

fn build() -> HashMap<&'static str, Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sdk-examples");
    let members = EXAMPLES.map(|name| format!("{name:?}")).join(", ");
    write(
        &folder.join("Cargo.toml"),
        &format!("[workspace]\nresolver = \"2\"\nmembers = [{members}]\n"),
    );
    write(&folder.join("Cargo.lock"), LOCK);
    for name in EXAMPLES {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2018\"\n\n\
             [lib]\ncrate-type = [\"cdylib\"]\n\n[dependencies]\n{PACKAGE} = \"=0.0.8\"\n\
             log = \"0.4\"\nchrono = \"0.4\"\nbstr = \"0.2\"\ncfg-if = \"1\"\ngetrandom = \"0.2\"\n"
        );
        write(&folder.join(name).join("Cargo.toml"), &manifest);
        let source = folder.join(name).join("src/lib.rs");
        if !source.exists() {
            write(&source, "");
        }
    }
    let examples = sources(&folder).join("examples");
    for name in EXAMPLES {
        let file = examples.join(name).with_extension("rs");
        let source = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("could not read {}: {error}", file.display()));
        write(&folder.join(name).join("src/lib.rs"), &source);
    }
    let target = folder.join("target");
    artifacts::checkout(&folder)
        .and_then(|checkout| artifacts::ensure_target(&checkout))
        .unwrap_or_else(|error| panic!("{error}"));
    let mut build = cargo(&folder);
    build.args([
        "build",
        "--release",
        "--locked",
        "--target",
        "wasm32-wasip1",
        "--target-dir",
    ]);
    run(build.arg(&target));
    let module = |name: &'static str| {
        let file = target
            .join("wasm32-wasip1/release")
            .join(name)
            .with_extension("wasm");
        (
            name,
            fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())),
        )
    };
    EXAMPLES.into_iter().map(module).collect()
}

/// Where the registry's copy of the package is.
fn sources(folder: &Path) -> PathBuf {
    let metadata = run(cargo(folder).args(["metadata", "--locked", "--format-version", "1"]));
    let metadata: Value = serde_json::from_slice(&metadata).expect("metadata of cargo is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages
        .iter()
        .find(|package| package["name"] == PACKAGE)
        .expect(PACKAGE);
    let manifest = Path::new(package["manifest_path"].as_str().expect("manifest_path"));
    manifest
        .parent()
        .expect("a manifest lies in a folder")
        .to_owned()
}

fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder);
    // What a coverage or lint run sets for this workspace is not meant for the examples.
    for variable in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(variable);
    }
    cargo
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{errors}");
    output.stdout
}

/// Writes a file unless it holds that already, so that cargo does not build anew.
fn write(file: &Path, content: &str) {
    if fs::read_to_string(file).is_ok_and(|own| own == content) {
        return;
    }
    fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("folder");
    fs::write(file, content).expect("file");
}
