//! Go's patterns (RE2) in the words of `regex-lite`.
//!
//! Only what the two read differently is rewritten or refused; what is left, and a pattern's errors,
//! are the engine's affair.

use std::iter::Peekable;
use std::str::Chars;

use super::Fault;

/// Go's `\s`: without the vertical tab.
const SPACE: &str = r"\t\n\x0C\r ";
/// Everything else.
const NO_SPACE: &str = r"\x00-\x08\x0B\x0E-\x1F!-\x{10FFFF}";
/// Go's limit of a counted repetition.
const MOST_REPEATS: u32 = 1000;
/// How far the end of a counted repetition is looked for.
const COUNT_WIDTH: usize = 16;

/// A pattern for the engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) pattern: String,
    /// Whether some of it ignores case.
    pub(super) ignores_case: bool,
}

/// Why a pattern can't be used.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is invalid in Go, too.
    Invalid(String),
    /// It may be valid in Go.
    Unsupported(String),
}

impl Refusal {
    /// As the fault of a builtin.
    pub(super) fn of(self, builtin: &'static str, pattern: &str) -> Fault {
        let pattern = pattern.to_owned();
        match self {
            Self::Invalid(message) => Fault::Invalid {
                builtin,
                pattern,
                message,
            },
            Self::Unsupported(message) => Fault::Unsupported {
                builtin,
                pattern,
                message,
            },
        }
    }
}

fn invalid<T>(message: &str) -> Result<T, Refusal> {
    Err(Refusal::Invalid(message.to_owned()))
}

fn unsupported<T>(message: &str) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(message.to_owned()))
}

/// Adds a character that stands for itself.
pub(super) fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
        out.push('\\');
    }
    out.push(c);
}

