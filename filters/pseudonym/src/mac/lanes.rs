//! Four computations of SHA-256 at once, each word of theirs a lane of a vector.
//!
//! WebAssembly has no instructions for SHA-256 but has vectors; a processor that runs the engine
//! natively has them, so there one job after the other is faster.

use super::{Job, MacKey, State, Tag};

/// The tags of four jobs.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) fn tags(jobs: &[Job; Job::LANES]) -> [Tag; Job::LANES] {
    in_lanes::<core::arch::wasm32::v128>(jobs)
}

/// The same without vectors, to try it where there are none.
#[cfg(test)]
pub(super) fn portable(jobs: &[Job; Job::LANES]) -> [Tag; Job::LANES] {
    in_lanes::<[u32; Job::LANES]>(jobs)
}

/// A word of each lane.
trait Lanes: Copy {
    fn new(lanes: [u32; Job::LANES]) -> Self;
    /// From words in big-endian order as they were read from memory.
    fn big_endian(lanes: [[u8; 4]; Job::LANES]) -> Self;
    fn lanes(self) -> [u32; Job::LANES];
    fn add(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn shift<const N: u32>(self) -> Self;
    fn rotate<const N: u32>(self) -> Self;

    fn splat(word: u32) -> Self {
        Self::new([word; Job::LANES])
    }
}

fn in_lanes<V: Lanes>(jobs: &[Job; Job::LANES]) -> [Tag; Job::LANES] {
    let [j0, j1, j2, j3] = jobs;
    let state = |of: fn(&MacKey) -> &State| {
        let [s0, s1, s2, s3] = [j0, j1, j2, j3].map(|j| of(&j.key));
        let mut out = [V::splat(0); 8];
        for ((((out, a), b), c), d) in out.iter_mut().zip(s0).zip(s1).zip(s2).zip(s3) {
            *out = V::new([*a, *b, *c, *d]);
        }
        out
    };
    let mut block = [V::splat(0); 16];
    let [b0, b1, b2, b3] = [j0, j1, j2, j3].map(|j| j.block.as_chunks::<4>().0);
    for ((((out, a), b), c), d) in block.iter_mut().zip(b0).zip(b1).zip(b2).zip(b3) {
        *out = V::big_endian([*a, *b, *c, *d]);
    }
    let [a, b, c, d, e, f, g, h] = compress(state(|k| &k.inner), block);
    let zero = V::splat(0);
    // The padding of 64 + 32 bytes.
    let (end, bits) = (V::splat(0x8000_0000), V::splat(96 * 8));
    let block = [
        a, b, c, d, e, f, g, h, end, zero, zero, zero, zero, zero, zero, bits,
    ];
    let [a, b, c, d, ..] = compress(state(|k| &k.outer), block).map(V::lanes);
    let mut tags = [[0; 4]; Job::LANES];
    for ((((tag, a), b), c), d) in tags.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *tag = [a, b, c, d];
    }
    tags
}

/// FIPS 180-4, 4.2.2.
const K: [[u32; 16]; 4] = [
    [
        0x428a_2f98,
        0x7137_4491,
        0xb5c0_fbcf,
        0xe9b5_dba5,
        0x3956_c25b,
        0x59f1_11f1,
        0x923f_82a4,
        0xab1c_5ed5,
        0xd807_aa98,
        0x1283_5b01,
        0x2431_85be,
        0x550c_7dc3,
        0x72be_5d74,
        0x80de_b1fe,
        0x9bdc_06a7,
        0xc19b_f174,
    ],
    [
        0xe49b_69c1,
        0xefbe_4786,
        0x0fc1_9dc6,
        0x240c_a1cc,
        0x2de9_2c6f,
        0x4a74_84aa,
        0x5cb0_a9dc,
        0x76f9_88da,
        0x983e_5152,
        0xa831_c66d,
        0xb003_27c8,
        0xbf59_7fc7,
        0xc6e0_0bf3,
        0xd5a7_9147,
        0x06ca_6351,
        0x1429_2967,
    ],
    [
        0x27b7_0a85,
        0x2e1b_2138,
        0x4d2c_6dfc,
        0x5338_0d13,
        0x650a_7354,
        0x766a_0abb,
        0x81c2_c92e,
        0x9272_2c85,
        0xa2bf_e8a1,
        0xa81a_664b,
        0xc24b_8b70,
        0xc76c_51a3,
        0xd192_e819,
        0xd699_0624,
        0xf40e_3585,
        0x106a_a070,
    ],
    [
        0x19a4_c116,
        0x1e37_6c08,
        0x2748_774c,
        0x34b0_bcb5,
        0x391c_0cb3,
        0x4ed8_aa4a,
        0x5b9c_ca4f,
        0x682e_6ff3,
        0x748f_82ee,
        0x78a5_636f,
        0x84c8_7814,
        0x8cc7_0208,
        0x90be_fffa,
        0xa450_6ceb,
        0xbef9_a3f7,
        0xc671_78f2,
    ],
];

