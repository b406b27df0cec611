//! Code that a client has yet to fetch.
//!
//! Envoy refuses a Wasm filter with `nack_on_code_cache_miss` whose code it does not have, fetches the
//! code, and takes the configuration when it comes again. Seen on 1.40.0:
//! - Its reason is the same as for code that does not run, so such a refusal is believed only when it
//!   is repeated.
//! - What it refused it remembers, and would accept the very same again without a look at it. So each
//!   repetition allows the fetch another millisecond.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::async_data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::{RemoteDataSource, TypedExtensionConfig};
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::wasm::v3::plugin_config::Vm;
use prost::Message;

use crate::resource::Resource;
use crate::type_url;

/// What Envoy says of a Wasm filter that it could not make.
const REASON: &str = "Unable to create Wasm";

/// Configurations of a filter, for HTTP and for connections, which are alike on the wire.
const WASM: [&str; 2] = [
    "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
    "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
];

/// Milliseconds until what was refused is sent again, by how often it was refused already. Together
/// they outlast the ten seconds for which Envoy remembers that a fetch failed.
const DELAYS_MS: [u64; 10] = [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000, 3_000, 3_000];

/// What a client of one type could not take in yet.
#[derive(Debug, Default)]
pub(crate) struct Fetching {
    /// By name, the version and how often it was refused.
    refusals: BTreeMap<String, (String, usize)>,
    waiting: Option<Duration>,
}

impl Fetching {
    /// Whether a refusal may mean that code is on its way: if so, it counts.
    pub fn postpones(&mut self, resources: &[Arc<Resource>], error: &str) -> bool {
        if !error.contains(REASON) {
            return false;
        }
        let mut delay = None;
        for resource in resources.iter().filter(|r| is_fetched(r)) {
            let entry = self.refusals.entry(resource.name().to_owned());
            let (version, count) = entry.or_default();
            if version != resource.version() {
                *version = resource.version().to_owned();
                *count = 0;
            }
            delay = delay.max(DELAYS_MS.get(*count).copied());
            *count += 1;
        }
        self.waiting = delay.map(Duration::from_millis);
        self.waiting.is_some()
    }

    /// A resource's message as it is to be sent.
    pub fn body(&self, resource: &Resource) -> Bytes {
        let refused = self
            .refusals
            .get(resource.name())
            .filter(|(version, _)| version == resource.version());
        if let Some((_, count)) = refused
            && let Some((mut extension, mut wasm)) = decode(resource)
            && let Some(remote) = remote(&mut wasm)
            && let Some(timeout) = remote.http_uri.as_mut().and_then(|u| u.timeout.as_mut())
        {
            timeout.nanos += i32::try_from(*count).unwrap_or_default() * 1_000_000;
            if let Some(config) = &mut extension.typed_config {
                config.value = wasm.encode_to_vec();
            }
            return extension.encode_to_vec().into();
        }
        resource.body()
    }

    /// Takes in that a client has these.
    pub fn done(&mut self, resources: &[Arc<Resource>]) {
        for resource in resources {
            self.refusals.remove(resource.name());
        }
    }

    /// How long what was refused waits to be sent again.
    pub fn waiting(&self) -> Option<Duration> {
        self.waiting
    }

    /// Ends the waiting.
    pub fn again(&mut self) {
        self.waiting = None;
    }
}

/// Whether a resource is a Wasm filter that a client refuses until it has fetched the code.
fn is_fetched(resource: &Resource) -> bool {
    decode(resource).is_some_and(|(_, mut wasm)| remote(&mut wasm).is_some())
}

fn decode(resource: &Resource) -> Option<(TypedExtensionConfig, Wasm)> {
    if resource.type_url() != type_url::EXTENSION_CONFIG {
        return None;
    }
    let extension = TypedExtensionConfig::decode(resource.bytes()).ok()?;
    let config = extension.typed_config.as_ref()?;
    if !WASM.contains(&config.type_url.as_str()) {
        return None;
    }
    let wasm = Wasm::decode(config.value.as_slice()).ok()?;
    Some((extension, wasm))
}

