//! Server-sent events (WHATWG HTML §9.2), as GraphQL servers send results of subscriptions
//! (GraphQL over SSE, distinct connections mode) and parts of responses.

use std::sync::Arc;

use crate::json::Stats;
use crate::mask::{Plan, PlanMasker};

use super::{BodyError, BodyLimits, Form, Incremental};

/// A body of events.
#[derive(Debug)]
pub struct EventsBody {
    limit: usize,
    /// The line at hand.
    line: Vec<u8>,
    /// Whether the last byte ended a line by a carriage return: a line feed belongs to it.
    returned: bool,
    /// Whether any line has come: the first may start with a byte order mark.
    started: bool,
    event: Event,
    incremental: Incremental,
}

#[derive(Debug, Default)]
struct Event {
    name: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
}

impl EventsBody {
    /// The results of a plan's operation.
    pub fn new(plan: &Arc<Plan>, limits: BodyLimits) -> Self {
        Self {
            limit: limits.part,
            line: Vec::new(),
            returned: false,
            started: false,
            event: Event::default(),
            incremental: Incremental::new(plan, limits),
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let line = std::mem::take(&mut self.line);
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if !self.started => rest,
            _ => &line,
        };
        self.started = true;
        if line.is_empty() {
            return self.dispatch(out);
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let (name, value) = line.split_at_checked(colon).unwrap_or((line, b""));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            // A comment keeps the connection open: what it says is not sent on.
            b"" => out.extend_from_slice(b":\n\n"),
            b"event" => self.event.name = Some(value.to_vec()),
            b"data" => match &mut self.event.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                none => *none = Some(value.to_vec()),
            },
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                out.extend_from_slice(b"retry: ");
                out.extend_from_slice(value.get(..9).unwrap_or(value));
                out.extend_from_slice(b"\n\n");
            }
            // Ids and unknown fields can hold anything: they are not sent on.
            _ => is_field(name)?,
        }
        Ok(())
    }

    /// An event is whole.
    fn dispatch(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let event = std::mem::take(&mut self.event);
        match event.name.as_deref() {
            Some(b"complete") => out.extend_from_slice(b"event: complete\ndata:\n\n"),
            None | Some(b"" | b"next" | b"message") => {
                let Some(data) = event.data else {
                    return Ok(());
                };
                if event.name.is_some() {
                    out.extend_from_slice(b"event: next\n");
                }
                let mut part = Vec::with_capacity(data.len());
                self.incremental.part(&data, &mut part)?;
                for line in part.split(|b| matches!(b, b'\n' | b'\r')) {
                    out.extend_from_slice(b"data: ");
                    out.extend_from_slice(line);
                    out.push(b'\n');
                }
                out.push(b'\n');
            }
            Some(_) => return Err(BodyError::Form("an event has an unknown name")),
        }
        Ok(())
    }
}

/// What is no field's name makes the body something else than events.
fn is_field(name: &[u8]) -> Result<(), BodyError> {
    let legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if name.iter().all(legal) {
        Ok(())
    } else {
        Err(BodyError::Form("an event has a malformed field"))
    }
}

impl Form for EventsBody {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        for byte in chunk {
            let after_return = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line(out)?,
                other => self.line.push(*other),
            }
            if self.held() > self.limit {
                return Err(BodyError::PartTooLong);
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), BodyError> {
        // An event without its empty line is not one (§9.2.6): it is not sent on. What never was one
        // is a fault.
        let colon = self.line.iter().position(|b| *b == b':');
        is_field(
            self.line
                .get(..colon.unwrap_or(self.line.len()))
                .unwrap_or_default(),
        )
    }

    fn stats(&self) -> Stats {
        self.incremental.stats()
    }

    fn maskers(&self) -> Vec<&PlanMasker> {
        vec![self.incremental.masker()]
    }

    fn held(&self) -> usize {
        self.line.len() + self.event.data.as_ref().map_or(0, Vec::len)
    }

    fn is_live(&self) -> bool {
        true
    }
}
