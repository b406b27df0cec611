//! A filter's configuration as what changed of the one that a proxy has: see [`engine::patch`].

use std::time::{Duration, Instant};

use engine::patch::{LONG, Patch, sha256};
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::google::protobuf::{Any, StringValue};
use prost::{Message, Name};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::filter::WASM_TYPE_URL;
use crate::egress::NETWORK_WASM_TYPE_URL;

/// How long differences are looked for before what lies between the first and the last becomes one.
const LOOK: Duration = Duration::from_millis(200);

/// A patch is sent if it is so many times shorter than the whole.
const WORTH: usize = 2;

/// The resource by which a proxy that has `old` comes to have `new`: encoded
/// [`TypedExtensionConfig`]s of our filters, alike but for the text of the configuration. `None` where
/// that is no use: other messages, short texts, changes as long as the whole.
pub fn patch(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let (mut changed, mut wasm, to) = read(new)?;
    let (old, old_wasm, from) = read(old)?;
    let alike = old.name == changed.name
        && old_wasm == wasm
        && old.typed_config?.type_url == changed.typed_config.as_ref()?.type_url;
    if !alike || from.len() < LONG || to.len() < LONG {
        return None;
    }
    let patch = Patch {
        from: sha256(from.as_bytes()),
        to: sha256(to.as_bytes()),
        edits: edits(&from, &to),
    };
    let value = patch.to_json()?;
    if value.len() > to.len() / WORTH {
        return None;
    }
    wasm.config.as_mut()?.configuration = Some(text(value));
    changed.typed_config.as_mut()?.value = wasm.encode_to_vec();
    Some(changed.encode_to_vec())
}

/// A filter's resource, the filter without its text, and the text.
fn read(resource: &[u8]) -> Option<(TypedExtensionConfig, Wasm, String)> {
    let extension = TypedExtensionConfig::decode(resource).ok()?;
    let config = extension.typed_config.as_ref()?;
    if ![WASM_TYPE_URL, NETWORK_WASM_TYPE_URL].contains(&config.type_url.as_str()) {
        return None;
    }
    // For HTTP and for connections they are alike on the wire.
    let mut wasm = Wasm::decode(config.value.as_slice()).ok()?;
    let text = wasm.config.as_mut()?.configuration.take()?;
    if text.type_url != StringValue::type_url() {
        return None;
    }
    let text = StringValue::decode(text.value.as_slice()).ok()?.value;
    Some((extension, wasm, text))
}

fn text(value: String) -> Any {
    Any {
        type_url: StringValue::type_url(),
        value: StringValue { value }.encode_to_vec(),
    }
}

/// What to replace in `from`, between commas.
fn edits(from: &str, to: &str) -> Vec<(usize, usize, String)> {
    let (from, to): (Vec<&str>, Vec<&str>) = (
        from.split_inclusive(',').collect(),
        to.split_inclusive(',').collect(),
    );
    let (from_at, to_at) = (places(&from), places(&to));
    let until = Some(Instant::now() + LOOK);
    capture_diff_slices_deadline(Algorithm::Myers, &from, &to, until)
        .into_iter()
        .filter(|op| !matches!(op, DiffOp::Equal { .. }))
        .map(|op| {
            let (old, new) = (op.old_range(), op.new_range());
            let at = from_at.get(old.start).copied().unwrap_or_default();
            let end = from_at.get(old.end).copied().unwrap_or_default();
            debug_assert!(at <= end && new.end < to_at.len());
            let instead = to.get(new).unwrap_or_default().concat();
            (at, end.saturating_sub(at), instead)
        })
        .collect()
}

/// Where each piece begins, and where the last ends.
fn places(pieces: &[&str]) -> Vec<usize> {
    let ends = pieces.iter().scan(0, |end, piece| {
        *end += piece.len();
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

#[cfg(test)]
mod tests;
