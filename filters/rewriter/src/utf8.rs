/// Validates UTF-8 that comes in chunks.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// The first bytes of a character whose rest has not come yet.
    pending: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Takes the next chunk. The error is the offset in `chunk` where validity ends.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), usize> {
        let mut rest = chunk;
        let mut at = 0;
        while self.len > 0 {
            let Some((byte, tail)) = rest.split_first() else {
                return Ok(());
            };
            let Some(slot) = self.pending.get_mut(self.len) else {
                return Err(at);
            };
            *slot = *byte;
            self.len += 1;
            rest = tail;
            at += 1;
            match std::str::from_utf8(self.pending.get(..self.len).unwrap_or_default()) {
                Ok(_) => self.len = 0,
                Err(e) if e.error_len().is_some() => return Err(at),
                Err(_) => {}
            }
        }
        if super::wide::is_ascii(rest) {
            return Ok(());
        }
        match std::str::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(e) if e.error_len().is_some() => Err(at + e.valid_up_to()),
            Err(e) => {
                let tail = rest.get(e.valid_up_to()..).unwrap_or_default();
                for (slot, byte) in self.pending.iter_mut().zip(tail) {
                    *slot = *byte;
                }
                self.len = tail.len();
                Ok(())
            }
        }
    }

    /// Whether the last character is whole.
    pub(super) fn is_complete(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_every_split_and_refuses_what_is_broken() {
        let good = "aé漢😀z".as_bytes();
        for cut in 0..=good.len() {
            for cut2 in cut..=good.len() {
                let mut v = Utf8::default();
                for part in [&good[..cut], &good[cut..cut2], &good[cut2..]] {
                    assert_eq!(v.push(part), Ok(()));
                }
                assert!(v.is_complete());
            }
        }
        for bad in [
            &[0xffu8][..],
            &[0xc3, 0x28],
            &[0xed, 0xa0, 0x80],
            &[0xf0, 0x9f, 0x20],
        ] {
            for cut in 0..=bad.len() {
                let mut v = Utf8::default();
                let seen = v.push(&bad[..cut]).and_then(|()| v.push(&bad[cut..]));
                assert!(seen.is_err(), "{bad:?} split at {cut}");
            }
        }
        let mut v = Utf8::default();
        assert_eq!(v.push(&[0xf0, 0x9f]), Ok(()));
        assert!(!v.is_complete());
    }
}
