use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::scan::{self, StringScan};
use super::utf8::Utf8;
use super::{Action, JsonError, Masker, Node, NodeId, Problem, Program, RawString, Scalar};

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

#[derive(Debug)]
struct Frame {
    object: bool,
    /// For an array: what applies to its elements. For an object: unused.
    element: Action,
    /// For an object that a node describes.
    node: Option<NodeId>,
    /// Arrays between the field and this value.
    depth: u8,
    /// The field that is expected next.
    hint: usize,
    /// Whether a member of this object was written.
    wrote: bool,
    /// Which of the node's fields were seen.
    seen: u64,
    seen_more: Vec<u64>,
    /// Hashes of other names seen.
    others: Option<Box<Others>>,
    /// The next value is the object's type name.
    typename_next: bool,
}

impl Frame {
    /// Notes that the node's field `index` is there and the one after it is expected next; false if
    /// it was there before.
    fn mark(&mut self, node: &Node, index: usize) -> bool {
        let (word, bit) = (index / 64, 1u64 << (index % 64));
        let seen = if word == 0 {
            &mut self.seen
        } else {
            if self.seen_more.len() < word {
                self.seen_more.resize(word, 0);
            }
            match self.seen_more.get_mut(word - 1) {
                Some(more) => more,
                None => return false,
            }
        };
        let new = *seen & bit == 0;
        *seen |= bit;
        self.hint = index + 1;
        self.typename_next = node.typename.map(usize::from) == Some(index);
        new
    }
}

/// Hashes of names: the first few in order, all in the set once there are more.
#[derive(Debug, Default)]
struct Others {
    few: Vec<u64>,
    all: HashSet<u64>,
}

impl Others {
    /// Adds a hash; whether it is new.
    fn add(&mut self, hash: u64) -> bool {
        if self.few.len() < 16 {
            let new = !self.few.contains(&hash);
            self.few.push(hash);
            return new;
        }
        if self.all.is_empty() {
            self.all.extend(self.few.iter().copied());
        }
        self.all.insert(hash)
    }
}

/// Rewrites one document. See the module's description.
#[derive(Debug)]
pub struct Rewriter {
    program: Arc<Program>,
    limits: Limits,
    stack: Vec<Frame>,
    state: State,
    /// What applies to the value that comes next, and under how many arrays.
    action: Action,
    depth: u8,
    /// While set, nothing is written until the stack is back at this length.
    mute: Option<usize>,
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

/// The buffer at hand and how far it was written out.
struct Cursor<'b> {
    buf: &'b [u8],
    at: usize,
    written: usize,
}

impl<'b> Cursor<'b> {
    fn peek(&self) -> Option<u8> {
        self.buf.get(self.at).copied()
    }

    fn rest(&self) -> &'b [u8] {
        self.buf.get(self.at..).unwrap_or_default()
    }

    fn slice(&self, from: usize, to: usize) -> &'b [u8] {
        self.buf.get(from..to).unwrap_or_default()
    }
}

/// Whether the loop goes on or waits for the next chunk, keeping the buffer from an index on.
enum Step {
    On,
    Wait(usize),
}

