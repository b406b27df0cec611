//! Paths of a response, followed through a plan.

use serde::Deserialize;

use crate::json::{Action, Program, push_string};

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Segment {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(u64),
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// What applies there; `None` below something that is left out whole.
    pub action: Option<Action>,
    /// The arrays between the field and it.
    pub lists: u8,
}

impl Place {
    /// The root of `data`.
    pub fn root(data: Action) -> Self {
        Self {
            action: Some(data),
            lists: 0,
        }
    }
}

/// Follows a path; `None` if the operation has none like it.
pub(super) fn resolve(program: &Program, from: Place, path: &[Segment]) -> Option<Place> {
    let mut place = from;
    for segment in path {
        match (segment, place.action) {
            (Segment::Index(_), _) => place.lists = place.lists.checked_add(1)?,
            // What stands under masked values need not be known: nothing of it is shown. But its
            // names are: they must be the operation's.
            (Segment::Key(_), None) => return None,
            (Segment::Key(key), Some(Action::Object(id))) => {
                place.lists = 0;
                place.action = match program.node(id)?.action(key)? {
                    Action::Drop => None,
                    action => Some(action),
                };
            }
            (Segment::Key(_), Some(_)) => return None,
        }
    }
    Some(place)
}

/// Writes a path.
pub(super) fn write(path: &[Segment], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, segment) in path.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match segment {
            Segment::Key(key) => push_string(key, out),
            Segment::Index(index) => out.extend_from_slice(index.to_string().as_bytes()),
        }
    }
    out.push(b']');
}