/// Where a filter's code is fetched from, if its configuration is refused meanwhile.
fn remote(wasm: &mut Wasm) -> Option<&mut RemoteDataSource> {
    let Some(Vm::VmConfig(vm)) = wasm.config.as_mut()?.vm.as_mut() else {
        return None;
    };
    if !vm.nack_on_code_cache_miss {
        return None;
    }
    match vm.code.as_mut()?.specifier.as_mut()? {
        Specifier::Remote(remote) => Some(remote),
        Specifier::Local(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use envoy_types::pb::envoy::config::core::v3 as core;
    use envoy_types::pb::envoy::extensions::wasm::v3 as wasm;
    use envoy_types::pb::google::protobuf::{Any, Duration as Timeout};

    use super::*;

    /// A filter's configuration, with code by HTTP, that a client refuses or accepts meanwhile.
    pub fn filter(name: &str, sha256: &str, refused_meanwhile: bool) -> Resource {
        let vm = wasm::VmConfig {
            code: Some(core::AsyncDataSource {
                specifier: Some(Specifier::Remote(core::RemoteDataSource {
                    http_uri: Some(core::HttpUri {
                        timeout: Some(Timeout {
                            seconds: 60,
                            nanos: 0,
                        }),
                        ..Default::default()
                    }),
                    sha256: sha256.to_owned(),
                    ..Default::default()
                })),
            }),
            nack_on_code_cache_miss: refused_meanwhile,
            ..Default::default()
        };
        let wasm = Wasm {
            config: Some(wasm::PluginConfig {
                vm: Some(Vm::VmConfig(vm)),
                ..Default::default()
            }),
        };
        let extension = TypedExtensionConfig {
            name: name.to_owned(),
            typed_config: Some(Any {
                type_url: WASM[0].to_owned(),
                value: wasm.encode_to_vec(),
            }),
        };
        Resource::new(type_url::EXTENSION_CONFIG, name, extension.encode_to_vec())
    }

    /// What Envoy says.
    pub const ERROR: &str = "Unable to create Wasm plugin masking";

    #[test]
    fn a_refusal_is_believed_when_it_is_repeated() {
        let mut fetching = Fetching::default();
        let one = [Arc::new(filter("masking", "1", true))];
        let mut sent = vec![fetching.body(&one[0])];
        assert_eq!(sent[0], one[0].body());
        for delay in DELAYS_MS {
            assert!(fetching.postpones(&one, ERROR));
            let again = fetching.body(&one[0]);
            assert!(!sent.contains(&again));
            sent.push(again);
            assert_eq!(fetching.waiting(), Some(Duration::from_millis(delay)));
            fetching.again();
            assert_eq!(fetching.waiting(), None);
        }
        assert!(!fetching.postpones(&one, ERROR));
        assert!(fetching.postpones(&[Arc::new(filter("masking", "2", true))], ERROR));
        fetching.done(&one);
        assert!(fetching.postpones(&one, ERROR));
    }

    #[test]
    fn other_refusals_are_believed_at_once() {
        let mut fetching = Fetching::default();
        let fetched = filter("masking", "1", true);
        let accepted_meanwhile = filter("masking", "1", false);
        let other_type = Resource::new(type_url::ROUTE, "masking", fetched.bytes().to_vec());
        let broken = Resource::new(type_url::EXTENSION_CONFIG, "masking", b"\xff".to_vec());
        for (resource, error) in [
            (fetched, "Proto constraint validation failed"),
            (accepted_meanwhile, ERROR),
            (other_type, ERROR),
            (broken, ERROR),
        ] {
            assert!(!fetching.postpones(&[Arc::new(resource)], error));
            assert_eq!(fetching.waiting(), None);
        }
    }
}
