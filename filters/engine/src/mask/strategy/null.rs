use crate::json::Scalar;

use super::Site;

pub(super) const ABOUT: &str = "null where the type allows it, else the constant of `redact`";

pub(super) fn apply(value: Scalar<'_>, site: &Site<'_>, out: &mut Vec<u8>) {
    if value == Scalar::Null {
        out.extend_from_slice(b"null");
    } else {
        site.placeholder(out);
    }
}
