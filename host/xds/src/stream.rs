//! One stream's task: between the transport, the protocol's state machine and the cache.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status, Streaming};

use crate::cache::{Cache, Place, Seat};
use crate::config::Config;
use crate::error::ProtocolError;
use crate::group::GroupId;
use crate::node::Node;
use crate::peer::Peer;
use crate::protocol::Protocol;
use crate::wire::Encoded;

impl From<ProtocolError> for Status {
    fn from(error: ProtocolError) -> Self {
        let code = match error {
            ProtocolError::NoNode | ProtocolError::NoType | ProtocolError::OtherNode { .. } => {
                Code::InvalidArgument
            }
            ProtocolError::Locators => Code::Unimplemented,
            ProtocolError::TooManyNames { .. } | ProtocolError::TooManyUnanswered { .. } => {
                Code::ResourceExhausted
            }
        };
        Self::new(code, error.to_string())
    }
}

/// Serves one stream until the client leaves, errs, or the server closes.
///
/// The queue of responses is bounded: a client that does not read blocks this task alone, and
/// finds the newest snapshot when it reads again.
pub(crate) async fn serve<P: Protocol>(
    cache: Cache,
    config: Arc<Config>,
    peer: Peer,
    mut requests: Streaming<P::Request>,
    responses: mpsc::Sender<Result<Encoded, Status>>,
    mut closing: watch::Receiver<bool>,
) {
    let result = tokio::select! {
        result = converse::<P>(&cache, &config, &peer, &mut requests, &responses) => result,
        _ = closing.wait_for(|closing| *closing) => {
            Err(Status::unavailable("the control plane is shutting down"))
        }
        () = responses.closed() => Ok(()),
    };
    if let Err(status) = result {
        // The client may be gone, or its queue full: then it learns nothing and reconnects.
        let _ = responses.try_send(Err(status));
    }
}

async fn converse<P: Protocol>(
    cache: &Cache,
    config: &Config,
    peer: &Peer,
    requests: &mut Streaming<P::Request>,
    responses: &mpsc::Sender<Result<Encoded, Status>>,
) -> Result<(), Status> {
    let Some(first) = requests.message().await? else {
        return Ok(());
    };
    let mut node = P::node_of(&first)
        .map(Node::from)
        .filter(|node| !node.id.is_empty())
        .ok_or(ProtocolError::NoNode)?;
    if cache.stream_count() >= config.max_streams {
        return Err(Status::resource_exhausted(format!(
            "{} streams are open: no more are taken",
            config.max_streams
        )));
    }
    let address = peer.address.map(|address| address.to_string());
    let refuse = |reason: String| {
        cache.refuse(&node.id, address.clone(), &reason);
        Status::permission_denied(reason)
    };
    let identity = peer
        .proof
        .identify(&node)
        .map_err(|error| refuse(error.to_string()))?;
    node.identity = identity;
    let Some(mut seat) = cache.join(&node, P::VARIANT, address.clone()) else {
        let reason = format!(
            "node {:?} of cluster {:?} belongs to no group of this control plane",
            node.id, node.cluster
        );
        cache.refuse(&node.id, address, &reason);
        return Err(Status::permission_denied(reason));
    };
    let mut protocol = P::default();
    protocol.with_patches(cache.patches());
    seat.on_answers(&protocol.on_request(first, config.max_names)?);
    let mut again: Option<Instant> = None;
    let mut group = None;
    loop {
        advance(&mut seat, &mut protocol, &mut group, responses).await?;
        again = match protocol.waiting() {
            Some(delay) => again.or_else(|| Some(Instant::now() + delay)),
            None => None,
        };
        tokio::select! {
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                again = None;
                protocol.again();
            }
            request = requests.message() => {
                let Some(request) = request? else { return Ok(()) };
                if let Some(later) = P::node_of(&request).map(Node::from)
                    && !later.id.is_empty()
                    && !node.is_same(&later)
                {
                    let (first, later) = (node.id, later.id);
                    return Err(ProtocolError::OtherNode { first, later }.into());
                }
                seat.on_answers(&protocol.on_request(request, config.max_names)?);
            }
            changed = seat.placed.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Sends what is due. What the client said is in the cache by now, so that a rollback that it
/// caused comes before anything more of what it refused.
async fn advance<P: Protocol>(
    seat: &mut Seat,
    protocol: &mut P,
    group: &mut Option<GroupId>,
    responses: &mpsc::Sender<Result<Encoded, Status>>,
) -> Result<(), Status> {
    let place = seat.placed.borrow_and_update().clone();
    let Place::Group { id, served } = place else {
        return Err(dismissed());
    };
    let serial = served.as_ref().map(|served| served.serial);
    if let Some(served) = served {
        if group.replace(id).is_some_and(|before| before != id) {
            protocol.on_move();
        }
        protocol.on_snapshot(served.snapshot);
    }
    let turn = protocol.poll();
    seat.on_answers(&turn.answers);
    seat.on_sent(
        turn.responses
            .iter()
            .map(|outgoing| (outgoing.type_url.clone(), outgoing.version.clone())),
    );
    let settled = if protocol.is_settled() { serial } else { None };
    seat.on_settled(settled, protocol.subscriptions());
    // A copy: what it sees is not seen by the seat's own.
    let mut placed = seat.placed.clone();
    for outgoing in turn.responses {
        tokio::select! {
            sent = responses.send(Ok(outgoing.response)) => {
                sent.map_err(|_| Status::cancelled("the client is gone"))?;
            }
            _ = placed.wait_for(|place| matches!(place, Place::Nowhere)) => return Err(dismissed()),
        }
    }
    Ok(())
}

fn dismissed() -> Status {
    Status::permission_denied("the node belongs to no group of this control plane any more")
}
