//! The units: systemd takes them, and they agree with the configuration.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gateway::run::free_ports;

use crate::example::{checkout, folder, read};

/// A unit: its folder, its name and its user.
const UNITS: [(&str, &str, &str); 3] = [
    ("conductor", "conductor", "conductor"),
    ("gateway", "maestro-gateway", "maestro-gateway"),
    ("sidecar", "maestro-sidecar", "maestro-sidecar"),
];

fn unit(place: &str, name: &str) -> String {
    read(
        &folder("systemd")
            .join(place)
            .join(format!("{name}.service")),
    )
}

/// The values of a setting, in their order.
fn values<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    let lines = unit.lines();
    lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .collect()
}

fn value<'a>(unit: &'a str, name: &str) -> &'a str {
    let all = values(unit, name);
    let [value] = all[..] else {
        panic!("{name}: {all:?}");
    };
    value
}

/// What systemd says of units in a root that has nothing else; none if there is no systemd.
fn verify(units: &[(&str, String)]) -> Option<String> {
    let root = tempfile::tempdir().unwrap();
    let system = root.path().join("etc/systemd/system");
    std::fs::create_dir_all(&system).unwrap();
    for target in [
        "sysinit",
        "basic",
        "shutdown",
        "network-online",
        "multi-user",
    ] {
        let text = format!("[Unit]\nDescription={target}\nDefaultDependencies=no\n");
        std::fs::write(system.join(format!("{target}.target")), text).unwrap();
    }
    let programs = root.path().join("usr/local/bin");
    std::fs::create_dir_all(&programs).unwrap();
    for program in ["conductor", "envoy"] {
        std::fs::write(programs.join(program), "#!/bin/sh\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(programs.join(program), mode).unwrap();
    }
    let mut command = Command::new("systemd-analyze");
    command
        .arg("verify")
        .arg(format!("--root={}", root.path().display()));
    for (name, text) in units {
        std::fs::write(system.join(name), text).unwrap();
        command.arg(name);
    }
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Some(match output.status.success() {
                true => said,
                false => format!("{}: {said}", output.status),
            })
        }
        Err(error) => {
            println!("skipped: systemd-analyze can't be run here: {error}");
            None
        }
    }
}

#[test]
fn systemd_takes_the_units() {
    let units = UNITS.map(|(place, name, _)| (name, unit(place, name)));
    let units = units.map(|(name, text)| (format!("{name}.service"), text));
    let named: Vec<(&str, String)> = units.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let Some(said) = verify(&named) else {
        return;
    };
    assert_eq!(said, "");
    // It looks.
    let wrong = named[0]
        .1
        .replace("ProtectSystem=strict", "ProtectSystem=strickt");
    let said = verify(&[(named[0].0, wrong)]).unwrap();
    assert!(said.contains("strickt"), "{said}");
}

