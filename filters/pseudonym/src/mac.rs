//! HMAC-SHA-256 (RFC 2104, FIPS 180-4) for pseudonyms: the key's two blocks are hashed once, and the
//! tags of four short messages are made at once.

#[cfg(any(test, all(target_arch = "wasm32", target_feature = "simd128")))]
mod lanes;

use sha2::block_api::compress256;

/// The eight words between two blocks of SHA-256.
type State = [u32; 8];

/// What SHA-256 starts from: FIPS 180-4, 5.3.3.
const START: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Bytes of a block.
const BLOCK: usize = 64;

/// The longest message that fits one block with its padding, in bytes.
const SHORT: usize = BLOCK - 9;

/// The first 128 bits of an HMAC.
pub(super) type Tag = [u32; 4];

/// A key, as the states of SHA-256 after its two pads.
#[derive(Clone, Copy)]
pub(super) struct MacKey {
    inner: State,
    outer: State,
}

impl MacKey {
    /// The key of these bytes.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let padded = |pad: u8| {
            let mut block = [pad; BLOCK];
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            let mut state = START;
            compress256(&mut state, &[block]);
            state
        };
        Self {
            inner: padded(0x36),
            outer: padded(0x5c),
        }
    }

    /// The tag of a message of any length.
    pub(super) fn tag(&self, message: &[u8]) -> Tag {
        let (whole, rest) = message.as_chunks::<BLOCK>();
        let mut state = self.inner;
        compress256(&mut state, whole);
        let length = BLOCK + message.len();
        if rest.len() <= SHORT {
            compress256(&mut state, &[last_block(rest, length)]);
        } else {
            let mut block = [0; BLOCK];
            copy(rest, &mut block);
            end(&mut block, rest.len());
            let mut last = [0; BLOCK];
            count(&mut last, length);
            compress256(&mut state, &[block, last]);
        }
        self.outer(state)
    }

    /// The tag, by what the inner hash came to.
    fn outer(&self, inner: State) -> Tag {
        let mut block = [0; BLOCK];
        for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(inner) {
            *bytes = word.to_be_bytes();
        }
        end(&mut block, 32);
        count(&mut block, BLOCK + 32);
        let mut state = self.outer;
        compress256(&mut state, &[block]);
        let [a, b, c, d, ..] = state;
        [a, b, c, d]
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey")
    }
}

/// A message of at most 55 bytes, ready to be hashed, and its key.
#[derive(Clone, Copy)]
pub(super) struct Job {
    key: MacKey,
    block: [u8; BLOCK],
}

impl Job {
    /// How many jobs are done at once.
    pub(super) const LANES: usize = 4;

    /// A job that stands where there is none.
    pub(super) const IDLE: Self = Self {
        key: MacKey {
            inner: [0; 8],
            outer: [0; 8],
        },
        block: [0; BLOCK],
    };

    /// A job, if the message is short enough.
    #[inline]
    pub(super) fn new(key: &MacKey, message: &[u8]) -> Option<Self> {
        (message.len() <= SHORT).then(|| Self {
            key: *key,
            block: last_block(message, BLOCK + message.len()),
        })
    }

    /// The tags of the jobs.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    pub(super) fn tags(jobs: &[Self; Self::LANES]) -> [Tag; Self::LANES] {
        lanes::tags(jobs)
    }

    /// The tags of the jobs, one after the other: `sha2` has the processor's own instructions.
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    pub(super) fn tags(jobs: &[Self; Self::LANES]) -> [Tag; Self::LANES] {
        jobs.each_ref().map(|job| {
            let mut state = job.key.inner;
            compress256(&mut state, &[job.block]);
            job.key.outer(state)
        })
    }
}

/// The last block of a message: its last bytes, and the padding for its whole length in bytes, the
/// key's block included.
#[inline]
fn last_block(rest: &[u8], length: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    copy(rest, &mut block);
    end(&mut block, rest.len());
    count(&mut block, length);
    block
}

/// Copies by words: for so few bytes a call costs more than the copy.
#[inline]
fn copy(from: &[u8], to: &mut [u8; BLOCK]) {
    let (words, tail) = from.as_chunks::<8>();
    let slots = to.as_chunks_mut::<8>().0;
    for (slot, word) in slots.iter_mut().zip(words) {
        *slot = *word;
    }
    if let Some(slot) = slots.get_mut(words.len()) {
        for (slot, byte) in slot.iter_mut().zip(tail) {
            *slot = *byte;
        }
    }
}

#[inline]
fn end(block: &mut [u8; BLOCK], at: usize) {
    if let Some(byte) = block.get_mut(at) {
        *byte = 0x80;
    }
}

#[inline]
fn count(block: &mut [u8; BLOCK], bytes: usize) {
    if let Some(last) = block.last_chunk_mut::<8>() {
        *last = (bytes as u64 * 8).to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;

    fn oracle(key: &[u8], message: &[u8]) -> Tag {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message);
        let tag = mac.finalize().into_bytes();
        [0, 4, 8, 12].map(|at| u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()))
    }

    #[test]
    fn every_length_has_the_tag_of_the_standard() {
        let key = [7; 32];
        let message: Vec<u8> = (0..300).map(|i| i as u8).collect();
        for length in 0..message.len() {
            let message = &message[..length];
            let want = oracle(&key, message);
            assert_eq!(MacKey::new(&key).tag(message), want, "{length}");
            let job = Job::new(&MacKey::new(&key), message);
            assert_eq!(job.is_some(), length <= 55);
            if let Some(job) = job {
                assert_eq!(Job::tags(&[job; 4]), [want; 4], "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn lanes_do_not_mix(
            jobs in proptest::collection::vec(
                (any::<[u8; 32]>(), proptest::collection::vec(any::<u8>(), 0..56)), 4),
        ) {
            let lanes: Vec<Job> =
                jobs.iter().map(|(k, m)| Job::new(&MacKey::new(k), m).unwrap()).collect();
            let lanes: [Job; 4] = lanes.try_into().ok().unwrap();
            let want: Vec<Tag> = jobs.iter().map(|(k, m)| oracle(k, m)).collect();
            prop_assert_eq!(Job::tags(&lanes).to_vec(), want.clone());
            prop_assert_eq!(lanes::portable(&lanes).to_vec(), want);
        }
    }
}
