//! The manifests: what they name is there, and they agree with the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::cluster::{Cluster, Workload, labels, list, number, selects, text};
use crate::example::{Machine, checkout, folder, read};

/// Keys of Secrets and ConfigMaps by namespace and name.
type Keys = BTreeMap<(String, String), BTreeSet<String>>;

/// What the setup script gives to `kubectl`: Secrets and ConfigMaps, and all that it was given.
fn setup() -> (Keys, Keys, String) {
    let here = tempfile::tempdir().unwrap();
    let at = |name: &str| here.path().join(name);
    for (keys, name) in [("people", "ann.pub"), ("bundle-keys", "b1.pub")] {
        std::fs::create_dir(at(keys)).unwrap();
        std::fs::write(at(keys).join(name), "a public key\n").unwrap();
    }
    std::fs::create_dir(at("bin")).unwrap();
    let kubectl = at("bin").join("kubectl");
    // Says what it was asked, and which secrets it was given, and knows those.
    let script = r#"#!/bin/sh
cd "$(dirname "$0")/.."
echo "> $*" >> log
case "$*" in
*" create secret "*) tee "secret-$6" >> log ;;
*" get secret "*jsonpath*) sed -n 's/^IG_CONTEXT_KEYS=//p' "secret-$5" | tr -d '\n' | base64 -w0 ;;
*" get secret "*) if [ -e "secret-$5" ]; then echo "secret/$5"; fi ;;
*" apply "*) cat > /dev/null ;;
esac
"#;
    std::fs::write(&kubectl, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&kubectl, mode).unwrap();
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let run = || {
        let output = Command::new("sh")
            .arg(folder("kubernetes/setup.sh"))
            .args([at("people"), at("bundle-keys")])
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(
            output.stdout.is_empty() && output.stderr.is_empty(),
            "{output:?}"
        );
        read(&at("log"))
    };
    let log = run();
    let again = run();
    let again = again.strip_prefix(&log).unwrap();
    assert!(
        !again.contains("create secret") && again.contains("create configmap people"),
        "what is secret is left alone: {again}"
    );
    std::fs::remove_file(at("secret-guard-keys")).unwrap();
    let mended = run();
    let context = |log: &str| {
        let line = log.lines().rfind(|l| l.starts_with("IG_CONTEXT_KEYS="));
        line.map(str::to_owned)
    };
    assert_eq!(
        context(&mended),
        context(&log),
        "one that failed half-way is mended"
    );
    let (mut secrets, mut maps) = (Keys::new(), Keys::new());
    for call in log.split("> ").skip(1) {
        let (asked, given) = call.split_once('\n').unwrap();
        let words: Vec<&str> = asked.split(' ').collect();
        match words[..] {
            [
                "-n",
                namespace,
                "create",
                "secret",
                "generic",
                name,
                "--from-env-file=/dev/stdin",
            ] => {
                let keys = given
                    .lines()
                    .map(|line| line.split_once('=').unwrap().0.to_owned());
                secrets.insert((namespace.into(), name.into()), keys.collect());
            }
            [
                "-n",
                namespace,
                "create",
                "configmap",
                name,
                from,
                "--dry-run=client",
                "-o",
                "yaml",
            ] => {
                let from = Path::new(from.strip_prefix("--from-file=").unwrap());
                let files = std::fs::read_dir(from).unwrap();
                let keys = files.map(|file| file.unwrap().file_name().into_string().unwrap());
                maps.insert((namespace.into(), name.into()), keys.collect());
            }
            ["-n", _, "get", "secret", ..] | ["-n", _, "apply", "-f", "-"] => {}
            _ => panic!("{asked}"),
        }
    }
    (secrets, maps, log)
}

#[test]
fn the_setup_makes_keys_that_filters_take_and_shows_none() {
    let (secrets, _, log) = setup();
    assert_eq!(secrets.len(), 2);
    let of = |name: &str| -> Vec<&str> {
        let lines = log
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        lines.collect()
    };
    let context = of("IG_CONTEXT_KEYS");
    assert_eq!(context.len(), 2, "{log}");
    assert_eq!(
        context[0], context[1],
        "the region's guards and gateways hold the same"
    );
    engine::context::ContextKeys::parse(context[0], "eu").unwrap();
    let mask = of("IG_MASK_KEYS");
    engine::mask::Keyring::parse(mask[0]).unwrap();
    for line in log.lines().filter(|line| line.starts_with('>')) {
        assert!(
            !line.contains("k1:") && !line.contains("c1:"),
            "as an argument: {line}"
        );
    }
}