impl Rewriter {
    /// A rewriter at the start of a document.
    pub fn new(program: Arc<Program>, limits: Limits) -> Self {
        let root = program.root;
        Self {
            program,
            limits,
            stack: Vec::new(),
            state: State::Value,
            action: Action::Object(root),
            depth: 0,
            mute: None,
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
                    self.members(&mut c, out)?
                }
                State::AfterValue => {
                    self.expected_members(&mut c, masker, out);
                    self.after_value(&mut c, out)?
                }
                State::InString => self.in_string(&mut c)?,
                State::Held => self.held_string(&mut c, masker, out)?,
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

    /// Writes the buffer up to `to`, or passes over it while muted.
    fn write(&self, c: &mut Cursor<'_>, to: usize, out: &mut Vec<u8>) {
        if self.mute.is_none() {
            out.extend_from_slice(c.slice(c.written, to));
        }
        c.written = to;
    }

    /// The value that starts at the cursor is left out; `with` stands in its place.
    fn mute(&mut self, c: &mut Cursor<'_>, with: &str, out: &mut Vec<u8>) {
        self.write(c, c.at, out);
        out.extend_from_slice(with.as_bytes());
        self.mute = Some(self.stack.len());
        self.action = Action::Any;
    }

    fn value(
        &mut self,
        c: &mut Cursor<'_>,
        masker: &mut dyn Masker,
        out: &mut Vec<u8>,
    ) -> Result<Step, JsonError> {
        c.at += scan::white(c.rest());
        let Some(byte) = c.peek() else {
            return Ok(Step::Wait(c.at));
        };
        if self.stack.is_empty() && byte != b'{' {
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
            Action::Mask(id) => {
                self.mute(c, "", out);
                masker.whole(id, self.depth, out);
            }
            Action::Replace(literal) => self.mute(c, literal.text(), out),
            Action::Scalar | Action::OneOf(_) | Action::Path(_) | Action::Number | Action::Drop => {
                self.stats.mismatched += 1;
                self.mute(c, "null", out);
            }
        }
        self.enter(c, true, node)?;
        self.state = State::FirstMember;
        Ok(Step::On)
    }

    fn open_array(&mut self, c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<Step, JsonError> {
        match self.action {
            Action::Replace(literal) => self.mute(c, literal.text(), out),
            Action::Drop => self.mute(c, "null", out),
            _ => {}
        }
        self.enter(c, false, None)?;
        self.depth = self.depth.saturating_add(1);
        if let Some(frame) = self.stack.last_mut() {
            frame.depth = self.depth;
            frame.element = self.action;
        }
        self.state = State::FirstElement;
        Ok(Step::On)
    }

    fn enter(
        &mut self,
        c: &mut Cursor<'_>,
        object: bool,
        node: Option<NodeId>,
    ) -> Result<(), JsonError> {
        if self.stack.len() >= self.limits.depth {
            return Err(self.error(c.at, Problem::TooDeep));
        }
        self.stack.push(Frame {
            object,
            element: Action::Any,
            node,
            depth: 0,
            hint: 0,
            wrote: false,
            seen: 0,
            seen_more: Vec::new(),
            others: None,
            typename_next: false,
        });
        c.at += 1;
        Ok(())
    }

    /// At the closing bracket or brace of the innermost frame.
    fn close(&mut self, c: &mut Cursor<'_>) -> Result<Step, JsonError> {
        self.stack.pop();
        c.at += 1;
        self.value_done(c);
        Ok(Step::On)
    }

    fn value_done(&mut self, c: &mut Cursor<'_>) {
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

    fn after_value(&mut self, c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<Step, JsonError> {
        let object = match self.stack.last() {
            Some(frame) => frame.object,
            None => return Err(self.error(c.at, Problem::Trailing)),
        };
        if object {
            return self.member(c, true, out);
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

    /// Goes on after [`Rewriter::expected_members`].
    fn members(&mut self, c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<Step, JsonError> {
        self.member(c, self.state == State::AfterValue, out)
    }

    /// Takes the members that come as they are expected: in order, without white space, with a
    /// string or number that passes or is masked. Most are, so this loop is what most of the time is
    /// spent in; it changes nothing for the first member that is not, which the rest of the rewriter
    /// then takes.
    fn expected_members(&mut self, c: &mut Cursor<'_>, masker: &mut dyn Masker, out: &mut Vec<u8>) {
        if self.mute.is_some() {
            return;
        }
        let Some(frame) = self.stack.last_mut() else {
            return;
        };
        let nodes = &self.program.nodes;
        let Some(node) = frame.node.and_then(|id| nodes.get(id as usize)) else {
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
            let Some((action, name)) = node.expected(from(start), frame.hint) else {
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
                Action::Scalar if node.typename.map(usize::from) != Some(frame.hint) => None,
                Action::Mask(id) if string && end - start <= self.limits.held => Some(id),
                _ => return,
            };
            if !frame.mark(node, frame.hint) {
                return;
            }
            if let Some(id) = mask {
                out.extend_from_slice(c.slice(c.written, start));
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
    fn member(
        &mut self,
        c: &mut Cursor<'_>,
        comma: bool,
        out: &mut Vec<u8>,
    ) -> Result<Step, JsonError> {
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
        let node = self.program.nodes.get(frame.node? as usize)?;
        let (action, length) = node.expected(bytes, frame.hint)?;
        frame.mark(node, frame.hint).then_some((action, length))
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
        let duplicate = JsonError {
            offset: self.base + at as u64,
            problem: Problem::DuplicateKey,
        };
        let Some(frame) = self.stack.last_mut() else {
            return Ok(Action::Drop);
        };
        let node = frame
            .node
            .and_then(|id| self.program.nodes.get(id as usize));
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
        Ok(if frame.node.is_some() {
            Action::Drop
        } else {
            Action::Any
        })
    }

    fn open_string(&mut self, c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<Step, JsonError> {
        let typename = self
            .stack
            .last()
            .is_some_and(|f| f.object && f.typename_next);
        match self.action {
            Action::Mask(_) | Action::OneOf(_) | Action::Path(_) => return self.hold(c, out),
            Action::Scalar if typename => return self.hold(c, out),
            Action::Any | Action::Scalar => {}
            Action::Replace(literal) => self.mute(c, literal.text(), out),
            Action::Object(_) | Action::Number | Action::Drop => {
                self.stats.mismatched += 1;
                self.mute(c, "null", out);
            }
        }
        c.at += 1;
        self.state = State::InString;
        Ok(Step::On)
    }

    fn hold(&mut self, c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<Step, JsonError> {
        self.write(c, c.at, out);
        self.scanned = 1;
        self.state = State::Held;
        Ok(Step::On)
    }

    fn in_string(&mut self, c: &mut Cursor<'_>) -> Result<Step, JsonError> {
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
    fn held_string(
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
            Action::Mask(id) => {
                self.mute(c, "", out);
                masker.whole(id, self.depth, out);
            }
            _ => self.mute(c, "null", out),
        }
        c.at = scanned;
        self.state = State::InString;
        Step::On
    }

    /// The innermost object has said its type.
    fn switch(&mut self, name: &str) {
        if let Some(frame) = self.stack.last_mut() {
            frame.typename_next = false;
            let node = frame
                .node
                .and_then(|id| self.program.nodes.get(id as usize));
            if let Some(id) = node.and_then(|n| n.switched(name)) {
                frame.node = Some(id);
            }
        }
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
            Action::Path(_) | Action::Number if matches!(scalar, Scalar::Number(_)) => None,
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
}

#[cfg(test)]
#[path = "rewriter_tests.rs"]
mod tests;
