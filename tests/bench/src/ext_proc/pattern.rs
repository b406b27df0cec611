//! Replacing values by pattern, as Lua's variant does it: `"email":"[^"]*"`, whatever surrounds it.
//! It knows neither JSON nor GraphQL, so it is the least that an ext_proc server can do.

use memchr::memchr;
use memchr::memmem::Finder;

use crate::load::REDACTED;

/// What values to replace begin with.
const KEYS: [&[u8]; 2] = [b"\"email\":\"", b"\"phone\":\""];

/// Replaces values in a body that may come in pieces.
pub struct Replacer {
    finders: [Finder<'static>; 2],
    /// What may be the beginning of a value to replace.
    pending: Vec<u8>,
}

impl Default for Replacer {
    fn default() -> Self {
        Self {
            finders: KEYS.map(Finder::new),
            pending: Vec::new(),
        }
    }
}

impl Replacer {
    /// Takes a piece of the body, the last one or not, and returns what can go on.
    pub fn push(&mut self, piece: &[u8], last: bool) -> Vec<u8> {
        if self.pending.is_empty() {
            let (out, rest) = self.replace(piece, last);
            self.pending = rest.to_vec();
            return out;
        }
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(piece);
        let (out, rest) = self.replace(&all, last);
        self.pending = rest.to_vec();
        out
    }

    /// The text with values replaced, and what must wait for more.
    fn replace<'a>(&self, text: &'a [u8], last: bool) -> (Vec<u8>, &'a [u8]) {
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        let find = |key: usize, from: usize| {
            self.finders[key]
                .find(&text[from..])
                .map_or(usize::MAX, |p| from + p)
        };
        let mut next = [find(0, 0), find(1, 0)];
        loop {
            let key = usize::from(next[1] < next[0]);
            let start = next[key];
            if start == usize::MAX {
                // A key may have begun in the last bytes.
                let longest = KEYS[0].len().max(KEYS[1].len()) - 1;
                let held = if last { 0 } else { longest };
                let end = text.len().saturating_sub(held).max(at);
                out.extend_from_slice(&text[at..end]);
                return (out, &text[end..]);
            }
            let value = start + KEYS[key].len();
            let Some(length) = memchr(b'"', &text[value..]) else {
                let end = if last { text.len() } else { start };
                out.extend_from_slice(&text[at..end]);
                return (out, &text[end..]);
            };
            out.extend_from_slice(&text[at..value]);
            out.extend_from_slice(REDACTED.as_bytes());
            at = value + length;
            next[key] = find(key, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same() {
        let text = br#"{"email":"ann@x","id":"email","phone":"","n":[{"phone":"1"}],"email":null}"#;
        let want = br#"{"email":"[REDACTED]","id":"email","phone":"[REDACTED]","n":[{"phone":"[REDACTED]"}],"email":null}"#;
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut replacer = Replacer::default();
                let mut out = replacer.push(&text[..first], false);
                out.extend(replacer.push(&text[first..second], false));
                out.extend(replacer.push(&text[second..], true));
                assert_eq!(
                    String::from_utf8_lossy(&out),
                    String::from_utf8_lossy(want),
                    "cut at {first} and {second}"
                );
            }
        }
    }
}
