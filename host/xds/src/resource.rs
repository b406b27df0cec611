//! What is served: a resource, and a snapshot of all resources of a node group.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::SnapshotError;

/// One named xDS resource with its encoded message.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    type_url: String,
    name: String,
    version: String,
    bytes: Bytes,
}

impl Resource {
    /// A resource whose version is the SHA-256 of its bytes.
    ///
    /// The bytes must be the same whenever the meaning is: prost keeps `map<>` fields in hash maps
    /// and so writes their entries in another order each time. A caller with such a message either
    /// encodes its maps in order, or names the version itself by [`Resource::with_canonical`].
    pub fn new(
        type_url: impl Into<String>,
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        let bytes = Bytes::from(bytes.into());
        let version = digest(&[&bytes]);
        Self {
            type_url: type_url.into(),
            name: name.into(),
            version,
            bytes,
        }
    }

    /// A resource whose version is the SHA-256 of `canonical`: the caller's own stable writing of
    /// what `bytes` mean.
    pub fn with_canonical(
        type_url: impl Into<String>,
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        canonical: &[u8],
    ) -> Self {
        Self {
            type_url: type_url.into(),
            name: name.into(),
            version: digest(&[canonical]),
            bytes: Bytes::from(bytes.into()),
        }
    }

    /// A resource as it was kept, with the version that it had.
    pub(crate) fn stored(type_url: String, name: String, version: String, bytes: Bytes) -> Self {
        Self {
            type_url,
            name,
            version,
            bytes,
        }
    }

    /// The message's type URL.
    pub fn type_url(&self) -> &str {
        &self.type_url
    }

    /// The resource's name, unique within its type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The content hash, in lower-case hexadecimal.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The encoded message.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoded message, shared.
    pub(crate) fn body(&self) -> Bytes {
        self.bytes.clone()
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("type_url", &self.type_url)
            .field("name", &self.name)
            .field("version", &self.version)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// All resources of one type in a snapshot, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeResources {
    version: String,
    by_name: BTreeMap<String, Arc<Resource>>,
}

impl TypeResources {
    fn new(by_name: BTreeMap<String, Arc<Resource>>) -> Self {
        let parts: Vec<&[u8]> = by_name
            .values()
            .flat_map(|r| [r.name.as_bytes(), r.version.as_bytes()])
            .collect();
        Self {
            version: digest(&parts),
            by_name,
        }
    }

    /// The version of the type: a hash over the names and versions of its resources.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The resources by name.
    pub fn by_name(&self) -> &BTreeMap<String, Arc<Resource>> {
        &self.by_name
    }
}

/// An immutable set of resources by type: everything that a node group is to have at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    version: String,
    label: String,
    types: BTreeMap<String, TypeResources>,
}

impl Snapshot {
    /// A snapshot of these resources.
    ///
    /// # Errors
    /// A resource without a type or a name, or two of the same type and name: clients refuse a
    /// response with a duplicate.
    pub fn new(resources: impl IntoIterator<Item = Resource>) -> Result<Self, SnapshotError> {
        let mut types: BTreeMap<String, BTreeMap<String, Arc<Resource>>> = BTreeMap::new();
        for resource in resources {
            if resource.type_url.is_empty() || resource.name.is_empty() {
                return Err(SnapshotError::Unnamed {
                    type_url: resource.type_url,
                    name: resource.name,
                });
            }
            let by_name = types.entry(resource.type_url.clone()).or_default();
            match by_name.entry(resource.name.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(Arc::new(resource));
                }
                Entry::Occupied(_) => {
                    return Err(SnapshotError::Duplicate {
                        type_url: resource.type_url,
                        name: resource.name,
                    });
                }
            }
        }
        Ok(Self::from_types(types, String::new()))
    }

    fn from_types(types: BTreeMap<String, BTreeMap<String, Arc<Resource>>>, label: String) -> Self {
        let types: BTreeMap<String, TypeResources> = types
            .into_iter()
            .map(|(url, by_name)| (url, TypeResources::new(by_name)))
            .collect();
        let parts: Vec<&[u8]> = types
            .iter()
            .flat_map(|(url, of_type)| [url.as_bytes(), of_type.version.as_bytes()])
            .collect();
        Self {
            version: digest(&parts),
            label,
            types,
        }
    }

    /// The same snapshot with a name for people: a policy revision, a release. It is shown beside
    /// the version and has no part in it.
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The version: a hash over the versions of all types.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The name for people, empty if none was given.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The resources by type URL.
    pub fn types(&self) -> &BTreeMap<String, TypeResources> {
        &self.types
    }

    /// The resource of this type and name.
    pub fn get(&self, type_url: &str, name: &str) -> Option<&Arc<Resource>> {
        self.types.get(type_url)?.by_name.get(name)
    }

    /// Every resource, by type and name.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.types
            .values()
            .flat_map(|of_type| of_type.by_name.values())
    }

    pub(crate) fn holds(&self, type_url: &str, name: &str, version: &str) -> bool {
        self.get(type_url, name)
            .is_some_and(|resource| resource.version == version)
    }

    /// This snapshot without the resources that `refused` names.
    pub(crate) fn without(&self, refused: impl Fn(&Resource) -> bool) -> Self {
        let types = self
            .types
            .iter()
            .map(|(url, of_type)| {
                let kept = of_type
                    .by_name
                    .iter()
                    .filter(|(_, resource)| !refused(resource))
                    .map(|(name, resource)| (name.clone(), Arc::clone(resource)))
                    .collect();
                (url.clone(), kept)
            })
            .collect();
        Self::from_types(types, self.label.clone())
    }
}

/// SHA-256 over the parts, each preceded by its length, in hexadecimal.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(hash: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in hash {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::type_url::{CLUSTER, LISTENER};

    #[test]
    fn versions_follow_content_alone() {
        let a = Snapshot::new([
            Resource::new(LISTENER, "l", *b"1"),
            Resource::new(CLUSTER, "c", *b"2"),
        ])
        .unwrap();
        let b = Snapshot::new([
            Resource::new(CLUSTER, "c", *b"2"),
            Resource::new(LISTENER, "l", *b"1"),
        ])
        .unwrap()
        .labelled("r7");
        assert_eq!(a.version(), b.version());
        let c = Snapshot::new([
            Resource::new(CLUSTER, "c", *b"2"),
            Resource::new(LISTENER, "l", *b"3"),
        ])
        .unwrap();
        assert_ne!(a.version(), c.version());
        assert_eq!(
            a.types()[CLUSTER].version(),
            c.types()[CLUSTER].version(),
            "a type's version changes only when the type does"
        );
    }

    #[test]
    fn a_duplicate_or_nameless_resource_is_refused() {
        let twice = Snapshot::new([
            Resource::new(CLUSTER, "c", *b"1"),
            Resource::new(CLUSTER, "c", *b"2"),
        ]);
        assert!(matches!(twice, Err(SnapshotError::Duplicate { name, .. }) if name == "c"));
        let nameless = Snapshot::new([Resource::new(CLUSTER, "", *b"1")]);
        assert!(matches!(nameless, Err(SnapshotError::Unnamed { .. })));
    }
}
