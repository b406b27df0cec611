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
    let mut pairs = Pairs::of(bytes)?;
    let mut members = Vec::with_capacity(pairs.left);
    while pairs.left > 0 {
        members.push(pairs.take()?);
    }
    pairs.body.is_empty().then_some(members)
}

/// The value of a member of an encoded map that [`map`] has accepted.
pub fn member<'b>(bytes: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    let mut pairs = Pairs::of(bytes)?;
    while pairs.left > 0 {
        let (key, value) = pairs.take()?;
        if key == name {
            return Some(value);
        }
    }
    None
}

/// The pairs of an encoded map that were not taken yet.
struct Pairs<'b> {
    left: usize,
    sizes: &'b [u8],
    body: &'b [u8],
}

impl<'b> Pairs<'b> {
    fn of(bytes: &'b [u8]) -> Option<Self> {
        let (left, sizes) = number(bytes)?;
        // Two lengths a pair: a count that the bytes can't hold is refused before anything is
        // reserved.
        let body = sizes.get(left.checked_mul(8)?..)?;
        Some(Self { left, sizes, body })
    }

    fn take(&mut self) -> Option<(&'b [u8], &'b [u8])> {
        let (key, rest) = number(self.sizes)?;
        let (value, rest) = number(rest)?;
        self.sizes = rest;
        self.left = self.left.checked_sub(1)?;
        let key = terminated(&mut self.body, key)?;
        let value = terminated(&mut self.body, value)?;
        Some((key, value))
    }
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

/// A list of these elements, as Envoy encodes it.
#[cfg(test)]
pub(crate) fn encode(items: &[&str]) -> Vec<u8> {
    let mut out = (items.len() as u32).to_le_bytes().to_vec();
    for i in items {
        out.extend((i.len() as u32).to_le_bytes());
        out.extend([0; 4]);
    }
    for i in items {
        out.extend(i.bytes());
        out.extend([0, 0]);
    }
    out
}
