use std::fmt;

/// What is wrong with an SDL text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// A sentence.
    pub message: String,
}

impl SchemaError {
    pub(crate) fn at(sdl: &str, index: usize, message: impl Into<String>) -> Self {
        let (line, column) = position(sdl, index);
        Self {
            line,
            column,
            message: message.into(),
        }
    }
}

/// Line and column, from 1, of a byte index.
pub(crate) fn position(text: &str, index: usize) -> (usize, usize) {
    let before = text.get(..index).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "schema line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

impl std::error::Error for SchemaError {}
