use crate::json::Scalar;

use super::Site;

pub(super) const ABOUT: &str = "a constant of the field's type, for every value, null included";

pub(super) fn apply(value: Scalar<'_>, site: &Site<'_>, out: &mut Vec<u8>) {
    // A list that is null says nothing of its elements, and a string in its place breaks clients.
    if value == Scalar::Null && site.depth < site.spec.shape.lists {
        return out.extend_from_slice(b"null");
    }
    site.placeholder(out);
}
