//! From lines and records to a batch.

use crate::line::{self, Line};
use crate::mask::{Kept, MaskPolicy};
use crate::record::{Batch, Gap, Record};
use crate::time;

/// Bytes of a sample.
const SAMPLE: usize = 2_000;

/// Malformed lines of a batch that are told one by one.
const TOLD: u64 = 20;

/// A batch that grows.
#[derive(Debug)]
pub struct Intake<'m> {
    mask: Option<&'m mut MaskPolicy>,
    /// What was taken in.
    pub batch: Batch,
    untold: u64,
    /// Bytes of lines.
    bytes: usize,
}

impl<'m> Intake<'m> {
    /// An empty batch of a source.
    pub fn new(source: &str, mask: Option<&'m mut MaskPolicy>) -> Self {
        Self {
            mask,
            batch: Batch::of(source),
            untold: 0,
            bytes: 0,
        }
    }

    /// Whether there is room for more.
    pub fn has_room(&self, lines: u64, bytes: usize) -> bool {
        self.batch.lines < lines && self.bytes < bytes
    }

    /// A line of a file, from a place on.
    pub fn line(&mut self, line: &[u8], file: &str, at: u64) {
        self.batch.lines += 1;
        self.bytes += line.len();
        match line::read(line) {
            Line::Record(record) => self.record(record),
            Line::Undecided => self.batch.undecided += 1,
            Line::Behind { torn, record } => {
                let rest = line.get(..torn).unwrap_or_default();
                let detail = "a line was torn off, and another begins behind it";
                self.gap("torn", detail.to_owned(), rest, file, at);
                self.record(record);
            }
            Line::Malformed(why) => {
                // The parser's words may quote what it read.
                let why = if self.mask.is_some() { "" } else { &why };
                let detail = format!("a line of {} bytes can't be read: {why}", line.len());
                self.malformed(detail, line, file, at);
            }
        }
    }

    /// What is no decision: the first of a batch are told one by one.
    pub fn malformed(&mut self, detail: String, sample: &[u8], file: &str, at: u64) {
        self.batch.malformed += 1;
        if self.batch.malformed > TOLD {
            self.untold += 1;
        } else {
            self.gap("malformed", detail, sample, file, at);
        }
    }

    /// A decision.
    pub fn record(&mut self, record: Record) {
        let Some(mask) = &mut self.mask else {
            self.batch.records.push(record);
            return;
        };
        match mask.apply(record) {
            Kept::Masked(record) => self.batch.records.push(record),
            Kept::Failed(record) => {
                self.batch.mask_failures += 1;
                self.batch.records.push(record);
            }
            Kept::Dropped => self.batch.dropped += 1,
        }
    }

    /// Something is missing.
    pub fn gap(&mut self, why: &'static str, detail: String, sample: &[u8], file: &str, at: u64) {
        // What a mask policy would have taken from it nobody knows.
        let sample = match self.mask {
            Some(_) => String::new(),
            None => {
                let sample = sample.get(..SAMPLE).unwrap_or(sample);
                String::from_utf8_lossy(sample).into_owned()
            }
        };
        self.batch.gaps.push(Gap {
            file: file.to_owned(),
            at: at.cast_signed(),
            why,
            detail,
            sample,
            time_ms: time::now_ms(),
        });
    }

    /// The batch; what was too much to tell one by one is told in a sentence.
    pub fn done(mut self, file: &str, at: u64) -> Batch {
        if self.untold > 0 {
            let detail = format!("{} more lines before this place can't be read", self.untold);
            self.gap("malformed", detail, &[], file, at);
        }
        self.batch
    }
}
