use unicode_segmentation::UnicodeSegmentation;

use crate::json::{Scalar, push_string};
use crate::mask::plan::Leaf;

use super::Site;

pub(super) const ABOUT: &str = "the first and last characters that the rule keeps, `****` between; \
    what would hide fewer characters than it shows is redacted";

pub(super) fn apply(value: Scalar<'_>, site: &Site<'_>, out: &mut Vec<u8>) {
    let text = match (value, &site.spec.leaf) {
        (Scalar::Null, _) => return out.extend_from_slice(b"null"),
        (Scalar::String(s), Leaf::Text) => s.decode(),
        _ => return site.placeholder(out),
    };
    let (first, last) = (usize::from(site.spec.keep_first), usize::from(site.spec.keep_last));
    let shown = first + last;
    let count = text.graphemes(true).count();
    if count < shown * 2 || count < shown + 4 {
        return site.placeholder(out);
    }
    let mut masked: String = text.graphemes(true).take(first).collect();
    masked.push_str("****");
    masked.extend(text.graphemes(true).skip(count - last));
    push_string(&masked, out);
}