#[test]
fn what_manifests_name_is_there() {
    let cluster = Cluster::read();
    let (mut secrets, mut maps, _) = setup();
    maps.extend(cluster.generated.clone());
    for certificate in cluster.of_kind("Certificate") {
        let namespace = text(certificate, "/metadata/namespace").to_owned();
        let name = text(certificate, "/spec/secretName").to_owned();
        let keys = ["tls.crt", "tls.key", "ca.crt"].map(str::to_owned);
        secrets.insert((namespace, name), keys.into());
    }
    let mut used = BTreeSet::new();
    for workload in cluster.workloads() {
        let spec = &workload.template["spec"];
        let key = |name: &str| (workload.namespace.to_owned(), name.to_owned());
        let none = BTreeSet::new();
        let mut volumes = BTreeMap::new();
        for volume in list(spec, "/volumes") {
            let files = if let Some(secret) = volume.get("secret") {
                let name = key(text(secret, "/secretName"));
                used.insert(name.clone());
                secrets.get(&name)
            } else if let Some(map) = volume.get("configMap") {
                let name = key(text(map, "/name"));
                used.insert(name.clone());
                maps.get(&name)
            } else {
                assert!(
                    volume.get("emptyDir").is_some() || volume.get("csi").is_some(),
                    "{volume}"
                );
                Some(&none)
            };
            assert!(files.is_some(), "{}: nothing makes {volume}", workload.name);
            volumes.insert(text(volume, "/name"), files.cloned().unwrap());
        }
        for claim in list(workload.document, "/spec/volumeClaimTemplates") {
            volumes.insert(text(claim, "/metadata/name"), BTreeSet::new());
        }
        let mut mounted = BTreeSet::new();
        for container in workload.containers() {
            for mount in list(container, "/volumeMounts") {
                let name = text(mount, "/name");
                assert!(volumes.contains_key(name), "{}: {mount}", workload.name);
                mounted.insert(name);
                // A place in a volume that can't be written can have no other mounted in it.
                for other in list(container, "/volumeMounts") {
                    let inside = format!("{}/", text(mount, "/mountPath"));
                    assert!(
                        !text(other, "/mountPath").starts_with(&inside),
                        "{mount} {other}"
                    );
                }
            }
            for argument in list(container, "/args")
                .iter()
                .chain(list(container, "/command"))
            {
                let argument = argument.as_str().unwrap();
                let mut mounts = list(container, "/volumeMounts").iter();
                let Some((mount, file)) = mounts.find_map(|mount| {
                    let file = argument.strip_prefix(text(mount, "/mountPath"))?;
                    Some((text(mount, "/name"), file.strip_prefix('/')?))
                }) else {
                    continue;
                };
                assert!(
                    volumes[mount].contains(file),
                    "{}: {argument}",
                    workload.name
                );
            }
            for variable in list(container, "/env") {
                if let Some(from) = variable.pointer("/valueFrom/secretKeyRef") {
                    let name = key(text(from, "/name"));
                    let keys = secrets.get(&name);
                    assert!(
                        keys.is_some_and(|keys| keys.contains(text(from, "/key"))),
                        "{variable}"
                    );
                    used.insert(name);
                }
            }
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                for pointer in ["/httpGet/port", "/tcpSocket/port"] {
                    if let Some(port) = container[probe].pointer(pointer) {
                        let ports = list(container, "/ports");
                        assert!(ports.iter().any(|p| p["name"] == *port), "{probe}: {port}");
                    }
                }
            }
        }
        assert_eq!(
            mounted,
            volumes.keys().copied().collect(),
            "{}",
            workload.name
        );
        assert!(selects(
            &workload.document["spec"]["selector"],
            &workload.labels()
        ));
        let account = text(spec, "/serviceAccountName");
        assert!(
            cluster
                .get("ServiceAccount", workload.namespace, account)
                .is_some()
        );
        if workload.document["kind"] == "StatefulSet" {
            let service = text(workload.document, "/spec/serviceName");
            assert!(
                cluster
                    .get("Service", workload.namespace, service)
                    .is_some()
            );
        }
    }
    // What is made is used, but for the authority's own key, which is cert-manager's.
    let mut made: BTreeSet<_> = secrets.into_keys().chain(maps.into_keys()).collect();
    assert!(made.remove(&("cert-manager".into(), "maestro-ca".into())));
    assert_eq!(used, made);
}

