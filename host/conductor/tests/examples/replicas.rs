//! Replicas of a gateway: one bootstrap, each the node that its pod is named, as the manifests start them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use gateway::run::free_ports;
use peer::testing::write;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::cluster::{Cluster, list};
use crate::example::{Machine, checkout, folder, read};

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// The status and the body of an answer.
async fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: e\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// Waits until an answer of this port has it.
async fn until(port: u16, path: &str, what: &str, is: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get(port, path)
            .await
            .map_or(String::new(), |(_, body)| body);
        if is(&answer) {
            return;
        }
        assert!(Instant::now() < deadline, "not {what}: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The manifest's Envoy as a pod of that name would run it, its administration port at `admin`.
struct Pod<'a> {
    machine: &'a Machine,
    /// Where the bootstrap of all of them was written.
    bootstrap: &'a Path,
    container: &'a Value,
    envoy: &'a Path,
}

impl Pod<'_> {
    fn start(&self, name: &str, identity: &str, admin: u16) -> Child {
        let here = self.machine.at("/pods").join(name);
        std::fs::create_dir_all(&here).unwrap();
        let certificate = self.machine.authority.node(identity);
        write(&here.join("tls.crt"), &certificate.certificate);
        write(&here.join("tls.key"), &certificate.key);
        write(&here.join("ca.crt"), &self.machine.authority.pem());
        for file in ["bootstrap.yaml", "identity.yaml", "authority.yaml"] {
            let text = read(&self.bootstrap.join(file))
                .replace("/etc/envoy/bootstrap", here.to_str().unwrap())
                .replace("/etc/envoy/identity", here.to_str().unwrap())
                .replace("port_value: 9901", &format!("port_value: {admin}"));
            write(&here.join(file), &text);
        }
        let arguments = list(self.container, "/args").iter().map(|argument| {
            let argument = argument.as_str().unwrap();
            argument
                .replace("$(POD_NAME)", name)
                .replace("/etc/envoy/bootstrap", here.to_str().unwrap())
        });
        spawn(Command::new(self.envoy).args(arguments))
    }
}

/// A probe of a manifest, with these ports.
async fn holds(probe: &Value, ports: &[(u16, u16)]) -> bool {
    let mut command: Vec<String> = list(probe, "/exec/command")
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect();
    for (from, to) in ports {
        let (from, to) = (format!("127.0.0.1/{from} "), format!("127.0.0.1/{to} "));
        assert!(command[2].contains(&from), "{command:?}");
        command[2] = command[2].replace(&from, &to);
    }
    let ended = Command::new(&command[0])
        .args(&command[1..])
        .stderr(Stdio::null())
        .status()
        .await;
    ended.unwrap().success()
}

