//! Nothing in the manifests runs as root, and no secret is in an example.

use std::path::Path;

use serde_json::{Value, json};

use crate::cluster::{Cluster, list, text};
use crate::example::{folder, read};

#[test]
fn nothing_runs_with_more_rights_than_it_needs() {
    let cluster = Cluster::read();
    assert_eq!(cluster.workloads().len(), 3);
    for workload in cluster.workloads() {
        let pod = &workload.template["spec"];
        let name = workload.name;
        for forbidden in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] {
            assert!(pod.get(forbidden).is_none(), "{name}: {forbidden}");
        }
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(
            pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault",
            "{name}"
        );
        for container in workload.containers() {
            let own = &container["securityContext"];
            let user = own
                .get("runAsUser")
                .unwrap_or(&pod["securityContext"]["runAsUser"]);
            assert!(
                user.as_u64().is_some_and(|user| user >= 1_000),
                "{name}: {user}"
            );
            assert_ne!(own.get("runAsNonRoot"), Some(&json!(false)), "{name}");
            assert_eq!(own["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(own["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}), "{name}");
            assert!(own.get("privileged").is_none(), "{name}");
            let resources = &container["resources"];
            for bound in ["/limits/memory", "/requests/memory", "/requests/cpu"] {
                assert!(resources.pointer(bound).is_some(), "{name}: {bound}");
            }
            let (image, tag) = text(container, "/image").rsplit_once(':').unwrap();
            assert_ne!(tag, "latest");
            if image == "envoyproxy/envoy" {
                assert_eq!(tag, format!("v{}", gateway::locate::VERSION));
            }
        }
        let namespace = cluster.get("Namespace", "", workload.namespace).unwrap();
        let enforced = "pod-security.kubernetes.io/enforce";
        assert_eq!(namespace["metadata"]["labels"][enforced], "restricted");
    }
    // A service can't read its sidecar's environment as the same user.
    let workloads = cluster.workloads();
    let assets = workloads.iter().find(|w| w.name == "assets").unwrap();
    let user = |name: &str| &assets.container(name)["securityContext"]["runAsUser"];
    assert_ne!(user("envoy"), user("assets"));
    assert!(list(assets.container("assets"), "/volumeMounts").is_empty());
    let own = list(assets.container("assets"), "/env");
    assert!(
        own.iter()
            .all(|variable| variable.get("valueFrom").is_none()),
        "{own:?}"
    );
}

/// Whether a text holds something like a key.
fn holds_a_key(text: &str) -> bool {
    let dense = |c: char| c.is_ascii_alphanumeric() || "+/_-=".contains(c);
    let secret = |word: &str| {
        let key = word.split_once(':').map_or("", |(_, key)| key);
        key.len() >= 40 && key.chars().all(dense)
    };
    text.contains("PRIVATE KEY") || text.split([' ', '"', '\'', ',', '=', '\n']).any(secret)
}

#[test]
fn no_secret_is_in_an_example() {
    assert!(holds_a_key(
        "IG_MASK_KEYS=k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    ));
    assert!(holds_a_key("-----BEGIN PRIVATE KEY-----"));
    fn look(place: &Path, files: &mut u32) {
        for entry in std::fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, files);
            } else {
                *files += 1;
                assert!(!holds_a_key(&read(&path)), "{}", path.display());
            }
        }
    }
    let mut files = 0;
    look(&folder("kubernetes"), &mut files);
    look(&folder("systemd"), &mut files);
    assert!(files > 20, "{files}");
    let cluster = Cluster::read();
    assert_eq!(cluster.of_kind("Secret").count(), 0);
    for workload in cluster.workloads() {
        for variable in workload.containers().flat_map(|c| list(c, "/env")) {
            let secret = text(variable, "/name").starts_with("IG_");
            assert!(!secret || variable.get("value").is_none(), "{variable}");
        }
    }
    // Whose key that is in the JWKS, nobody knows: it is there to be replaced.
    let jwks: Value =
        serde_json::from_str(&read(&folder("kubernetes/conductor/jwks.json"))).unwrap();
    assert!(jwks["keys"][0].get("d").is_none());
}