/// FIPS 180-4, 6.2.2: a block into a state. One copy of the code: it is long.
#[inline(never)]
fn compress<V: Lanes>(state: [V; 8], block: [V; 16]) -> [V; 8] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    let mut w = block;
    // maj(a, b, c) = b ^ ((a ^ b) & (b ^ c)), whose b ^ c is the a ^ b of the round before.
    let mut bc = b.xor(c);

    macro_rules! round {
        ($a:ident $b:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $k:expr, $w:expr) => {
            let sum = $e
                .rotate::<6>()
                .xor($e.rotate::<11>())
                .xor($e.rotate::<25>());
            let choice = $g.xor($e.and($f.xor($g)));
            let t1 = $h.add(V::splat($k)).add($w).add(choice).add(sum);
            $d = $d.add(t1);
            let sum = $a
                .rotate::<2>()
                .xor($a.rotate::<13>())
                .xor($a.rotate::<22>());
            let ab = $a.xor($b);
            $h = t1.add(sum).add($b.xor(ab.and(bc)));
            bc = ab;
        };
    }
    macro_rules! rounds {
        ($k:ident, $w:ident) => {
            round!(a b d e f g h, $k[0], $w!(0, 1, 9, 14));
            round!(h a c d e f g, $k[1], $w!(1, 2, 10, 15));
            round!(g h b c d e f, $k[2], $w!(2, 3, 11, 0));
            round!(f g a b c d e, $k[3], $w!(3, 4, 12, 1));
            round!(e f h a b c d, $k[4], $w!(4, 5, 13, 2));
            round!(d e g h a b c, $k[5], $w!(5, 6, 14, 3));
            round!(c d f g h a b, $k[6], $w!(6, 7, 15, 4));
            round!(b c e f g h a, $k[7], $w!(7, 8, 0, 5));
            round!(a b d e f g h, $k[8], $w!(8, 9, 1, 6));
            round!(h a c d e f g, $k[9], $w!(9, 10, 2, 7));
            round!(g h b c d e f, $k[10], $w!(10, 11, 3, 8));
            round!(f g a b c d e, $k[11], $w!(11, 12, 4, 9));
            round!(e f h a b c d, $k[12], $w!(12, 13, 5, 10));
            round!(d e g h a b c, $k[13], $w!(13, 14, 6, 11));
            round!(c d f g h a b, $k[14], $w!(14, 15, 7, 12));
            round!(b c e f g h a, $k[15], $w!(15, 0, 8, 13));
        };
    }
    macro_rules! given {
        ($i:literal, $($_:literal),*) => {
            w[$i]
        };
    }
    macro_rules! scheduled {
        ($i:literal, $one:literal, $nine:literal, $fourteen:literal) => {{
            let (x, y) = (w[$one], w[$fourteen]);
            let s0 = x.rotate::<7>().xor(x.rotate::<18>()).xor(x.shift::<3>());
            let s1 = y.rotate::<17>().xor(y.rotate::<19>()).xor(y.shift::<10>());
            w[$i] = w[$i].add(s0).add(w[$nine]).add(s1);
            w[$i]
        }};
    }

    let [first, others @ ..] = &K;
    rounds!(first, given);
    for k in others {
        rounds!(k, scheduled);
    }
    let [s0, s1, s2, s3, s4, s5, s6, s7] = state;
    [
        s0.add(a),
        s1.add(b),
        s2.add(c),
        s3.add(d),
        s4.add(e),
        s5.add(f),
        s6.add(g),
        s7.add(h),
    ]
}

#[cfg(test)]
impl Lanes for [u32; Job::LANES] {
    fn new(lanes: [u32; Job::LANES]) -> Self {
        lanes
    }

    fn big_endian(lanes: [[u8; 4]; Job::LANES]) -> Self {
        lanes.map(u32::from_be_bytes)
    }

    fn lanes(self) -> [u32; Job::LANES] {
        self
    }

    fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i].wrapping_add(other[i]))
    }

    fn xor(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] ^ other[i])
    }

    fn and(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] & other[i])
    }

    fn shift<const N: u32>(self) -> Self {
        self.map(|word| word >> N)
    }

    fn rotate<const N: u32>(self) -> Self {
        self.map(|word| word.rotate_right(N))
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod vector {
    use core::arch::wasm32::{
        i8x16_shuffle, u32x4, u32x4_add, u32x4_extract_lane, u32x4_shl, u32x4_shr, u32x4_splat,
        v128, v128_and, v128_or, v128_xor,
    };

    use super::{Job, Lanes};

    impl Lanes for v128 {
        #[inline(always)]
        fn new([a, b, c, d]: [u32; Job::LANES]) -> Self {
            u32x4(a, b, c, d)
        }

        #[inline(always)]
        fn big_endian(lanes: [[u8; 4]; Job::LANES]) -> Self {
            let words = Self::new(lanes.map(u32::from_le_bytes));
            i8x16_shuffle::<3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12>(words, words)
        }

        #[inline(always)]
        fn lanes(self) -> [u32; Job::LANES] {
            [
                u32x4_extract_lane::<0>(self),
                u32x4_extract_lane::<1>(self),
                u32x4_extract_lane::<2>(self),
                u32x4_extract_lane::<3>(self),
            ]
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            u32x4_add(self, other)
        }

        #[inline(always)]
        fn xor(self, other: Self) -> Self {
            v128_xor(self, other)
        }

        #[inline(always)]
        fn and(self, other: Self) -> Self {
            v128_and(self, other)
        }

        #[inline(always)]
        fn shift<const N: u32>(self) -> Self {
            u32x4_shr(self, N)
        }

        #[inline(always)]
        fn rotate<const N: u32>(self) -> Self {
            v128_or(u32x4_shr(self, N), u32x4_shl(self, 32 - N))
        }

        #[inline(always)]
        fn splat(word: u32) -> Self {
            u32x4_splat(word)
        }
    }
}
