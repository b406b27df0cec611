//! A VM: one instance of a module, in which any number of plugin configurations live.

mod deliver;
pub(crate) mod engine;
mod exports;
mod instance;
mod shared;
mod store;

pub(crate) use shared::{Called, ContextId, VmShared};
pub(crate) use store::{Caller, Deferred, Owner, StoreData};

use crate::abi::ImportReport;
use crate::error::Error;
use crate::figures::Figures;
use crate::host::Host;
use crate::stream::{Chain, HttpStream, StreamInfo, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

/// What happens to streams once a VM has trapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// `FAIL_CLOSED`: 503 until the proxy is reconfigured.
    #[default]
    Closed,
    /// `FAIL_RELOAD`: the next stream gets a fresh VM with the same plugins.
    Reload,
    /// `FAIL_OPEN`: streams pass as if the filter were not there.
    Open,
}

/// How a VM is made. `VmOptions::default()` suits most tests.
#[derive(Clone)]
pub struct VmOptions {
    /// `vm_config.vm_id`: names shared data and queues.
    pub vm_id: String,
    /// `vm_config.configuration`.
    pub configuration: Vec<u8>,
    /// Environment variables of the guest, as `environment_variables.host_env_keys` gives them.
    pub env: Vec<(String, String)>,
    /// The process that the VM belongs to; a new one if `None`.
    pub host: Option<Host>,
    /// What happens after a trap.
    pub failure_policy: FailurePolicy,
    /// Seed of `random_get`.
    pub seed: u64,
    /// The most linear memory, in bytes. V8 in Envoy gives 1 GiB.
    pub memory_limit: usize,
    /// The most fuel (about one a WebAssembly instruction) for one callback; more is a trap. Envoy
    /// has no such limit: it keeps an endless loop from hanging a test.
    pub fuel_limit: u64,
    /// Where compiled modules are kept between processes; `None` keeps them in memory only.
    pub cache_directory: Option<PathBuf>,
}

impl Default for VmOptions {
    fn default() -> Self {
        Self {
            vm_id: "vm".to_owned(),
            configuration: Vec::new(),
            env: Vec::new(),
            host: None,
            failure_policy: FailurePolicy::Closed,
            seed: 0,
            memory_limit: 1 << 30,
            fuel_limit: 50_000_000_000,
            cache_directory: engine::default_cache_directory(),
        }
    }
}

/// How a plugin is configured in a VM. `PluginOptions::default()` suits most tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginOptions {
    /// `PluginConfig.name`.
    pub name: String,
    /// `PluginConfig.root_id`.
    pub root_id: String,
    /// `PluginConfig.configuration`.
    pub configuration: Vec<u8>,
    /// `PluginConfig.allow_on_headers_stop_iteration`: whether body callbacks happen while headers
    /// are held. Without it `Pause` in headers holds everything.
    pub allow_on_headers_stop_iteration: bool,
}

impl Default for PluginOptions {
    fn default() -> Self {
        Self {
            name: "plugin".to_owned(),
            root_id: String::new(),
            configuration: Vec::new(),
            allow_on_headers_stop_iteration: false,
        }
    }
}

impl<B: AsRef<[u8]> + ?Sized> From<&B> for PluginOptions {
    fn from(configuration: &B) -> Self {
        Self {
            configuration: configuration.as_ref().to_vec(),
            ..Self::default()
        }
    }
}

/// A running VM. Cheap to clone; clones are the same VM.
#[derive(Clone)]
pub struct Vm {
    pub(crate) shared: Arc<VmShared>,
    imports: ImportReport,
}

impl Vm {
    /// Compiles (or finds compiled), links and initialises a module: `_initialize` and then `main`,
    /// or else `_start`.
    ///
    /// # Errors
    ///
    /// The module is broken, imports what Envoy does not offer, lacks what Envoy needs, or traps.
    pub fn load(wasm: &[u8], options: VmOptions) -> Result<Self, Error> {
        let module = engine::compile(wasm, options.cache_directory.as_deref())?;
        let imports = crate::abi::import_report(&module)?;
        let host = options.host.clone().unwrap_or_default();
        let shared = VmShared::new(module, imports.abi, host, options)?;
        Ok(Self { shared, imports })
    }

    /// Configures a plugin. The first one in a VM also starts the VM (`proxy_on_vm_start`).
    /// Anything that is bytes is a configuration; [`PluginOptions`] says more.
    ///
    /// # Errors
    ///
    /// The filter refused the configuration or trapped.
    pub fn plugin(&self, options: impl Into<PluginOptions>) -> Result<Plugin, Error> {
        let slot = self.shared.add_plugin(options.into())?;
        self.host().settle();
        Ok(Plugin {
            vm: self.clone(),
            slot,
        })
    }

    /// The process that this VM belongs to.
    pub fn host(&self) -> Host {
        Host(self.shared.host.clone())
    }

    /// What the module imports.
    pub fn imports(&self) -> &ImportReport {
        &self.imports
    }

    /// Memory, fuel and host calls since the VM was loaded.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Whether the VM has trapped and was not reloaded.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed()
    }

    /// Replaces the instance by a fresh one with the same plugins, as `FAIL_RELOAD` does.
    ///
    /// # Errors
    ///
    /// The filter refuses to start or traps again.
    pub fn reload(&self) -> Result<(), Error> {
        self.shared.reload()
    }

    /// Asks every root context whether it is done and deletes those that are. `true` if none is
    /// left; a context that answered false is deleted when it calls `proxy_done`.
    pub fn shut_down(&self) -> bool {
        self.shared.shut_down()
    }

    /// Calls `proxy_on_foreign_function` of a plugin's root context; the guest reads `arguments`
    /// from the call data buffer.
    pub fn call_guest_function(&self, plugin: &Plugin, function: u32, arguments: &[u8]) {
        self.shared
            .call_guest_function(plugin.root_context(), function, arguments);
        self.host().settle();
    }
}

/// A plugin configuration in a VM: a root context.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) vm: Vm,
    pub(crate) slot: usize,
}

impl Plugin {
    /// The VM that it lives in.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The process that it belongs to.
    pub fn host(&self) -> Host {
        self.vm.host()
    }

    /// Number of the root context.
    pub fn root_context(&self) -> u32 {
        self.vm.shared.root_of(self.slot)
    }

    /// The options that it was configured with.
    pub fn options(&self) -> PluginOptions {
        self.vm.shared.plugin_options(self.slot)
    }

    /// An HTTP stream through this plugin alone.
    pub fn http(&self) -> HttpStream {
        Chain::new([self]).http(StreamInfo::default())
    }

    /// A TCP connection through this plugin alone.
    pub fn tcp(&self) -> TcpStream {
        TcpStream::open(self, StreamInfo::default())
    }
}
