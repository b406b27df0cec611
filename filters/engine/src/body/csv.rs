//! Comma-separated values with a header row (RFC 4180).

use std::sync::Arc;

use crate::json::{Action, Masker, RawString, Scalar, Stats, push_string};
use crate::mask::{Leaf, Plan, PlanMasker, RoutePlan, Spec, StrategyKind};

use super::{BodyError, BodyLimits, Form, masker};

/// Columns of a table.
const MOST_COLUMNS: usize = 4096;

/// What may stand at the start, and is no part of the first name.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What stands in a cell, or for a name, that is not shown.
const REDACTED: &str = "[REDACTED]";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a cell.
    Start,
    /// In a cell without quotes.
    Bare,
    /// Between the quotes of a cell.
    Quoted,
    /// Behind a quote in a quoted cell: its end, or the first of two.
    Quote,
    /// Behind a carriage return.
    Return,
}

/// A body of rows.
#[derive(Debug)]
pub struct CsvBody {
    route: Arc<RoutePlan>,
    masker: PlanMasker,
    limit: usize,
    state: State,
    /// What happens to the columns, once the header row has ended.
    columns: Vec<Action>,
    /// The names of the header row, `None` where one is not known: it may be data.
    names: Vec<Option<String>>,
    /// The header row as it will be sent, once it is known to be one.
    head: Vec<u8>,
    header: bool,
    /// The cell at hand, as it is written, and its text.
    raw: Vec<u8>,
    text: Vec<u8>,
    /// Which cell of the row it is.
    index: usize,
    /// The first bytes, until they are no byte order mark.
    start: Option<Vec<u8>>,
    stats: Stats,
}

