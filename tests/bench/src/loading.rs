//! How long the masking filter takes to load a large configuration: GitHub's public schema of more
//! than a thousand types, and rules for 500 of its fields.
//!
//! Three times are told: the engine's own, natively; `proxy_on_configure` on wasmtime, in the
//! harness; and `proxy_on_configure` on V8 in a real Envoy, between the two lines that its log of
//! level `trace` has of the call, with microseconds. Compiling the module is none of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use engine::filter::Masking;
use gateway::run::{Envoy, free_ports};
use harness::{PluginOptions, Vm, VmOptions};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::load::MASK_KEYS;
use crate::proxy::{self, Listener};

/// Rules of the configuration, each of another field.
pub const RULES: usize = 500;

/// How often each way is timed; the median counts.
const TIMES: usize = 5;

/// Types of scalars whose fields get rules.
const LEAVES: [&str; 5] = ["String", "Int", "DateTime", "URI", "Boolean"];

/// What the configuration is, and how long it took to load.
#[derive(Debug, Clone)]
pub struct Loading {
    /// Bytes of the configuration.
    pub bytes: usize,
    /// Types that its schema defines.
    pub types: usize,
    /// How long it took.
    pub times: Times,
}

/// How long a configuration took to load.
#[derive(Debug, Clone)]
pub struct Times {
    /// By the engine, natively.
    pub native: Duration,
    /// By the filter on wasmtime.
    pub harness: Duration,
    /// By the filter in Envoy, each time that it was configured: once a thread.
    pub envoy: Vec<Duration>,
    /// From before the first configuration back to Envoy's start: V8 compiles the module.
    pub compiling: Duration,
}

/// Times it all.
///
/// # Errors
/// The configuration is refused somewhere, or Envoy's log does not tell.
pub fn measure(
    runtime: &Runtime,
    binary: &Path,
    checkout: &Path,
    module: &Path,
    schema: &Path,
) -> anyhow::Result<Loading> {
    let sdl = std::fs::read_to_string(schema).context("reading GitHub's schema")?;
    let config = configuration(checkout, &sdl)?;
    let listener = Listener {
        filter: Some(proxy::wasm(module, "masking", &config)),
        cluster: "upstream".into(),
        buffer_limit: None,
    };
    let times = times(
        (runtime, binary),
        (module, &config),
        || {
            Masking::configure(config.as_bytes(), |_| Some(MASK_KEYS.1.into()))?;
            Ok(())
        },
        |address| proxy::resource(&listener, address),
    )?;
    Ok(Loading {
        bytes: config.len(),
        types: types(&sdl),
        times,
    })
}

/// Times one configuration, which `native` loads into the engine and `listener` writes for Envoy.
///
/// # Errors
/// As [`measure`].
pub fn times(
    (runtime, binary): (&Runtime, &Path),
    (module, config): (&Path, &str),
    mut native: impl FnMut() -> anyhow::Result<()>,
    listener: impl Fn(SocketAddr) -> Value,
) -> anyhow::Result<Times> {
    let wasm = std::fs::read(module)?;
    let native = median(|| {
        let started = Instant::now();
        native()?;
        Ok(started.elapsed())
    })?;
    let harness = median(|| in_harness(&wasm, config))?;
    let (envoy, compiling) = in_envoy(runtime, binary, listener)?;
    Ok(Times {
        native,
        harness,
        envoy,
        compiling,
    })
}

fn median(mut time: impl FnMut() -> anyhow::Result<Duration>) -> anyhow::Result<Duration> {
    let mut times = (0..TIMES).map(|_| time()).collect::<Result<Vec<_>, _>>()?;
    times.sort();
    times.get(TIMES / 2).copied().context("nothing was timed")
}

fn in_harness(wasm: &[u8], config: &str) -> anyhow::Result<Duration> {
    let options = VmOptions {
        env: proxy::env(),
        ..VmOptions::default()
    };
    let vm = Vm::load(wasm, options)?;
    let options = PluginOptions {
        configuration: config.into(),
        allow_on_headers_stop_iteration: true,
        ..PluginOptions::default()
    };
    let started = Instant::now();
    vm.plugin(options)?;
    Ok(started.elapsed())
}

fn in_envoy(
    runtime: &Runtime,
    binary: &Path,
    listener: impl Fn(SocketAddr) -> Value,
) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let directory = tempfile::tempdir()?;
    let [port, admin] = free_ports()?;
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bootstrap = json!({
        "admin": {"address": proxy::socket(at(admin))},
        "application_log_config": {"log_format": {"text_format": "%H:%M:%S.%f %t %n %v"}},
        "static_resources": {
            "listeners": [listener(at(port))],
            "clusters": [{"name": "upstream"}],
        },
    });
    let mut options = proxy::options(binary, &bootstrap, directory.path(), at(admin));
    options.log_level = "trace".into();
    let envoy = runtime
        .block_on(Envoy::start(&options))
        .context("starting Envoy with a large configuration")?;
    runtime.block_on(envoy.stop(Duration::from_secs(3)))?;
    let log = std::fs::read_to_string(directory.path().join("envoy.log"))?;
    let calls = calls(&log, "proxy_on_configure")?;
    anyhow::ensure!(!calls.is_empty(), "Envoy's log has no proxy_on_configure");
    let created = find(&log, "Base Wasm created").context("Envoy's log has no Wasm VM")?;
    let initialised = find(&log, "[host->vm] _initialize").context("a VM was not initialised")?;
    Ok((calls, between(created, initialised)))
}

