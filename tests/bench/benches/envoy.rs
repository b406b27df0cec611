//! What masking adds to a response on a real Envoy with one worker: against no filter, Wasm filters
//! that do nothing and that copy, Lua, an external processor, and an Apollo Server whose resolvers
//! mask; in turn, in one run.
//!
//! `cargo bench -p bench --bench envoy -- [--quick | --only 12KB/200,… | --serve]`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench::apollo::{Packages, Servers};
use bench::load::Load;
use bench::proxy::{Cluster, Proxy};
use bench::results::{Results, Stream};
use bench::upstream::Upstream;
use bench::variants::{self, Masked, Modules, Variant, Way};
use bench::{ext_proc, loading, memory, report, timing};
use tokio::runtime::Runtime;

/// How much is measured.
struct Plan {
    loads: Vec<Load>,
    /// For each load, and for the usual one.
    budget: Duration,
    usual_budget: Duration,
    /// Whether large bodies are streamed, and every variant's Envoy weighed.
    memory: bool,
    /// Whether nothing is measured: everything runs until standard input ends, for a profiler.
    serve: bool,
}

impl Plan {
    fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut plan = Plan {
            loads: Load::all(),
            budget: Duration::from_secs(14),
            usual_budget: Duration::from_secs(60),
            memory: true,
            serve: false,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--quick" => {
                    plan.loads = vec![Load::USUAL];
                    plan.usual_budget = Duration::from_secs(30);
                    plan.memory = false;
                }
                "--only" => {
                    let names = arguments.next().unwrap_or_default();
                    plan.loads = Load::all()
                        .into_iter()
                        .filter(|load| names.split(',').any(|n| n == load.name()))
                        .collect();
                    let all: Vec<String> = Load::all().iter().map(Load::name).collect();
                    anyhow::ensure!(
                        !plan.loads.is_empty(),
                        "--only takes loads of {}",
                        all.join(", ")
                    );
                    plan.memory = false;
                }
                "--serve" => plan.serve = true,
                other => anyhow::bail!("{other} is none of --quick, --only and --serve"),
            }
        }
        Ok(plan)
    }
}

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
    let plan = Plan::read(std::env::args().skip(1))?;
    let checkout = artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let mut results = Results::default();
    let modules = build(&checkout, &mut results)?;
    let bench = Bench::start(&checkout, &modules, &plan.loads, &mut results)?;
    if plan.serve {
        return bench.serve(plan.loads.first().copied().unwrap_or(Load::USUAL));
    }
    for load in &plan.loads {
        let budget = match *load {
            Load::USUAL => plan.usual_budget,
            _ => plan.budget,
        };
        bench.time(*load, budget, &mut results)?;
    }
    bench.vm_memory(&mut results)?;
    bench.costs(&mut results)?;
    if plan.memory {
        bench.streams(&mut results)?;
    }
    bench.resident(plan.memory, &mut results)?;
    bench.loading(&checkout, &modules, &mut results)?;

    report::print(&results);
    let out = checkout.join("target/bench");
    std::fs::create_dir_all(&out)?;
    let json = serde_json::to_string_pretty(&report::json(&results))?;
    std::fs::write(out.join("masking.json"), json)?;
    println!("\nalso in target/bench/masking.json");
    Ok(())
}

fn build(checkout: &Path, results: &mut Results) -> anyhow::Result<Modules> {
    let paths =
        artifacts::build_filters(checkout, &["masking", "residency", "noop", "copythrough"])?;
    let [masking, residency, noop, copythrough]: [PathBuf; 4] = paths
        .try_into()
        .map_err(|_| anyhow::anyhow!("the build made other modules than asked for"))?;
    for (name, path) in [("masking", &masking), ("residency", &residency)] {
        let bytes = std::fs::metadata(path)?.len();
        results.modules.push((name.into(), bytes));
    }
    Ok(Modules {
        masking,
        noop,
        copythrough,
    })
}

/// Everything that runs beside the measuring.
struct Bench {
    runtime: Runtime,
    binary: PathBuf,
    upstream: Upstream,
    packages: Option<Packages>,
    // Kept until the end.
    _servers: Option<Servers>,
    clusters: Vec<Cluster>,
    variants: Vec<Variant>,
    proxy: Proxy,
}

