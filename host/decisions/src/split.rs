//! Lines of a piece of a file.

/// What a piece holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Bytes of whole lines, with their ends.
    pub whole: usize,
    /// Where the lines are, without their ends.
    pub lines: Vec<std::ops::Range<usize>>,
}

/// Finds the whole lines of a piece, of which no more than `most`.
pub fn split(piece: &[u8], most: usize) -> Split {
    let mut split = Split::default();
    for end in memchr::memchr_iter(b'\n', piece).take(most) {
        let carriage = end > split.whole && piece.get(end - 1) == Some(&b'\r');
        split.lines.push(split.whole..end - usize::from(carriage));
        split.whole = end + 1;
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_until_it_is_whole() {
        for (piece, most, whole, lines) in [
            ("", 9, 0, vec![]),
            ("a", 9, 0, vec![]),
            ("a\nb", 9, 2, vec!["a"]),
            ("a\r\n\n\r\nb\n", 9, 8, vec!["a", "", "", "b"]),
            ("a\nb\nc\n", 2, 4, vec!["a", "b"]),
        ] {
            let split = split(piece.as_bytes(), most);
            assert_eq!(split.whole, whole, "{piece:?}");
            let found: Vec<&str> = split.lines.into_iter().map(|r| &piece[r]).collect();
            assert_eq!(found, lines, "{piece:?}");
        }
    }
}
