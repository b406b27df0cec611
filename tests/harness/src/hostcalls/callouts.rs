//! HTTP and gRPC callouts.

use crate::abi::{Status, decode_pairs};
use crate::headers::Headers;
use crate::host::{Callout, CalloutEvent, GrpcAnswer, GrpcCall, GrpcEvent, HttpCall, cluster_name};
use crate::hostcalls::hostcalls;
use crate::hostcalls::memory::{read, read_text, write_u32};
use crate::vm::{Caller, StoreData};
use std::sync::PoisonError;
use std::time::Duration;
use wasmtime::Linker;

pub(super) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    hostcalls! { linker,
        "proxy_http_call" => |caller, cluster: i32, cluster_size: i32, headers: i32,
            headers_size: i32, body: i32, body_size: i32, trailers: i32, trailers_size: i32,
            timeout: i32, return_token: i32| {
            let call = HttpCall {
                cluster: read_text(caller, cluster, cluster_size)?,
                headers: pairs(caller, headers, headers_size)?,
                body: read(caller, body, body_size)?,
                trailers: pairs(caller, trailers, trailers_size)?,
                timeout: Duration::from_millis(
                    u64::try_from(timeout).map_err(|_| Status::BadArgument)?,
                ),
            };
            let token = http_call(caller, call)?;
            Ok(write_u32(caller, return_token, token)?)
        }
        "proxy_grpc_call" => |caller, upstream: i32, upstream_size: i32, service: i32,
            service_size: i32, method: i32, method_size: i32, metadata: i32, metadata_size: i32,
            message: i32, message_size: i32, timeout: i32, return_token: i32| {
            let call = GrpcCall {
                cluster: cluster_name(&read(caller, upstream, upstream_size)?),
                service: read_text(caller, service, service_size)?,
                method: read_text(caller, method, method_size)?,
                metadata: pairs(caller, metadata, metadata_size)?,
                message: Some(read(caller, message, message_size)?),
                stream: false,
                end_stream: true,
                timeout: Duration::from_millis(u64::from(timeout as u32)),
            };
            let token = grpc_open(caller, call)?;
            Ok(write_u32(caller, return_token, token)?)
        }
        "proxy_grpc_stream" => |caller, upstream: i32, upstream_size: i32, service: i32,
            service_size: i32, method: i32, method_size: i32, metadata: i32, metadata_size: i32,
            return_token: i32| {
            let call = GrpcCall {
                cluster: cluster_name(&read(caller, upstream, upstream_size)?),
                service: read_text(caller, service, service_size)?,
                method: read_text(caller, method, method_size)?,
                metadata: pairs(caller, metadata, metadata_size)?,
                message: None,
                stream: true,
                end_stream: false,
                timeout: Duration::ZERO,
            };
            let token = grpc_open(caller, call)?;
            Ok(write_u32(caller, return_token, token)?)
        }
        "proxy_grpc_send" => |caller, token: i32, message: i32, message_size: i32, end: i32| {
            let message = read(caller, message, message_size)?;
            let token = token as u32;
            if token % 2 == 1 {
                return Err(Status::BadArgument.into());
            }
            let opened = caller.data().open_grpc.get(&token).ok_or(Status::NotFound)?;
            let call =
                GrpcCall { message: Some(message), end_stream: end != 0, ..opened.clone() };
            ask_grpc(caller.data(), call, token)?;
            Ok(())
        }
        "proxy_grpc_cancel" => |caller, token: i32| {
            Ok(forget(caller.data_mut(), token as u32)?)
        }
        // A stream that the guest closes still receives; a call that it closes does not.
        "proxy_grpc_close" => |caller, token: i32| {
            let (data, token) = (caller.data_mut(), token as u32);
            if token % 2 == 1 {
                return Ok(forget(data, token)?);
            }
            let opened = data.open_grpc.get_mut(&token).ok_or(Status::NotFound)?;
            opened.end_stream = true;
            Ok(())
        }
    }
    Ok(())
}

fn pairs(caller: &mut Caller<'_>, data: i32, size: i32) -> Result<Headers, Status> {
    Ok(Headers::from_pairs(
        decode_pairs(&read(caller, data, size)?).unwrap_or_default(),
    ))
}

fn forget(data: &mut StoreData, token: u32) -> Result<(), Status> {
    data.open_grpc
        .remove(&token)
        .map(|_| ())
        .ok_or(Status::NotFound)
}

fn http_call(caller: &mut Caller<'_>, call: HttpCall) -> Result<u32, Status> {
    let required = [":method", ":path", ":authority"];
    if required
        .iter()
        .any(|name| call.headers.get_bytes(name).is_none())
    {
        return Err(Status::BadArgument);
    }
    let handler = {
        let mut state = caller.data().host.lock();
        let handler = state
            .clusters
            .http
            .get(&call.cluster)
            .cloned()
            .ok_or(Status::BadArgument)?;
        state.http_calls.push(call.clone());
        handler
    };
    // The host's lock is free: the answer may look at its log or metrics.
    let answer = (handler.lock().unwrap_or_else(PoisonError::into_inner))(&call);
    let data = caller.data_mut();
    let token = data.next_http_token;
    data.next_http_token += 1;
    data.open_calls.insert(token);
    if let Some((delay, event)) = answer.event(call.timeout) {
        schedule(data, token, delay, event);
    }
    Ok(token)
}

fn grpc_open(caller: &mut Caller<'_>, call: GrpcCall) -> Result<u32, Status> {
    let known = caller
        .data()
        .host
        .lock()
        .clusters
        .grpc
        .contains_key(&call.cluster);
    if !known {
        // What Envoy answers for a name that is no cluster, for the sake of old filters.
        return Err(Status::ParseFailure);
    }
    let data = caller.data_mut();
    // Calls have odd tokens and streams even ones.
    let parity = u32::from(!call.stream);
    if data.next_grpc_token % 2 != parity {
        data.next_grpc_token += 1;
    }
    let token = data.next_grpc_token;
    data.next_grpc_token += 1;
    data.open_grpc.insert(token, call.clone());
    ask_grpc(caller.data(), call, token)?;
    Ok(token)
}

fn ask_grpc(data: &StoreData, call: GrpcCall, token: u32) -> Result<(), Status> {
    let handler = {
        let mut state = data.host.lock();
        let handler = state
            .clusters
            .grpc
            .get(&call.cluster)
            .cloned()
            .ok_or(Status::NotFound)?;
        state.grpc_calls.push(call.clone());
        handler
    };
    let answer = (handler.lock().unwrap_or_else(PoisonError::into_inner))(&call);
    let GrpcAnswer {
        mut delay,
        mut events,
    } = answer;
    let timed_out = !call.timeout.is_zero() && (events.is_empty() || delay >= call.timeout);
    if !call.stream && timed_out {
        delay = call.timeout;
        // grpc-status 4, deadline exceeded.
        events = vec![GrpcEvent::Close(4, "deadline exceeded".to_owned())];
    }
    for event in events {
        schedule(data, token, delay, CalloutEvent::Grpc(event));
    }
    Ok(())
}

fn schedule(data: &StoreData, token: u32, delay: Duration, event: CalloutEvent) {
    let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
    let due = data.host.clock.nanoseconds().saturating_add(delay);
    let (vm, root) = (data.vm.clone(), data.root());
    let mut state = data.host.lock();
    let sequence = state.next_sequence;
    state.next_sequence += 1;
    state.pending.push(Callout {
        due,
        sequence,
        vm,
        root,
        token,
        event,
    });
}
