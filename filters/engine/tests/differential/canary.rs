//! What must not get out, in whatever notation it could.

use std::collections::HashSet;

/// What every canary starts with.
pub const PREFIX: &str = "canary-";

/// Bytes of the number behind the prefix.
const DIGITS: usize = 16;

/// `canary-` as it looks within base64 (RFC 4648 §4, §5), at each of the three alignments, without
/// the characters that hold bits of what stands beside it; in hexadecimal; percent-encoded.
const ENCODED: [&str; 8] = [
    "Y2FuYXJ5L",
    "NhbmFyeS",
    "jYW5hcnkt",
    "63616e6172792d",
    "63616E6172792D",
    "%63%61%6e%61%72%79",
    "%63%61%6E%61%72%79",
    "canary%2",
];

/// The canary of a number, without what may follow it.
pub fn canary(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

/// A hidden canary that stands in the text, or any that is encoded: nothing encodes one rightly.
pub fn found(text: &str, hidden: &HashSet<String>) -> Option<String> {
    if let Some(encoded) = ENCODED.iter().find(|e| text.contains(*e)) {
        return Some((*encoded).to_owned());
    }
    let unescaped = unescape(text);
    [text, &unescaped].into_iter().find_map(|text| {
        let mut found = text.match_indices(PREFIX).filter_map(|(at, _)| {
            let canary = text.get(at..at + PREFIX.len() + DIGITS)?;
            hidden.contains(canary).then(|| canary.to_owned())
        });
        found.next()
    })
}

/// The text with every `\uXXXX` of ASCII resolved.
fn unescape(text: &str) -> String {
    let mut pieces = text.split("\\u");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let unit = piece.get(..4).and_then(|h| u8::from_str_radix(h, 16).ok());
        match unit.filter(u8::is_ascii) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&piece[4..]);
            }
            None => plain.push_str(piece),
        }
    }
    plain
}

#[test]
fn a_canary_is_found_in_every_notation() {
    use base64::Engine as _;
    let name = canary(0xfeed);
    let hidden = HashSet::from([name.clone()]);
    let mut forms = vec![
        name.clone(),
        format!("x{name}y"),
        name.bytes().map(|b| format!("\\u{b:04X}")).collect(),
        name.bytes().map(|b| format!("%{b:02x}")).collect(),
        name.bytes().map(|b| format!("%{b:02X}")).collect(),
        name.bytes().map(|b| format!("{b:02x}")).collect(),
        name.replace('-', "%2d"),
    ];
    for before in ["", "a", "ab"] {
        let text = format!("{before}{name}");
        forms.push(base64::engine::general_purpose::STANDARD.encode(&text));
        forms.push(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&text));
    }
    for form in forms {
        assert!(found(&form, &hidden).is_some(), "{form}");
    }
    assert_eq!(found(&canary(1), &hidden), None);
}
