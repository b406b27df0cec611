//! PackStream, as far as the token is looked for: strings of maps are read, anything else is skipped
//! (<https://neo4j.com/docs/bolt/current/packstream/>).

/// How deep lists and maps may stand in each other.
const DEEPEST: u32 = 16;

/// A value at the start of the bytes is malformed, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Reads values one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Unreadable> {
        let (byte, rest) = self.0.split_first().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn size(&mut self, width: usize) -> Result<usize, Unreadable> {
        let bytes = self.bytes(width)?;
        let size = bytes
            .iter()
            .fold(0_u32, |size, b| size << 8 | u32::from(*b));
        usize::try_from(size).map_err(|_| Unreadable)
    }

    /// A structure's number of fields and its tag.
    pub(super) fn structure(&mut self) -> Result<(u8, u8), Unreadable> {
        match self.byte()? {
            marker @ 0xb0..=0xbf => Ok((marker & 15, self.byte()?)),
            _ => Err(Unreadable),
        }
    }

    /// The number of entries of a map.
    pub(super) fn map(&mut self) -> Result<usize, Unreadable> {
        match self.byte()? {
            marker @ 0xa0..=0xaf => Ok(usize::from(marker & 15)),
            0xd8 => self.size(1),
            0xd9 => self.size(2),
            0xda => self.size(4),
            _ => Err(Unreadable),
        }
    }

    /// A string's bytes.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Unreadable> {
        let size = match self.byte()? {
            marker @ 0x80..=0x8f => usize::from(marker & 15),
            0xd0 => self.size(1)?,
            0xd1 => self.size(2)?,
            0xd2 => self.size(4)?,
            _ => return Err(Unreadable),
        };
        self.bytes(size)
    }

    /// Whether a string comes next.
    pub(super) fn at_string(&self) -> bool {
        matches!(self.0.first(), Some(0x80..=0x8f | 0xd0..=0xd2))
    }

    /// Whether a map comes next.
    pub(super) fn at_map(&self) -> bool {
        matches!(self.0.first(), Some(0xa0..=0xaf | 0xd8..=0xda))
    }

    /// Skips a value.
    pub(super) fn skip(&mut self) -> Result<(), Unreadable> {
        self.skip_within(DEEPEST)
    }

    fn skip_within(&mut self, depth: u32) -> Result<(), Unreadable> {
        let depth = depth.checked_sub(1).ok_or(Unreadable)?;
        if self.at_string() {
            return self.string().map(|_| ());
        }
        if self.at_map() {
            let entries = self.map()?;
            return self.skip_many(entries.checked_mul(2).ok_or(Unreadable)?, depth);
        }
        let many = match self.byte()? {
            // Null, booleans, small integers.
            0xc0 | 0xc2 | 0xc3 | 0x00..=0x7f | 0xf0..=0xff => return Ok(()),
            0xc8 => return self.bytes(1).map(|_| ()),
            0xc9 => return self.bytes(2).map(|_| ()),
            0xca => return self.bytes(4).map(|_| ()),
            0xc1 | 0xcb => return self.bytes(8).map(|_| ()),
            width @ 0xcc..=0xce => {
                let size = self.size(1 << (width - 0xcc))?;
                return self.bytes(size).map(|_| ());
            }
            marker @ 0x90..=0x9f => usize::from(marker & 15),
            width @ 0xd4..=0xd6 => self.size(1 << (width - 0xd4))?,
            marker @ 0xb0..=0xbf => {
                self.byte()?;
                usize::from(marker & 15)
            }
            _ => return Err(Unreadable),
        };
        self.skip_many(many, depth)
    }

    fn skip_many(&mut self, count: usize, depth: u32) -> Result<(), Unreadable> {
        // Each value has a byte: what claims more than there are is not worth the try.
        if count > self.0.len() {
            return Err(Unreadable);
        }
        (0..count).try_for_each(|_| self.skip_within(depth))
    }
}

/// Writes a string.
pub(super) fn write_string(into: &mut Vec<u8>, text: &str) {
    let size = text.len();
    match (u8::try_from(size), u16::try_from(size)) {
        (Ok(size @ 0..=15), _) => into.push(0x80 | size),
        (Ok(size), _) => into.extend([0xd0, size]),
        (_, Ok(size)) => {
            into.push(0xd1);
            into.extend(size.to_be_bytes());
        }
        // Nothing that is written is as long.
        _ => return into.push(0x80),
    }
    into.extend(text.as_bytes());
}

/// Writes the head of a map of up to 15 entries.
pub(super) fn write_map(into: &mut Vec<u8>, entries: u8) {
    into.push(0xa0 | (entries & 15));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_skipped() {
        for value in [
            &b"\xc0"[..],
            b"\xc2",
            b"\x7f",
            b"\xf0",
            b"\xc8\x01",
            b"\xc9\x01\x02",
            b"\xca\x01\x02\x03\x04",
            b"\xcb\x01\x02\x03\x04\x05\x06\x07\x08",
            b"\xc1\x01\x02\x03\x04\x05\x06\x07\x08",
            b"\xcc\x02ab",
            b"\xcd\0\x02ab",
            b"\xce\0\0\0\x02ab",
            b"\x82ab",
            b"\xd0\x02ab",
            b"\xd1\0\x02ab",
            b"\xd2\0\0\0\x02ab",
            b"\x92\x01\x02",
            b"\xd4\x02\x01\x02",
            b"\xd5\0\x02\x01\x02",
            b"\xd6\0\0\0\x02\x01\x02",
            b"\xa1\x81a\x91\x01",
            b"\xd8\x01\x81a\x01",
            b"\xd9\0\x01\x81a\x01",
            b"\xda\0\0\0\x01\x81a\x01",
            b"\xb1\x4e\x01",
        ] {
            let mut reader = Reader(value);
            assert_eq!((reader.skip(), reader.0), (Ok(()), &b""[..]), "{value:x?}");
            for cut in 0..value.len() {
                assert_eq!(
                    Reader(&value[..cut]).skip(),
                    Err(Unreadable),
                    "{value:x?} {cut}"
                );
            }
        }
        for value in [
            &b"\xc4"[..],
            b"\xdf",
            b"\xd6\xff\xff\xff\xff\x01",
            &[0x91; 40],
        ] {
            assert_eq!(Reader(value).skip(), Err(Unreadable), "{value:x?}");
        }
    }

    #[test]
    fn values_stand_in_each_other_to_a_depth() {
        for (lists, want) in [(15, Ok(())), (16, Err(Unreadable))] {
            let value = [vec![0x91; lists], vec![1]].concat();
            assert_eq!(Reader(&value).skip(), want, "{lists}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for size in [0, 15, 16, 255, 256, 4000] {
            let text = "x".repeat(size);
            let mut bytes = Vec::new();
            write_string(&mut bytes, &text);
            assert_eq!(Reader(&bytes).string(), Ok(text.as_bytes()));
        }
    }
}
