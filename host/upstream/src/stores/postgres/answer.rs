//! What the server says (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

/// The type `text` in `pg_type`.
const TEXT: u32 = 25;

/// An error or a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// SQLSTATE.
    pub state: &'static str,
    pub message: String,
    pub detail: Option<String>,
}

impl Report {
    pub(super) fn new(state: &'static str, message: impl Into<String>) -> Self {
        Self {
            state,
            message: message.into(),
            detail: None,
        }
    }
}

/// Messages that are sent together.
#[derive(Debug, Default)]
pub(super) struct Answer(Vec<u8>);

impl Answer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn message(&mut self, kind: u8, body: &[&[u8]]) {
        let length = 4 + body.iter().map(|part| part.len()).sum::<usize>();
        self.0.push(kind);
        self.0.extend(number(length));
        self.0.extend(body.iter().copied().flatten());
    }

    pub(super) fn authenticated(&mut self) {
        self.message(b'R', &[&number(0)]);
    }

    /// What of a newer protocol or its options is not spoken here.
    pub(super) fn older(&mut self, options: &[String]) {
        let version: u32 = 3 << 16;
        let mut names = Vec::new();
        for option in options {
            names.extend(option.bytes());
            names.push(0);
        }
        let count = number(options.len());
        self.message(b'v', &[&version.to_be_bytes(), &count, &names]);
    }

    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        self.message(b'S', &[name.as_bytes(), b"\0", value.as_bytes(), b"\0"]);
    }

    /// With what a client could cancel a query. None takes long enough.
    pub(super) fn cancel_key(&mut self) {
        self.message(b'K', &[&number(0), &number(0)]);
    }

    pub(super) fn ready(&mut self) {
        self.message(b'Z', &[b"I"]);
    }

    /// The head of rows with one column, of type `text`.
    pub(super) fn column(&mut self, name: &str) {
        let table_and_attribute = [0; 6];
        let any_length = (-1_i16).to_be_bytes();
        let no_modifier = (-1_i32).to_be_bytes();
        let as_text = [0; 2];
        self.message(
            b'T',
            &[
                &1_u16.to_be_bytes(),
                name.as_bytes(),
                b"\0",
                &table_and_attribute,
                &TEXT.to_be_bytes(),
                &any_length,
                &no_modifier,
                &as_text,
            ],
        );
    }

    pub(super) fn row(&mut self, value: &str) {
        let columns = 1_u16.to_be_bytes();
        self.message(b'D', &[&columns, &number(value.len()), value.as_bytes()]);
    }

    pub(super) fn complete(&mut self, tag: &str) {
        self.message(b'C', &[tag.as_bytes(), b"\0"]);
    }

    pub(super) fn empty_query(&mut self) {
        self.message(b'I', &[]);
    }

    pub(super) fn notice(&mut self, report: &Report) {
        self.message(b'N', &[&fields("NOTICE", report)]);
    }

    pub(super) fn error(&mut self, report: &Report) {
        self.message(b'E', &[&fields("ERROR", report)]);
    }

    /// An error after which the connection ends.
    pub(super) fn fatal(&mut self, report: &Report) {
        self.message(b'E', &[&fields("FATAL", report)]);
    }
}

fn number(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

/// <https://www.postgresql.org/docs/current/protocol-error-fields.html>
fn fields(severity: &str, report: &Report) -> Vec<u8> {
    let mut fields = Vec::new();
    for (kind, text) in [
        (b'S', Some(severity)),
        (b'V', Some(severity)),
        (b'C', Some(report.state)),
        (b'M', Some(report.message.as_str())),
        (b'D', report.detail.as_deref()),
    ] {
        if let Some(text) = text {
            fields.push(kind);
            fields.extend(text.bytes());
            fields.push(0);
        }
    }
    fields.push(0);
    fields
}
