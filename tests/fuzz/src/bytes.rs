//! Choices read from bytes.

/// Bytes that are taken from the front; zeros once there are no more.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All of it.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// The next byte.
    pub fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `n`, which is at most 256.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.next()) % n.max(1)
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }

    /// What is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A text in three sets of pieces: whole, byte by byte, and in pieces of sizes that `seed` chooses.
pub fn splits(text: &[u8], seed: u8) -> [Vec<&[u8]>; 3] {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut state = u32::from(seed).wrapping_mul(0x9e37_79b9) | 1;
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let size = 1 + (state >> 8) as usize % (1 + usize::from(seed));
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    [vec![text], text.chunks(1).collect(), pieces]
}
