//! The direction of imports: who may depend on whom.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, TargetKind};
use e2e::checkout;

/// Areas of the host: they never import each other, the binary wires them.
const BINARY: &str = "conductor";

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command
        .manifest_path(checkout().join("Cargo.toml"))
        .no_deps();
    command.exec().expect("cargo metadata answers")
}

/// The folder of a package in the repository, with slashes.
fn folder(package: &Package) -> String {
    let root = checkout();
    let manifest = package.manifest_path.clone().into_std_path_buf();
    let folder = manifest.parent().expect("a manifest has a folder");
    let inside = folder
        .strip_prefix(&root)
        .expect("members are in the repository");
    inside.to_string_lossy().replace('\\', "/")
}

/// What a package depends on, tests and build scripts aside or not.
fn dependencies(package: &Package, development: bool) -> Vec<&str> {
    package
        .dependencies
        .iter()
        .filter(|d| development || d.kind != DependencyKind::Development)
        .map(|d| d.name.as_str())
        .collect()
}

/// Who names one of these crates, development included, must be in the list.
fn only(metadata: &Metadata, crates: &[&str], folders: &[&str]) {
    for package in &metadata.packages {
        for name in dependencies(package, true) {
            if crates.contains(&name) {
                let at = folder(package);
                assert!(
                    folders.contains(&at.as_str()),
                    "{at} must not depend on {name}"
                );
            }
        }
    }
    for folder in folders {
        assert!(
            checkout().join(folder).is_dir(),
            "{folder} is not there any more"
        );
    }
}

#[test]
fn imports_point_one_way() {
    let metadata = metadata();
    let members: BTreeMap<&str, String> = metadata
        .packages
        .iter()
        .map(|p| (p.name.as_str(), folder(p)))
        .collect();
    // The engine's hot parts are rooms of their own, which know nothing of the engine.
    let hot = |folder: &str| ["filters/rewriter", "filters/pseudonym"].contains(&folder);
    for package in &metadata.packages {
        let here = folder(package);
        for name in dependencies(package, false) {
            let Some(there) = members.get(name) else {
                continue;
            };
            let inside = |area: &str| here.starts_with(area);
            let below = |area: &str| there.starts_with(area);
            assert!(
                inside("tests/") || !below("tests/"),
                "{here} imports a test crate: {there}"
            );
            assert!(
                here != "filters/engine" || hot(there),
                "the engine imports {there}"
            );
            assert!(!hot(&here), "{here} imports {there}");
            assert!(
                !inside("filters/") || below("filters/"),
                "{here} imports {there}"
            );
            assert!(
                !inside("host/") || !below("filters/") || there == "filters/engine",
                "{here} imports the shell {there}"
            );
            assert!(
                !(inside("host/") && below("host/")) || package.name.as_str() == BINARY,
                "areas of the host do not import each other: {here} imports {there}"
            );
        }
        // Tests may reach across areas, but never below the engine, and nothing reaches tests.
        for name in dependencies(package, true) {
            let Some(there) = members.get(name) else {
                continue;
            };
            assert!(
                here != "filters/engine" || hot(there),
                "the engine's tests import {there}"
            );
            assert!(
                here.starts_with("tests/") || !there.starts_with("tests/"),
                "{here} imports a test crate: {there}"
            );
        }
    }
}

#[test]
fn heavy_crates_stay_in_their_rooms() {
    let metadata = metadata();
    only(
        &metadata,
        &["proxy-wasm"],
        &[
            "filters/guard",
            "filters/masking",
            "filters/residency",
            "filters/shell",
            "tests/copythrough",
            "tests/noop",
        ],
    );
    only(&metadata, &["regorus"], &["filters/engine"]);
    only(&metadata, &["sqlx"], &["host/store"]);
    only(
        &metadata,
        &["wasmtime", "wasmtime-wasi"],
        &["tests/harness"],
    );
}

#[test]
fn a_plain_cargo_run_starts_the_conductor() {
    let metadata = metadata();
    let defaults = metadata.workspace_default_packages();
    let binaries: Vec<&str> = defaults
        .iter()
        .flat_map(|p| &p.targets)
        .filter(|t| t.kind.contains(&TargetKind::Bin))
        .map(|t| t.name.as_str())
        .collect();
    assert_eq!(binaries, [BINARY]);
    // A shell can't be linked natively, so a plain `cargo test` must not try.
    for package in &metadata.packages {
        let wasm = package
            .targets
            .iter()
            .any(|t| t.kind.contains(&TargetKind::CDyLib));
        let default = defaults.iter().any(|d| d.id == package.id);
        assert!(!(wasm && default), "{} is for Wasm only", package.name);
    }
}

#[test]
fn one_room_knows_the_policy_interpreter() {
    let root = checkout().join("filters/engine/src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30);
    for file in files {
        let inside = file
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        let text = std::fs::read_to_string(&file).unwrap();
        let room = inside == "policy.rs" || inside.starts_with("policy/");
        assert!(
            room || !text.contains("regorus::"),
            "{inside} names the policy interpreter"
        );
    }
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}