impl Bench {
    fn start(
        checkout: &Path,
        modules: &Modules,
        loads: &[Load],
        results: &mut Results,
    ) -> anyhow::Result<Self> {
        let binary = gateway::locate::locate(&checkout.join("target"), |m| eprintln!("{m}"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let upstream = Upstream::start()?;
        let mut clusters = vec![
            Cluster {
                name: variants::UPSTREAM.into(),
                address: upstream.address(),
                http2: false,
            },
            Cluster {
                name: variants::EXT_PROC.into(),
                address: runtime.block_on(ext_proc::start())?,
                http2: true,
            },
        ];
        let packages = Packages::install(checkout)
            .map_err(|e| {
                results
                    .missing
                    .push(format!("Apollo and GitHub's schema: {e:#}"))
            })
            .ok();
        let mut loads = loads.to_vec();
        loads.retain(|load| load.bytes <= Load::MB);
        let servers = packages.as_ref().and_then(|packages| {
            Servers::start(packages, &loads)
                .map_err(|e| results.missing.push(format!("Apollo: {e:#}")))
                .ok()
        });
        clusters.extend(servers.iter().flat_map(Servers::clusters));
        let variants = variants::all(modules, servers.is_some());
        let listeners: Vec<_> = variants.iter().map(|v| v.listener.clone()).collect();
        eprintln!("starting Envoy with {} listeners", listeners.len());
        let proxy = Proxy::start(&runtime, &binary, &listeners, &clusters)?;
        Ok(Self {
            runtime,
            binary,
            upstream,
            packages,
            _servers: servers,
            clusters,
            variants,
            proxy,
        })
    }

    /// Says where each variant is, and waits for the end of standard input.
    fn serve(&self, load: Load) -> anyhow::Result<()> {
        self.upstream.answer_with(&load.body());
        for (variant, address) in self.variants.iter().zip(self.proxy.addresses()) {
            println!("{:<24} http://{address}/graphql", variant.name());
        }
        println!("\nPOST {}", bench::load::request());
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        Ok(())
    }

    fn time(&self, load: Load, budget: Duration, results: &mut Results) -> anyhow::Result<()> {
        let pairs: Vec<(&Variant, SocketAddr)> = self
            .variants
            .iter()
            .zip(self.proxy.addresses().iter().copied())
            .filter(|(variant, _)| variant.suits(load))
            .collect();
        let started = Instant::now();
        let series = timing::time(&pairs, &self.upstream, load, budget)?;
        eprintln!(
            "{}: {} variants in {:.0} s",
            load.name(),
            pairs.len(),
            started.elapsed().as_secs_f64()
        );
        let variants: Vec<&Variant> = pairs.into_iter().map(|(variant, _)| variant).collect();
        results.add(load, &variants, &series);
        Ok(())
    }

    /// VM memory of every row whose variant is a Wasm filter.
    fn vm_memory(&self, results: &mut Results) -> anyhow::Result<()> {
        for row in &mut results.rows {
            let variant = self
                .variants
                .iter()
                .find(|v| v.way == row.way && v.masked == row.masked);
            if let Some(plugin) = variant.and_then(|v| v.plugin.as_ref()) {
                let [piece, _] = memory::PIECES;
                let bytes = memory::vm(plugin, row.masked, &[row.load], piece)?;
                row.vm_memory = bytes.first().copied();
            }
        }
        Ok(())
    }

    fn costs(&self, results: &mut Results) -> anyhow::Result<()> {
        for variant in &self.variants {
            if let Some(plugin) = &variant.plugin {
                let figures = memory::cost(plugin, variant.masked, Load::USUAL)?;
                results.costs.push((variant.name(), figures));
            }
        }
        Ok(())
    }

    fn streams(&self, results: &mut Results) -> anyhow::Result<()> {
        for variant in &self.variants {
            let Some(plugin) = &variant.plugin else {
                continue;
            };
            for piece in memory::PIECES {
                let loads = [memory::LARGE, memory::HUGE];
                let bytes = memory::vm(plugin, variant.masked, &loads, piece)?;
                if let [large, huge] = bytes[..] {
                    results.streams.push(Stream {
                        variant: variant.name(),
                        masked: variant.masked,
                        way: variant.way,
                        piece,
                        large,
                        huge,
                    });
                }
            }
        }
        eprintln!("VM memory of large bodies measured");
        Ok(())
    }

    fn resident(&self, largest: bool, results: &mut Results) -> anyhow::Result<()> {
        for variant in &self.variants {
            // Apollo's memory is in its own process, and strategies differ in time, not in size.
            if variant.way == Way::Apollo
                || matches!(variant.masked, Masked::Partial | Masked::Null)
            {
                continue;
            }
            let resident = memory::resident(
                &self.runtime,
                &self.binary,
                variant,
                &self.clusters,
                &self.upstream,
                largest,
            );
            match resident {
                Ok(resident) => results.resident.push((variant.name(), resident)),
                Err(e) => results
                    .missing
                    .push(format!("Memory of {}: {e:#}", variant.name())),
            }
        }
        eprintln!("resident memory measured");
        Ok(())
    }

    fn loading(
        &self,
        checkout: &Path,
        modules: &Modules,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let Some(packages) = &self.packages else {
            return Ok(());
        };
        let loading = loading::measure(
            &self.runtime,
            &self.binary,
            checkout,
            &modules.masking,
            &packages.github_schema(),
        );
        match loading {
            Ok(loading) => results.loading = Some(loading),
            Err(e) => results
                .missing
                .push(format!("Loading GitHub's schema: {e:#}")),
        }
        Ok(())
    }
}
