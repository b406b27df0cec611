use std::collections::BTreeMap;

use axum::{body::Bytes, http::HeaderMap};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::reply::Refusal;
use crate::stores::room::Room;

/// Objects by key.
pub(super) type Bucket = BTreeMap<String, Object>;

/// The objects of each bucket.
#[derive(Debug, Default)]
pub struct Buckets {
    buckets: BTreeMap<String, Bucket>,
    room: Room,
}

/// What is kept of an object.
#[derive(Debug)]
pub(super) struct Object {
    pub content: Bytes,
    pub headers: HeaderMap,
    pub etag: String,
    pub written: Timestamp,
}

impl Object {
    pub(super) fn new(content: Bytes, headers: HeaderMap) -> Self {
        // Half of it is as long as the MD5 that clients expect there.
        let hash = Sha256::digest(&content);
        let hex: String = hash.iter().take(16).map(|b| format!("{b:02x}")).collect();
        Self {
            content,
            headers,
            etag: format!("\"{hex}\""),
            written: Timestamp::now(),
        }
    }

    fn texts(&self, key: &str) -> [usize; 3] {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
        [key.len(), self.content.len(), headers.sum()]
    }

    fn contains(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.content.windows(text.len()).any(|part| part == text)
    }
}

impl Buckets {
    pub(super) fn count(&self, of: &str) -> usize {
        let objects = self.buckets.values().flatten();
        objects
            .filter(|(key, object)| key.contains(of) || object.contains(of))
            .count()
    }

    pub(super) fn bucket(&mut self, name: &str) -> Result<&mut Bucket, Refusal> {
        self.buckets.get_mut(name).ok_or(Refusal::NO_SUCH_BUCKET)
    }

    /// Makes a bucket, should it not be there.
    pub(super) fn make(&mut self, name: &str) -> Result<(), Refusal> {
        if !self.buckets.contains_key(name) {
            self.take(&[name.len()])?;
            self.buckets.insert(name.to_owned(), Bucket::new());
        }
        Ok(())
    }

    pub(super) fn put(&mut self, bucket: &str, key: String, object: Object) -> Result<(), Refusal> {
        self.make(bucket)?;
        // Both are there for a moment.
        self.take(&object.texts(&key))?;
        let old = self.bucket(bucket)?.insert(key.clone(), object);
        if let Some(old) = old {
            self.room.give_back(&old.texts(&key));
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, bucket: &str, key: &str) -> Result<(), Refusal> {
        if let Some(old) = self.bucket(bucket)?.remove(key) {
            self.room.give_back(&old.texts(key));
        }
        Ok(())
    }

    fn take(&mut self, texts: &[usize]) -> Result<(), Refusal> {
        match self.room.take(texts) {
            true => Ok(()),
            false => Err(Refusal::FULL),
        }
    }
}
