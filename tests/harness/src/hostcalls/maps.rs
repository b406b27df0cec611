//! Header maps: requests, responses, trailers, answers of callouts.

use crate::abi::{AbiVersion, MapType, Status, decode_pairs, encode_pairs};
use crate::headers::Headers;
use crate::hostcalls::hostcalls;
use crate::hostcalls::memory::{give, read, read_text, write_u32};
use crate::vm::{Owner, StoreData};
use wasmtime::Linker;

pub(super) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    hostcalls! { linker,
        // A map that cannot be read now is empty here, and BadArgument when one value is asked for.
        "proxy_get_header_map_pairs" => |caller, map: i32, return_data: i32, return_size: i32| {
            let map = map_type(map)?;
            let headers = readable(caller.data(), map).unwrap_or_default();
            let encoded =
                if headers.is_empty() { Vec::new() } else { encode_pairs(headers.pairs()) };
            give(caller, &encoded, return_data, return_size)
        }
        "proxy_set_header_map_pairs" => |caller, map: i32, data: i32, size: i32| {
            let map = map_type(map)?;
            let pairs = decode_pairs(&read(caller, data, size)?).ok_or(Status::BadArgument)?;
            Ok(change(caller.data(), map, |headers| *headers = Headers::from_pairs(pairs))?)
        }
        "proxy_get_header_map_size" => |caller, map: i32, return_size: i32| {
            let map = map_type(map)?;
            // Only of a map that could be changed, which an answer of a callout is not.
            let size = with_changeable(caller.data(), map, |headers| headers.byte_size())?;
            Ok(write_u32(caller, return_size, size as u32)?)
        }
        "proxy_get_header_map_value" => |caller, map: i32, name: i32, name_size: i32,
            return_data: i32, return_size: i32| {
            let map = map_type(map)?;
            let name = read_text(caller, name, name_size)?;
            let missing = if is_logging(caller.data()) { Status::NotFound } else { Status::BadArgument };
            let headers = readable(caller.data(), map).ok_or(missing)?;
            let value = match headers.get_bytes(&name) {
                Some(value) => value.to_vec(),
                None if caller.data().abi == AbiVersion::V0_1_0 => Vec::new(),
                None => return Err(Status::NotFound.into()),
            };
            give(caller, &value, return_data, return_size)
        }
        "proxy_add_header_map_value" => |caller, map: i32, name: i32, name_size: i32,
            value: i32, value_size: i32| {
            let map = map_type(map)?;
            let name = read_text(caller, name, name_size)?;
            let value = read(caller, value, value_size)?;
            Ok(change(caller.data(), map, |headers| headers.add(name, value))?)
        }
        "proxy_replace_header_map_value" => |caller, map: i32, name: i32, name_size: i32,
            value: i32, value_size: i32| {
            let map = map_type(map)?;
            let name = read_text(caller, name, name_size)?;
            let value = read(caller, value, value_size)?;
            Ok(change(caller.data(), map, |headers| headers.set(name, value))?)
        }
        "proxy_remove_header_map_value" => |caller, map: i32, name: i32, name_size: i32| {
            let map = map_type(map)?;
            let name = read_text(caller, name, name_size)?;
            Ok(change(caller.data(), map, |headers| headers.remove(&name))?)
        }
    }
    Ok(())
}

fn map_type(number: i32) -> Result<MapType, Status> {
    MapType::from_number(number).ok_or(Status::BadArgument)
}

/// A copy of a map that the guest may read now.
fn readable(data: &StoreData, map: MapType) -> Option<Headers> {
    match map {
        MapType::HttpRequestHeaders
        | MapType::HttpRequestTrailers
        | MapType::HttpResponseHeaders
        | MapType::HttpResponseTrailers => {
            let Owner::Http(stream, filter) = data.owner()? else {
                return None;
            };
            let stream = stream.upgrade()?;
            let mut state = stream.lock();
            if let Some(headers) = state.visible_map(filter, map) {
                return Some(headers.clone());
            }
            state.logged_map(map)
        }
        MapType::HttpCallResponseHeaders => data.response()?.headers.clone(),
        MapType::HttpCallResponseTrailers => data.response()?.trailers.clone(),
        MapType::GrpcReceiveInitialMetadata => data.response()?.grpc_metadata.clone(),
        MapType::GrpcReceiveTrailingMetadata => data.response()?.grpc_trailers.clone(),
    }
}

fn is_logging(data: &StoreData) -> bool {
    let Some(Owner::Http(stream, _)) = data.owner() else {
        return false;
    };
    stream.upgrade().is_some_and(|stream| stream.lock().logging)
}

/// Runs something on a map that the guest may change now: the four of an HTTP stream, in their
/// callback or while they are held.
fn with_changeable<R>(
    data: &StoreData,
    map: MapType,
    run: impl FnOnce(&mut Headers) -> R,
) -> Result<R, Status> {
    let Some(Owner::Http(stream, filter)) = data.owner() else {
        return Err(Status::BadArgument);
    };
    let stream = stream.upgrade().ok_or(Status::BadArgument)?;
    let mut state = stream.lock();
    Ok(run(state
        .visible_map(filter, map)
        .ok_or(Status::BadArgument)?))
}

fn change(data: &StoreData, map: MapType, change: impl FnOnce(&mut Headers)) -> Result<(), Status> {
    with_changeable(data, map, change)?;
    // Later versions leave it to the filter.
    if data.abi == AbiVersion::V0_1_0
        && map == MapType::HttpRequestHeaders
        && let Some(Owner::Http(stream, _)) = data.owner()
        && let Some(stream) = stream.upgrade()
    {
        stream.lock().info.route_cache_clears += 1;
    }
    Ok(())
}
