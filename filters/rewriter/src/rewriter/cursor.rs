//! The buffer at hand: how far it was read, and how far it was written out or passed over.

use crate::{Action, Masker, wide};

use super::Rewriter;

/// The buffer at hand and how far it was written out.
pub(super) struct Cursor<'b> {
    pub(super) buf: &'b [u8],
    pub(super) at: usize,
    pub(super) written: usize,
}

impl<'b> Cursor<'b> {
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.buf.get(self.at).copied()
    }

    #[inline]
    pub(super) fn rest(&self) -> &'b [u8] {
        self.buf.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn slice(&self, from: usize, to: usize) -> &'b [u8] {
        self.buf.get(from..to).unwrap_or_default()
    }
}

impl Rewriter {
    /// Writes the buffer up to `to`, or passes over it while muted.
    #[inline]
    pub(super) fn write(&self, c: &mut Cursor<'_>, to: usize, out: &mut Vec<u8>) {
        if self.mute.is_none() {
            wide::append(out, c.buf, c.written, to);
        }
        c.written = to;
    }

    /// The value that starts at the cursor is left out; `with` stands in its place.
    pub(super) fn mute(&mut self, c: &mut Cursor<'_>, with: &str, out: &mut Vec<u8>) {
        self.write(c, c.at, out);
        out.extend_from_slice(with.as_bytes());
        self.mute = Some(self.stack.len());
        self.action = Action::Any;
    }

    /// The value that starts at the cursor is not what the schema says: `null` stands in its place.
    pub(super) fn mismatch(&mut self, c: &mut Cursor<'_>, out: &mut Vec<u8>) {
        self.stats.mismatched += 1;
        self.mute(c, "null", out);
    }

    /// The value that starts at the cursor is masked unseen.
    pub(super) fn mask_whole(
        &mut self,
        c: &mut Cursor<'_>,
        mask: u32,
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) {
        self.mute(c, "", out);
        masker.whole(mask, self.depth, out);
    }
}
