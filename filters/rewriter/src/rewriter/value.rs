//! Values: where one starts, where one ends, and those that are no strings.

use crate::scan;
use crate::{Action, JsonError, Masker, Problem, Scalar};

use super::cursor::Cursor;
use super::frame::Frame;
use super::{Rewriter, State, Step};

impl Rewriter {
    pub(super) fn value(
        &mut self,
        c: &mut Cursor<'_>,
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Result<Step, JsonError> {
        c.at += scan::white(c.rest());
        let Some(byte) = c.peek() else {
            return Ok(Step::Wait(c.at));
        };
        if self.stack.is_empty() && self.object && byte != b'{' {
            let json = matches!(byte, b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n');
            let problem = if json {
                Problem::NotAnObject
            } else {
                Problem::Unexpected
            };
            return Err(self.error(c.at, problem));
        }
        match byte {
            b']' if self.state == State::FirstElement => self.close(c),
            b'{' => self.open_object(c, masker, out),
            b'[' => self.open_array(c, out),
            b'"' => self.open_string(c, out),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => self.token(c, masker, out),
            _ => Err(self.error(c.at, Problem::Unexpected)),
        }
    }

    fn open_object(
        &mut self,
        c: &mut Cursor<'_>,
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Result<Step, JsonError> {
        let mut node = None;
        match self.action {
            Action::Any => {}
            Action::Object(id) => node = Some(id),
            Action::Mask(id) => self.mask_whole(c, id, masker, out),
            Action::Replace(literal) => self.mute(c, literal.text(), out),
            Action::Scalar | Action::OneOf(_) | Action::Path(_) | Action::Number | Action::Drop => {
                self.mismatch(c, out);
            }
        }
        self.enter(c, Frame::object(node))?;
        self.state = State::FirstMember;
        Ok(Step::On)
    }

    fn open_array(&mut self, c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<Step, JsonError> {
        match self.action {
            Action::Replace(literal) => self.mute(c, literal.text(), out),
            Action::Drop => self.mute(c, "null", out),
            _ => {}
        }
        self.depth = self.depth.saturating_add(1);
        self.enter(c, Frame::array(self.action, self.depth))?;
        self.state = State::FirstElement;
        Ok(Step::On)
    }

    fn enter(&mut self, c: &mut Cursor<'_>, frame: Frame) -> Result<(), JsonError> {
        if self.stack.len() >= self.limits.depth {
            return Err(self.error(c.at, Problem::TooDeep));
        }
        self.stack.push(frame);
        c.at += 1;
        Ok(())
    }

    fn token(
        &mut self,
        c: &mut Cursor<'_>,
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Result<Step, JsonError> {
        let start = c.at;
        let end = start + scan::token(c.rest());
        if end - start > self.limits.token {
            return Err(self.error(start, Problem::TooLong));
        }
        if end == c.buf.len() {
            return Ok(Step::Wait(start));
        }
        let bytes = c.slice(start, end);
        let scalar = match bytes {
            b"true" => Scalar::Bool(true),
            b"false" => Scalar::Bool(false),
            b"null" => Scalar::Null,
            _ => match std::str::from_utf8(bytes) {
                Ok(text) if scan::is_number(bytes) => Scalar::Number(text),
                _ => return Err(self.error(start, Problem::BadToken)),
            },
        };
        let replaced = match self.action {
            Action::Any | Action::Scalar => None,
            Action::Mask(id) => {
                self.write(c, start, out);
                masker.scalar(id, self.depth, scalar, out);
                Some("")
            }
            Action::Replace(literal) => Some(literal.text()),
            Action::Path(_) | Action::Number if is_index(scalar) => None,
            Action::Object(_)
            | Action::OneOf(_)
            | Action::Path(_)
            | Action::Number
            | Action::Drop => {
                if scalar == Scalar::Null {
                    None
                } else {
                    self.stats.mismatched += 1;
                    Some("null")
                }
            }
        };
        if let Some(text) = replaced {
            self.write(c, start, out);
            out.extend_from_slice(text.as_bytes());
            c.written = end;
        }
        c.at = end;
        self.value_done(c);
        Ok(Step::On)
    }

    /// At the closing bracket or brace of the innermost frame.
    pub(super) fn close(&mut self, c: &mut Cursor<'_>) -> Result<Step, JsonError> {
        self.stack.pop();
        c.at += 1;
        self.value_done(c);
        Ok(Step::On)
    }

    #[inline]
    pub(super) fn value_done(&mut self, c: &mut Cursor<'_>) {
        if self.mute == Some(self.stack.len()) {
            self.mute = None;
            c.written = c.at;
        }
        self.state = if self.stack.is_empty() {
            State::Done
        } else {
            State::AfterValue
        };
    }

    pub(super) fn after_value(
        &mut self,
        c: &mut Cursor<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, JsonError> {
        let object = match self.stack.last() {
            Some(frame) => frame.object,
            None => return Err(self.error(c.at, Problem::Trailing)),
        };
        if object {
            return self.member(c, out);
        }
        c.at += scan::white(c.rest());
        match c.peek() {
            None => Ok(Step::Wait(c.at)),
            Some(b',') => {
                c.at += 1;
                if let Some(frame) = self.stack.last() {
                    self.action = frame.element;
                    self.depth = frame.depth;
                }
                self.state = State::Value;
                Ok(Step::On)
            }
            Some(b']') => self.close(c),
            Some(_) => Err(self.error(c.at, Problem::Unexpected)),
        }
    }
}

/// Whether a number can be an index into a list, a line or a column, and hardly anything else.
fn is_index(scalar: Scalar<'_>) -> bool {
    matches!(scalar, Scalar::Number(n) if n.len() <= 6 && n.bytes().all(|b| b.is_ascii_digit()))
}
