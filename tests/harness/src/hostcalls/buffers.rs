//! Buffers: bodies, bytes of connections, configurations, answers of callouts.

use crate::abi::{BufferType, Status};
use crate::hostcalls::hostcalls;
use crate::hostcalls::memory::{give, read, write_u32};
use crate::stream::{Buffer, Direction};
use crate::vm::{Owner, StoreData};
use wasmtime::Linker;

pub(super) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    hostcalls! { linker,
        "proxy_get_buffer_bytes" => |caller, buffer: i32, start: i32, most: i32,
            return_data: i32, return_size: i32| {
            let buffer = BufferType::from_number(buffer).ok_or(Status::BadArgument)?;
            let (start, most) = (start as u32 as usize, most as u32 as usize);
            let Some(end) = start.checked_add(most) else { return Err(Status::BadArgument.into()) };
            let bytes = with_buffer(caller.data(), buffer, |bytes| {
                bytes.get(start..end.min(bytes.len())).map(<[u8]>::to_vec).unwrap_or_default()
            });
            let bytes = bytes.ok_or(Status::NotFound)?;
            // Nothing is written for no bytes: the guest keeps its null pointer.
            if bytes.is_empty() { Ok(()) } else { give(caller, &bytes, return_data, return_size) }
        }
        "proxy_get_buffer_status" => |caller, buffer: i32, return_size: i32, return_flags: i32| {
            let buffer = BufferType::from_number(buffer).ok_or(Status::BadArgument)?;
            let size = with_buffer(caller.data(), buffer, <[u8]>::len).ok_or(Status::NotFound)?;
            write_u32(caller, return_size, size as u32)?;
            Ok(write_u32(caller, return_flags, 0)?)
        }
        "proxy_set_buffer_bytes" => |caller, buffer: i32, start: i32, size: i32, data: i32,
            data_size: i32| {
            let buffer = BufferType::from_number(buffer).ok_or(Status::BadArgument)?;
            let bytes = read(caller, data, data_size)?;
            Ok(set(caller.data(), buffer, start as u32 as usize, size as u32 as usize, &bytes)?)
        }
    }
    Ok(())
}

fn http(buffer: BufferType) -> Option<Direction> {
    match buffer {
        BufferType::HttpRequestBody => Some(Direction::Request),
        BufferType::HttpResponseBody => Some(Direction::Response),
        _ => None,
    }
}

/// Shows a buffer. `None` if the guest's context has no such buffer; one that holds nothing now,
/// such as a body outside of its callback, is empty.
fn with_buffer<R>(
    data: &StoreData,
    buffer: BufferType,
    show: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    match buffer {
        BufferType::HttpRequestBody | BufferType::HttpResponseBody => {
            let Owner::Http(stream, filter) = data.owner()? else {
                return None;
            };
            let stream = stream.upgrade()?;
            let mut state = stream.lock();
            let body = state.visible_body(filter, http(buffer)?);
            Some(show(body.map_or(&[], |body| body.as_slice())))
        }
        BufferType::DownstreamData | BufferType::UpstreamData => {
            let Owner::Tcp(stream) = data.owner()? else {
                return None;
            };
            let stream = stream.upgrade()?;
            let mut state = stream.lock();
            let bytes = state.visible(buffer == BufferType::DownstreamData);
            Some(show(bytes.map_or(&[], |bytes| bytes.as_slice())))
        }
        BufferType::HttpCallResponseBody => Some(show(data.response()?.body.as_deref()?)),
        BufferType::GrpcReceiveBuffer => Some(show(
            data.response()?.grpc_message.as_deref().unwrap_or_default(),
        )),
        BufferType::VmConfiguration => Some(show(&data.vm_configuration)),
        BufferType::PluginConfiguration => Some(show(&data.configuring.as_ref()?.configuration)),
        BufferType::CallData => Some(show(data.call_data.as_deref().unwrap_or_default())),
    }
}

fn set(
    data: &StoreData,
    buffer: BufferType,
    start: usize,
    size: usize,
    bytes: &[u8],
) -> Result<(), Status> {
    match data.owner() {
        Some(Owner::Http(stream, filter)) if http(buffer).is_some() => {
            let stream = stream.upgrade().ok_or(Status::BadArgument)?;
            let mut state = stream.lock();
            let direction = http(buffer).ok_or(Status::BadArgument)?;
            let body = state
                .visible_body(filter, direction)
                .ok_or(Status::BadArgument)?;
            replace(body, start, size, bytes)
        }
        Some(Owner::Tcp(stream))
            if matches!(
                buffer,
                BufferType::DownstreamData | BufferType::UpstreamData
            ) =>
        {
            let stream = stream.upgrade().ok_or(Status::BadArgument)?;
            let mut state = stream.lock();
            let own = state.visible(buffer == BufferType::DownstreamData);
            replace(own.ok_or(Status::BadArgument)?, start, size, bytes)
        }
        _ => Err(Status::BadArgument),
    }
}

/// Envoy's `Buffer::copyFrom`: prepend, replace everything or append; nothing in between.
fn replace(own: &mut Buffer, start: usize, size: usize, bytes: &[u8]) -> Result<(), Status> {
    if start == 0 && size == 0 {
        own.splice(0..0, bytes.iter().copied());
    } else if start == 0 && size >= own.len() {
        own.clear();
        own.extend_from_slice(bytes);
    } else if start != 0 && start >= own.len() {
        own.extend_from_slice(bytes);
    } else {
        return Err(Status::BadArgument);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prepend_replace_all_and_append_are_possible() {
        let try_on = |own: &str, start, size, with: &str| {
            let mut own = own.as_bytes().to_vec();
            replace(&mut own, start, size, with.as_bytes())
                .map(|()| String::from_utf8(own).unwrap())
        };
        assert_eq!(try_on("abc", 0, 0, "X").as_deref(), Ok("Xabc"));
        assert_eq!(try_on("abc", 0, 3, "X").as_deref(), Ok("X"));
        assert_eq!(try_on("abc", 0, 99, "").as_deref(), Ok(""));
        assert_eq!(try_on("abc", 3, 0, "X").as_deref(), Ok("abcX"));
        assert_eq!(try_on("abc", 99, 5, "X").as_deref(), Ok("abcX"));
        assert_eq!(try_on("abc", 0, 2, "X"), Err(Status::BadArgument));
        assert_eq!(try_on("abc", 1, 1, "X"), Err(Status::BadArgument));
        assert_eq!(try_on("", 0, 5, "X").as_deref(), Ok("X"));
    }
}
