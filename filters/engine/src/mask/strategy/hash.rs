use crate::json::Scalar;
use crate::mask::plan::Leaf;

use super::Site;

pub(super) const ABOUT: &str = "`h:KEYID:` and 128 bits of HMAC-SHA-256 of the value under the key \
    of tenant and coordinate; null stays null; what is not a string or ID is redacted";

pub(super) fn apply(value: Scalar<'_>, site: &mut Site<'_>, out: &mut Vec<u8>) {
    let decoded;
    let text: &[u8] = match (value, &site.spec.leaf) {
        (Scalar::Null, _) => return out.extend_from_slice(b"null"),
        (Scalar::String(s), Leaf::Text) => match s.plain() {
            Some(bytes) => bytes,
            None => {
                decoded = s.decode();
                decoded.as_bytes()
            }
        },
        (Scalar::Number(n), Leaf::Text) => n.as_bytes(),
        _ => return site.placeholder(out),
    };
    // No key: nothing that could be looked up in a dictionary goes out.
    match &site.spec.key {
        Some(key) => site.pending.write(key, text, out),
        None => site.placeholder(out),
    }
}
