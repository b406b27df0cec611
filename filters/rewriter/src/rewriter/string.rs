//! Strings: those that pass as they come, and those that must be seen whole.

use crate::scan::{self, StringScan};
use crate::{Action, JsonError, Masker, Problem, RawString, Scalar};

use super::cursor::Cursor;
use super::{Rewriter, State, Step};

impl Rewriter {
    pub(super) fn open_string(
        &mut self,
        c: &mut Cursor<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, JsonError> {
        let typename = self
            .stack
            .last()
            .is_some_and(|f| f.object && f.typename_next);
        match self.action {
            Action::Mask(_) | Action::OneOf(_) | Action::Path(_) => return Ok(self.hold(c, out)),
            Action::Scalar if typename => return Ok(self.hold(c, out)),
            Action::Any | Action::Scalar => {}
            Action::Replace(literal) => self.mute(c, literal.text(), out),
            Action::Object(_) | Action::Number | Action::Drop => self.mismatch(c, out),
        }
        c.at += 1;
        self.state = State::InString;
        Ok(Step::On)
    }

    fn hold(&mut self, c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step {
        self.write(c, c.at, out);
        self.scanned = 1;
        self.state = State::Held;
        Step::On
    }

    pub(super) fn in_string(&mut self, c: &mut Cursor<'_>) -> Result<Step, JsonError> {
        match scan::string(c.buf, c.at) {
            StringScan::Closed(end) => {
                c.at = end + 1;
                self.value_done(c);
                Ok(Step::On)
            }
            StringScan::Open(end) => {
                c.at = end;
                Ok(Step::Wait(end))
            }
            StringScan::Bad(at) => Err(self.error(at, Problem::BadString)),
        }
    }

    /// The cursor is at the opening quote of a string that must be seen whole.
    pub(super) fn held_string(
        &mut self,
        c: &mut Cursor<'_>,
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Result<Step, JsonError> {
        let start = c.at;
        let end = match scan::string(c.buf, start + self.scanned) {
            StringScan::Closed(end) => end,
            StringScan::Open(end) if end - start > self.limits.held => {
                return Ok(self.too_long(c, end, masker, out));
            }
            StringScan::Open(end) => {
                self.scanned = end - start;
                return Ok(Step::Wait(start));
            }
            StringScan::Bad(at) => return Err(self.error(at, Problem::BadString)),
        };
        if end - start > self.limits.held {
            return Ok(self.too_long(c, end, masker, out));
        }
        let raw = c.slice(start + 1, end);
        match self.action {
            Action::Mask(id) => {
                masker.scalar(id, self.depth, Scalar::String(RawString(raw)), out);
                c.written = end + 1;
            }
            Action::OneOf(set) | Action::Path(set) => {
                if !self.program.set_has(set, &RawString(raw).decode()) {
                    out.extend_from_slice(b"null");
                    c.written = end + 1;
                }
            }
            _ => self.switch(&RawString(raw).decode()),
        }
        c.at = end + 1;
        self.value_done(c);
        Ok(Step::On)
    }

    /// A held string is longer than may be held: it is replaced unseen.
    fn too_long(
        &mut self,
        c: &mut Cursor<'_>,
        scanned: usize,
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Step {
        match self.action {
            Action::Mask(id) => self.mask_whole(c, id, masker, out),
            _ => self.mute(c, "null", out),
        }
        c.at = scanned;
        self.state = State::InString;
        Step::On
    }
}
