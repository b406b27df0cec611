//! Alerts on a real Alertmanager, figures by Prometheus' own check. Both come from Debian
//! (`prometheus-alertmanager`, `prometheus`): `just alerts`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gateway::run::free_ports;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command, log: &Path) -> Running {
    let log = std::fs::File::create(log).expect("a log");
    let child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log twice"))
        .stderr(log)
        .spawn();
    Running(child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}")))
}

/// The body of a page; `None` while nobody answers with 200.
fn get(at: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(at).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|status| *status == "200")?;
    Some(body.to_owned())
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} in a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A directory with a conductor's configuration, and its policies.
fn office(xds: SocketAddr, api: SocketAddr, manager: SocketAddr) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let checkout = artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("a checkout");
    let modules = artifacts::build_filters(&checkout, &["residency", "masking"]).expect("filters");
    let policies = dir.path().join("policies");
    artifacts::copy_directory(&checkout.join("policies"), &policies).expect("a copy");
    let jwks = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#;
    std::fs::write(dir.path().join("jwks.json"), jwks).expect("keys");
    let config = format!(
        "policies = \"policies\"\nstate = \"state\"\n[filters]\nresidency = {:?}\nmasking = {:?}\n\
         [xds]\nlisten = \"{xds}\"\n[api]\nlisten = \"{api}\"\n\
         [alerts]\nalertmanagers = [\"http://{manager}\"]\n\
         [jwt]\nissuer = \"https://issuer.test\"\naudiences = [\"a\"]\njwks_file = \"jwks.json\"\n\
         [[gateways]]\nregion = \"eu\"\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n\
         endpoints = [{{ address = \"127.0.0.1:3\" }}]\naccess_log = \"access.json\"\n",
        modules[0], modules[1],
    );
    std::fs::write(dir.path().join("conductor.toml"), config).expect("a configuration");
    (dir, policies)
}

/// The names of the alerts that an Alertmanager holds for firing.
fn firing(manager: SocketAddr) -> Vec<String> {
    let alerts = get(manager, "/api/v2/alerts?active=true").unwrap_or_else(|| "[]".into());
    let alerts: Value = serde_json::from_str(&alerts).expect("JSON of Alertmanager");
    let name = |alert: &Value| alert["labels"]["alertname"].as_str().map(str::to_owned);
    alerts
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(name)
        .collect()
}

#[test]
#[ignore = "needs Alertmanager and promtool: `just alerts`"]
fn a_refused_change_reaches_an_alertmanager_and_its_end_too() {
    let [xds, api, manager] = free_ports()
        .expect("ports")
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let (dir, policies) = office(xds, api, manager);
    let at = |name: &str| dir.path().join(name);
    std::fs::write(
        at("alertmanager.yml"),
        "route:\n  receiver: none\nreceivers:\n  - name: none\n",
    )
    .expect("a configuration");
    let mut command = Command::new("prometheus-alertmanager");
    command
        .arg(format!(
            "--config.file={}",
            at("alertmanager.yml").display()
        ))
        .arg(format!("--storage.path={}", at("alertmanager").display()))
        .arg(format!("--web.listen-address={manager}"))
        .arg("--cluster.listen-address=");
    let _manager = start(&mut command, &at("alertmanager.log"));
    until("Alertmanager", || get(manager, "/-/ready"));
    let conductor = |log: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        command
            .arg("serve")
            .arg("--config")
            .arg(at("conductor.toml"));
        let running = start(&mut command, &at(log));
        until("conductor", || get(api, "/healthz"));
        running
    };
    let module = policies.join("ig/masking.rego");
    let original = std::fs::read_to_string(&module).expect("the module");
    let broken = "package ig.masking\nrules := {";
    let refused = || (firing(manager) == ["PoliciesRefused"]).then_some(());
    let over = || firing(manager).is_empty().then_some(());

    let first = conductor("conductor.log");
    std::fs::write(&module, broken).expect("a broken module");
    until("alert", refused);
    let figures = get(api, "/metrics").expect("figures");
    promtool(&figures);
    // Where Alertmanager is, is for nobody who may look at alerts; that it was told is.
    let shown = get(api, "/api/alerts").expect("alerts");
    assert!(
        shown.contains("\"told\"") && !shown.contains("http"),
        "{shown}"
    );
    // The conductor dies. The next one finds all in order, and knows by the book who believes
    // otherwise: left alone, Alertmanager would for five minutes.
    drop(first);
    std::fs::write(&module, &original).expect("the module");
    let _second = conductor("conductor-2.log");
    until("end of the alert", over);

    std::fs::write(&module, broken).expect("a broken module");
    until("another alert", refused);
    std::fs::write(&module, original).expect("the module");
    until("end of it", over);
}

/// Prometheus' own opinion of the page.
fn promtool(figures: &str) {
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    check
        .stdin
        .take()
        .expect("its input")
        .write_all(figures.as_bytes())
        .expect("the page");
    let output = check.wait_with_output().expect("its verdict");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{figures}");
}
