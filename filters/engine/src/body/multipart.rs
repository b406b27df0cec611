//! `multipart/mixed` (RFC 2046 §5.1), as GraphQL servers send responses in parts.

use std::sync::Arc;

use crate::json::Stats;
use crate::mask::{Plan, PlanMasker};

use super::{BodyError, BodyLimits, Form, Incremental};

/// The boundary that a content type names, if it is one.
pub fn boundary(content_type: &str) -> Option<String> {
    let mut parameters = content_type.split(';').map(str::trim);
    let essence = parameters.next()?;
    if !essence.eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let named = parameters.find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim())
    });
    // The incremental delivery over HTTP specification names this one.
    let text = named.unwrap_or("-");
    let text = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .unwrap_or(text);
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    let fits = (1..=70).contains(&text.len()) && !text.ends_with(' ') && text.bytes().all(legal);
    fits.then(|| text.to_owned())
}

/// The boundary that the answer gets: the upstream's could be data, so it is one of those that
/// servers usually take. Neither can stand behind a line break in JSON.
pub fn boundary_to_write(read: &str) -> &'static str {
    match read {
        "graphql" => "graphql",
        _ => "-",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary: a new part, or the end.
    Boundary,
    /// In a part's headers and body.
    Part,
    /// Behind the last boundary: what follows is not sent on.
    Done,
}

/// A body in parts.
#[derive(Debug)]
pub struct MultipartBody {
    /// `\r\n--BOUNDARY`
    delimiter: Vec<u8>,
    /// The same as it is sent on.
    written: Vec<u8>,
    limit: usize,
    state: State,
    /// What has come and is not understood yet.
    buffer: Vec<u8>,
    /// How far the buffer was understood, and searched for the delimiter: only while a chunk is
    /// looked at is it further than the buffer's start.
    at: usize,
    searched: usize,
    incremental: Incremental,
}

const ENDS_EARLY: BodyError = BodyError::Form("the multipart body ends in its middle");

impl MultipartBody {
    /// The response of a plan, in parts between these boundaries.
    pub fn new(plan: &Arc<Plan>, limits: BodyLimits, boundary: &str) -> Self {
        Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            written: format!("\r\n--{}", boundary_to_write(boundary)).into_bytes(),
            limit: limits.part,
            state: State::Preamble,
            // So that the first delimiter looks like the others.
            buffer: b"\r\n".to_vec(),
            at: 0,
            searched: 0,
            incremental: Incremental::new(plan, limits),
        }
    }

    /// The bytes up to the next delimiter; the place moves behind that.
    fn before_delimiter<'b>(&mut self, buffer: &'b [u8]) -> Option<&'b [u8]> {
        let from = self.searched.max(self.at);
        let unseen = buffer.get(from..).unwrap_or_default();
        let found = unseen
            .windows(self.delimiter.len())
            .position(|w| w == self.delimiter);
        let Some(end) = found.map(|n| from + n) else {
            // The delimiter may have begun.
            self.searched = (buffer.len() + 1)
                .saturating_sub(self.delimiter.len())
                .max(from);
            return None;
        };
        let part = buffer.get(self.at..end);
        self.at = end + self.delimiter.len();
        part
    }

    /// Understands the next bit; whether there may be more.
    fn step(&mut self, buffer: &[u8], out: &mut Vec<u8>) -> Result<bool, BodyError> {
        match self.state {
            State::Preamble => {
                let Some(preamble) = self.before_delimiter(buffer) else {
                    return Ok(false);
                };
                if !preamble.iter().all(u8::is_ascii_whitespace) {
                    return Err(BodyError::Form(
                        "something stands before the first boundary",
                    ));
                }
                out.extend_from_slice(self.written.get(2..).unwrap_or_default());
                self.state = State::Boundary;
            }
            State::Boundary => match buffer.get(self.at..).unwrap_or_default() {
                [b'-', b'-', ..] => {
                    out.extend_from_slice(b"--\r\n");
                    self.state = State::Done;
                }
                [b'\r', b'\n', ..] => {
                    // What follows may be a delimiter at once: its line break is the headers'.
                    self.state = State::Part;
                }
                [b' ' | b'\t', ..] => self.at += 1,
                [] | [b'-' | b'\r'] => return Ok(false),
                _ => return Err(BodyError::Form("a boundary has something behind it")),
            },
            State::Part => {
                let Some(part) = self.before_delimiter(buffer) else {
                    return Ok(false);
                };
                self.part(part, out)?;
                out.extend_from_slice(&self.written);
                self.state = State::Boundary;
            }
            State::Done => {
                self.at = buffer.len();
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A whole part, from the line break behind its boundary on.
    fn part(&mut self, part: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        if part.len() > self.limit {
            return Err(BodyError::PartTooLong);
        }
        let end = part.windows(4).position(|w| w == b"\r\n\r\n");
        let Some(end) = end else {
            return Err(BodyError::Form("a part has no end of its headers"));
        };
        let headers = std::str::from_utf8(part.get(..end).unwrap_or_default())
            .map_err(|_| BodyError::Form("a part's headers are not text"))?;
        for line in headers.split("\r\n").filter(|l| !l.is_empty()) {
            let Some((name, value)) = line.split_once(':') else {
                return Err(BodyError::Form("a part has a malformed header"));
            };
            let essence = value.split(';').next().unwrap_or_default().trim();
            let json = ["application/json", "application/graphql-response+json"];
            let name = name.trim();
            if name.eq_ignore_ascii_case("content-encoding")
                || (name.eq_ignore_ascii_case("content-type")
                    && !json.iter().any(|j| j.eq_ignore_ascii_case(essence)))
            {
                return Err(BodyError::Form("a part is not JSON"));
            }
        }
        out.extend_from_slice(b"\r\nContent-Type: application/json; charset=utf-8\r\n\r\n");
        let body = part.get(end + 4..).unwrap_or_default();
        self.incremental.part(body, out)
    }
}

impl Form for MultipartBody {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(chunk);
        while self.step(&buffer, out)? {}
        buffer.drain(..self.at.min(buffer.len()));
        self.searched = self.searched.saturating_sub(self.at);
        self.at = 0;
        self.buffer = buffer;
        // What may be the start of a delimiter is no part yet.
        if self.buffer.len() > self.limit + self.delimiter.len() {
            return Err(BodyError::PartTooLong);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            _ => Err(ENDS_EARLY),
        }
    }

    fn stats(&self) -> Stats {
        self.incremental.stats()
    }

    fn maskers(&self) -> Vec<&PlanMasker> {
        vec![self.incremental.masker()]
    }

    fn held(&self) -> usize {
        self.buffer.len()
    }

    fn is_live(&self) -> bool {
        true
    }
}
