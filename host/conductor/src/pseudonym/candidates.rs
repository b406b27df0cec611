//! Values from standard input or a file: never from arguments, which every process can see.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};

/// Candidate values, with the line that each stands on.
pub struct Candidates(Vec<(usize, String)>);

impl Candidates {
    /// Reads the file, or standard input: one value a line, empty lines are none.
    ///
    /// # Errors
    /// It can't be read, a line is not UTF-8, or there is no value. No error repeats a value.
    pub fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let bytes = match file {
            Some(file) => {
                std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?
            }
            None => standard_input()?,
        };
        let name = file.map_or("standard input".into(), |f| f.display().to_string());
        Self::parse(&bytes).with_context(|| format!("the candidates of {name} can't be used"))
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut values = Vec::new();
        for (number, line) in (1..).zip(bytes.split(|b| *b == b'\n')) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Ok(value) = std::str::from_utf8(line) else {
                bail!("line {number} is not UTF-8");
            };
            if !value.is_empty() {
                values.push((number, value.to_owned()));
            }
        }
        if values.is_empty() {
            bail!("there is none; give one a line");
        }
        Ok(Self(values))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Lines, from 1, and values.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().map(|(line, value)| (*line, value.as_str()))
    }
}

/// One value from standard input, without the end of its last line.
///
/// # Errors
/// It can't be read, is not UTF-8, or is longer than any value that gateways hash.
pub fn value() -> anyhow::Result<String> {
    let Ok(mut value) = String::from_utf8(standard_input()?) else {
        bail!("the value on standard input is not UTF-8");
    };
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    let most = engine::json::Limits::default().held;
    if value.len() > most {
        bail!("the value is longer than {most} bytes: gateways redact such values, not hash them");
    }
    Ok(value)
}

fn standard_input() -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.context("can't read standard input")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_a_line() {
        let read = Candidates::parse(b"ada\r\n\n b c \nlast").unwrap();
        let seen: Vec<_> = read.iter().collect();
        assert_eq!(seen, [(1, "ada"), (3, " b c "), (4, "last")]);
        for (bytes, want) in [
            (&b"\n\r\n"[..], "there is none"),
            (b"a\nsecret\xff", "line 2"),
        ] {
            let error = Candidates::parse(bytes).err().unwrap().to_string();
            assert!(error.contains(want) && !error.contains("secret"), "{error}");
        }
    }
}
