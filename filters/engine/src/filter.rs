//! What the filters share, and the masking filter's stream.

mod form;
mod masking;
mod routes;
mod stream;

pub use masking::{Masking, tell_tags};
pub use stream::{BodyEffect, HeadEffect, MaskingStream, ResponseEffect, Tally};

/// The prefix of the gateway's own headers.
const RESERVED: &str = "x-ig-";

/// The header by which the gateway's route finds its cluster. The masking filter, the last one, hands
/// over what the residency filter chose: were either of them not there, whatever the reason, the
/// request would have no way to an upstream.
pub const ROUTE_HEADER: &str = "x-ig-route";

/// The headers with the prefix with which a client states an intent, as far as the upstream may see
/// them. They can only narrow what the client gets. A warrant (`x-ig-warrant`) is no such intent: the
/// residency filter takes it off the request, and what it opened stands in the context token.
const INTENTS: [&str; 2] = [
    crate::identity::PURPOSE_HEADER,
    crate::residency::DATA_REGION_HEADER,
];

/// Whether a header is the gateway's own.
pub fn is_reserved(name: &str) -> bool {
    name.get(..RESERVED.len())
        .is_some_and(|p| p.eq_ignore_ascii_case(RESERVED))
}

/// Whether a client may send the header to the upstream.
pub fn is_intent(name: &str) -> bool {
    is_among(name, &INTENTS)
}

/// Whether a header's name is one of these.
fn is_among(name: &str, names: &[impl AsRef<str>]) -> bool {
    names.iter().any(|n| n.as_ref().eq_ignore_ascii_case(name))
}

/// A change of a header map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// All values of the header go.
    Remove(String),
    /// The header has this one value.
    Set(&'static str, String),
}

/// The headers of a message, pseudo-headers included, names in lower case.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a>(pub &'a [(String, Vec<u8>)]);

impl<'a> Headers<'a> {
    /// All values of a header.
    pub fn all(self, name: &str) -> Vec<&'a [u8]> {
        self.0
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_slice())
            .collect()
    }

    /// The first value of a header, if it is text.
    pub fn text(self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// Whether the header is there.
    pub fn has(self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// Whether the message's body is encoded, compressed for example.
    fn has_encoded_body(self) -> bool {
        let encodings = self.all("content-encoding");
        encodings
            .iter()
            .any(|e| !e.eq_ignore_ascii_case(b"identity") && !e.eq_ignore_ascii_case(b"none"))
    }

    /// The path without its query string; empty if there is none.
    pub fn path(self) -> &'a str {
        let path = self.text(":path").unwrap_or_default();
        path.split('?').next().unwrap_or_default()
    }

    /// The removal of every header whose name the predicate picks.
    pub fn removals(self, pick: impl Fn(&str) -> bool) -> Vec<Edit> {
        let mut edits: Vec<Edit> = Vec::new();
        for (name, _) in self.0 {
            if pick(name) {
                let edit = Edit::Remove(name.clone());
                if !edits.contains(&edit) {
                    edits.push(edit);
                }
            }
        }
        edits
    }
}

#[cfg(test)]
mod tests;
