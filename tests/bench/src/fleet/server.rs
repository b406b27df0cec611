//! The control plane, in a process of its own, and how that is driven: a line in, a line out.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use gateway::egress::{self, EgressSpec, Protocol, SidecarSpec};
use gateway::spec::{EndpointSpec, FilterSpec, WasmSource, XdsSpec};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use xds::{Cache, Event, Resource, Snapshot};

use crate::tenants;

const GROUP: &str = "eu";

/// The server's process.
pub struct Server {
    /// Where it serves.
    pub address: SocketAddr,
    /// What a sidecar asks for: types, and names where not all are asked for.
    pub types: Vec<(String, Vec<String>)>,
    /// Bytes of the filter's configuration.
    pub filter_bytes: u64,
    /// Bytes of memory before anybody was there.
    pub resident_before: u64,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

/// What became of a change.
pub struct Pushed {
    /// Milliseconds until all had accepted it.
    pub all_ms: f64,
    /// Bytes of memory that the server holds.
    pub resident: u64,
    /// The most that it has held.
    pub resident_most: u64,
}

impl Server {
    /// Starts it: this very program, with `--serve`.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("it has no input")?;
        let output = child.stdout.take().context("it has no output")?;
        let mut output = BufReader::new(output).lines();
        let line = output.next_line().await?.context("it ended")?;
        let ready: Value = serde_json::from_str(&line)?;
        Ok(Self {
            address: serde_json::from_value(ready["address"].clone())?,
            types: serde_json::from_value(ready["types"].clone())?,
            filter_bytes: ready["filterBytes"].as_u64().unwrap_or_default(),
            resident_before: ready["resident"].as_u64().unwrap_or_default(),
            input,
            output,
            _child: child,
        })
    }

    /// Waits until all streams, so many, have all there is.
    ///
    /// # Errors
    /// It ended.
    pub async fn settled(&mut self, streams: usize) -> anyhow::Result<Pushed> {
        self.ask(&format!("settled {streams}")).await?;
        self.answer().await
    }

    /// Changes one tenant; the change is on its way when this returns.
    ///
    /// # Errors
    /// It ended.
    pub async fn push(&mut self, round: usize) -> anyhow::Result<()> {
        self.ask(&format!("push {round}")).await
    }

    /// How long the last change took to be accepted by all.
    ///
    /// # Errors
    /// It ended.
    pub async fn answer(&mut self) -> anyhow::Result<Pushed> {
        let line = self.output.next_line().await?.context("it ended")?;
        let said: Value = serde_json::from_str(&line)?;
        Ok(Pushed {
            all_ms: said["allMs"].as_f64().unwrap_or_default(),
            resident: said["resident"].as_u64().unwrap_or_default(),
            resident_most: said["residentMost"].as_u64().unwrap_or_default(),
        })
    }

    async fn ask(&mut self, line: &str) -> anyhow::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.input.flush().await?)
    }
}

