//! Members: an object's next name, and what the program says of it.

use std::hash::BuildHasher;

use crate::scan::{self, StringScan};
use crate::{Action, JsonError, Masker, Problem, RawString, Scalar, wide};

use super::cursor::Cursor;
use super::{Rewriter, State, Step};

impl Rewriter {
    /// Takes the members that come as they are expected: in order, without white space, with a
    /// string or number that passes or is masked. Most are, so this loop is what most of the time is
    /// spent in; it changes nothing for the first member that is not, which the rest of the rewriter
    /// then takes.
    pub(super) fn expected_members(
        &mut self,
        c: &mut Cursor<'_>,
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) {
        if self.mute.is_some() {
            return;
        }
        let Some(frame) = self.stack.last_mut() else {
            return;
        };
        let Some(node) = frame.node.and_then(|id| self.program.node(id)) else {
            return;
        };
        let buf = c.buf;
        let from = |at: usize| buf.get(at..).unwrap_or_default();
        let mut comma = self.state == State::AfterValue;
        loop {
            let mut start = c.at;
            if comma {
                if !frame.wrote || buf.get(start) != Some(&b',') {
                    return;
                }
                start += 1;
            }
            let Some((index, action, name)) = node.expected(from(start), frame.hint) else {
                return;
            };
            start += name;
            let (end, string) = match buf.get(start) {
                Some(b'"') => match scan::string(buf, start + 1) {
                    StringScan::Closed(quote) => (quote + 1, true),
                    _ => return,
                },
                Some(b'-' | b'0'..=b'9') => {
                    let end = start + scan::token(from(start));
                    if end == buf.len() || !scan::is_number(c.slice(start, end)) {
                        return;
                    }
                    (end, false)
                }
                _ => return,
            };
            let mask = match action {
                Action::Any => None,
                Action::Scalar if node.typename.map(usize::from) != Some(index) => None,
                Action::Mask(id) if string && end - start <= self.limits.held => Some(id),
                _ => return,
            };
            if !frame.mark(node, index) {
                return;
            }
            if let Some(id) = mask {
                wide::append(out, buf, c.written, start);
                let raw = RawString(c.slice(start + 1, end - 1));
                masker.scalar(id, 0, Scalar::String(raw), out);
                c.written = end;
            }
            frame.wrote = true;
            comma = true;
            self.state = State::AfterValue;
            c.at = end;
        }
    }

    /// In an object: its end, or a member up to its colon. Until the name is known, nothing from
    /// the comma on is written, so that the member can be left out whole.
    pub(super) fn member(
        &mut self,
        c: &mut Cursor<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, JsonError> {
        let comma = self.state == State::AfterValue;
        c.at += scan::white(c.rest());
        let start = c.at;
        let mut at = c.at;
        match c.peek() {
            None => return Ok(Step::Wait(start)),
            Some(b'}') => return self.close(c),
            Some(b',') if comma => at += 1,
            Some(b'"') if !comma => {}
            Some(_) => return Err(self.error(at, Problem::Unexpected)),
        }
        let buf = c.buf;
        let from = |at: usize| buf.get(at..).unwrap_or_default();
        let wait = |this: &Self| {
            if buf.len() - start > this.limits.token {
                Err(this.error(start, Problem::TooLong))
            } else {
                Ok(Step::Wait(start))
            }
        };
        at += scan::white(from(at));
        let action = match self.expected(from(at)) {
            Some((action, length)) => {
                at += length;
                action
            }
            None => {
                match buf.get(at) {
                    None => return wait(self),
                    Some(b'"') => at += 1,
                    Some(_) => return Err(self.error(at, Problem::Unexpected)),
                }
                let key_start = at;
                let key_end = match scan::string(buf, at) {
                    StringScan::Closed(end) => end,
                    StringScan::Open(_) => return wait(self),
                    StringScan::Bad(at) => return Err(self.error(at, Problem::BadString)),
                };
                at = key_end + 1;
                at += scan::white(from(at));
                match buf.get(at) {
                    None => return wait(self),
                    Some(b':') => at += 1,
                    Some(_) => return Err(self.error(at, Problem::Unexpected)),
                }
                self.name(c.slice(key_start, key_end), key_start)?
            }
        };
        if at - start > self.limits.token {
            return Err(self.error(start, Problem::TooLong));
        }

        self.depth = 0;
        self.state = State::Value;
        self.action = action;
        let muted = self.mute.is_some();
        if action == Action::Drop {
            self.stats.dropped += 1;
            self.write(c, start, out);
            self.mute = Some(self.stack.len());
            self.action = Action::Any;
        } else if let Some(frame) = self.stack.last_mut() {
            let first = !std::mem::replace(&mut frame.wrote, true);
            if comma && first && !muted {
                // Everything before it was left out: so is its comma.
                self.write(c, start, out);
                c.written = start + 1;
            }
        }
        c.at = at;
        Ok(Step::On)
    }

    /// If the member that comes is the one that is expected, written as most servers write it: its
    /// action, and the length of its name and colon.
    fn expected(&mut self, bytes: &[u8]) -> Option<(Action, usize)> {
        let frame = self.stack.last_mut()?;
        let node = self.program.node(frame.node?)?;
        let (index, action, length) = node.expected(bytes, frame.hint)?;
        frame.mark(node, index).then_some((action, length))
    }

    /// Looks a member's name up, minding repetition.
    fn name(&mut self, raw: &[u8], at: usize) -> Result<Action, JsonError> {
        let decoded;
        let key = match RawString(raw).plain() {
            Some(bytes) => bytes,
            None => {
                decoded = RawString(raw).decode();
                decoded.as_bytes()
            }
        };
        let duplicate = self.error(at, Problem::DuplicateKey);
        let Some(frame) = self.stack.last_mut() else {
            return Ok(Action::Drop);
        };
        let node = frame.node.and_then(|id| self.program.node(id));
        let found = node.and_then(|n| {
            let index = n.find(key, frame.hint)?;
            n.fields.get(index).map(|f| (n, index, f.action))
        });
        if let Some((node, index, action)) = found {
            return if frame.mark(node, index) {
                Ok(action)
            } else {
                Err(duplicate)
            };
        }
        frame.typename_next = false;
        let hash = self.hasher.hash_one(key);
        let others = frame.others.get_or_insert_default();
        if !others.add(hash) {
            return Err(duplicate);
        }
        if others.all.len() > self.limits.keys {
            return Err(self.error(at, Problem::TooManyKeys));
        }
        Ok(node.map_or(Action::Any, |n| n.unknown))
    }

    /// The innermost object has said its type.
    pub(super) fn switch(&mut self, name: &str) {
        if let Some(frame) = self.stack.last_mut() {
            frame.typename_next = false;
            let node = frame.node.and_then(|id| self.program.node(id));
            if let Some(id) = node.and_then(|n| n.switched(name)) {
                frame.node = Some(id);
            }
        }
    }
}