impl CsvBody {
    /// Rows of a route.
    pub fn new(route: &Arc<RoutePlan>, limits: BodyLimits) -> Self {
        let plan: &Arc<Plan> = &route.plan;
        Self {
            masker: masker(plan),
            route: route.clone(),
            limit: limits.part,
            state: State::Start,
            columns: Vec::new(),
            names: Vec::new(),
            head: Vec::new(),
            header: true,
            raw: Vec::new(),
            text: Vec::new(),
            index: 0,
            start: Some(Vec::new()),
            stats: Stats::default(),
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), BodyError> {
        match (self.state, byte) {
            (State::Return, b'\n') => {
                out.push(b'\n');
                self.state = State::Start;
            }
            (State::Return, _) => {
                return Err(BodyError::Form(
                    "a carriage return stands alone in the rows",
                ));
            }
            (State::Start, b'"') => self.keep(byte, State::Quoted),
            (State::Quoted, b'"') => self.keep(byte, State::Quote),
            (State::Quoted, _) => {
                self.text.push(byte);
                self.keep(byte, State::Quoted);
            }
            (State::Quote, b'"') => {
                self.text.push(byte);
                self.keep(byte, State::Quoted);
            }
            (State::Start | State::Bare | State::Quote, b',') => {
                self.end_cell(out)?;
                self.index += 1;
                if self.header {
                    self.head.push(byte);
                } else {
                    out.push(byte);
                }
                self.state = State::Start;
            }
            (State::Start | State::Bare | State::Quote, b'\r' | b'\n') => {
                self.end_row(out)?;
                out.push(byte);
                self.state = if byte == b'\r' {
                    State::Return
                } else {
                    State::Start
                };
            }
            (State::Bare, b'"') => return Err(BodyError::Form("a quote stands inside a cell")),
            (State::Quote, _) => return Err(BodyError::Form("a cell goes on behind its quotes")),
            (State::Start | State::Bare, _) => {
                self.text.push(byte);
                self.keep(byte, State::Bare);
            }
        }
        if self.held() > self.limit {
            return Err(BodyError::PartTooLong);
        }
        Ok(())
    }

    /// Takes a byte of the start, where a byte order mark may stand.
    fn first(&mut self, mut start: Vec<u8>, byte: u8, out: &mut Vec<u8>) -> Result<(), BodyError> {
        start.push(byte);
        if start == BYTE_ORDER_MARK {
            self.head = start;
        } else if BYTE_ORDER_MARK.starts_with(&start) {
            self.start = Some(start);
        } else {
            return start.into_iter().try_for_each(|b| self.byte(b, out));
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8, state: State) {
        self.raw.push(byte);
        self.state = state;
    }

    fn end_row(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let empty = self.index == 0 && self.raw.is_empty();
        if !empty {
            self.end_cell(out)?;
            if self.header {
                self.end_header(out)?;
            }
        } else if self.header {
            return Err(BodyError::Form("the header row is empty"));
        }
        self.index = 0;
        Ok(())
    }

    fn end_header(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        self.header = false;
        let mut known: Vec<&String> = self.names.iter().flatten().collect();
        if known.is_empty() {
            return Err(BodyError::NoHeader);
        }
        known.sort_unstable();
        if known.windows(2).any(|w| w.first() == w.last()) {
            return Err(BodyError::Form("two columns have one name"));
        }
        out.append(&mut self.head);
        Ok(())
    }

    /// A cell of the header row. What is no name of the route may be data: the row may be no header.
    fn name(&mut self, raw: &[u8], text: &str) -> Result<(), BodyError> {
        if self.names.len() >= MOST_COLUMNS {
            return Err(BodyError::Form("there are too many columns"));
        }
        let name = text.trim();
        match self.route.column(name) {
            Some(action) => {
                self.head.extend_from_slice(raw);
                self.names.push(Some(name.to_owned()));
                self.columns.push(action);
            }
            None => {
                self.head.extend_from_slice(REDACTED.as_bytes());
                self.names.push(None);
                self.columns.push(self.route.unknown);
            }
        }
        Ok(())
    }

    fn end_cell(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let raw = std::mem::take(&mut self.raw);
        let text = std::mem::take(&mut self.text);
        let text = String::from_utf8(text).map_err(|_| BodyError::Form("a cell is not UTF-8"))?;
        if self.header {
            return self.name(&raw, &text);
        }
        let action = self.columns.get(self.index).copied();
        match action {
            None => return Err(BodyError::Form("a row has more cells than the header")),
            Some(Action::Any | Action::Scalar) => out.extend_from_slice(&raw),
            Some(Action::Mask(mask)) => self.mask(mask, &text, out),
            // Only leaves are columns.
            Some(_) => self.stats.mismatched += 1,
        }
        Ok(())
    }

    fn mask(&mut self, mask: u32, text: &str, out: &mut Vec<u8>) {
        let mut json = Vec::new();
        push_string(text, &mut json);
        let inner = json
            .get(1..json.len().saturating_sub(1))
            .unwrap_or_default();
        let inner = String::from_utf8_lossy(inner).into_owned();
        let value = match text {
            "" => Scalar::Null,
            _ => Scalar::String(RawString::new(&inner)),
        };
        let mut masked = Vec::new();
        self.masker.scalar(mask, 0, value, &mut masked);
        self.masker.complete(&mut masked);
        // What stands there now is one JSON value; a cell is its text.
        let masked = match serde_json::from_slice::<serde_json::Value>(&masked) {
            Ok(serde_json::Value::String(s)) => Some(s),
            _ => None,
        };
        let spec = self.route.plan.specs.get(mask as usize);
        let cell = spec.map_or_else(|| REDACTED.to_owned(), |spec| cell(spec, text, masked));
        if cell.contains(['"', ',', '\r', '\n']) {
            out.extend_from_slice(format!("\"{}\"", cell.replace('"', "\"\"")).as_bytes());
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
}

impl Form for CsvBody {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        chunk.iter().try_for_each(|byte| match self.start.take() {
            Some(start) => self.first(start, *byte, out),
            None => self.byte(*byte, out),
        })
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let start = self.start.take().unwrap_or_default();
        start.into_iter().try_for_each(|b| self.byte(b, out))?;
        match self.state {
            State::Quoted => Err(BodyError::Form("the rows end inside a quoted cell")),
            // The last row need not have an end of its own; no row at all is no table.
            State::Start if self.index == 0 && !self.header => Ok(()),
            State::Return => Ok(()),
            _ => self.end_row(out),
        }
    }

    fn stats(&self) -> Stats {
        self.stats
    }

    fn maskers(&self) -> Vec<&PlanMasker> {
        vec![&self.masker]
    }

    fn held(&self) -> usize {
        self.raw.len() + self.head.len()
    }
}

/// The text of a masked cell, by what the masker made of its value as a string of JSON. A cell has no
/// type: it can be empty, which is how null is written, and it can hold any text.
fn cell(spec: &Spec, text: &str, masked: Option<String>) -> String {
    match spec.strategy {
        StrategyKind::Redact => REDACTED.to_owned(),
        _ if text.is_empty() => String::new(),
        StrategyKind::Null if spec.shape.nullable_at(0) => String::new(),
        StrategyKind::Null => REDACTED.to_owned(),
        // A constant of the field's type in the place of a pseudonym would look like a value.
        StrategyKind::Hash | StrategyKind::Partial => masked
            .filter(|_| spec.leaf == Leaf::Text)
            .unwrap_or_else(|| REDACTED.to_owned()),
    }
}