#[test]
fn services_and_namespaces_are_those_that_are_there() {
    let cluster = Cluster::read();
    let workloads = cluster.workloads();
    for service in cluster.of_kind("Service") {
        let selector = json!({"matchLabels": service["spec"]["selector"]});
        let chosen: Vec<&Workload<'_>> = workloads
            .iter()
            .filter(|w| w.namespace == text(service, "/metadata/namespace"))
            .filter(|w| selects(&selector, &w.labels()))
            .collect();
        let [workload] = chosen[..] else {
            panic!("not one workload: {service:#}");
        };
        for port in list(service, "/spec/ports") {
            assert!(
                workload.ports().contains_key(text(port, "/targetPort")),
                "{port}"
            );
        }
    }
    for budget in cluster.of_kind("PodDisruptionBudget") {
        assert!(
            workloads
                .iter()
                .any(|w| selects(&budget["spec"]["selector"], &w.labels()))
        );
    }
    let without = ["Namespace", "ClusterIssuer", "CertificateRequestPolicy"];
    let mut names = BTreeSet::new();
    for document in &cluster.documents {
        let kind = text(document, "/kind");
        let name = text(document, "/metadata/name");
        let namespace = document.pointer("/metadata/namespace");
        assert_eq!(namespace.is_none(), without.contains(&kind), "{document:#}");
        let namespace = namespace.map_or("", |n| n.as_str().unwrap());
        // That one is of cert-manager's own installation.
        let known = ["", "cert-manager"].contains(&namespace);
        assert!(
            known || cluster.get("Namespace", "", namespace).is_some(),
            "{namespace}"
        );
        assert!(
            names.insert((kind, namespace, name)),
            "twice: {kind} {name}"
        );
    }
}

/// Whether a pattern, in which `*` stands for anything, is met.
fn meets(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((start, end)) => text.starts_with(start) && text.ends_with(end),
    }
}

