//! Ways to cut a body into pieces.

use crate::host::SeededRandom;

/// Bodies up to this size are cut at every offset.
const EVERY_OFFSET_UP_TO: usize = 512;

/// Cuts at offsets; those that are out of order or beyond the end are left out.
pub fn at(body: &[u8], offsets: &[usize]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for &offset in offsets {
        if offset > from && offset < body.len() {
            pieces.push(body[from..offset].to_vec());
            from = offset;
        }
    }
    pieces.push(body[from..].to_vec());
    pieces
}

/// Pieces of `size` bytes, the last one maybe shorter.
pub fn every(body: &[u8], size: usize) -> Vec<Vec<u8>> {
    body.chunks(size.max(1)).map(<[u8]>::to_vec).collect()
}

/// Pieces of 1 to `most` bytes; a seed always gives the same ones.
pub fn random(body: &[u8], most: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut random = SeededRandom::new(seed);
    let mut pieces = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let size = 1 + (random.next() % most.max(1) as u64) as usize;
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

/// Many ways to cut a body, each with a description: whole, in two at every offset (of a large body,
/// at 64 random ones), in pieces of 1, 2, 3, 7 and 64 bytes, in random pieces. An empty body has one.
pub fn thorough(body: &[u8], seed: u64) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut ways = vec![("whole".to_owned(), vec![body.to_vec()])];
    if body.len() < 2 {
        return ways;
    }
    let offsets: Vec<usize> = if body.len() <= EVERY_OFFSET_UP_TO {
        (1..body.len()).collect()
    } else {
        let mut random = SeededRandom::new(seed);
        (0..64)
            .map(|_| 1 + (random.next() % (body.len() as u64 - 1)) as usize)
            .collect()
    };
    ways.extend(
        offsets
            .into_iter()
            .map(|offset| (format!("in two at {offset}"), at(body, &[offset]))),
    );
    let sizes = [1, 2, 3, 7, 64]
        .into_iter()
        .filter(|size| *size < body.len());
    ways.extend(sizes.map(|size| (format!("every {size} bytes"), every(body, size))));
    for round in 0..4 {
        let seed = seed.wrapping_add(round);
        ways.push((format!("at random, seed {seed}"), random(body, 48, seed)));
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_keeps_the_body() {
        for size in [0, 1, 2, 100, 600] {
            let body: Vec<u8> = (0..size).map(|index| index as u8).collect();
            let ways = thorough(&body, 3);
            assert!(ways.iter().all(|(_, pieces)| pieces.concat() == body));
            assert_eq!(ways.len() == 1, size < 2);
        }
        assert_eq!(
            at(b"abcdef", &[2, 1, 4, 9]),
            [b"ab".to_vec(), b"cd".to_vec(), b"ef".to_vec()]
        );
        assert_ne!(random(&[0; 99], 9, 1), random(&[0; 99], 9, 2));
    }
}
