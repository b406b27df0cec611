//! Functions of the host that filters call by name.

use crate::abi::Status;
use crate::host::Host;
use crate::stream::StreamInfo;
use std::sync::Arc;

pub(crate) type Foreign =
    Arc<dyn Fn(&mut ForeignCall<'_>) -> Result<Vec<u8>, Status> + Send + Sync>;

/// A call of a foreign function.
pub struct ForeignCall<'a> {
    /// What the guest passed.
    pub arguments: &'a [u8],
    /// The stream that the guest acts for; `None` in a root context.
    pub stream: Option<&'a mut StreamInfo>,
}

/// Envoy's own functions (`source/extensions/common/wasm/foreign.cc`) that need nothing but the
/// stream. The others (`compress`, `expr_create`, …) can be registered by whoever needs them.
pub(super) fn register_built_ins(host: &Host) {
    host.on_foreign_function("clear_route_cache", |call| {
        let stream = call.stream.as_mut().ok_or(Status::BadArgument)?;
        stream.route_cache_clears += 1;
        Ok(Vec::new())
    });
    // SetEnvoyFilterStateArguments: 1 path, 2 value, 3 span.
    host.on_foreign_function("set_envoy_filter_state", |call| {
        let fields = bytes_fields(call.arguments).ok_or(Status::BadArgument)?;
        let path = field(&fields, 1).ok_or(Status::BadArgument)?;
        let path = String::from_utf8(path).map_err(|_| Status::BadArgument)?;
        let stream = call.stream.as_mut().ok_or(Status::BadArgument)?;
        stream
            .filter_state
            .insert(path, field(&fields, 2).unwrap_or_default());
        Ok(Vec::new())
    });
    // DeclarePropertyArguments: only the name matters here, values are bytes anyway.
    host.on_foreign_function("declare_property", |call| {
        let fields = bytes_fields(call.arguments).ok_or(Status::BadArgument)?;
        field(&fields, 1)
            .map(|_| Vec::new())
            .ok_or(Status::BadArgument)
    });
}

fn field(fields: &[(u64, Vec<u8>)], number: u64) -> Option<Vec<u8>> {
    let last = fields.iter().rev().find(|(own, _)| *own == number)?;
    Some(last.1.clone())
}

/// The length-delimited fields of a protobuf message; varints are skipped. `None` if malformed.
fn bytes_fields(mut bytes: &[u8]) -> Option<Vec<(u64, Vec<u8>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                fields.push((key >> 3, value.to_vec()));
                bytes = rest;
            }
            _ => return None,
        }
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
