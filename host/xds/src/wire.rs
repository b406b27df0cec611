//! Responses as they go over the wire. The bodies of resources are no copies: ten thousand streams that are
//! sent the same configuration hold it in memory once.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::resource::Resource;

/// `resources` of a response of either variant.
const RESOURCES: u32 = 2;

/// Fields of `envoy.service.discovery.v3.Resource`.
const VERSION: u32 = 1;
const RESOURCE: u32 = 2;
const NAME: u32 = 3;

/// Fields of `google.protobuf.Any`.
const TYPE_URL: u32 = 1;
const VALUE: u32 = 2;

/// A body of fewer bytes is copied: a piece of its own costs more.
const COPIED: usize = 4096;

/// The prefix of a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// An encoded response, in pieces.
#[derive(Clone, Debug)]
pub struct Encoded {
    pieces: VecDeque<Bytes>,
    /// The end of it, which is not a piece yet. At first it is the place of the prefix.
    tail: BytesMut,
}

impl Encoded {
    /// A response without resources. Those are added behind: the order of fields means nothing.
    pub(crate) fn new(head: &impl Message) -> Self {
        let mut tail = BytesMut::zeroed(PREFIX);
        tail.reserve(head.encoded_len());
        let _ = head.encode(&mut tail);
        Self {
            pieces: VecDeque::new(),
            tail,
        }
    }

    /// Adds a resource to a response of the incremental variant.
    pub(crate) fn push_named(&mut self, resource: &Resource, body: Bytes) {
        let any = any_len(resource, &body);
        let len = string_len(VERSION, resource.version())
            + string_len(NAME, resource.name())
            + field_len(RESOURCE, any)
            + any;
        self.key(RESOURCES, len);
        self.string(VERSION, resource.version());
        self.string(NAME, resource.name());
        self.any(RESOURCE, resource, body);
    }

    /// Adds a resource to a response of state of the world.
    pub(crate) fn push(&mut self, resource: &Resource, body: Bytes) {
        self.any(RESOURCES, resource, body);
    }

    fn any(&mut self, tag: u32, resource: &Resource, body: Bytes) {
        self.key(tag, any_len(resource, &body));
        self.string(TYPE_URL, resource.type_url());
        self.key(VALUE, body.len());
        if body.len() < COPIED {
            self.tail.put(body);
        } else {
            self.pieces.push_back(self.tail.split().freeze());
            self.pieces.push_back(body);
        }
    }

    fn string(&mut self, tag: u32, value: &str) {
        self.key(tag, value.len());
        self.tail.put_slice(value.as_bytes());
    }

    fn key(&mut self, tag: u32, len: usize) {
        encode_key(tag, WireType::LengthDelimited, &mut self.tail);
        encode_varint(len as u64, &mut self.tail);
    }

    /// The pieces of the gRPC message, its prefix included.
    ///
    /// # Errors
    /// It is longer than a message can be.
    pub(crate) fn into_pieces(mut self) -> Result<VecDeque<Bytes>, std::num::TryFromIntError> {
        let whole: usize = self.pieces.iter().map(Bytes::len).sum::<usize>() + self.tail.len();
        let len = u32::try_from(whole.saturating_sub(PREFIX))?.to_be_bytes();
        self.pieces.push_back(self.tail.freeze());
        if let Some(first) = self.pieces.pop_front() {
            let mut first = BytesMut::from(first);
            if let Some(place) = first.get_mut(1..PREFIX) {
                place.copy_from_slice(&len);
            }
            self.pieces.push_front(first.freeze());
        }
        self.pieces.retain(|piece| !piece.is_empty());
        Ok(self.pieces)
    }

    /// What a client reads.
    #[cfg(test)]
    pub(crate) fn decode<M: Message + Default>(self) -> M {
        let whole: Vec<u8> = self.into_pieces().unwrap().into_iter().flatten().collect();
        assert_eq!(
            whole[..PREFIX],
            [&[0][..], &((whole.len() - PREFIX) as u32).to_be_bytes()].concat()
        );
        M::decode(&whole[PREFIX..]).unwrap()
    }
}

fn any_len(resource: &Resource, body: &Bytes) -> usize {
    string_len(TYPE_URL, resource.type_url()) + field_len(VALUE, body.len()) + body.len()
}

fn string_len(tag: u32, value: &str) -> usize {
    field_len(tag, value.len()) + value.len()
}

/// The length of a field less its content.
fn field_len(tag: u32, len: usize) -> usize {
    key_len(tag) + encoded_len_varint(len as u64)
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryResponse, Resource as WireResource,
    };
    use envoy_types::pb::google::protobuf::Any;

    use super::*;
    use crate::type_url::LISTENER;

    #[test]
    fn pieces_are_what_the_messages_would_be() {
        let resources: Vec<Resource> = [0, 1, 100, COPIED - 1, COPIED, 3 << 20, 7]
            .iter()
            .enumerate()
            .map(|(at, len)| Resource::new(LISTENER, format!("l{at}"), vec![at as u8; *len]))
            .collect();
        for resources in [&[][..], &resources[..1], &resources] {
            let any = |r: &Resource| Any {
                type_url: LISTENER.to_owned(),
                value: r.bytes().to_vec(),
            };
            let mut delta = DeltaDiscoveryResponse {
                type_url: LISTENER.to_owned(),
                nonce: "7".to_owned(),
                removed_resources: vec!["x".to_owned()],
                ..Default::default()
            };
            let mut encoded = Encoded::new(&delta);
            for resource in resources {
                encoded.push_named(resource, resource.body());
                delta.resources.push(WireResource {
                    name: resource.name().to_owned(),
                    version: resource.version().to_owned(),
                    resource: Some(any(resource)),
                    ..Default::default()
                });
            }
            assert_eq!(encoded.decode::<DeltaDiscoveryResponse>(), delta);

            let mut sotw = DiscoveryResponse {
                nonce: "8".to_owned(),
                ..Default::default()
            };
            let mut encoded = Encoded::new(&sotw);
            for resource in resources {
                encoded.push(resource, resource.body());
                sotw.resources.push(any(resource));
            }
            assert_eq!(encoded.decode::<DiscoveryResponse>(), sotw);
        }
    }

    #[test]
    fn a_large_body_is_no_copy() {
        let resource = Resource::new(LISTENER, "l", vec![7; COPIED]);
        let mut encoded = Encoded::new(&DiscoveryResponse::default());
        encoded.push(&resource, resource.body());
        let body = resource.bytes().as_ptr();
        let pieces = encoded.into_pieces().unwrap();
        assert!(pieces.iter().any(|piece| piece.as_ptr() == body));
    }
}
