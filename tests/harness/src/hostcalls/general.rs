//! Log, time, status, properties, foreign functions, contexts.

use crate::abi::{LogLevel, Status};
use crate::host::ForeignCall;
use crate::hostcalls::memory::{give, read, read_text, write_u32, write_u64};
use crate::hostcalls::{Fault, hostcalls};
use crate::properties;
use crate::stream;
use crate::vm::{Caller, Deferred, Owner, StoreData};
use std::sync::Weak;
use wasmtime::Linker;

pub(super) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    hostcalls! { linker,
        "proxy_log" => |caller, level: i32, text: i32, size: i32| {
            let level = LogLevel::from_number(level).ok_or(Status::BadArgument)?;
            let message = read_text(caller, text, size)?;
            caller.data().log(level, message);
            Ok(())
        }
        "proxy_get_log_level" => |caller, return_level: i32| {
            let level = caller.data().host.lock().log_level;
            Ok(write_u32(caller, return_level, level as u32)?)
        }
        "proxy_get_current_time_nanoseconds" => |caller, return_time: i32| {
            let now = caller.data().host.clock.nanoseconds();
            Ok(write_u64(caller, return_time, now)?)
        }
        "proxy_set_tick_period_milliseconds" => |caller, period: i32| {
            let now = caller.data().host.clock.nanoseconds();
            let root = caller.data().root();
            let period = u64::from(period as u32) * 1_000_000;
            let timers = &mut caller.data_mut().timers;
            if period == 0 {
                timers.remove(&root);
            } else {
                timers.insert(root, (period, now.saturating_add(period)));
            }
            Ok(())
        }
        "proxy_get_status" => |caller, return_code: i32, return_text: i32, return_size: i32| {
            let (code, text) =
                caller.data().response().map(|response| response.status.clone()).unwrap_or_default();
            write_u32(caller, return_code, code)?;
            give(caller, text.as_bytes(), return_text, return_size)
        }
        "proxy_set_effective_context" => |caller, context: i32| {
            let context = context as u32;
            if !caller.data().contexts.contains_key(&context) {
                return Err(Status::BadArgument.into());
            }
            caller.data_mut().effective = context;
            Ok(())
        }
        "proxy_done" => |caller| {
            let root = caller.data().root();
            let data = caller.data_mut();
            if !data.pending_done.remove(&root) {
                return Err(Status::NotFound.into());
            }
            data.deferred.push(Deferred::DeleteRoot(root));
            Ok(())
        }
        "proxy_get_configuration" => |caller, return_data: i32, return_size: i32| {
            let data = caller.data();
            let configuration = match &data.configuring {
                Some(plugin) => plugin.configuration.clone(),
                None => data.vm_configuration.clone(),
            };
            give(caller, &configuration, return_data, return_size)
        }
        "proxy_get_property" => |caller, path: i32, path_size: i32, return_data: i32, return_size: i32| {
            let path = read(caller, path, path_size)?;
            let value = get_property(caller.data(), &path)?;
            give(caller, &value, return_data, return_size)
        }
        "proxy_set_property" => |caller, path: i32, path_size: i32, value: i32, value_size: i32| {
            let path = read(caller, path, path_size)?;
            let value = read(caller, value, value_size)?;
            with_info(caller.data(), |info| {
                info.filter_state.insert(properties::state_key(&path), value);
            })
            .ok_or(Fault::Status(Status::NotFound))
        }
        "proxy_clear_route_cache" => |caller| {
            foreign(caller, "clear_route_cache", &[]).map(|_| ())
        }
        "proxy_call_foreign_function" => |caller, name: i32, name_size: i32, arguments: i32,
            arguments_size: i32, return_data: i32, return_size: i32| {
            let name = read_text(caller, name, name_size)?;
            let arguments = read(caller, arguments, arguments_size)?;
            let result = foreign(caller, &name, &arguments)?;
            if return_data == 0 && return_size == 0 {
                return Ok(());
            }
            give(caller, &result, return_data, return_size)
        }
    }
    Ok(())
}

/// Runs something on the facts of the active stream; `None` in a root context.
fn with_info<R>(data: &StoreData, run: impl FnOnce(&mut stream::StreamInfo) -> R) -> Option<R> {
    match data.owner()? {
        Owner::Root => None,
        Owner::Http(stream, _) => stream.upgrade().map(|stream| run(&mut stream.lock().info)),
        Owner::Tcp(stream) => stream.upgrade().map(|stream| run(&mut stream.lock().info)),
    }
}

fn foreign(caller: &mut Caller<'_>, name: &str, arguments: &[u8]) -> Result<Vec<u8>, Fault> {
    let data = caller.data();
    let function = data
        .host
        .lock()
        .foreign
        .get(name)
        .cloned()
        .ok_or(Status::NotFound)?;
    let result = with_info(data, |info| {
        function(&mut ForeignCall {
            arguments,
            stream: Some(info),
        })
    });
    let result = match result {
        Some(result) => result,
        None => function(&mut ForeignCall {
            arguments,
            stream: None,
        }),
    };
    Ok(result?)
}

fn get_property(data: &StoreData, path: &[u8]) -> Result<Vec<u8>, Status> {
    let node = data.host.lock().node.clone();
    // While a plugin is configured its root context knows it already.
    let plugin = data.plugin().cloned().unwrap_or_default();
    let mut view = properties::View {
        plugin_name: &plugin.name,
        root_id: &plugin.root_id,
        vm_id: &data.vm_id,
        node: &node,
        info: None,
        request: None,
        response: None,
        response_trailers: None,
        started: 0,
    };
    match data.owner().unwrap_or(Owner::Root) {
        Owner::Root => properties::lookup(path, &view),
        Owner::Http(stream, _) => {
            let stream = stream.upgrade().ok_or(Status::NotFound)?;
            let state = stream.lock();
            view.info = Some(&state.info);
            view.request = state.request.headers.as_ref();
            view.response = state.response.headers.as_ref();
            view.response_trailers = state.response.trailers.as_ref();
            view.started = state.started;
            properties::lookup(path, &view)
        }
        Owner::Tcp(stream) => {
            let stream = Weak::upgrade(&stream).ok_or(Status::NotFound)?;
            let state = stream.lock();
            view.info = Some(&state.info);
            view.started = state.started;
            properties::lookup(path, &view)
        }
    }
}
