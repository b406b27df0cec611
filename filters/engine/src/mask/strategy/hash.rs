use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;

use crate::json::Scalar;
use crate::mask::plan::Leaf;

use super::Site;

pub(super) const ABOUT: &str = "`h:KEYID:` and 128 bits of HMAC-SHA-256 of the value under the key \
    of tenant and coordinate; null stays null; what is not a string or ID is redacted";

pub(super) fn apply(value: Scalar<'_>, site: &Site<'_>, out: &mut Vec<u8>) {
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
    let Some((key_id, mac)) = &site.spec.mac else { return site.placeholder(out) };
    let mut mac = mac.clone();
    mac.update(text);
    let tag = mac.finalize().into_bytes();
    let mut encoded = [0; 22];
    let Some(Ok(_)) = tag.get(..16).map(|t| URL_SAFE_NO_PAD.encode_slice(t, &mut encoded)) else {
        return site.placeholder(out);
    };
    out.extend_from_slice(b"\"h:");
    out.extend_from_slice(key_id.as_bytes());
    out.push(b':');
    out.extend_from_slice(&encoded);
    out.push(b'"');
}
