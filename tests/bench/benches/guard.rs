//! What the guard adds to opening a PostgreSQL connection and to its queries, and residency to a
//! request, on a real Envoy with one worker, in turn with nothing and with a Wasm filter that does
//! nothing; and how long a directory of 10,000 tenants takes to load.
//!
//! `cargo bench -p bench --bench guard -- [--quick]`

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bench::added::Table;
use bench::aims::Aim;
use bench::client::Client;
use bench::loading::{self, Times};
use bench::postgres::{self, Postgres, Session};
use bench::proxy::{self, Cluster, Listener, Proxy};
use bench::tenants::{self, Configurations};
use bench::timing::{Turn, in_turns};
use bench::upstream::Upstream;
use bench::{report, variants};
use engine::guard::Guard;
use engine::residency::Residency;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Ways to a store, nothing and a Wasm filter that does nothing first.
const CONNECTS: [&str; 4] = [
    "tcp_proxy alone",
    "Wasm, does nothing",
    "guard",
    "guard, tenant not seen",
];
const QUERIES: [&str; 3] = ["tcp_proxy alone", "Wasm, does nothing", "guard"];
const REQUESTS: [&str; 3] = ["no filter", "Wasm, does nothing", "residency"];

/// Requests before they are timed: V8 compiles what is hot anew.
const WARM_UP: usize = 300;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut budget = Duration::from_secs(40);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--quick" => budget = Duration::from_secs(6),
            other => anyhow::bail!("{other} is not --quick"),
        }
    }
    let checkout = artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let bench = Bench::new(&checkout, budget)?;
    let [connects, queries] = bench.store()?;
    let requests = bench.requests()?;
    let loading = [
        ("residency", bench.residency_loading()?),
        ("guard", bench.guard_loading()?),
    ];
    report(&checkout, &[connects, queries, requests], &loading)
}

struct Bench {
    runtime: Runtime,
    binary: PathBuf,
    budget: Duration,
    guard: PathBuf,
    residency: PathBuf,
    noop: PathBuf,
    configurations: Configurations,
}

