//! The bootstraps are what the conductor makes of the examples' configurations, and Envoy takes them.

use std::path::Path;
use std::process::Command;

use peer::testing::write;
use serde_json::Value;

use crate::example::{Machine, checkout, folder, read};

/// An Envoy of an example.
struct Node {
    /// Its folder in the example.
    folder: &'static str,
    sidecar: bool,
    /// Where its bootstrap lies on its machine.
    installed: &'static str,
    /// Where its certificate is.
    identity: &'static str,
}

const KUBERNETES: [Node; 2] = [
    Node {
        folder: "kubernetes/gateway",
        sidecar: false,
        installed: "/etc/envoy/bootstrap",
        identity: "/etc/envoy/identity",
    },
    Node {
        folder: "kubernetes/service",
        sidecar: true,
        installed: "/etc/envoy/bootstrap",
        identity: "/etc/envoy/identity",
    },
];

const SYSTEMD: [Node; 2] = [
    Node {
        folder: "systemd/gateway",
        sidecar: false,
        installed: "/etc/maestro-gateway",
        identity: "/etc/maestro-gateway/identity",
    },
    Node {
        folder: "systemd/sidecar",
        sidecar: true,
        installed: "/etc/maestro-sidecar",
        identity: "/etc/maestro-sidecar/identity",
    },
];

const FILES: [&str; 3] = ["bootstrap.yaml", "identity.yaml", "authority.yaml"];

fn kubernetes() -> Machine {
    let config = "/etc/conductor/config/conductor.toml";
    Machine::of(&folder("kubernetes/conductor"), config)
}

fn systemd() -> Machine {
    let config = "/etc/conductor/conductor.toml";
    Machine::of(&folder("systemd/conductor"), config)
}

#[test]
fn bootstraps_are_what_the_conductor_writes() {
    for (machine, nodes) in [(kubernetes(), KUBERNETES), (systemd(), SYSTEMD)] {
        for node in nodes {
            let out = tempfile::tempdir().unwrap();
            let output = out.path().to_str().unwrap();
            let mut args = vec!["bootstrap", "--region", "eu", "--output", output];
            args.extend(["--installed", node.installed]);
            if node.sidecar {
                args.push("--sidecar");
            }
            machine.run(&args);
            for file in FILES {
                let want = read(&out.path().join(file));
                let kept = folder(node.folder).join(file);
                if std::env::var_os("UPDATE_EXAMPLES").is_some() {
                    write(&kept, &want);
                }
                assert!(
                    read(&kept) == want,
                    "{} is not what `conductor {}` writes: run this test with UPDATE_EXAMPLES=1",
                    kept.display(),
                    args.join(" ")
                );
            }
        }
    }
}

#[test]
fn configurations_are_fine() {
    for mut machine in [kubernetes(), systemd()] {
        let check = ["serve", "--check-config"];
        let said = String::from_utf8(machine.run(&check).stdout).unwrap();
        assert!(said.contains("fine; no release is stable yet"), "{said}");
        // The policies too, as they are before there are releases.
        machine.without("release");
        machine.without("bundles");
        let said = String::from_utf8(machine.run(&check).stdout).unwrap();
        assert!(
            said.contains("residency decisions for 1 gateways"),
            "{said}"
        );
        assert!(said.contains("egress decisions for 1 sidecars"), "{said}");
    }
}

/// What Envoy says of a bootstrap.
fn validate(bootstrap: &Path) -> Result<(), String> {
    let envoy = gateway::locate::locate(&checkout().join("target"), |_| ()).unwrap();
    let output = Command::new(envoy)
        .args([
            "--mode",
            "validate",
            "--service-node",
            "pod-1",
            "--config-path",
        ])
        .arg(bootstrap)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn envoy_takes_every_bootstrap() {
    let machine = kubernetes();
    for node in KUBERNETES.iter().chain(&SYSTEMD) {
        let here = tempfile::tempdir().unwrap();
        let identity = here.path().join("identity");
        std::fs::create_dir(&identity).unwrap();
        let id = "spiffe://maestro.example/region/eu/gateway/pod-1";
        machine.authority.node(id).write(&identity, "node");
        std::fs::copy(identity.join("node.pem"), identity.join("tls.crt")).unwrap();
        std::fs::copy(identity.join("node.key"), identity.join("tls.key")).unwrap();
        for name in ["ca.pem", "ca.crt"] {
            write(&identity.join(name), &machine.authority.pem());
        }
        for file in FILES {
            let text = read(&folder(node.folder).join(file));
            let text = text
                .replace(node.identity, identity.to_str().unwrap())
                .replace(node.installed, here.path().to_str().unwrap());
            write(&here.path().join(file), &text);
        }
        let bootstrap = here.path().join("bootstrap.yaml");
        validate(&bootstrap).unwrap_or_else(|said| panic!("{}: {said}", node.folder));
        // It looks: a certificate that is missing is found.
        let text = read(&bootstrap).replace("identity.yaml", "nowhere.yaml");
        write(&bootstrap, &text);
        validate(&bootstrap).unwrap_err();
    }
}

#[test]
fn a_bootstrap_names_who_its_certificate_is_for() {
    for node in KUBERNETES.iter().chain(&SYSTEMD) {
        let text = read(&folder(node.folder).join("bootstrap.yaml"));
        let bootstrap: Value = serde_yaml_ng::from_str(&text).unwrap();
        let role = if node.sidecar { "sidecar" } else { "gateway" };
        assert_eq!(bootstrap["node"]["cluster"], role);
        assert_eq!(bootstrap["node"]["locality"]["region"], "eu");
        let identity = read(&folder(node.folder).join("identity.yaml"));
        assert!(identity.contains(node.identity), "{identity}");
    }
}
