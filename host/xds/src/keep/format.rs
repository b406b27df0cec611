//! A snapshot as a file: two lines, `xds-lkg 1` and the SHA-256 of what follows, and a protobuf message. So are
//! refusals: `xds-parked 1`.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::BrokenFile;
use crate::resource::{Resource, Snapshot, sha256};
use crate::status::ParkedStatus;

const FORMAT: &str = "xds-lkg 1";
const PARKED_FORMAT: &str = "xds-parked 1";

#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(string, tag = "1")]
    group: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(string, tag = "3")]
    label: String,
    #[prost(message, repeated, tag = "4")]
    resources: Vec<StoredResource>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredResource {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    version: String,
    #[prost(bytes = "bytes", tag = "4")]
    body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRefusals {
    #[prost(string, tag = "1")]
    group: String,
    #[prost(message, repeated, tag = "2")]
    refusals: Vec<StoredRefusal>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRefusal {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(btree_map = "string, string", tag = "2")]
    resources: BTreeMap<String, String>,
    #[prost(string, tag = "3")]
    error: String,
    #[prost(string, tag = "4")]
    node: String,
    #[prost(uint64, tag = "5")]
    since_unix_ms: u64,
}

/// The file of a group's refusals.
pub(super) fn encode_parked(group: &str, parked: &[ParkedStatus]) -> Vec<u8> {
    let refusals = parked.iter().cloned().map(|parked| StoredRefusal {
        type_url: parked.type_url,
        resources: parked.resources,
        error: parked.error,
        node: parked.node,
        since_unix_ms: parked.since_unix_ms,
    });
    let stored = StoredRefusals {
        group: group.to_owned(),
        refusals: refusals.collect(),
    };
    seal(PARKED_FORMAT, &stored)
}

/// The group and the refusals of a file.
///
/// # Errors
/// It is not whole, or not what was written.
pub(super) fn decode_parked(file: &[u8]) -> Result<(String, Vec<ParkedStatus>), BrokenFile> {
    let stored: StoredRefusals = unseal(PARKED_FORMAT, file)?;
    let parked = stored.refusals.into_iter().map(|refusal| ParkedStatus {
        type_url: refusal.type_url,
        resources: refusal.resources,
        error: refusal.error,
        node: refusal.node,
        since_unix_ms: refusal.since_unix_ms,
    });
    Ok((stored.group, parked.collect()))
}

fn seal(format: &str, message: &impl Message) -> Vec<u8> {
    let content = message.encode_to_vec();
    let mut file = format!("{format}\n{}\n", sha256(&content)).into_bytes();
    file.extend(content);
    file
}

fn unseal<M: Message + Default>(format: &str, file: &[u8]) -> Result<M, BrokenFile> {
    let mut lines = file.splitn(3, |byte| *byte == b'\n');
    if lines.next() != Some(format.as_bytes()) {
        return Err(BrokenFile::Format);
    }
    let (Some(hash), Some(content)) = (lines.next(), lines.next()) else {
        return Err(BrokenFile::Format);
    };
    if hash != sha256(content).as_bytes() {
        return Err(BrokenFile::Hash);
    }
    M::decode(content).map_err(|_| BrokenFile::Format)
}

/// The file of a group's snapshot.
pub(super) fn encode(group: &str, snapshot: &Snapshot) -> Vec<u8> {
    let stored = Stored {
        group: group.to_owned(),
        version: snapshot.version().to_owned(),
        label: snapshot.label().to_owned(),
        resources: snapshot
            .resources()
            .map(|resource| StoredResource {
                type_url: resource.type_url().to_owned(),
                name: resource.name().to_owned(),
                version: resource.version().to_owned(),
                body: resource.body(),
            })
            .collect(),
    };
    seal(FORMAT, &stored)
}

/// The group and the snapshot of a file.
///
/// # Errors
/// It is not whole, or not what was written.
pub(super) fn decode(file: &[u8]) -> Result<(String, Snapshot), BrokenFile> {
    let stored: Stored = unseal(FORMAT, file)?;
    let resources = stored
        .resources
        .into_iter()
        .map(|r| Resource::stored(r.type_url, r.name, r.version, r.body));
    let snapshot = Snapshot::new(resources).map_err(|_| BrokenFile::Format)?;
    if snapshot.version() != stored.version {
        return Err(BrokenFile::Version);
    }
    Ok((stored.group, snapshot.labelled(stored.label)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::type_url::{CLUSTER, LISTENER};

    #[test]
    fn a_snapshot_comes_back_as_it_was_and_a_changed_byte_is_seen() {
        let snapshot = Snapshot::new([
            Resource::new(LISTENER, "l", *b"1"),
            Resource::with_canonical(CLUSTER, "c", *b"2", b"another"),
        ])
        .unwrap()
        .labelled("r7");
        let file = encode("eu", &snapshot);
        let (group, back) = decode(&file).unwrap();
        assert_eq!((group.as_str(), &back), ("eu", &snapshot));
        assert_eq!(back.label(), "r7");
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(decode(&changed).is_err(), "byte {at}");
            assert!(decode(&file[..at]).is_err(), "cut at {at}");
        }
        assert!(decode(&[&file[..], b"x"].concat()).is_err());
    }

    #[test]
    fn a_changed_byte_of_refusals_is_seen() {
        let refusal = ParkedStatus {
            type_url: LISTENER.to_owned(),
            resources: [("l", "1"), ("m", "2")]
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .into(),
            error: "no".to_owned(),
            node: "n".to_owned(),
            since_unix_ms: 7,
        };
        let file = encode_parked("eu", std::slice::from_ref(&refusal));
        assert_eq!(
            decode_parked(&file).unwrap(),
            ("eu".to_owned(), vec![refusal])
        );
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(decode_parked(&changed).is_err(), "byte {at}");
            assert!(decode_parked(&file[..at]).is_err(), "cut at {at}");
        }
    }
}
