//! Envoy's encoding of a list in a property.
//!
//! A list is a map whose keys are the elements and whose values are empty: a count, then for each
//! pair the lengths of key and value, then for each pair the bytes of both, each followed by a NUL
//! that the lengths leave out. Numbers are 32-bit little endian.

/// The elements of an encoded list, or `None` if the bytes are not exactly one.
pub fn list(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut sizes) = number(bytes)?;
    // Two lengths a pair: a count that the bytes can't hold is refused before anything is reserved.
    let mut body = sizes.get(count.checked_mul(8)?..)?;
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let (key, rest) = number(sizes)?;
        let (value, rest) = number(rest)?;
        sizes = rest;
        if value != 0 {
            return None;
        }
        let item = body.get(..key)?;
        let end = body.get(key..key.checked_add(2)?)?;
        if end != [0, 0] {
            return None;
        }
        items.push(item);
        body = body.get(key.checked_add(2)?..)?;
    }
    body.is_empty().then_some(items)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*head)).ok()?, rest))
}