impl Bench {
    fn new(checkout: &Path, budget: Duration) -> anyhow::Result<Self> {
        let modules = artifacts::build_filters(checkout, &["guard", "residency", "noop"])?;
        let [guard, residency, noop]: [PathBuf; 3] = modules
            .try_into()
            .map_err(|_| anyhow::anyhow!("the build made other modules than asked for"))?;
        Ok(Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?,
            binary: gateway::locate::locate(&checkout.join("target"), |m| eprintln!("{m}"))?,
            budget,
            guard,
            residency,
            noop,
            configurations: tenants::configurations(checkout)?,
        })
    }

    /// Connections to a store, and queries over them.
    fn store(&self) -> anyhow::Result<[Table; 2]> {
        let server = Postgres::start()?;
        let clusters = [Cluster {
            name: tenants::STORE.into(),
            address: server.address(),
            http2: false,
        }];
        let ways = [
            None,
            Some(proxy::network_wasm(&self.noop, "noop", "tcp")),
            Some(self.guard_filter()),
        ];
        eprintln!("starting Envoy before a store");
        let proxy = Proxy::with(&self.runtime, &self.binary, &ways, tcp, &clusters)?;
        let addresses: [SocketAddr; 3] = proxy.addresses().try_into()?;
        let [alone, noop, guarded] = addresses;
        let startup = postgres::startup(tenants::TENANT, &tenants::token(tenants::TENANT)?);
        for (address, name) in addresses.into_iter().zip(QUERIES) {
            postgres::check(address, &startup, name)?;
        }
        // More than the guard remembers, in turn: it has to ask its policy about each.
        let others = (0..tenants::COUNT).map(|number| {
            let name = tenants::tenant(number);
            Ok(postgres::startup(&name, &tenants::token(&name)?))
        });
        let others: Vec<Vec<u8>> = others.collect::<anyhow::Result<_>>()?;
        let next = Cell::new(0);
        let unseen = || {
            let number = next.replace((next.get() + 1) % others.len());
            others.get(number).unwrap_or(&startup)
        };
        let mut turns: Vec<Turn<'_>> = vec![
            Box::new(|| postgres::connect(&server, alone, &startup)),
            Box::new(|| postgres::connect(&server, noop, &startup)),
            Box::new(|| postgres::connect(&server, guarded, &startup)),
            Box::new(|| postgres::connect(&server, guarded, unseen())),
        ];
        let connects = self.time("Connect until ReadyForQuery", &CONNECTS, &mut turns)?;
        let mut sessions = addresses
            .iter()
            .map(|address| Session::connect(*address, &startup))
            .collect::<Result<Vec<_>, _>>()?;
        let mut turns: Vec<Turn<'_>> = sessions
            .iter_mut()
            .map(|session| Box::new(|| session.ask()) as Turn<'_>)
            .collect();
        let queries = self.time("A query, once connected", &QUERIES, &mut turns)?;
        let counter = |name: &str| {
            let name = format!("wasmcustom.ig.guard.{name}");
            proxy.stat(&self.runtime, &name)
        };
        let guarded = connects.rows.iter().skip(2).map(|row| row.count as u64);
        anyhow::ensure!(
            counter("allowed")? >= guarded.sum::<u64>() && counter("denied")? == 0,
            "the guard did not decide about its connections"
        );
        proxy.stop(&self.runtime)?;
        Ok([connects, queries])
    }

    /// Small requests with small responses.
    fn requests(&self) -> anyhow::Result<Table> {
        let upstream = Upstream::start()?;
        upstream.answer_with(b"{\"data\":{}}");
        let clusters = [Cluster {
            name: variants::UPSTREAM.into(),
            address: upstream.address(),
            http2: false,
        }];
        let listener = |filter| Listener {
            filter,
            cluster: variants::UPSTREAM.into(),
            buffer_limit: None,
        };
        let ways = [
            listener(None),
            listener(Some(proxy::wasm(&self.noop, "noop", ""))),
            listener(Some(self.residency_filter())),
        ];
        eprintln!("starting Envoy before an upstream");
        let proxy = Proxy::start(&self.runtime, &self.binary, &ways, &clusters)?;
        let mut clients = Vec::new();
        for (address, name) in proxy.addresses().iter().zip(REQUESTS) {
            let mut client = Client::connect(*address, "small")?;
            let answer = client.ask_and_keep()?;
            let fine = answer.head.starts_with("HTTP/1.1 200");
            anyhow::ensure!(fine, "{name} answers {}", answer.head);
            clients.push(client);
        }
        let mut turns: Vec<Turn<'_>> = clients
            .iter_mut()
            .map(|client| Box::new(|| client.ask()) as Turn<'_>)
            .collect();
        let requests = self.time("A small request", &REQUESTS, &mut turns)?;
        let allowed = proxy.stat(&self.runtime, "wasmcustom.ig.residency.allowed")?;
        let asked = requests.row("residency").map_or(0, |row| row.count as u64);
        anyhow::ensure!(
            allowed >= asked,
            "residency did not decide about its requests"
        );
        proxy.stop(&self.runtime)?;
        Ok(requests)
    }

    fn time(&self, title: &str, names: &[&str], turns: &mut [Turn<'_>]) -> anyhow::Result<Table> {
        for turn in &mut *turns {
            for _ in 0..WARM_UP {
                turn()?;
            }
        }
        eprintln!("timing: {title}");
        Ok(Table::new(title, names, &in_turns(turns, self.budget)?))
    }

    fn guard_filter(&self) -> Value {
        proxy::network_wasm(&self.guard, "guard", &self.configurations.guard)
    }

    fn residency_filter(&self) -> Value {
        proxy::wasm(&self.residency, "residency", &self.configurations.residency)
    }

    fn guard_loading(&self) -> anyhow::Result<Times> {
        let config = &self.configurations.guard;
        loading::times(
            (&self.runtime, &self.binary),
            (&self.guard, config),
            || Ok(Guard::configure(config.as_bytes(), keys).map(drop)?),
            |address| tcp(&Some(self.guard_filter()), address),
        )
    }

    fn residency_loading(&self) -> anyhow::Result<Times> {
        let config = &self.configurations.residency;
        let listener = Listener {
            filter: Some(self.residency_filter()),
            cluster: variants::UPSTREAM.into(),
            buffer_limit: None,
        };
        loading::times(
            (&self.runtime, &self.binary),
            (&self.residency, config),
            || Ok(Residency::configure(config.as_bytes(), keys).map(drop)?),
            |address| proxy::resource(&listener, address),
        )
    }
}

fn keys(_: &str) -> Option<String> {
    Some(tenants::CONTEXT_KEYS.1.to_owned())
}

/// A listener before a store: the filter, if any, then `tcp_proxy`. It leads a connection of the guard
/// nowhere unless that names the store, as a sidecar's does.
fn tcp(filter: &Option<Value>, address: SocketAddr) -> Value {
    let mut proxy = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": format!("p{}", address.port()),
        "cluster": tenants::STORE,
    });
    if filter.as_ref().is_some_and(|f| f["name"] == "guard") {
        proxy["cluster"] = "refusal".into();
        proxy["max_connect_attempts"] = 1.into();
        proxy["max_early_data_bytes"] = 65_536.into();
    }
    let proxy = json!({"name": "tcp_proxy", "typed_config": proxy});
    let filters: Vec<&Value> = filter.iter().chain([&proxy]).collect();
    json!({
        "name": format!("listener-{}", address.port()),
        "address": proxy::socket(address),
        "filter_chains": [{"filters": filters}],
    })
}

