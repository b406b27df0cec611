//! The rewriter's state machine: chunks in, and out of them what may be written by now.

mod cursor;
mod frame;
mod member;
mod string;
mod value;

use std::hash::RandomState;
use std::sync::Arc;

use super::scan;
use super::utf8::Utf8;
use super::{Action, JsonError, Masker, Problem, Program};

use cursor::Cursor;
use frame::Frame;

/// Bounds on what the rewriter holds and follows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nested arrays and objects.
    pub depth: usize,
    /// Bytes of a member name (with the white space around it) or of a number.
    pub token: usize,
    /// Bytes of a string that a mask needs to see whole; a longer one is replaced whole.
    pub held: usize,
    /// Members of one object that no field names.
    pub keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 128,
            token: 4096,
            held: 65_536,
            keys: 65_536,
        }
    }
}

/// What a rewrite met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Members left out because the operation does not select them.
    pub dropped: u64,
    /// Values replaced because their shape is not what the schema says.
    pub mismatched: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value must come.
    Value,
    /// An array has just been opened: a value or its end.
    FirstElement,
    /// An object has just been opened: a member or its end.
    FirstMember,
    /// A value has ended: a comma or the end of what it stands in.
    AfterValue,
    /// Inside a string that is not looked at.
    InString,
    /// Inside a string that a mask waits for; it starts where the carried bytes start.
    Held,
    /// Only white space may follow.
    Done,
}

/// Rewrites one document. See the module's description.
#[derive(Debug)]
pub struct Rewriter {
    program: Arc<Program>,
    limits: Limits,
    /// Whether the document must be an object.
    object: bool,
    stack: Vec<Frame>,
    state: State,
    /// What applies to the value that comes next, and under how many arrays.
    action: Action,
    depth: u8,
    /// While set, nothing is written until the stack is back at this length.
    mute: Option<usize>,
    /// Whether anything may follow the document.
    stops: bool,
    /// Bytes of a token whose end has not come yet.
    carry: Vec<u8>,
    /// Where in the carried bytes a held string was scanned to.
    scanned: usize,
    utf8: Utf8,
    hasher: RandomState,
    /// Offset of the current buffer in the document.
    base: u64,
    stats: Stats,
}

/// Whether the loop goes on or waits for the next chunk, keeping the buffer from an index on.
enum Step {
    On,
    Wait(usize),
}

impl Rewriter {
    /// A rewriter at the start of a document that must be an object: the program's root.
    pub fn new(program: Arc<Program>, limits: Limits) -> Self {
        let root = Action::Object(program.root);
        Self {
            object: true,
            ..Self::at(program, limits, root, 0)
        }
    }

    /// A rewriter at the start of a document that may be any value, to which `action` applies as
    /// under `depth` arrays.
    pub fn at(program: Arc<Program>, limits: Limits, action: Action, depth: u8) -> Self {
        Self {
            program,
            limits,
            object: false,
            stack: Vec::new(),
            state: State::Value,
            action,
            depth,
            mute: None,
            stops: false,
            carry: Vec::new(),
            scanned: 0,
            utf8: Utf8::default(),
            hasher: RandomState::new(),
            base: 0,
            stats: Stats::default(),
        }
    }

    /// Takes the next chunk and appends what can be written by now to `out`.
    ///
    /// # Errors
    /// The document is refused; what was appended must not be sent on.
    pub fn push(
        &mut self,
        chunk: &[u8],
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        let carried = self.carry.len();
        if let Err(at) = self.utf8.push(chunk) {
            return Err(self.error(carried + at, Problem::Utf8));
        }
        if carried == 0 {
            let keep = self.run(chunk, masker, out)?;
            self.carry
                .extend_from_slice(chunk.get(keep..).unwrap_or_default());
            self.base += keep as u64;
        } else {
            let mut buf = std::mem::take(&mut self.carry);
            buf.extend_from_slice(chunk);
            let keep = self.run(&buf, masker, out)?;
            buf.drain(..keep);
            self.carry = buf;
            self.base += keep as u64;
        }
        Ok(())
    }

    /// Takes the next chunk up to the document's end: says how many of its bytes belong to the
    /// document if that has ended. A number has no end of its own: it ends with the next byte.
    ///
    /// # Errors
    /// As [`Rewriter::push`].
    pub fn push_to_end(
        &mut self,
        chunk: &[u8],
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, JsonError> {
        let carried = self.carry.len();
        self.stops = true;
        let before = self.base;
        self.push(chunk, masker, out)?;
        if self.state != State::Done {
            return Ok(None);
        }
        // What is carried now stands behind the end.
        self.carry.clear();
        let end = (self.base - before) as usize;
        Ok(Some(end.saturating_sub(carried)))
    }

    /// Says that the document has ended.
    ///
    /// # Errors
    /// It ended in the middle.
    pub fn finish(&mut self) -> Result<(), JsonError> {
        if self.state == State::Done && self.carry.is_empty() && self.utf8.is_complete() {
            Ok(())
        } else {
            Err(self.error(self.carry.len(), Problem::Truncated))
        }
    }

    /// What was met so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Bytes held for the next chunk.
    pub fn held(&self) -> usize {
        self.carry.len()
    }

    fn error(&self, at: usize, problem: Problem) -> JsonError {
        JsonError {
            offset: self.base + at as u64,
            problem,
        }
    }

    fn run(
        &mut self,
        buf: &[u8],
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Result<usize, JsonError> {
        let kept = self.steps(buf, masker, out);
        masker.complete(out);
        kept
    }

    fn steps(
        &mut self,
        buf: &[u8],
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Result<usize, JsonError> {
        let mut c = Cursor {
            buf,
            at: 0,
            written: 0,
        };
        loop {
            let step = match self.state {
                State::Value | State::FirstElement => self.value(&mut c, masker, out)?,
                State::FirstMember => {
                    self.expected_members(&mut c, masker, out);
                    self.member(&mut c, out)?
                }
                State::AfterValue => {
                    self.expected_members(&mut c, masker, out);
                    self.after_value(&mut c, out)?
                }
                State::InString => self.in_string(&mut c)?,
                State::Held => self.held_string(&mut c, masker, out)?,
                State::Done if self.stops => Step::Wait(c.at),
                State::Done => {
                    c.at += scan::white(c.rest());
                    match c.peek() {
                        None => Step::Wait(c.at),
                        Some(_) => return Err(self.error(c.at, Problem::Trailing)),
                    }
                }
            };
            if let Step::Wait(keep) = step {
                self.write(&mut c, keep, out);
                return Ok(keep);
            }
        }
    }
}

#[cfg(test)]
mod tests;
