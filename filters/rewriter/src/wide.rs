//! Looking at sixteen bytes at once, where the processor can.

/// How many bytes are looked at once.
pub(super) const WIDE: usize = 16;

/// Index of the first byte that is not plain string content: a quote, a backslash or a control
/// character; [`WIDE`] if there is none.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline]
pub(super) fn special(chunk: &[u8; WIDE]) -> usize {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, v128_load, v128_or};
    // SAFETY: the reference is good for 16 bytes, and the load needs no alignment.
    let bytes = unsafe { v128_load(chunk.as_ptr().cast()) };
    let hit = v128_or(
        v128_or(
            u8x16_eq(bytes, u8x16_splat(b'"')),
            u8x16_eq(bytes, u8x16_splat(b'\\')),
        ),
        u8x16_lt(bytes, u8x16_splat(0x20)),
    );
    (u32::from(u8x16_bitmask(hit)) | 1 << WIDE).trailing_zeros() as usize
}

/// Index of the first byte that is not plain string content: a quote, a backslash or a control
/// character; [`WIDE`] if there is none.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn special(chunk: &[u8; WIDE]) -> usize {
    use core::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    // SAFETY: the reference is good for 16 bytes, and the load needs no alignment; every processor
    // of this architecture has SSE2.
    let hit = unsafe {
        let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        _mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, slash)))
    };
    (hit as u32 | 1 << WIDE).trailing_zeros() as usize
}

/// Index of the first byte that is not plain string content: a quote, a backslash or a control
/// character; [`WIDE`] if there is none.
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
#[inline]
pub(super) fn special(chunk: &[u8; WIDE]) -> usize {
    let [low, high] = chunk.as_chunks::<8>().0 else {
        return 0;
    };
    match special_of_word(*low) {
        8 => 8 + special_of_word(*high),
        at => at,
    }
}

/// [`special`] of eight bytes; 8 if there is none.
#[inline]
pub(super) fn special_of_word(word: [u8; 8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let w = u64::from_le_bytes(word);
    let quote = w ^ (ONES * b'"' as u64);
    let slash = w ^ (ONES * b'\\' as u64);
    // A byte is below 0x20 exactly if subtracting 0x20 borrows; the high bit rules out UTF-8.
    let hit = (w.wrapping_sub(ONES * 0x20) & !w)
        | (quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash);
    ((hit & HIGH).trailing_zeros() / 8) as usize
}

/// Whether all bytes are ASCII.
pub(super) fn is_ascii(bytes: &[u8]) -> bool {
    // The compiler makes vectors of this.
    let (blocks, tail) = bytes.as_chunks::<128>();
    blocks
        .iter()
        .all(|block| block.iter().fold(0, |all, b| all | b) < 0x80)
        && tail.is_ascii()
}

/// Whether two texts are the same: a filter's standard library compares bytes one by one.
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    let (chunks, tail) = one.as_chunks::<WIDE>();
    let (other_chunks, other_tail) = other.as_chunks::<WIDE>();
    let same =
        |(a, b): (&[u8; WIDE], &[u8; WIDE])| u128::from_ne_bytes(*a) == u128::from_ne_bytes(*b);
    one.len() == other.len()
        && chunks.iter().zip(other_chunks).all(same)
        && tail.iter().zip(other_tail).all(|(a, b)| a == b)
}

/// Appends `buf[from..to]`. A short span is copied by wide words, the last of them beyond `to` and
/// taken back: a filter's copy of any length is a call out of it, and costs more than the words.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, buf: &[u8], from: usize, to: usize) {
    const SHORT: usize = 5 * WIDE;
    let span = buf.get(from..to).unwrap_or_default();
    let words = span.len().div_ceil(WIDE);
    match buf.get(from..from + words * WIDE) {
        Some(wider) if span.len() <= SHORT => {
            let length = out.len() + span.len();
            out.reserve(wider.len());
            for word in wider.as_chunks::<WIDE>().0 {
                out.extend_from_slice(word);
            }
            out.truncate(length);
        }
        _ => out.extend_from_slice(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wide_agrees_with_a_byte_at_a_time(
            bytes in any::<[u8; 16]>(),
            plain in any::<[bool; 16]>(),
            other in proptest::collection::vec(any::<u8>(), 0..300),
            at in (0..300usize, 0..300usize),
        ) {
            let mut chunk = bytes;
            for (byte, plain) in chunk.iter_mut().zip(plain) {
                *byte = if plain { b'a' + (*byte & 7) } else { *byte };
            }
            let slow = |c: &[u8]| c.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\');
            prop_assert_eq!(special(&chunk), slow(&chunk).unwrap_or(16));
            let word = *chunk.first_chunk::<8>().unwrap();
            prop_assert_eq!(special_of_word(word), slow(&word).unwrap_or(8));

            prop_assert_eq!(is_ascii(&other), other.is_ascii());
            let low: Vec<u8> = other.iter().map(|b| b & 0x7f).collect();
            prop_assert!(is_ascii(&low));
            prop_assert_eq!(equal(&low, &other), low == other);
            prop_assert!(equal(&other, &other.clone()));
            prop_assert!(!equal(&[&other[..], b"x"].concat(), &other));

            let (from, to) = (at.0.min(other.len()), at.1.min(other.len()));
            let mut out = b"before".to_vec();
            append(&mut out, &other, from, to);
            let want = [b"before", other.get(from..to).unwrap_or_default()].concat();
            prop_assert_eq!(out, want);
        }
    }
}