#[test]
fn pods_get_the_certificates_that_the_conductor_asks_for() {
    let cluster = Cluster::read();
    let config = read(&folder("kubernetes/conductor/conductor.toml"));
    let config: toml::Table = toml::from_str(&config).unwrap();
    let trust_domain = config["xds"]["tls"]["trust_domain"].as_str().unwrap();
    let prefix = "csi.cert-manager.io";
    let mut ids = Vec::new();
    for (name, place, role) in [
        ("gateway", "gateway", "gateway"),
        ("assets", "service", "sidecar"),
    ] {
        let workloads = cluster.workloads();
        let workload = workloads.iter().find(|w| w.name == name).unwrap();
        let mut volumes = list(workload.template, "/spec/volumes").iter();
        let attributes = volumes
            .find_map(|v| v.pointer("/csi/volumeAttributes"))
            .unwrap();
        let id = format!("spiffe://{trust_domain}/region/eu/{role}/${{POD_NAME}}");
        assert_eq!(attributes[format!("{prefix}/uri-sans")], id);
        let issuer = text(attributes, &format!("/{prefix}~1issuer-name"));
        let group = number(&json!(
            text(attributes, &format!("/{prefix}~1fs-group"))
                .parse::<u16>()
                .unwrap()
        ));
        assert_eq!(
            workload.template["spec"]["securityContext"]["fsGroup"],
            group
        );
        // The node is named as the pod.
        let envoy = workload.container("envoy");
        let arguments: Vec<&str> = list(envoy, "/args")
            .iter()
            .map(|a| a.as_str().unwrap())
            .collect();
        assert!(
            arguments
                .windows(2)
                .any(|two| two == ["--service-node", "$(POD_NAME)"])
        );
        let named =
            json!({"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
        assert!(list(envoy, "/env").contains(&named));
        // And the sidecar's bootstrap is that of this role.
        let bootstrap = read(&folder("kubernetes").join(place).join("bootstrap.yaml"));
        assert!(bootstrap.contains(&format!("cluster: \"{role}\"")));
        ids.push((
            workload.namespace.to_owned(),
            id.replace("${POD_NAME}", "pod-1"),
            issuer.to_owned(),
        ));
    }
    // Each namespace may ask for its own ids, and for no others.
    let mut grants = 0;
    for (namespace, _, _) in &ids {
        for binding in cluster.of_kind("RoleBinding") {
            if text(binding, "/metadata/namespace") != namespace {
                continue;
            }
            let role = cluster
                .get("Role", namespace, text(binding, "/roleRef/name"))
                .unwrap();
            let policy = text(role, "/rules/0/resourceNames/0");
            let policy = cluster.get("CertificateRequestPolicy", "", policy).unwrap();
            for (other, id, issuer) in &ids {
                let values = list(policy, "/spec/allowed/uris/values").iter();
                let allowed = values.clone().any(|v| meets(id, v.as_str().unwrap()))
                    && text(policy, "/spec/selector/issuerRef/name") == issuer;
                assert_eq!(allowed, namespace == other, "{id} in {namespace}");
                grants += u32::from(allowed);
            }
            assert!(policy.pointer("/spec/allowed/dnsNames").is_none());
        }
    }
    assert_eq!(grants, 2);
    let conductor = cluster.get("Certificate", "maestro", "conductor").unwrap();
    let server = config["advertise"]["xds"]["host"].as_str().unwrap();
    assert_eq!(conductor["spec"]["dnsNames"], json!([server]));
}

#[test]
fn ports_and_addresses_agree_with_the_configuration() {
    let cluster = Cluster::read();
    let config = read(&folder("kubernetes/conductor/conductor.toml"));
    let config: toml::Table = toml::from_str(&config).unwrap();
    let workloads = cluster.workloads();
    let of = |name: &str| workloads.iter().find(|w| w.name == name).unwrap();
    let port = |value: &toml::Value| -> u16 {
        let address = value.as_str().unwrap();
        address.rsplit_once(':').unwrap().1.parse().unwrap()
    };
    let service = cluster.get("Service", "maestro", "conductor").unwrap();
    let advertised = |name: &str| config["advertise"][name]["port"].as_integer().unwrap();
    let ports = of("conductor").ports();
    for (name, listened) in [
        ("xds", Some(port(&config["xds"]["listen"]))),
        ("api", Some(port(&config["api"]["listen"]))),
        ("bundles", Some(port(&config["bundles"]["listen"]))),
        ("decisions", Some(port(&config["decisions"]["grpc_listen"]))),
        ("code", Some(port(&config["filters"]["listen"]))),
    ] {
        assert!(
            listened.is_none_or(|listened| ports[name] == listened),
            "{name}"
        );
        let mut served = list(service, "/spec/ports").iter();
        let served = served.find(|p| p["name"] == name).unwrap();
        assert_eq!(number(&served["port"]), ports[name], "{name}");
    }
    for (name, advertised) in [
        ("xds", advertised("xds")),
        ("decisions", advertised("decisions")),
        ("code", advertised("filters")),
    ] {
        assert_eq!(advertised, i64::from(ports[name]), "{name}");
    }
    let gateway = &config["gateways"][0];
    assert_eq!(of("gateway").ports()["http"], port(&gateway["listen"]));
    let assets = cluster.get("Service", "assets-eu", "assets").unwrap();
    let endpoint = gateway["endpoints"][0]["address"].as_str().unwrap();
    let address = format!(
        "{}:{}",
        text(assets, "/spec/clusterIP"),
        assets["spec"]["ports"][0]["port"]
    );
    assert_eq!(endpoint, address);
    // The sidecar's own probe asks for each guard, and the service is told where they are.
    let probe = text(
        of("assets").container("envoy"),
        "/startupProbe/exec/command/2",
    );
    for listener in config["sidecars"][0]["listeners"].as_array().unwrap() {
        let listen = listener["listen"].as_str().unwrap();
        assert!(probe.contains(&listen.replace(':', "/")), "{probe}");
        let told = of("assets").container("assets")["env"].to_string();
        assert!(
            told.contains(&port(&listener["listen"]).to_string()),
            "{told}"
        );
    }
}

#[test]
fn the_image_holds_what_the_configuration_names() {
    let image = read(&folder("kubernetes/Dockerfile"));
    let config = "/etc/conductor/config/conductor.toml";
    let machine = Machine::of(&folder("kubernetes/conductor"), config);
    for module in ["residency", "masking", "guard"] {
        let built = format!("target/filters/wasm32-wasip1/filter/{module}.wasm");
        assert!(image.contains(&built), "{module}");
        assert!(
            machine
                .text
                .contains(&format!("/usr/share/conductor/filters/{module}.wasm"))
        );
    }
    assert!(image.contains("COPY policies /usr/share/conductor/policies"));
    assert!(checkout().join("policies").is_dir());
    let namespaces = Cluster::read();
    let eu = namespaces.get("Namespace", "", "maestro-eu").unwrap();
    assert_eq!(
        labels(&eu["metadata"]["labels"])["maestro.example/region"],
        "eu"
    );
}