#[test]
fn units_are_confined_and_agree_with_the_configuration() {
    let config: toml::Table =
        toml::from_str(&read(&folder("systemd/conductor/conductor.toml"))).unwrap();
    let users = read(&folder("systemd/maestro.sysusers"));
    for (place, name, user) in UNITS {
        let unit = unit(place, name);
        for (setting, want) in [
            ("User", user),
            ("Group", user),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "yes"),
            ("PrivateTmp", "yes"),
            ("PrivateDevices", "yes"),
            ("CapabilityBoundingSet", ""),
            ("AmbientCapabilities", ""),
            ("RestrictNamespaces", "yes"),
            ("UMask", "0027"),
            ("Restart", "always"),
        ] {
            assert_eq!(value(&unit, setting), want, "{name}: {setting}");
        }
        assert!(
            users
                .lines()
                .any(|l| l.split_whitespace().nth(1) == Some(user)),
            "{user}"
        );
        assert!(
            values(&unit, "Environment").is_empty(),
            "keys come from a file"
        );
    }

    let conductor = unit("conductor", "conductor");
    let state = format!("/var/lib/{}", value(&conductor, "StateDirectory"));
    assert_eq!(config["state"].as_str(), Some(state.as_str()));
    for path in [&config["policies"], &config["release"]["dir"]] {
        assert!(path.as_str().unwrap().starts_with(&state), "{path}");
    }
    assert!(value(&conductor, "ExecStart").ends_with("--config /etc/conductor/conductor.toml"));
    assert_eq!(values(&conductor, "IPAddressDeny"), ["any"]);
    let network = values(&conductor, "IPAddressAllow")[1]
        .strip_suffix("0/24")
        .unwrap();
    for listen in [
        &config["xds"]["listen"],
        &config["api"]["listen"],
        &config["bundles"]["listen"],
        &config["filters"]["listen"],
        &config["decisions"]["grpc_listen"],
    ] {
        assert!(listen.as_str().unwrap().starts_with(network), "{listen}");
    }

    for ((place, name, user), node) in UNITS[1..].iter().zip(["gateways", "sidecars"]) {
        let unit = unit(place, name);
        let node = &config[node][0];
        let bootstrap = format!("--config-path /etc/{user}/bootstrap.yaml --service-node %H ");
        assert!(value(&unit, "ExecStart").contains(&bootstrap), "{name}");
        assert_eq!(
            value(&unit, "EnvironmentFile"),
            format!("/etc/{user}/keys.env")
        );
        // Without these Envoy's filters don't start.
        assert!(
            values(&unit, "SystemCallFilter").contains(&"@pkey mincore"),
            "{name}"
        );
        assert!(values(&unit, "MemoryDenyWriteExecute").is_empty(), "{name}");
        let logs = format!("/var/log/{}/", value(&unit, "LogsDirectory"));
        assert!(
            node["access_log"].as_str().unwrap().starts_with(&logs),
            "{name}"
        );
        for file in ["certificate", "key", "ca"] {
            let file = node["identity"][file].as_str().unwrap();
            assert!(
                file.starts_with(&format!("/etc/{user}/identity/")),
                "{file}"
            );
        }
        let rotation = read(
            &folder("systemd")
                .join(place)
                .join(format!("{name}.logrotate")),
        );
        assert!(
            rotation.contains(&format!("\n{logs}*.json {{\n")),
            "{rotation}"
        );
        assert!(
            rotation.contains(&format!("kill --signal=SIGUSR1 {name}.service\n")),
            "{rotation}"
        );
        assert!(
            rotation.contains(&format!("su {user} {user}\n")),
            "{rotation}"
        );
    }
}

const LOGGING: &str = r#"
admin: { address: { socket_address: { address: 127.0.0.1, port_value: ADMIN } } }
static_resources:
  listeners:
    - address: { socket_address: { address: 127.0.0.1, port_value: LISTEN } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: logging
                access_log:
                  - name: file
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
                      path: LOG
                      log_format: { text_format_source: { inline_string: "%REQ(:PATH)%\n" } }
                route_config:
                  virtual_hosts:
                    - { name: all, domains: ["*"], routes: [{ match: { prefix: / }, direct_response: { status: 200 } }] }
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"#;

/// Waits until it is so.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "not {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

fn get(port: u16, path: &str) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let mut answer = String::new();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: e\r\nconnection: close\r\n\r\n"
    )
    .is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// What the logrotate files do: rename, then SIGUSR1.
#[test]
fn a_log_that_was_renamed_is_begun_anew_and_none_is_lost() {
    let here = tempfile::tempdir().unwrap();
    let (log, renamed) = (
        here.path().join("access.json"),
        here.path().join("access.json.1"),
    );
    let [listen, admin] = free_ports().unwrap();
    let bootstrap = here.path().join("bootstrap.yaml");
    let text = LOGGING
        .replace("ADMIN", &admin.to_string())
        .replace("LISTEN", &listen.to_string())
        .replace("LOG", log.to_str().unwrap());
    std::fs::write(&bootstrap, text).unwrap();
    let envoy = gateway::locate::locate(&checkout().join("target"), |_| ()).unwrap();
    let mut envoy = Command::new(envoy)
        .args(["--disable-hot-restart", "--concurrency", "1"])
        .args(["--file-flush-interval-msec", "50", "--config-path"])
        .arg(&bootstrap)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let has = |log: &Path, line: &str| {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.lines().any(|l| l == line)
    };
    let result = std::panic::catch_unwind(|| {
        until("served", || get(listen, "/first"));
        until("logged", || has(&log, "/first"));
        std::fs::rename(&log, &renamed).unwrap();
        assert!(get(listen, "/between"));
        until("logged to the file that was renamed", || {
            has(&renamed, "/between")
        });
        let kill = Command::new("kill")
            .args(["-USR1", &envoy.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        until("begun anew", || log.exists());
        assert!(get(listen, "/after"));
        until("logged", || has(&log, "/after"));
        assert!(!has(&renamed, "/after"));
    });
    envoy.kill().unwrap();
    envoy.wait().unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}
