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
    // In ASCII without line breaks a byte is a character.
    let bytes = text.is_ascii() && !text.contains('\r');
    let count = if bytes { text.len() } else { text.graphemes(true).count() };
    if count < shown * 2 || count < shown + 4 {
        return site.placeholder(out);
    }
    let (start, end) = if bytes {
        (first, count - last)
    } else {
        let mut starts = text.grapheme_indices(true).map(|(at, _)| at);
        let start = starts.by_ref().nth(first).unwrap_or(0);
        (start, starts.nth(count - last - first - 1).unwrap_or(text.len()))
    };
    let (Some(head), Some(tail)) = (text.get(..start), text.get(end..)) else {
        return site.placeholder(out);
    };
    push_string(&[head, "****", tail].concat(), out);
}
