//! What nobody signed is no warrant.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::{claims, signed, warrants};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Bytes that nobody signed are no warrant, and never a panic.
    #[test]
    fn no_bytes_are_a_warrant(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(warrants().authenticate(&bytes).is_err());
    }

    /// Neither is what looks like one.
    #[test]
    fn no_three_parts_are_a_warrant(
        header in "[ -~]{0,120}", claims in "[ -~]{0,300}", signature in prop::array::uniform32(any::<u8>()),
    ) {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signature = [signature, signature].concat();
        for header in [header, super::header().to_string()] {
            for claims in [claims.clone(), super::claims().to_string()] {
                let text = format!(
                    "{}.{}.{}",
                    encode(header.as_bytes()), encode(claims.as_bytes()), encode(&signature),
                );
                prop_assert!(warrants().authenticate(text.as_bytes()).is_err());
            }
        }
    }

    /// A good warrant of which a part was changed, cut, doubled or moved is none.
    #[test]
    fn no_changed_warrant_is_one(at in any::<prop::sample::Index>(), how in 0..5u8, byte in any::<u8>()) {
        static GOOD: LazyLock<String> = LazyLock::new(|| signed(&claims()));
        let good = GOOD.clone().into_bytes();
        let at = at.index(good.len());
        let mut changed = good.clone();
        match how {
            0 => changed[at] = byte,
            1 => { changed.remove(at); }
            2 => changed.insert(at, byte),
            3 => changed.truncate(at),
            _ => changed.rotate_left(at),
        }
        let read = warrants().authenticate(&changed);
        prop_assert_eq!(read.is_ok(), changed == good);
    }
}