/// Is the server, until its input ends.
///
/// # Errors
/// The policies can't be read, or the socket fails.
pub async fn serve(checkout: &Path) -> anyhow::Result<()> {
    let guard = tenants::configurations(checkout)?.guard;
    let first = resources(&guard)?;
    let mut types: Vec<(String, Vec<String>)> = Vec::new();
    for resource in &first {
        let all = xds::type_url::is_full_state(resource.type_url());
        let name = (!all).then(|| resource.name().to_owned());
        match types.iter_mut().find(|(url, _)| url == resource.type_url()) {
            Some((_, names)) => names.extend(name),
            None => types.push((resource.type_url().to_owned(), name.into_iter().collect())),
        }
    }
    types.sort_by_key(|(url, _)| xds::type_url::rank(url));
    let cache = Cache::patching(
        |node| (node.cluster == "sidecar").then(|| GROUP.to_owned()),
        Box::new(|old, new| gateway::patch(old.bytes(), new.bytes())),
    );
    let mut events = cache.subscribe();
    cache.set(GROUP, Snapshot::new(first)?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // With every processor taken by clients and server alike, a ping may wait for its turn.
    let config = xds::Config {
        keepalive_seconds: 300,
        ..xds::Config::default()
    };
    tokio::spawn(xds::run::serve(
        listener,
        cache.clone(),
        config,
        std::future::pending(),
    ));
    let (resident, _) = memory()?;
    println!(
        "{}",
        json!({"address": address, "types": types, "filterBytes": guard.len(), "resident": resident})
    );
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = input.next_line().await? {
        let (word, number) = line.split_once(' ').context("no number")?;
        let number: usize = number.parse()?;
        let mut began = std::time::Instant::now();
        let streams = if word == "push" {
            // A policy is compiled elsewhere: what is timed begins with the snapshot.
            let snapshot = Snapshot::new(resources(&changed(&guard, number)?)?)?;
            began = std::time::Instant::now();
            let eve = cache.served(GROUP);
            cache.set(GROUP, snapshot);
            anyhow::ensure!(
                eve.map(|s| s.version().to_owned())
                    != cache.served(GROUP).map(|s| s.version().to_owned()),
                "nothing changed"
            );
            0
        } else {
            number
        };
        let version = cache.served(GROUP).context("nothing is served")?;
        let is = |s: &std::sync::Arc<Snapshot>| s.version() == version.version();
        let count = |cache: &Cache| cache.status().groups.get(GROUP).map_or(0, |g| g.streams);
        while count(&cache) < streams || !cache.last_good(GROUP).is_some_and(|s| is(&s)) {
            // Each stream that is heard of may have been the last.
            match events.recv().await {
                Ok(Event::Proven { .. } | Event::Connected { .. }) | Err(_) => {}
                Ok(_) => continue,
            }
            if count(&cache) < streams {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
        let all_ms = began.elapsed().as_secs_f64() * 1_000.0;
        let (resident, most) = memory()?;
        println!(
            "{}",
            json!({"allMs": all_ms, "resident": resident, "residentMost": most})
        );
    }
    Ok(())
}

/// The configuration of a guard in which one tenant is elsewhere.
fn changed(guard: &str, round: usize) -> anyhow::Result<String> {
    let name = tenants::tenant(round * 7);
    let home = format!(r#""{name}":{{"region":"eu""#);
    anyhow::ensure!(guard.contains(&home), "there is no tenant {name}");
    Ok(guard.replace(&home, &home.replace(r#""eu""#, r#""us""#)))
}

fn resources(guard: &str) -> anyhow::Result<Vec<Resource>> {
    let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let spec = SidecarSpec {
        region: GROUP.to_owned(),
        node_id: "sidecar-eu".to_owned(),
        node_cluster: "sidecar".to_owned(),
        admin: local(9911),
        xds: XdsSpec {
            server: local(18000).into(),
            variant: gateway::spec::Variant::Delta,
            tls: None,
            others_secured: false,
        },
        api: None,
        other_regions: Vec::new(),
        listeners: vec![EgressSpec {
            name: "orders".to_owned(),
            protocol: Protocol::Tcp,
            listen: local(15432),
            store_region: GROUP.to_owned(),
            endpoints: vec![EndpointSpec {
                address: local(5432),
                priority: 0,
            }],
            guard: FilterSpec {
                name: "guard-orders".to_owned(),
                wasm: WasmSource::Local {
                    path: "/var/lib/conductor/filters/guard.wasm".into(),
                },
                vm_id: "guard-orders".to_owned(),
                configuration: guard.to_owned(),
                env_keys: Vec::new(),
                allow_on_headers_stop_iteration: false,
            },
        }],
        access_log_service: None,
        access_log: "/var/log/envoy/egress.json".into(),
        limits: Default::default(),
    };
    let planned = egress::plan(&spec)?;
    let resource = |p: gateway::Planned| Resource::new(p.type_url, p.name, p.bytes);
    Ok(planned.into_iter().map(resource).collect())
}

/// Bytes of memory that this process holds, and the most that it has held.
fn memory() -> anyhow::Result<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.map(|kb| kb * 1024).context("no such figure")
    };
    Ok((of("VmRSS:")?, of("VmHWM:")?))
}
