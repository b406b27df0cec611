//! Envoy's encoding of maps and lists in a property.
//!
//! A list is a map whose keys are the elements and whose values are empty: a count, then for each
//! pair the lengths of key and value, then for each pair the bytes of both, each followed by a NUL
//! that the lengths leave out. Numbers are 32-bit little endian.

/// The elements of an encoded list, or `None` if the bytes are not exactly one.
pub fn list(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    map(bytes)?
        .into_iter()
        .map(|(item, value)| value.is_empty().then_some(item))
        .collect()
}

/// The members of an encoded map, or `None` if the bytes are not exactly one.
pub fn map(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let (count, mut sizes) = number(bytes)?;
    // Two lengths a pair: a count that the bytes can't hold is refused before anything is reserved.
    let mut body = sizes.get(count.checked_mul(8)?..)?;
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        let (key, rest) = number(sizes)?;
        let (value, rest) = number(rest)?;
        sizes = rest;
        let key = terminated(&mut body, key)?;
        let value = terminated(&mut body, value)?;
        members.push((key, value));
    }
    body.is_empty().then_some(members)
}

/// The value of a member of an encoded map that [`map`] has accepted.
pub fn member<'b>(bytes: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    let (count, mut sizes) = number(bytes)?;
    let mut body = sizes.get(count.checked_mul(8)?..)?;
    for _ in 0..count {
        let (key, rest) = number(sizes)?;
        let (value, rest) = number(rest)?;
        sizes = rest;
        let key = terminated(&mut body, key)?;
        let value = terminated(&mut body, value)?;
        if key == name {
            return Some(value);
        }
    }
    None
}

/// Takes `length` bytes and the NUL after them.
fn terminated<'b>(body: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (bytes, rest) = body.split_at_checked(length)?;
    *body = rest.strip_prefix(&[0])?;
    Some(bytes)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*head)).ok()?, rest))
}
