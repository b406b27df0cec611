//! Probes on real Envoys: proofs that anybody can check, and a region that is lost.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn conductor(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conductor"))
        .args(args)
        .output()
        .expect("the conductor starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks a folder; what it says.
fn verify(folder: &Path) -> (i32, String) {
    let output = conductor(&["proofs", "verify", &folder.display().to_string()]);
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().expect("an exit code"), said)
}

const TENANTS: [&str; 6] = ["acme", "globex", "hooli", "initech", "umbrella", "wonka"];

#[test]
fn proofs_that_anybody_can_check() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("proofs");
    let shown = out.display().to_string();
    let output = conductor(&["probe", "run", "--demo", "--out", &shown, "--json"]);
    let log = text(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}\n{log}",
        text(&output.stdout)
    );
    let proofs: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(proofs.len(), TENANTS.len());
    for proof in &proofs {
        let tenant = proof["tenant"].as_str().unwrap();
        let home = proof["reads"]["src"].as_str().unwrap();
        assert_eq!(proof["verdict"], "PASS", "{tenant}");
        for route in ["reads", "writes"] {
            assert_eq!(proof[route], serde_json::json!({"src": home, "dst": home}));
        }
        let kinds: Vec<&str> = proof["stores"]
            .as_array()
            .unwrap()
            .iter()
            .map(|store| {
                assert_eq!(store["region"], home, "{tenant}");
                store["kind"].as_str().unwrap()
            })
            .collect();
        assert_eq!(kinds, ["neo4j", "postgres", "s3"], "{tenant}");
        assert_eq!(proof["node"], format!("gateway-{home}"));
        for (what, length) in [("xdsVersion", 64), ("nonce", 32)] {
            assert_eq!(proof[what].as_str().unwrap().len(), length, "{what}");
        }
        assert_eq!(proof["filters"].as_object().unwrap().len(), 3);
        assert!(proof["signature"].as_str().unwrap().starts_with("cosign:"));
    }

    // Anybody: with openssl alone, and with us.
    for tenant in TENANTS {
        let line = format!(
            "base64 -d {tenant}.sig | openssl dgst -sha256 -verify conductor.pub \
             -signature /dev/stdin {tenant}.payload.json"
        );
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(&out)
            .output()
            .unwrap();
        assert_eq!(text(&output.stdout).trim(), "Verified OK", "{tenant}");
    }
    let (code, said) = verify(&out);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("acme: ") && said.contains("1 PASS, 0 FAIL, 0 UNKNOWN"),
        "{said}"
    );
    faults_are_named(&out);

    // A second run of the same hour adds nothing to a folder that is not empty.
    let output = conductor(&["probe", "run", "--demo", "--out", &shown]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is not empty"));
}

/// Whatever is changed, taken away or swapped is named.
fn faults_are_named(good: &Path) {
    let mut names: Vec<String> = std::fs::read_dir(good)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 4 * TENANTS.len() + 3, "{names:?}");
    let copy = || {
        let copy = tempfile::tempdir().unwrap();
        for name in &names {
            std::fs::copy(good.join(name), copy.path().join(name)).unwrap();
        }
        copy
    };
    for name in &names {
        let changed = copy();
        let file = changed.path().join(name);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let (code, said) = verify(changed.path());
        assert_eq!(code, 1, "a byte of {name} was changed: {said}");
        assert!(said.contains(name.as_str()), "{name}: {said}");

        let missing = copy();
        std::fs::remove_file(missing.path().join(name)).unwrap();
        let (code, said) = verify(missing.path());
        assert_eq!(code, 1, "{name} is missing: {said}");
        assert!(said.contains(name.as_str()), "{name}: {said}");
    }
    for kind in ["proof.json", "payload.json", "sig", "sigstore.json"] {
        let swapped = copy();
        let file = |tenant: &str| swapped.path().join(format!("{tenant}.{kind}"));
        std::fs::rename(file("acme"), swapped.path().join("aside")).unwrap();
        std::fs::rename(file("globex"), file("acme")).unwrap();
        std::fs::rename(swapped.path().join("aside"), file("globex")).unwrap();
        let (code, said) = verify(swapped.path());
        assert_eq!(code, 1, "two {kind} were swapped: {said}");
        assert!(said.contains(&format!("acme.{kind}")), "{said}");
    }
}

#[test]
fn a_lost_region_stays_within_its_border() {
    let output = conductor(&["probe", "drill", "--seconds", "3", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)));
    let checks = report["checks"].as_array().unwrap();
    let failed: Vec<&Value> = checks.iter().filter(|c| c["passed"] != true).collect();
    assert!(failed.is_empty(), "{failed:#?}\n{:#}", report["phases"]);
    assert_eq!(checks.len(), 8);
    assert_eq!(report["phases"].as_array().unwrap().len(), 4);
    assert_eq!(output.status.code(), Some(0));
}
