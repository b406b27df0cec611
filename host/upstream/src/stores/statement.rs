//! Statements of SQL and Cypher, as far as these stores compare them with what they know.

use std::{iter::Peekable, str::Chars};

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(char),
    /// What stands between quotes; two of them inside are one.
    Text(String),
}

/// A statement in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement(Vec<Token>);

impl Statement {
    /// `None` if there is something in it that is in no statement that a store knows. One `;` at the
    /// end goes.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(next) = rest.next() {
            tokens.push(match next {
                _ if next.is_ascii_whitespace() => continue,
                '\'' => Token::Text(quoted(&mut rest)?),
                '(' | ')' | ',' | '=' | ';' | '{' | '}' | ':' | '$' | '.' => Token::Sign(next),
                _ if in_word(next) => {
                    let mut word = String::from(next);
                    while let Some(more) = rest.next_if(|c| in_word(*c)) {
                        word.push(more);
                    }
                    Token::Word(word)
                }
                _ => return None,
            });
        }
        if tokens.last() == Some(&Token::Sign(';')) {
            tokens.pop();
        }
        Some(Self(tokens))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The texts at the places of `?`, if this is a statement of the form. A form's parts are apart
    /// by spaces; its words in capitals fit in any case, others only as they are.
    pub(super) fn fit<const N: usize>(&self, form: &str) -> Option<[&str; N]> {
        let mut parts = form.split(' ');
        let mut texts = Vec::new();
        for token in &self.0 {
            let part = parts.next()?;
            match token {
                Token::Text(text) if part == "?" => texts.push(text.as_str()),
                Token::Word(word) if fits(word, part) => {}
                Token::Sign(sign) if part.chars().eq([*sign]) => {}
                _ => return None,
            }
        }
        match parts.next() {
            Some(_) => None,
            None => texts.try_into().ok(),
        }
    }
}

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn fits(word: &str, part: &str) -> bool {
    match part.bytes().any(|b| b.is_ascii_lowercase()) {
        true => word == part,
        false => word.eq_ignore_ascii_case(part),
    }
}

/// The rest of a quoted text.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()? {
            '\'' if rest.next_if_eq(&'\'').is_none() => return Some(text),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "SELECT Name FROM T WHERE N = ?";

    fn fit(text: &str) -> Option<String> {
        let statement = Statement::read(text)?;
        statement.fit(FORM).map(|[text]| text.to_owned())
    }

    #[test]
    fn a_form_fits_whatever_the_spaces_and_the_case_of_keywords() {
        for (text, want) in [
            ("SELECT Name FROM T WHERE N = 'a'", "a"),
            ("select\tName\nfrom t where n='a' ; ", "a"),
            ("SELECT Name FROM T WHERE N='it''s; (ü)'", "it's; (ü)"),
            ("SELECT Name FROM T WHERE N=''", ""),
            ("SELECT Name FROM T WHERE N=''''", "'"),
        ] {
            assert_eq!(fit(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn nothing_else_fits() {
        for text in [
            "",
            ";",
            "SELECT Name FROM T WHERE N = 'a';;",
            "SELECT Name FROM T WHERE N = 'a'; SELECT Name FROM T WHERE N = 'a'",
            "SELECT name FROM T WHERE N = 'a'",
            "SELECT Name FROM T WHERE N = a",
            "SELECT Name FROM T WHERE N = '?",
            "SELECT Name FROM T WHERE N = ?",
            "SELECT Name FROM T WHERE N = 'a' 'b'",
            "SELECT Name FROM T WHERE N =",
            "SELECT Name FROM T WHERE N = 'a' -- more",
            "SELECT Name FROM T WHERE N = \"a\"",
            "SELECTName FROM T WHERE N = 'a'",
            "'SELECT' Name FROM T WHERE N = 'a'",
        ] {
            assert_eq!(fit(text), None, "{text}");
        }
    }
}