fn report(checkout: &Path, tables: &[Table], loading: &[(&str, Times)]) -> anyhow::Result<()> {
    let [connects, queries, requests] = tables else {
        anyhow::bail!("three tables were measured");
    };
    let of = |table: &Table, name: &str, to: usize| {
        let added = table.row(name)?.added.get(to).copied()?;
        Some((added.p50, added.quartiles))
    };
    let aim = |what: &str, most: f64, unit, seen: Option<(f64, (f64, f64))>| Aim {
        what: what.to_owned(),
        most,
        unit,
        seen: seen.map(|(seen, _)| seen),
        quartiles: seen.map(|(_, quartiles)| quartiles),
    };
    let mut aims = vec![
        aim(
            "connect: guard, added p50",
            100.0,
            "µs",
            of(connects, "guard", 0),
        ),
        aim(
            "query: guard, added p50 (none, but for noise)",
            1.0,
            "µs",
            of(queries, "guard", 0),
        ),
        aim(
            "request: residency, added p50 to no-op Wasm",
            15.0,
            "µs",
            of(requests, "residency", 1),
        ),
    ];
    for (name, times) in loading {
        let slowest = times.envoy.iter().max().map(|d| d.as_secs_f64() * 1000.0);
        let what = format!("{} tenants: {name}, loading in Envoy", tenants::COUNT);
        aims.push(aim(&what, 100.0, "ms", slowest.map(|ms| (ms, (ms, ms)))));
    }
    report::print_aims(&aims);
    for table in tables {
        table.print();
    }
    for (name, times) in loading {
        println!("\nLoading {} tenants: {name}; ms\n", tenants::COUNT);
        report::print_times(times);
    }
    let json = json!({
        "aims": aims.iter().map(report::aim_json).collect::<Vec<_>>(),
        "tables": tables.iter().map(Table::json).collect::<Vec<_>>(),
        "loading": loading.iter().map(|(name, times)| {
            json!({"filter": name, "tenants": tenants::COUNT, "times": report::times_json(times)})
        }).collect::<Vec<_>>(),
    });
    let out = checkout.join("target/bench");
    std::fs::create_dir_all(&out)?;
    std::fs::write(out.join("guard.json"), serde_json::to_string_pretty(&json)?)?;
    println!("\nalso in target/bench/guard.json");
    Ok(())
}
