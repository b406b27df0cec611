//! Reading and writing JSON strings.

use std::borrow::Cow;

/// A scalar as it stands in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A string, still escaped.
    String(RawString<'a>),
    /// A number, as written.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// The content of a JSON string, without its quotes, escapes not yet resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawString<'a>(pub(super) &'a [u8]);

impl<'a> RawString<'a> {
    /// The content of a JSON string that was already found to be valid.
    pub fn new(escaped: &'a str) -> Self {
        Self(escaped.as_bytes())
    }

    /// The bytes of the string that is meant, if they stand in the document as they are.
    pub fn plain(self) -> Option<&'a [u8]> {
        (!self.0.contains(&b'\\')).then_some(self.0)
    }

    /// The string that is meant. A lone surrogate becomes U+FFFD.
    pub fn decode(self) -> Cow<'a, str> {
        // The document was found to be UTF-8 before any of it was looked at.
        let escaped = String::from_utf8_lossy(self.0);
        if !self.0.contains(&b'\\') {
            return escaped;
        }
        let mut text = String::with_capacity(escaped.len());
        let mut chars = escaped.chars();
        let mut high: Option<u32> = None;
        while let Some(c) = chars.next() {
            if c != '\\' {
                flush(&mut high, &mut text);
                text.push(c);
                continue;
            }
            let plain = match chars.next() {
                Some('u') => {
                    let unit = (0..4).fold(0, |n, _| {
                        n * 16 + chars.next().and_then(|c| c.to_digit(16)).unwrap_or(0)
                    });
                    match (high, unit) {
                        (Some(h), 0xdc00..=0xdfff) => {
                            high = None;
                            let code = 0x10000 + ((h - 0xd800) << 10) + (unit - 0xdc00);
                            text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                        }
                        (_, 0xd800..=0xdbff) => {
                            flush(&mut high, &mut text);
                            high = Some(unit);
                        }
                        _ => {
                            flush(&mut high, &mut text);
                            text.push(char::from_u32(unit).unwrap_or('\u{fffd}'));
                        }
                    }
                    continue;
                }
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(other) => other,
                None => break,
            };
            flush(&mut high, &mut text);
            text.push(plain);
        }
        flush(&mut high, &mut text);
        Cow::Owned(text)
    }
}

fn flush(high: &mut Option<u32>, text: &mut String) {
    if high.take().is_some() {
        text.push('\u{fffd}');
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if (c as u32) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes_surrogates() {
        assert_eq!(RawString::new(r"\ud83d\ude00\u0061").decode(), "😀a");
        assert_eq!(
            RawString::new(r"\ud83dx\ude00").decode(),
            "\u{fffd}x\u{fffd}"
        );
        assert_eq!(RawString::new(r"\ud83d\ud83d\ude00").decode(), "\u{fffd}😀");
    }

    proptest! {
        #[test]
        fn decode_agrees_with_serde(text in any::<String>()) {
            let mut ours = Vec::new();
            push_string(&text, &mut ours);
            let escaped = std::str::from_utf8(&ours).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(escaped).unwrap(), text.clone());
            prop_assert_eq!(RawString::new(&escaped[1..escaped.len() - 1]).decode(), text);
        }
    }
}
