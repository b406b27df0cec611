//! Pseudonyms: what stands for a value that is hashed.
//!
//! Tags are made four at a time, so a pseudonym is written with a hole that is filled in later. An
//! open hole holds a constant: what went out too early would tell nothing.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod mac;

use mac::{Job, MacKey, Tag};

/// Characters of a tag in base64.
const TAG: usize = 22;

/// What an open hole holds.
const OPEN: [u8; TAG] = [b'-'; TAG];

/// Bytes of the longest pseudonym, rounded up: a constant, so that writing one is no call.
const LONGEST: usize = 48;

/// Bytes of the longest key id.
pub const KEY_ID: usize = 16;

/// What the values of one tenant and coordinate are hashed with.
#[derive(Clone)]
pub struct PseudonymKey {
    mac: MacKey,
    /// A pseudonym with its hole open, and its length.
    open: [u8; LONGEST],
    length: usize,
}

impl PseudonymKey {
    /// A key and its id, of at most 16 bytes; a longer one is cut.
    pub fn new(id: &str, key: &[u8; 32]) -> Self {
        let id = id.as_bytes();
        let text = [b"\"h:", id.get(..KEY_ID).unwrap_or(id), b":", &OPEN, b"\""].concat();
        let mut open = [0; LONGEST];
        for (slot, byte) in open.iter_mut().zip(&text) {
            *slot = *byte;
        }
        Self {
            mac: MacKey::new(key),
            open,
            length: text.len(),
        }
    }

    /// The text that stands for a value, without quotes.
    pub fn pseudonym(&self, value: &[u8]) -> String {
        let mut out = Vec::new();
        let mut pending = Pending::default();
        pending.write(self, value, &mut out);
        pending.fill(&mut out);
        String::from_utf8_lossy(&out).trim_matches('"').to_owned()
    }
}

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PseudonymKey")
    }
}

/// Pseudonyms whose holes are open, at most three.
#[derive(Default)]
pub struct Pending {
    jobs: Vec<Job>,
    /// Where the holes start, in the order of the jobs.
    holes: [usize; Job::LANES],
}

impl Pending {
    /// Appends the pseudonym of a value, quotes included; until [`Pending::fill`] was called with the
    /// same `out`, which may only grow in between, it may be without its tag.
    #[inline]
    pub fn write(&mut self, key: &PseudonymKey, value: &[u8], out: &mut Vec<u8>) {
        let length = out.len() + key.length;
        out.extend_from_slice(&key.open);
        out.truncate(length);
        let hole = length - TAG - 1;
        let Some(job) = Job::new(&key.mac, value) else {
            return put(key.mac.tag(value), hole, out);
        };
        if let Some(at) = self.holes.get_mut(self.jobs.len()) {
            *at = hole;
        }
        self.jobs.push(job);
        if self.jobs.len() == Job::LANES {
            self.fill(out);
        }
    }

    /// Fills all holes.
    #[inline]
    pub fn fill(&mut self, out: &mut [u8]) {
        if !self.jobs.is_empty() {
            self.work(out);
        }
    }

    fn work(&mut self, out: &mut [u8]) {
        let open = self.jobs.len();
        self.jobs.resize(Job::LANES, Job::IDLE);
        if let Some(jobs) = self.jobs.first_chunk() {
            for (tag, hole) in Job::tags(jobs).into_iter().zip(self.holes).take(open) {
                put(tag, hole, out);
            }
        }
        self.jobs.clear();
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("open", &self.jobs.len())
            .finish_non_exhaustive()
    }
}

fn put(tag: Tag, hole: usize, out: &mut [u8]) {
    if let Some(slot) = out.get_mut(hole..).and_then(<[u8]>::first_chunk_mut) {
        *slot = base64(tag);
    }
}

/// 128 bits in base64url without padding (RFC 4648, section 5).
fn base64([a, b, c, d]: Tag) -> [u8; TAG] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u64| ALPHABET.get((bits & 63) as usize).copied().unwrap_or(b'-');
    let high = u64::from(a) << 32 | u64::from(b);
    let low = u64::from(c) << 32 | u64::from(d);
    std::array::from_fn(|i| {
        let start = 6 * i as u32;
        digit(match start {
            0..=58 => high >> (58 - start),
            60 => high << 2 | low >> 62,
            66..=122 => low >> (122 - start),
            _ => low << 4,
        })
    })
}

#[cfg(test)]
mod tests {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_open_hole_tells_nothing() {
        let key = PseudonymKey::new("k1", &[1; 32]);
        let (mut pending, mut out) = (Pending::default(), Vec::new());
        for n in 0..3 {
            pending.write(&key, format!("secret {n}").as_bytes(), &mut out);
        }
        let open = format!("\"h:k1:{}\"", "-".repeat(22)).repeat(3);
        assert_eq!(String::from_utf8(out.clone()).unwrap(), open);
        // The fourth fills them all.
        pending.write(&key, b"secret 3", &mut out);
        assert!(!String::from_utf8(out).unwrap().contains("--"));
    }

    proptest! {
        #[test]
        fn base64_agrees_with_the_crate(tag in any::<[u32; 4]>()) {
            let bytes: Vec<u8> = tag.iter().flat_map(|w| w.to_be_bytes()).collect();
            let ours = String::from_utf8(base64(tag).to_vec()).unwrap();
            prop_assert_eq!(ours, URL_SAFE_NO_PAD.encode(bytes));
        }

        #[test]
        fn the_order_of_filling_does_not_matter(
            values in proptest::collection::vec((0..3usize, ".{0,80}"), 0..20),
            fills in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let keys = ["k", "k23", "k234567890123456"].map(|id| PseudonymKey::new(id, &[id.len() as u8; 32]));
            let (mut pending, mut out) = (Pending::default(), Vec::new());
            for ((key, value), fill) in values.iter().zip(fills) {
                pending.write(&keys[*key], value.as_bytes(), &mut out);
                if fill {
                    pending.fill(&mut out);
                }
            }
            pending.fill(&mut out);
            let each = |(key, value): &(usize, String)| format!("\"{}\"", keys[*key].pseudonym(value.as_bytes()));
            let want: String = values.iter().map(each).collect();
            prop_assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