async fn until_it_holds(probe: &Value, ports: &[(u16, u16)]) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(probe, ports).await {
        assert!(Instant::now() < deadline, "not ready: {probe}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a status has this node, settled, by this identity.
fn has(status: &str, group: &str, node: &str, id: &str) -> bool {
    let status: Value = serde_json::from_str(status).unwrap_or_default();
    status["streams"].as_array().is_some_and(|all| {
        all.iter().any(|s| {
            s["group"] == group && s["node"] == node && s["identity"] == id && s["settled"] == true
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_configured_each_by_its_own_name() {
    let config = "/etc/conductor/config/conductor.toml";
    let mut machine = Machine::of(&folder("kubernetes/conductor"), config);
    let [xds, api, bundles, code, decisions, listen, admin] = free_ports().unwrap();
    let [orders, files, sidecar_admin] = free_ports().unwrap();
    for (from, to) in [
        ("0.0.0.0:18000", format!("127.0.0.1:{xds}")),
        ("0.0.0.0:7080", format!("127.0.0.1:{api}")),
        ("0.0.0.0:7081", format!("127.0.0.1:{bundles}")),
        ("0.0.0.0:7082", format!("127.0.0.1:{code}")),
        ("0.0.0.0:18080", format!("127.0.0.1:{decisions}")),
        ("0.0.0.0:10000", format!("127.0.0.1:{listen}")),
        ("127.0.0.1:15432", format!("127.0.0.1:{orders}")),
        ("127.0.0.1:15900", format!("127.0.0.1:{files}")),
        (
            "[advertise]",
            "[advertise]\nxds_server_name = \"conductor.maestro.svc\"".into(),
        ),
        (
            "host = \"conductor.maestro.svc\"",
            "host = \"127.0.0.1\"".into(),
        ),
        ("port = 18000", format!("port = {xds}")),
        ("port = 7082", format!("port = {code}")),
        ("port = 18080", format!("port = {decisions}")),
    ] {
        assert!(machine.text.contains(from), "{from}");
        machine.text = machine.text.replace(from, &to);
    }
    machine.write_config();
    let written = |place: &str, kind: &[&str]| -> PathBuf {
        let directory = machine.at(place);
        let mut args = vec!["bootstrap", "--region", "eu", "--output"];
        args.extend([
            directory.to_str().unwrap(),
            "--installed",
            "/etc/envoy/bootstrap",
        ]);
        args.extend(kind);
        machine.run(&args);
        directory
    };
    let of_gateways = written("/gateways", &[]);
    let of_sidecars = written("/sidecars", &["--sidecar"]);

    let envoy = gateway::locate::locate(&checkout().join("target"), |_| ()).unwrap();
    let _conductor = spawn(
        Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(["serve", "--config"])
            .arg(&machine.file),
    );
    let cluster = Cluster::read();
    let workloads = cluster.workloads();
    let of = |name: &str| workloads.iter().find(|w| w.name == name).unwrap();
    let gateway = Pod {
        machine: &machine,
        bootstrap: &of_gateways,
        container: of("gateway").container("envoy"),
        envoy: &envoy,
    };
    machine.release();
    let ready = &gateway.container["readinessProbe"];
    let ports = [(10000, listen), (9901, admin)];
    // One after the other: on this machine they share an address. A pod has its own.
    for name in ["gateway-5d8f-x2v9k", "gateway-5d8f-q7w4t"] {
        assert!(!holds(ready, &ports).await);
        let id = format!("spiffe://maestro.example/region/eu/gateway/{name}");
        let mut envoy = gateway.start(name, &id, admin);
        until(api, "/api/xds", name, |status| has(status, "eu", name, &id)).await;
        until_it_holds(ready, &ports).await;
        envoy.kill().await.unwrap();
    }
    // One that takes another pod's name is refused.
    let id = "spiffe://maestro.example/region/eu/gateway/gateway-5d8f-x2v9k";
    let mut third = gateway.start("gateway-5d8f-zzzzz", id, admin);
    until(api, "/metrics", "refused", |page| {
        let mut lines = page.lines();
        let figure = lines.find_map(|l| l.strip_prefix("maestro_xds_refused_total "));
        figure.is_some_and(|figure| figure != "0")
    })
    .await;
    assert!(!holds(ready, &ports).await);
    third.kill().await.unwrap();

    let sidecar = Pod {
        machine: &machine,
        bootstrap: &of_sidecars,
        container: of("assets").container("envoy"),
        envoy: &envoy,
    };
    let (name, id) = (
        "assets-7c9d-4k2lp",
        "spiffe://maestro.example/region/eu/sidecar/assets-7c9d-4k2lp",
    );
    let _sidecar = sidecar.start(name, id, sidecar_admin);
    until(api, "/api/xds", name, |status| {
        has(status, "sidecar/eu", name, id)
    })
    .await;
    let ports = [(15432, orders), (15900, files), (9901, sidecar_admin)];
    until_it_holds(&sidecar.container["startupProbe"], &ports).await;
    assert!(holds(&sidecar.container["readinessProbe"], &ports[2..]).await);

    // The code came by its own port, to who showed a certificate; without one nobody is let in.
    let page = get(api, "/metrics").await.unwrap().1;
    let accepted = "maestro_tls_handshakes_total{port=\"filters\",outcome=\"accepted\"} ";
    let figure = page.lines().find_map(|line| line.strip_prefix(accepted));
    assert!(figure.is_some_and(|figure| figure != "0"), "{page}");
    let filters = get(api, "/api/filters").await.unwrap().1;
    let hash = filters
        .split('"')
        .find(|word| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit()))
        .unwrap_or_else(|| panic!("{filters}"));
    let plain = get(code, &format!("/filters/{hash}.wasm")).await;
    assert!(plain.is_none_or(|(status, _)| status != 200));
}
