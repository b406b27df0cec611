//! `conductor tenant` on a policy directory.

use std::path::Path;
use std::process::{Command, Output};

fn tenant(arguments: &[&str], policies: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conductor"))
        .arg("tenant")
        .args(arguments)
        .arg("--policies")
        .arg(policies)
        .output()
        .expect("the conductor starts")
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn who_is_in_quarantine_is_in_the_policies() {
    let dir = tempfile::tempdir().expect("a directory");
    let policies = dir.path().join("policies");
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    artifacts::copy_directory(&checkout.join("policies"), &policies).expect("a copy");
    let file = policies.join("ig/quarantine/data.json");
    let kept = || std::fs::read_to_string(&file).expect("the section");

    let output = tenant(&["list"], &policies);
    assert!(said(&output).contains("no tenant is in quarantine"));
    let output = tenant(&["quarantine", "acem", "--reason", "x"], &policies);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("`acem`") && said(&output).contains("acme"));
    let output = tenant(&["release", "acme"], &policies);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));

    for reason in ["RB-7", "another"] {
        let output = tenant(
            &["quarantine", "acme", "--reason", reason, "--by", "ann"],
            &policies,
        );
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(
            said(&output).contains("acme is in quarantine in revision r-"),
            "{}",
            said(&output)
        );
    }
    assert!(
        kept().contains("RB-7") && !kept().contains("another"),
        "the first reason stays"
    );
    let output = tenant(&["list"], &policies);
    assert!(said(&output).contains("acme  since 2") && said(&output).contains("RB-7"));
    let output = tenant(&["release", "acme"], &policies);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!kept().contains("acme"));

    let output = tenant(
        &[
            "quarantine",
            "acme",
            "--reason",
            "x",
            "--conductor",
            "127.0.0.1:1",
        ],
        &policies,
    );
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("can't ask the conductor"),
        "{}",
        said(&output)
    );
    assert!(kept().contains("acme"), "it is written all the same");
}

#[test]
fn of_many_at_once_none_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let policies = dir.path().join("policies");
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    artifacts::copy_directory(&checkout.join("policies"), &policies).expect("a copy");
    let tenants = ["acme", "globex", "hooli", "initech", "umbrella", "wonka"];
    std::thread::scope(|scope| {
        for name in tenants {
            let policies = &policies;
            scope.spawn(move || {
                let output = tenant(&["quarantine", name, "--reason", "x"], policies);
                assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            });
        }
    });
    let listed = said(&tenant(&["list"], &policies));
    for name in tenants {
        assert!(listed.contains(name), "{name}: {listed}");
    }
}