/// The durations of all calls of a callback that Envoy's log tells of. A thread's calls do not nest.
fn calls(log: &str, callback: &str) -> anyhow::Result<Vec<Duration>> {
    let (call, back) = (
        format!("[host->vm] {callback}("),
        format!("[host<-vm] {callback} return: 1"),
    );
    let mut open: Vec<(&str, Duration)> = Vec::new();
    let mut done = Vec::new();
    for line in log.lines() {
        let thread = line.split(' ').nth(1).unwrap_or_default();
        if line.contains(&call) {
            open.push((thread, clock(line).context("a line without a time")?));
        } else if line.contains(&back)
            && let Some(at) = open.iter().position(|(t, _)| *t == thread)
        {
            let (_, start) = open.remove(at);
            done.push(between(
                start,
                clock(line).context("a line without a time")?,
            ));
        }
    }
    anyhow::ensure!(open.is_empty(), "Envoy did not accept the configuration");
    Ok(done)
}

fn find(log: &str, text: &str) -> Option<Duration> {
    log.lines().find(|line| line.contains(text)).and_then(clock)
}

/// From one time of the day to a later one, which may be the next day's.
fn between(from: Duration, to: Duration) -> Duration {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    to.checked_sub(from).unwrap_or(to + DAY - from)
}

/// The time of the day at the beginning of a line, `HH:MM:SS.ffffff`.
fn clock(line: &str) -> Option<Duration> {
    let (time, _) = line.split_once(' ')?;
    let (time, micros) = time.split_once('.')?;
    let mut parts = time.split(':').map(str::parse::<u64>);
    let mut next = || parts.next()?.ok();
    let seconds = next()? * 3600 + next()? * 60 + next()?;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros.parse().ok()?))
}

/// This repository's masking policy over fields of the schema, evenly picked.
fn configuration(checkout: &Path, sdl: &str) -> anyhow::Result<String> {
    let policy = checkout.join("policies/ig");
    let fields = leaves(sdl);
    anyhow::ensure!(fields.len() >= RULES, "GitHub's schema has too few fields");
    let strategies = ["hash", "partial", "redact"];
    let rules: Map<String, Value> = (0..RULES)
        .filter_map(|i| {
            let (coordinate, string) = fields.get(i * fields.len() / RULES)?;
            let strategy = if *string { strategies[i % 3] } else { "redact" };
            let rule = json!({"class": "contact", "strategy": strategy});
            Some((coordinate.clone(), rule))
        })
        .collect();
    let mut data = Map::new();
    for name in ["grants", "purposes", "risk", "roles", "tenants"] {
        let text = std::fs::read(policy.join(name).join("data.json"))
            .with_context(|| format!("reading the policy's {name}"))?;
        data.insert(name.into(), serde_json::from_slice(&text)?);
    }
    data.insert("fields".into(), rules.into());
    let module = std::fs::read_to_string(policy.join("masking.rego"))?;
    let config = json!({
        "revision": "bench",
        "region": "eu",
        "policy": {
            "modules": [{"path": "ig/masking.rego", "text": module}],
            "data": {"ig": data},
        },
        "schema": sdl,
        "graphql_paths": ["/graphql"],
    });
    Ok(config.to_string())
}

/// Coordinates of the fields without arguments that return a scalar, and whether that is a string.
fn leaves(sdl: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut within: Option<&str> = None;
    for line in sdl.lines() {
        if let Some(rest) = line.strip_prefix("type ") {
            within = rest.split([' ', '{']).next();
        } else if line.starts_with('}') {
            within = None;
        } else if let Some(name) = within
            && let Some((field, of)) = line.strip_prefix("  ").and_then(|l| l.split_once(": "))
            && field.chars().all(|c| c.is_ascii_alphanumeric())
        {
            let of = of.trim_end_matches('!');
            if LEAVES.contains(&of) {
                found.push((format!("{name}.{field}"), of == "String"));
            }
        }
    }
    found
}

fn types(sdl: &str) -> usize {
    let kinds = [
        "type ",
        "interface ",
        "union ",
        "enum ",
        "input ",
        "scalar ",
    ];
    sdl.lines()
        .filter(|line| kinds.iter().any(|kind| line.starts_with(kind)))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_a_log() {
        let log = "23:59:59.999990 7 wasm [host->vm] proxy_on_configure(1, 9)\n\
                   23:59:59.999991 7 wasm [vm->host] env.proxy_get_buffer_bytes(7)\n\
                   23:59:59.999995 8 wasm [host->vm] proxy_on_configure(1, 9)\n\
                   00:00:00.000010 7 wasm [host<-vm] proxy_on_configure return: 1\n\
                   00:00:00.100005 8 wasm [host<-vm] proxy_on_configure return: 1\n";
        let calls = calls(log, "proxy_on_configure").expect("calls");
        assert_eq!(calls, [20, 100_010].map(Duration::from_micros));
    }

    #[test]
    fn leaves_are_scalars_without_arguments() {
        let sdl = "type A implements B {\n  \"\"\"\n  id: no\n  \"\"\"\n  name: String!\n  \
                   age(in: Int): Int\n  b: B\n  at: DateTime\n}\ninterface B {\n  x: Int\n}\n";
        let found = leaves(sdl);
        assert_eq!(found, [("A.name".into(), true), ("A.at".into(), false)]);
        assert_eq!(types(sdl), 2);
    }
}
