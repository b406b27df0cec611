//! How a map crosses the boundary: a count, the lengths of every name and value, then every name
//! and value followed by a zero byte. All integers are 32-bit little-endian.
//! (proxy-wasm ABI 0.2.1, "Serialization".)

/// Encodes pairs of name and value. No pairs encode to a count of zero.
pub fn encode_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&(pairs.len() as u32).to_le_bytes());
    for (name, value) in pairs {
        out.extend_from_slice(&(name.as_ref().len() as u32).to_le_bytes());
        out.extend_from_slice(&(value.as_ref().len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        out.extend_from_slice(name.as_ref());
        out.push(0);
        out.extend_from_slice(value.as_ref());
        out.push(0);
    }
    out
}

/// Decodes what [`encode_pairs`] wrote. `None` if the bytes are too short for what they announce;
/// no bytes at all are no pairs.
pub fn decode_pairs(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let number = |at: usize| -> Option<usize> {
        let raw: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(raw)).ok()
    };
    let count = number(0)?;
    let lengths = count.checked_mul(8)?.checked_add(4)?;
    if lengths > bytes.len() {
        return None;
    }
    let mut at = lengths;
    let mut take = |length: usize| -> Option<Vec<u8>> {
        let end = at.checked_add(length)?;
        let taken = bytes.get(at..end)?.to_vec();
        // The terminating zero must be there too.
        bytes.get(end)?;
        at = end + 1;
        Some(taken)
    };
    let mut pairs = Vec::new();
    for index in 0..count {
        let name = take(number(4 + index * 8)?)?;
        let value = take(number(8 + index * 8)?)?;
        pairs.push((name, value));
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_keeps_empty_names_values_and_bytes() {
        let pairs: Vec<(&[u8], &[u8])> = vec![(b"a", b""), (b"", b"\xff\x00"), (b":path", b"/")];
        let decoded = decode_pairs(&encode_pairs(&pairs)).unwrap();
        let expected: Vec<_> = pairs
            .iter()
            .map(|(n, v)| (n.to_vec(), v.to_vec()))
            .collect();
        assert_eq!(decoded, expected);
    }

    #[test]
    fn layout_is_the_one_of_the_abi() {
        let encoded = encode_pairs(&[("ab", "c")]);
        assert_eq!(
            encoded,
            [1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b'a', b'b', 0, b'c', 0]
        );
    }

    #[test]
    fn every_truncation_is_refused() {
        let encoded = encode_pairs(&[("ab", "c"), ("d", "")]);
        for length in 1..encoded.len() {
            assert_eq!(decode_pairs(&encoded[..length]), None, "{length} bytes");
        }
        assert_eq!(decode_pairs(&u32::MAX.to_le_bytes()), None);
    }
}
