//! Memory: what Envoy's process holds, and how large a filter's VM has become.
//!
//! Envoy has no statistic of a VM's memory. The same module and exchange run in the harness on
//! wasmtime, which tells it: linear memory is the module's own business, whichever runtime holds it.

use std::path::Path;

use anyhow::Context;
use harness::{Exchange, Figures, Message, Plugin, PluginOptions, Vm, VmOptions};
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::load::{self, Load, SECRET};
use crate::proxy::{Cluster, Proxy};
use crate::upstream::Upstream;
use crate::variants::{Masked, Variant};

/// Pieces in which bodies come: the most that Envoy hands over at once is its buffer limit.
pub const PIECES: [usize; 2] = [64 * Load::KB, Load::MB];

/// A body that only passes as a stream.
pub const HUGE: Load = Load {
    bytes: 100 * Load::MB,
    values: 2000,
};

/// The largest load of the table.
pub const LARGE: Load = Load {
    bytes: 16 * Load::MB,
    values: 2000,
};

/// Bytes of linear memory of a fresh VM after an exchange under each of these loads, one after
/// another in the same VM.
///
/// # Errors
/// The filter can't be loaded, or does not mask.
pub fn vm(
    plugin: &(impl AsRef<Path>, String),
    masked: Masked,
    loads: &[Load],
    piece: usize,
) -> anyhow::Result<Vec<usize>> {
    let (vm, plugin) = load_filter(plugin)?;
    loads
        .iter()
        .map(|load| {
            exchange(&plugin, masked, *load, piece)?;
            Ok(vm.figures().memory)
        })
        .collect()
}

/// What one exchange costs a filter that has seen another just like it. Host calls and fuel do not
/// depend on the machine.
///
/// # Errors
/// As [`vm`].
pub fn cost(
    plugin: &(impl AsRef<Path>, String),
    masked: Masked,
    load: Load,
) -> anyhow::Result<Figures> {
    let (_, plugin) = load_filter(plugin)?;
    let [piece, _] = PIECES;
    exchange(&plugin, masked, load, piece)?;
    exchange(&plugin, masked, load, piece)
}

fn load_filter(plugin: &(impl AsRef<Path>, String)) -> anyhow::Result<(Vm, Plugin)> {
    let wasm = std::fs::read(&plugin.0)?;
    let options = VmOptions {
        env: vec![(load::MASK_KEYS.0.into(), load::MASK_KEYS.1.into())],
        ..VmOptions::default()
    };
    let vm = Vm::load(&wasm, options)?;
    let plugin = vm.plugin(PluginOptions {
        configuration: plugin.1.clone().into_bytes(),
        allow_on_headers_stop_iteration: true,
        ..PluginOptions::default()
    })?;
    Ok((vm, plugin))
}

fn exchange(plugin: &Plugin, masked: Masked, load: Load, piece: usize) -> anyhow::Result<Figures> {
    let body = load.body();
    let mut response = Message::json(200, &body);
    response.chunks = body.chunks(piece).map(<[u8]>::to_vec).collect();
    let outcome = Exchange::new(Message::post("/graphql", load::request()), response)
        .with_claims(load::claims())
        .run(plugin)?;
    anyhow::ensure!(
        outcome.status() == Some(200) && outcome.is_complete(),
        "the filter answers {:?} in the harness",
        outcome.status()
    );
    anyhow::ensure!(
        masked == Masked::Not || !shows(&outcome.downstream.body()),
        "a value is not masked in the harness"
    );
    Ok(outcome.figures)
}

fn shows(body: &[u8]) -> bool {
    memchr::memmem::find(body, SECRET.as_bytes()).is_some()
}

/// Resident memory of an Envoy that has one variant only, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Resident {
    /// Once it serves.
    pub idle: u64,
    /// After 2,000 requests of the usual load.
    pub usual: u64,
    /// After three requests of the largest load of the table.
    pub large: Option<u64>,
    /// After one request of 100 MB, where the variant can stream it.
    pub huge: Option<u64>,
}

/// Measures a variant's resident memory; with the largest loads or without.
///
/// # Errors
/// Envoy does not start, an answer does not come, or the operating system has no `/proc`.
pub fn resident(
    runtime: &Runtime,
    binary: &Path,
    variant: &Variant,
    clusters: &[Cluster],
    upstream: &Upstream,
    largest: bool,
) -> anyhow::Result<Resident> {
    let listeners = std::slice::from_ref(&variant.listener);
    let proxy = Proxy::start(runtime, binary, listeners, clusters)?;
    let address = *proxy.addresses().first().context("no listener")?;
    let after = |load: Load, requests: usize| -> anyhow::Result<u64> {
        upstream.answer_with(&load.body());
        let mut client = Client::connect(address, &load.word())?;
        let answer = client.ask_and_keep()?;
        anyhow::ensure!(
            answer.head.starts_with("HTTP/1.1 200"),
            "{} is answered with {}",
            load.name(),
            answer.head.lines().next().unwrap_or_default()
        );
        anyhow::ensure!(
            variant.masked == Masked::Not || !shows(&answer.body),
            "{}: a value is not masked",
            load.name()
        );
        drop(answer);
        for _ in 1..requests {
            client.ask()?;
        }
        proxy.resident().context("Envoy's memory can't be read")
    };
    let idle = proxy.resident().context("Envoy's memory can't be read")?;
    let usual = after(Load::USUAL, 2000)?;
    let large = if largest && variant.suits(LARGE) {
        Some(after(LARGE, 3)?)
    } else {
        None
    };
    let streams = variant.suits(LARGE) && variant.listener.buffer_limit.is_none();
    let huge = if largest && streams {
        Some(after(HUGE, 1)?)
    } else {
        None
    };
    proxy.stop(runtime)?;
    Ok(Resident {
        idle,
        usual,
        large,
        huge,
    })
}
