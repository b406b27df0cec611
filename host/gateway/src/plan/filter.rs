//! The Wasm filters: their place in the chain, and their configuration by ECDS.
//!
//! A place without a configuration denies: the default is an RBAC filter that allows nothing.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::rbac::v3 as rbac_rules;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3 as rbac;
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3 as http_wasm;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::wasm::v3 as wasm;
use envoy_types::pb::google::protobuf::StringValue;
use envoy_types::util::pack_any;

use super::{ads, millis, uint, yes};
use crate::bootstrap::API_CLUSTER;
use crate::spec::{FilterSpec, WasmSource};

/// The type URL of a Wasm filter's configuration.
pub const WASM_TYPE_URL: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// The type URL of the filter that stands in and denies.
pub const DENY_ALL_TYPE_URL: &str =
    "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";

/// Milliseconds for a filter's code to arrive. Envoy compiles code on the thread that asks for it,
/// several seconds on a busy machine, and the time of another filter's code goes on meanwhile.
const CODE_TIMEOUT_MS: u64 = 60_000;

/// How often a filter's code is asked for before its place is left denying.
const CODE_RETRIES: u32 = 5;

/// Milliseconds after a trap until a machine is made anew; till then its filter denies.
const RELOAD_AFTER_MS: u64 = 100;

/// A filter's place in the chain.
pub(crate) fn place(spec: &FilterSpec) -> hcm::HttpFilter {
    hcm::HttpFilter {
        name: spec.name.clone(),
        config_type: Some(hcm::http_filter::ConfigType::ConfigDiscovery(
            core::ExtensionConfigSource {
                config_source: ads(),
                default_config: Some(pack_any(deny_all())),
                // The listener opens at once, denying, instead of waiting for a filter that may
                // never come.
                apply_default_config_without_warming: true,
                type_urls: vec![WASM_TYPE_URL.to_owned(), DENY_ALL_TYPE_URL.to_owned()],
            },
        )),
        ..Default::default()
    }
}

/// A filter's configuration.
pub(crate) fn extension(spec: &FilterSpec) -> core::TypedExtensionConfig {
    core::TypedExtensionConfig {
        name: spec.name.clone(),
        typed_config: Some(pack_any(http_wasm::Wasm {
            config: Some(plugin(spec)),
        })),
    }
}

/// Rules that allow what one of no policies allows: nothing.
fn deny_all() -> rbac::Rbac {
    rbac::Rbac {
        rules: Some(rbac_rules::Rbac {
            action: rbac_rules::rbac::Action::Allow as i32,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The plugin of a filter, of whatever kind.
pub(crate) fn plugin(spec: &FilterSpec) -> wasm::PluginConfig {
    wasm::PluginConfig {
        name: spec.name.clone(),
        root_id: spec.name.clone(),
        configuration: Some(pack_any(StringValue {
            value: spec.configuration.clone(),
        })),
        // A trap is answered 5xx and the next stream finds a new machine.
        failure_policy: wasm::FailurePolicy::FailReload as i32,
        reload_config: Some(wasm::ReloadConfig {
            backoff: backoff(RELOAD_AFTER_MS, RELOAD_AFTER_MS * 10),
        }),
        allow_on_headers_stop_iteration: spec.allow_on_headers_stop_iteration.then(yes).flatten(),
        vm: Some(wasm::plugin_config::Vm::VmConfig(wasm::VmConfig {
            vm_id: spec.vm_id.clone(),
            runtime: "envoy.wasm.runtime.v8".to_owned(),
            code: Some(code(&spec.wasm)),
            // Refused until the code is there, instead of accepted and left out of the chain meanwhile:
            // what was in force before stays.
            nack_on_code_cache_miss: matches!(spec.wasm, WasmSource::Http { .. }),
            environment_variables: (!spec.env_keys.is_empty()).then(|| {
                wasm::EnvironmentVariables {
                    host_env_keys: spec.env_keys.clone(),
                    ..Default::default()
                }
            }),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn backoff(base_ms: u64, max_ms: u64) -> Option<core::BackoffStrategy> {
    Some(core::BackoffStrategy {
        base_interval: millis(base_ms),
        max_interval: millis(max_ms),
    })
}

fn code(source: &WasmSource) -> core::AsyncDataSource {
    use core::async_data_source::Specifier;
    let specifier = match source {
        WasmSource::Local { path } => Specifier::Local(core::DataSource {
            specifier: Some(core::data_source::Specifier::Filename(
                path.to_string_lossy().into_owned(),
            )),
            ..Default::default()
        }),
        WasmSource::Http { url, sha256 } => Specifier::Remote(core::RemoteDataSource {
            http_uri: Some(core::HttpUri {
                uri: url.clone(),
                timeout: millis(CODE_TIMEOUT_MS),
                http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(
                    API_CLUSTER.to_owned(),
                )),
            }),
            sha256: sha256.to_ascii_lowercase(),
            retry_policy: Some(core::RetryPolicy {
                retry_back_off: backoff(200, 2_000),
                num_retries: uint(CODE_RETRIES),
                ..Default::default()
            }),
        }),
    };
    core::AsyncDataSource {
        specifier: Some(specifier),
    }
}
