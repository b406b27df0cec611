//! The filters' own Wasm under the harness.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use bundle::Bundle;
use bundle::cases::fixture::{self, CONTEXT_KEYS, CONTEXT_KEYS_VARIABLE, KEYS, KEYS_VARIABLE};
use bundle::cases::{Case, Kind, Outcome};
use harness::{
    Chain, EndOfBody, Exchange, Headers, Host, Message, Plugin, PluginOptions, Vm, VmOptions,
};

use crate::fixture::checkout;

/// The packages that are filters.
pub const FILTERS: [&str; 2] = ["residency", "masking"];

/// The filters' modules, in the order in which a request passes them: built once a process.
///
/// # Panics
/// The build fails.
pub fn filters() -> &'static [PathBuf] {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(|| {
        artifacts::build_filters(&checkout(), &FILTERS).expect("the filters can be built")
    })
}

/// The guard's module: built once a process.
///
/// # Panics
/// The build fails.
pub fn guard() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = artifacts::build_filters(&checkout(), &["guard"]);
        built.expect("the guard can be built").remove(0)
    })
}

/// The filters of the gateways, by region and what cases change of the policies, each filter in a VM of its own.
pub struct Wasm {
    bundle: Bundle,
    residency: Vm,
    masking: Vm,
    gateways: HashMap<String, (Plugin, Plugin)>,
}

impl Wasm {
    /// Filters with these policies.
    ///
    /// # Panics
    /// The modules can't be built or loaded.
    pub fn new(bundle: Bundle) -> Self {
        Self::in_process(bundle, None)
    }

    /// Another worker of the same proxy, with machines of its own.
    ///
    /// # Panics
    /// The modules can't be loaded.
    pub fn another_worker(&self) -> Self {
        Self::in_process(self.bundle.clone(), Some(self.residency.host()))
    }

    /// The proxy's process: its clock, log, metrics and shared data.
    pub fn host(&self) -> Host {
        self.residency.host()
    }

    fn in_process(bundle: Bundle, host: Option<Host>) -> Self {
        let load = |path: &PathBuf, options: VmOptions| {
            let wasm = std::fs::read(path).expect("the module was built");
            Vm::load(&wasm, options).expect("the module can be loaded")
        };
        let env = vec![(KEYS_VARIABLE.to_owned(), KEYS.to_owned())];
        let cache_directory = Some(checkout().join("target/filters/compiled"));
        let [residency, masking] = filters() else {
            panic!("there are two filters");
        };
        let residency = load(
            residency,
            VmOptions {
                vm_id: "residency".into(),
                env: vec![(CONTEXT_KEYS_VARIABLE.to_owned(), CONTEXT_KEYS.to_owned())],
                cache_directory: cache_directory.clone(),
                host,
                ..VmOptions::default()
            },
        );
        let masking = load(
            masking,
            VmOptions {
                vm_id: "masking".into(),
                env,
                host: Some(residency.host()),
                cache_directory,
                ..VmOptions::default()
            },
        );
        Self {
            bundle,
            residency,
            masking,
            gateways: HashMap::new(),
        }
    }

    fn chain(&mut self, case: &Case) -> Chain {
        let region = &case.input.gateway_region;
        let gateway = self.gateways.entry(fixture::gateway(case));
        let (residency, masking) = gateway.or_insert_with(|| {
            let bundle = fixture::patched(&self.bundle, case).expect("the case fits the policies");
            let plugin = |vm: &Vm, name: &str, configuration| {
                let options = PluginOptions {
                    name: name.into(),
                    configuration,
                    allow_on_headers_stop_iteration: true,
                    ..PluginOptions::default()
                };
                vm.plugin(options).expect("the policies load")
            };
            let residency = fixture::residency_config(&bundle, region);
            let masking = fixture::masking_config(&bundle, region);
            (
                plugin(&self.residency, "residency", residency),
                plugin(&self.masking, "masking", masking),
            )
        });
        match case.kind {
            Kind::Masking => Chain::new([&*residency, &*masking]),
            Kind::Residency => Chain::new([&*residency]),
        }
    }

    /// Runs a case with the response's body in these pieces.
    ///
    /// # Panics
    /// A filter traps, or does what Envoy would not like.
    pub fn run(&mut self, case: &Case, pieces: &[Vec<u8>], end_of_body: EndOfBody) -> Outcome {
        let host = self.residency.host();
        host.set_now(std::time::Duration::from_secs(case.input.now));
        let chain = self.chain(case);
        let mut request = Message::new(Headers::from_iter(case.input.headers()));
        request.chunks = case.input.request.body().into_iter().collect();
        let mut response = Message::new(Headers::from_iter(case.input.response.headers()));
        response.chunks = pieces.to_vec();
        response.trailers = case.input.response.trailers.clone().map(Headers::from_iter);
        let exchange = Exchange {
            end_of_body,
            ..Exchange::new(request, response)
        }
        .with_claims(case.input.claims.clone());
        let outcome = exchange.run(chain).expect("the exchange is well-formed");
        assert!(
            outcome.traps.is_empty(),
            "{}: {:?}",
            case.name,
            outcome.traps
        );
        assert!(
            outcome.problems.is_empty(),
            "{}: {:?}",
            case.name,
            outcome.problems
        );
        let pairs = |headers: &Headers| -> Vec<(String, Vec<u8>)> {
            headers
                .iter()
                .map(|(n, v)| (n.to_owned(), v.to_vec()))
                .collect()
        };
        Outcome::new(
            &self.bundle.revision,
            case,
            outcome
                .downstream
                .headers
                .as_ref()
                .map(pairs)
                .unwrap_or_default(),
            outcome.downstream.body(),
            outcome.downstream.reset.is_some(),
            outcome
                .upstream
                .headers
                .as_ref()
                .map(|headers| (pairs(headers), outcome.upstream.body())),
            ["ig.residency", "ig.decision"].map(|name| outcome.wasm_state(name)),
        )
    }
}
