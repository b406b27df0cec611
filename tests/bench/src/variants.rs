//! What is compared: ways to mask the same values, and the floors below them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::load::{self, Load};
use crate::proxy::{self, Listener};

/// The cluster of [`crate::upstream`].
pub const UPSTREAM: &str = "upstream";

/// The cluster of [`crate::ext_proc`].
pub const EXT_PROC: &str = "ext-proc";

/// What becomes of the values to mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masked {
    /// Nothing: the answer is the upstream's.
    Not,
    /// A constant.
    Redact,
    /// A pseudonym.
    Hash,
    /// Their last two characters.
    Partial,
    /// Null.
    Null,
}

impl Masked {
    /// The name of the strategy, as the policy has it.
    pub fn strategy(self) -> &'static str {
        match self {
            Masked::Not => "",
            Masked::Redact => "redact",
            Masked::Hash => "hash",
            Masked::Partial => "partial",
            Masked::Null => "null",
        }
    }
}

/// Which way a variant goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Envoy and nothing else: the base of all variants but Apollo's.
    NoFilter,
    /// A Wasm filter that does nothing.
    Noop,
    /// A Wasm filter that copies bodies: the floor of any that touches them.
    CopyThrough,
    /// A Lua filter with two patterns.
    Lua,
    /// An external processor that gets the whole body.
    ExtProcBuffered,
    /// An external processor that gets the body in pieces.
    ExtProcStreamed,
    /// An Apollo Server whose resolvers mask; or do not: the base of those that do.
    Apollo,
    /// The masking filter.
    Masking,
}

/// One of the things compared.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Which way it goes.
    pub way: Way,
    /// What becomes of values.
    pub masked: Masked,
    /// The listener that it is.
    pub listener: Listener,
    /// Its module and configuration, if it is a Wasm filter.
    pub plugin: Option<(PathBuf, String)>,
}

impl Variant {
    /// Its name in tables.
    pub fn name(&self) -> String {
        name(self.way, self.masked)
    }

    /// The variant that it is compared with to tell what it adds.
    pub fn base(&self) -> Way {
        match self.way {
            Way::Apollo => Way::Apollo,
            _ => Way::NoFilter,
        }
    }

    /// Whether a load tells something about it.
    pub fn suits(&self, load: Load) -> bool {
        match (self.way, self.masked) {
            // JavaScript objects of more than that are another benchmark.
            (Way::Apollo, _) if load.bytes > Load::MB => false,
            // Strategies do not differ where nothing is masked.
            (_, Masked::Hash) => load.values >= 20,
            (_, Masked::Partial | Masked::Null) => load.values >= 200,
            _ => true,
        }
    }
}

/// The name of a variant in tables.
pub fn name(way: Way, masked: Masked) -> String {
    match (way, masked) {
        (Way::NoFilter, _) => "no filter".into(),
        (Way::Noop, _) => "Wasm, does nothing".into(),
        (Way::CopyThrough, _) => "Wasm, copy-through".into(),
        (Way::Lua, _) => "Lua, by pattern".into(),
        (Way::ExtProcBuffered, _) => "ext_proc, buffered".into(),
        (Way::ExtProcStreamed, _) => "ext_proc, full duplex".into(),
        (Way::Apollo, Masked::Not) => "Apollo".into(),
        (Way::Apollo, masked) => format!("Apollo, {}", masked.strategy()),
        (Way::Masking, masked) => format!("masking, {}", masked.strategy()),
    }
}

/// The modules that variants need.
pub struct Modules {
    /// Of the masking filter.
    pub masking: PathBuf,
    /// Of the filter that does nothing.
    pub noop: PathBuf,
    /// Of the filter that copies.
    pub copythrough: PathBuf,
}

/// All variants; those of Apollo Server if it runs.
pub fn all(modules: &Modules, apollo: bool) -> Vec<Variant> {
    let mut variants = vec![
        plain(Way::NoFilter, Masked::Not, None),
        wasm(Way::Noop, Masked::Not, &modules.noop, String::new()),
        wasm(
            Way::CopyThrough,
            Masked::Not,
            &modules.copythrough,
            String::new(),
        ),
        buffering(plain(Way::Lua, Masked::Redact, Some(lua()))),
        buffering(plain(
            Way::ExtProcBuffered,
            Masked::Redact,
            Some(ext_proc(false)),
        )),
        plain(Way::ExtProcStreamed, Masked::Redact, Some(ext_proc(true))),
    ];
    for masked in [Masked::Redact, Masked::Hash, Masked::Partial, Masked::Null] {
        let config = load::masking(masked.strategy()).to_string();
        variants.push(wasm(Way::Masking, masked, &modules.masking, config));
    }
    if apollo {
        for masked in [Masked::Not, Masked::Redact, Masked::Hash] {
            let mut variant = plain(Way::Apollo, masked, None);
            variant.listener.cluster = apollo_cluster(masked);
            variants.push(variant);
        }
    }
    variants
}

/// The cluster of the Apollo Server that masks so.
pub fn apollo_cluster(masked: Masked) -> String {
    format!("apollo-{}", masked.strategy())
}

fn plain(way: Way, masked: Masked, filter: Option<Value>) -> Variant {
    Variant {
        way,
        masked,
        listener: Listener {
            filter,
            cluster: UPSTREAM.into(),
            buffer_limit: None,
        },
        plugin: None,
    }
}

fn wasm(way: Way, masked: Masked, module: &Path, config: String) -> Variant {
    let vm = name(way, masked).replace([' ', ','], "-");
    let filter = proxy::wasm(module, &vm, &config);
    Variant {
        plugin: Some((module.to_owned(), config)),
        ..plain(way, masked, Some(filter))
    }
}

/// A filter that holds whole bodies answers 500 beyond Envoy's limit of 1 MiB: it gets a higher one,
/// so that it takes part at all.
fn buffering(mut variant: Variant) -> Variant {
    variant.listener.buffer_limit = Some(64 * Load::MB);
    variant
}

const LUA: &str = r#"
function envoy_on_response(handle)
  local body = handle:body()
  local text = body:getBytes(0, body:length())
  text = string.gsub(text, '"email":"[^"]*"', '"email":"[REDACTED]"')
  text = string.gsub(text, '"phone":"[^"]*"', '"phone":"[REDACTED]"')
  handle:headers():remove("content-length")
  handle:body():setBytes(text)
end
"#;

fn lua() -> Value {
    json!({
        "name": "lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": LUA},
        },
    })
}

fn ext_proc(streamed: bool) -> Value {
    let mode = if streamed {
        json!({
            "request_header_mode": "SKIP",
            "response_header_mode": "SEND",
            "response_body_mode": "FULL_DUPLEX_STREAMED",
            "response_trailer_mode": "SEND",
        })
    } else {
        json!({
            "request_header_mode": "SKIP",
            "response_header_mode": "SKIP",
            "response_body_mode": "BUFFERED",
            "response_trailer_mode": "SKIP",
        })
    };
    json!({
        "name": "ext_proc",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.\
                      ExternalProcessor",
            "grpc_service": {"envoy_grpc": {"cluster_name": EXT_PROC}, "timeout": "60s"},
            "message_timeout": "60s",
            "processing_mode": mode,
        },
    })
}