/// Rewrites a pattern.
pub(super) fn translate(pattern: &str) -> Result<Translated, Refusal> {
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        out: String::with_capacity(pattern.len() + 16),
        ignores_case: false,
        beyond_ascii: !pattern.is_ascii(),
    };
    translator.run()?;
    if translator.ignores_case && translator.beyond_ascii {
        return unsupported("case is ignored for ASCII only");
    }
    Ok(Translated {
        pattern: translator.out,
        ignores_case: translator.ignores_case,
    })
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    ignores_case: bool,
    beyond_ascii: bool,
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), Refusal> {
        let mut repeated = false;
        while let Some(c) = self.rest.next() {
            let repeats = match c {
                '*' | '+' | '?' => {
                    self.out.push(c);
                    true
                }
                '{' => self.counted()?,
                '\\' => {
                    self.escape()?;
                    false
                }
                '[' => {
                    self.class()?;
                    false
                }
                '(' => {
                    self.group()?;
                    false
                }
                '}' => {
                    self.out.push_str(r"\}");
                    false
                }
                _ => {
                    self.out.push(c);
                    false
                }
            };
            if repeats {
                if repeated {
                    return invalid("a repetition can't be repeated without a group");
                }
                if let Some(lazy) = self.rest.next_if_eq(&'?') {
                    self.out.push(lazy);
                }
            }
            repeated = repeats;
        }
        Ok(())
    }

    /// After `{`: a counted repetition, or else a brace that stands for itself.
    fn counted(&mut self) -> Result<bool, Refusal> {
        let counts: String = self
            .rest
            .clone()
            .take_while(|c| *c != '}')
            .take(COUNT_WIDTH)
            .collect();
        let closed = self.rest.clone().nth(counts.len()) == Some('}');
        let (least, most) = counts.split_once(',').unwrap_or((&counts, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if !closed || least.is_empty() || !digits(least) || !digits(most) {
            self.out.push_str(r"\{");
            return Ok(false);
        }
        for count in [least, most] {
            if !count.is_empty() && !count.parse().is_ok_and(|n: u32| n <= MOST_REPEATS) {
                return invalid("a repetition of more than 1000");
            }
        }
        self.out.push('{');
        self.out.push_str(&counts);
        self.out.push('}');
        self.rest.nth(counts.len());
        Ok(true)
    }

    /// After `\`, outside a class.
    fn escape(&mut self) -> Result<(), Refusal> {
        match self.rest.next() {
            Some('s') => self.bracket("[", SPACE),
            Some('S') => self.bracket("[^", SPACE),
            Some('Q') => self.quoted(),
            Some('b') if self.rest.peek() == Some(&'{') => {
                return unsupported("a word boundary before a brace");
            }
            Some(c) => self.escaped(c)?,
            None => return invalid("it ends in a backslash"),
        }
        Ok(())
    }

    fn bracket(&mut self, open: &str, items: &str) {
        self.out.push_str(open);
        self.out.push_str(items);
        self.out.push(']');
    }

    /// `\Q…\E`: text.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            push_literal(&mut self.out, c);
        }
    }

    /// What both kinds of places know: an escaped character.
    fn escaped(&mut self, c: char) -> Result<(), Refusal> {
        match c {
            'p' | 'P' => return unsupported("Unicode classes"),
            'C' => return unsupported("`\\C`"),
            '0'..='7' => return unsupported("octal escapes"),
            // The engine knows these, Go does not.
            'u' | 'U' => return invalid("`\\u` is no escape"),
            '<' | '>' => {}
            'x' => return self.hexadecimal(),
            _ => self.out.push('\\'),
        }
        self.out.push(c);
        Ok(())
    }

    /// After `\x`: two digits, or some in braces.
    fn hexadecimal(&mut self) -> Result<(), Refusal> {
        let braced = self.rest.next_if_eq(&'{').is_some();
        let digits: String = if braced {
            self.rest.by_ref().take_while(|c| *c != '}').collect()
        } else {
            self.rest.by_ref().take(2).collect()
        };
        let hexadecimal =
            (braced || digits.len() == 2) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let found = u32::from_str_radix(&digits, 16).ok();
        let Some(c) = found.and_then(char::from_u32).filter(|_| hexadecimal) else {
            return invalid("`\\x` without a character's number");
        };
        self.beyond_ascii |= !c.is_ascii();
        self.out.push_str("\\x{");
        self.out.push_str(&digits);
        self.out.push('}');
        Ok(())
    }

    /// After `(`.
    fn group(&mut self) -> Result<(), Refusal> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        if let Some('P' | '<') = self.rest.peek() {
            return self.name();
        }
        let mut on = true;
        while let Some(c) = self.rest.next_if(|c| !matches!(c, ')' | ':')) {
            match c {
                '-' => on = false,
                'i' => self.ignores_case |= on,
                'm' | 's' | 'U' => {}
                _ => return invalid("an unknown flag"),
            }
            self.out.push(c);
        }
        Ok(())
    }

    /// After `(?`, before a group's name. Go knows letters, digits and `_` in it.
    fn name(&mut self) -> Result<(), Refusal> {
        self.out.extend(self.rest.next_if_eq(&'P'));
        if self.rest.next_if_eq(&'<').is_none() {
            return invalid("a group without a name");
        }
        self.out.push('<');
        while let Some(c) = self
            .rest
            .next_if(|c| c.is_ascii_alphanumeric() || *c == '_')
        {
            self.out.push(c);
        }
        if self.rest.next_if_eq(&'>').is_none() {
            return invalid("a group's name");
        }
        self.out.push('>');
        Ok(())
    }

    /// After `[`.
    fn class(&mut self) -> Result<(), Refusal> {
        self.out.push('[');
        self.out.extend(self.rest.next_if_eq(&'^'));
        let mut first = true;
        // What a `-` would mean next: it makes a range, or the next item ends one.
        let (mut starts, mut ends) = (false, false);
        while let Some(c) = self.rest.next() {
            let mut single = true;
            match c {
                ']' if !first => {
                    self.out.push(c);
                    return Ok(());
                }
                '-' if starts && self.rest.peek() != Some(&']') => {
                    self.out.push(c);
                    (starts, ends) = (false, true);
                    continue;
                }
                '[' if self.rest.peek() == Some(&':') => single = !self.named(),
                '\\' => match self.rest.next() {
                    Some('s') => {
                        self.out.push_str(SPACE);
                        single = false;
                    }
                    Some('S') => {
                        self.out.push_str(NO_SPACE);
                        single = false;
                    }
                    Some(c) => {
                        self.escaped(c)?;
                        single = !matches!(c, 'd' | 'D' | 'w' | 'W');
                    }
                    None => return invalid("it ends in a backslash"),
                },
                // The engine reads some of these as operators between classes.
                _ => push_literal(&mut self.out, c),
            }
            if ends && !single {
                return invalid("a range to a class");
            }
            (starts, ends) = (single && !ends, false);
            first = false;
        }
        invalid("a class that is not closed")
    }

    /// At the `:` of `[:alpha:]`: whether it is one; else the bracket stands for itself.
    fn named(&mut self) -> bool {
        let rest: String = self.rest.clone().skip(1).collect();
        let Some((name, _)) = rest.split_once(":]") else {
            self.out.push_str(r"\[");
            return false;
        };
        self.out.push_str("[:");
        self.out.push_str(name);
        self.out.push_str(":]");
        self.rest.nth(name.chars().count() + 2);
        true
    }
}
