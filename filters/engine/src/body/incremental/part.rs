//! What a part can hold. What it must not hold ends the response.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::body::BodyError;

use super::path::Segment;

/// A part of a response.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Part<'a> {
    #[serde(borrow, deserialize_with = "present")]
    pub payload: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub data: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub items: Option<&'a RawValue>,
    pub path: Option<Vec<Segment>>,
    pub label: Option<String>,
    #[serde(borrow, deserialize_with = "present")]
    pub errors: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub extensions: Option<&'a RawValue>,
    #[serde(borrow)]
    pub pending: Option<Vec<Pending<'a>>>,
    #[serde(borrow)]
    pub incremental: Option<Vec<RawItem<'a>>>,
    #[serde(borrow)]
    pub completed: Option<Vec<Completed<'a>>>,
    pub has_next: Option<bool>,
    /// Of subscriptions by multipart: whether it ends. Said by the end itself.
    #[serde(rename = "done")]
    _done: Option<bool>,
}

impl<'a> Part<'a> {
    pub fn parse(text: &'a [u8]) -> Result<Self, BodyError> {
        const ODD: BodyError = BodyError::Incremental("its members are not those of a part");
        // A list of values in the order of the members would be read as well.
        if text.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
            return Err(ODD);
        }
        serde_json::from_slice(text).map_err(|_| ODD)
    }
}

/// Deferred data or streamed items.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawItem<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    items: Option<&'a RawValue>,
    path: Option<Vec<Segment>>,
    sub_path: Option<Vec<Segment>>,
    label: Option<String>,
    #[serde(borrow, deserialize_with = "present")]
    errors: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    extensions: Option<&'a RawValue>,
}

impl<'a> RawItem<'a> {
    pub fn item(&self) -> Item<'a, '_> {
        Item {
            id: self.id.as_deref(),
            data: self.data,
            items: self.items,
            path: self.path.as_deref(),
            sub_path: self.sub_path.as_deref(),
            label: self.label.as_deref(),
            errors: self.errors,
            extensions: self.extensions,
        }
    }
}

/// The same, wherever it stood.
#[derive(Debug, Default)]
pub(super) struct Item<'a, 'p> {
    pub id: Option<&'p str>,
    pub data: Option<&'a RawValue>,
    pub items: Option<&'a RawValue>,
    pub path: Option<&'p [Segment]>,
    pub sub_path: Option<&'p [Segment]>,
    pub label: Option<&'p str>,
    pub errors: Option<&'a RawValue>,
    pub extensions: Option<&'a RawValue>,
}

/// What will come later.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    pub path: Vec<Segment>,
    #[serde(default)]
    pub label: Option<String>,
}

/// What has come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Completed<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub errors: Option<&'a RawValue>,
}

/// A member that is there, null or not.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(d: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(d).map(Some)
}
