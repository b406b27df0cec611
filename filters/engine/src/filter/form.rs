//! Query strings (`application/x-www-form-urlencoded`).

/// The parameters of a query string, decoded; `None` if one can't be.
pub(super) fn parameters(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|p| !p.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// A segment of a path, decoded; as it is, if it can't be.
pub(super) fn segment(text: &str) -> String {
    // A plus is one there.
    let parts: Option<Vec<String>> = text.split('+').map(decode).collect();
    parts.map_or_else(|| text.to_owned(), |parts| parts.join("+"))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (hex, tail) = rest.split_at_checked(2)?;
                let hex = std::str::from_utf8(hex).ok()?;
                if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return None;
                }
                bytes.push(u8::from_str_radix(hex, 16).ok()?);
                rest = tail;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Appends text as a parameter's value.
pub(super) fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let text = "{ a(b: \"ü&=%+\") }";
        let mut encoded = String::from("query=");
        encode(text, &mut encoded);
        assert_eq!(
            parameters(&encoded),
            Some(vec![("query".into(), text.into())])
        );
        assert_eq!(
            parameters("a=1+2&&b"),
            Some(vec![
                ("a".into(), "1 2".into()),
                ("b".into(), String::new())
            ])
        );
        assert_eq!(segment("a+b%20c"), "a+b c");
        assert_eq!(segment("a%"), "a%");
        for bad in ["a=%", "a=%4", "a=%zz", "a=%+1", "a=%ff"] {
            assert_eq!(parameters(bad), None, "{bad}");
        }
    }
}
