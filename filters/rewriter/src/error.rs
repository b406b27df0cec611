use std::fmt;

/// Why a document was refused, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset from the start of the document.
    pub offset: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// A byte that JSON does not allow at this place.
    Unexpected,
    /// The bytes are not UTF-8.
    Utf8,
    /// A control character inside a string, or an escape that JSON does not know.
    BadString,
    /// Neither a number nor `true`, `false` or `null`.
    BadToken,
    /// The same member name twice in one object.
    DuplicateKey,
    /// More nested arrays and objects than the limit.
    TooDeep,
    /// A member name or number longer than the limit.
    TooLong,
    /// More members in one object than the limit.
    TooManyKeys,
    /// The document ended too early.
    Truncated,
    /// Bytes after the end of the document.
    Trailing,
    /// The document is valid JSON but not an object.
    NotAnObject,
}

impl Problem {
    /// A stable name, used as a metric tag and in the decision log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unexpected => "unexpected_byte",
            Self::Utf8 => "bad_utf8",
            Self::BadString => "bad_string",
            Self::BadToken => "bad_token",
            Self::DuplicateKey => "duplicate_key",
            Self::TooDeep => "too_deep",
            Self::TooLong => "too_long",
            Self::TooManyKeys => "too_many_keys",
            Self::Truncated => "truncated",
            Self::Trailing => "trailing_bytes",
            Self::NotAnObject => "not_an_object",
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.problem {
            Problem::Unexpected => "a byte that JSON does not allow here",
            Problem::Utf8 => "bytes that are not UTF-8",
            Problem::BadString => "a string with a raw control character or an unknown escape",
            Problem::BadToken => "a malformed number or literal",
            Problem::DuplicateKey => "a member name that the object already has",
            Problem::TooDeep => "nesting beyond the limit",
            Problem::TooLong => "a member name or number beyond the limit",
            Problem::TooManyKeys => "more members in one object than the limit",
            Problem::Truncated => "the end of the body inside a value",
            Problem::Trailing => "bytes after the end of the document",
            Problem::NotAnObject => "a value that is not an object",
        };
        write!(f, "{what} at byte {}", self.offset)
    }
}

impl std::error::Error for JsonError {}
