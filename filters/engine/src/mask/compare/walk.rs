//! Through the names and values of one argument.

use crate::graphql::{Argument, ArgumentValue};
use crate::mask::plan::Guard;
use crate::schema::{TypeSet, Words};

use super::context::Context;
use super::text::{mentions, unescaped};
use super::{Compared, Comparison, Meaning};

/// Nested objects and lists that are followed.
const DEEPEST: usize = 64;

/// Names of one request that are looked at.
const MOST_NAMES: usize = 500;

/// Words of strings that are looked at.
const MOST_WORDS: usize = 2_000;

/// Bytes of a name. No field's has so many, and each is held against those of many fields.
const LONGEST_NAME: usize = 256;

pub(super) struct Walk<'w, 's> {
    comparison: &'w Comparison<'s>,
    pub(super) path: Vec<Box<str>>,
    pub(super) guards: Vec<Guard>,
    names: usize,
    words: usize,
}

impl<'w, 's> Walk<'w, 's> {
    pub(super) fn new(comparison: &'w Comparison<'s>) -> Self {
        Self {
            comparison,
            path: Vec::new(),
            guards: Vec::new(),
            names: 0,
            words: 0,
        }
    }

    fn named(&self, coordinate: String) -> Compared {
        Compared::Field {
            argument: self.path.join("."),
            coordinate,
        }
    }

    pub(super) fn directive(
        &mut self,
        types: &TypeSet,
        name: &str,
        arguments: &[Argument],
    ) -> Result<(), Compared> {
        short(name)?;
        self.path.push(format!("@{name}").into());
        let context = Context::default().under(&Words::of(name), false);
        for argument in arguments {
            self.member(types, &argument.name, &argument.value, context)?;
        }
        Ok(())
    }

    pub(super) fn member(
        &mut self,
        types: &TypeSet,
        name: &str,
        value: &ArgumentValue,
        context: Context,
    ) -> Result<(), Compared> {
        short(name)?;
        self.path.push(name.into());
        self.count()?;
        let words = Words::of(name);
        let meaning = self.comparison.meaning(types, &words, true);
        match meaning.map_err(|c| self.named(c))? {
            Meaning::Value => self.value(types, value, context.under(&words, true))?,
            Meaning::About(below) => self.value(&below, value, context.under(&words, false))?,
        }
        self.path.pop();
        Ok(())
    }

    /// A member of what is written: one that compares by its name is looked into, and what is below
    /// the others.
    pub(super) fn written(
        &mut self,
        types: &TypeSet,
        name: &str,
        value: &ArgumentValue,
    ) -> Result<(), Compared> {
        short(name)?;
        let Some(context) = Context::written_under(&Words::of(name)) else {
            return self.member(types, name, value, Context::default());
        };
        self.path.push(name.into());
        self.value(types, value, context)?;
        self.path.pop();
        Ok(())
    }

    pub(super) fn value(
        &mut self,
        types: &TypeSet,
        value: &ArgumentValue,
        context: Context,
    ) -> Result<(), Compared> {
        if self.path.len() > DEEPEST {
            return Err(Compared::TooMuch);
        }
        match value {
            ArgumentValue::Object(members) => {
                for m in members {
                    if context.is_written() {
                        self.written(types, &m.name, &m.value)?;
                    } else {
                        self.member(types, &m.name, &m.value, context)?;
                    }
                }
            }
            ArgumentValue::List(items) => {
                for item in items {
                    self.value(types, item, context)?;
                }
            }
            ArgumentValue::Enum(name) if context.reads_enums() => self.word(types, name, true)?,
            ArgumentValue::Text(text) => self.text(types, text, context)?,
            ArgumentValue::Word(text) => {
                let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                if context.reads_enums() && !text.is_empty() && text.chars().all(upper) {
                    self.word(types, text, context.lists())?;
                }
                self.text(types, text, context)?;
            }
            ArgumentValue::Variable(variable) => self.guards.push(Guard {
                variable: variable.clone(),
                path: self.path.clone(),
                types: types.clone(),
                context,
            }),
            ArgumentValue::Enum(_) | ArgumentValue::Other => {}
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Compared> {
        self.names += 1;
        if self.names > MOST_NAMES {
            return Err(Compared::TooMuch);
        }
        Ok(())
    }

    fn word(&mut self, types: &TypeSet, word: &str, loose: bool) -> Result<(), Compared> {
        self.count()?;
        self.names(types, word, loose)
    }

    fn names(&self, types: &TypeSet, word: &str, loose: bool) -> Result<(), Compared> {
        short(word)?;
        let meaning = self.comparison.meaning(types, &Words::of(word), loose);
        meaning.map(|_| ()).map_err(|c| self.named(c))
    }

    /// A string: what it lists, or what it compares.
    fn text(&mut self, types: &TypeSet, text: &str, context: Context) -> Result<(), Compared> {
        if !context.reads() {
            return Ok(());
        }
        if text.trim_start().starts_with(['{', '[', '"'])
            && let Ok(value) = serde_json::from_str::<ArgumentValue>(text)
        {
            return self.value(types, &value, context);
        }
        for mention in mentions(&unescaped(text)) {
            if !mention.name.contains(char::is_alphabetic) {
                continue;
            }
            self.words += 1;
            if self.words > MOST_WORDS {
                return Err(Compared::TooMuch);
            }
            self.names(types, mention.name, mention.sure || context.lists())?;
        }
        Ok(())
    }
}

fn short(name: &str) -> Result<(), Compared> {
    match name.len() > LONGEST_NAME {
        true => Err(Compared::TooMuch),
        false => Ok(()),
    }
}
