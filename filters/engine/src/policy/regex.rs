//! The `regex.*` builtins of Rego, as OPA has them, over an engine that is small enough for a filter.
//!
//! OPA's patterns are Go's (RE2). They are rewritten into the engine's where the two differ; what the
//! engine can't do (Unicode classes, folding letters beyond ASCII) is an error that names it, and a
//! policy that fails gives no decision. Time is linear in pattern and text.

mod pattern;

use regex_lite::{Captures, Regex, RegexBuilder};
use regorus::Value;

use self::pattern::Translated;

/// How large a compiled pattern may be, in bytes. It bounds what one match can cost.
const SIZE_LIMIT: usize = 100 * 1024;

/// Why a builtin gives no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    /// The pattern is none in OPA either.
    #[error("{builtin}: the pattern `{pattern}` is invalid: {message}")]
    Invalid {
        builtin: &'static str,
        pattern: String,
        message: String,
    },
    /// OPA may know the pattern; the filters do not.
    #[error("{builtin}: the pattern `{pattern}` can't be used here: {message}")]
    Unsupported {
        builtin: &'static str,
        pattern: String,
        message: String,
    },
    /// The text holds a letter that only Unicode's folding pairs with one of ASCII.
    #[error("{0}: the text has a letter whose case can't be ignored here (U+017F or U+212A)")]
    Folding(&'static str),
    /// An argument has another type.
    #[error("{builtin}: argument {number} must be {want}")]
    Argument {
        builtin: &'static str,
        number: usize,
        want: &'static str,
    },
}

/// A builtin: its own name, for messages, and its arguments.
type Builtin = fn(&'static str, &[Value]) -> Result<Value, Fault>;

/// Name, number of arguments and function of each builtin.
const BUILTINS: [(&str, u8, Builtin); 7] = [
    ("regex.find_all_string_submatch_n", 3, find_submatches),
    ("regex.find_n", 3, find),
    ("regex.is_valid", 1, is_valid),
    ("regex.match", 2, is_match),
    ("regex.replace", 3, replace),
    ("regex.split", 2, split),
    ("regex.template_match", 4, template_match),
];

/// Adds the builtins to an interpreter.
///
/// # Errors
/// It has one of them already.
pub(super) fn register(engine: &mut regorus::Engine) -> Result<(), String> {
    for (name, arguments, builtin) in BUILTINS {
        engine
            .add_extension(
                name.to_owned(),
                arguments,
                Box::new(move |args: Vec<Value>| Ok(builtin(name, &args)?)),
            )
            .map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

/// A compiled pattern.
struct Pattern {
    regex: Regex,
    ignores_case: bool,
    builtin: &'static str,
}

impl Pattern {
    fn compile(builtin: &'static str, pattern: &str) -> Result<Self, Fault> {
        let Translated {
            pattern: translated,
            ignores_case,
        } = pattern::translate(pattern).map_err(|refusal| refusal.of(builtin, pattern))?;
        let regex = RegexBuilder::new(&translated)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|e| {
                let message = e.to_string();
                // The engine has no kinds of errors, only texts.
                if ["not supported", "limit", "too "]
                    .iter()
                    .any(|m| message.contains(m))
                {
                    pattern::Refusal::Unsupported(message).of(builtin, pattern)
                } else {
                    pattern::Refusal::Invalid(message).of(builtin, pattern)
                }
            })?;
        Ok(Self {
            regex,
            ignores_case,
            builtin,
        })
    }

    /// The engine, if it sees this text as OPA would.
    fn on(&self, text: &str) -> Result<&Regex, Fault> {
        if self.ignores_case && text.contains(['\u{17f}', '\u{212a}']) {
            return Err(Fault::Folding(self.builtin));
        }
        Ok(&self.regex)
    }
}

fn text<'a>(builtin: &'static str, args: &'a [Value], at: usize) -> Result<&'a str, Fault> {
    match args.get(at) {
        Some(Value::String(s)) => Ok(s),
        _ => Err(Fault::Argument {
            builtin,
            number: at + 1,
            want: "a string",
        }),
    }
}

/// How many matches are wanted: all, if the number is negative.
fn limit(builtin: &'static str, args: &[Value], at: usize) -> Result<usize, Fault> {
    let n = args
        .get(at)
        .and_then(|v| v.as_i64().ok())
        .ok_or(Fault::Argument {
            builtin,
            number: at + 1,
            want: "an integer",
        })?;
    Ok(usize::try_from(n).unwrap_or(usize::MAX))
}

fn strings<'a>(parts: impl Iterator<Item = &'a str>) -> Value {
    Value::from(parts.map(Value::from).collect::<Vec<Value>>())
}

fn is_match(builtin: &'static str, args: &[Value]) -> Result<Value, Fault> {
    let pattern = Pattern::compile(builtin, text(builtin, args, 0)?)?;
    let value = text(builtin, args, 1)?;
    Ok(Value::from(pattern.on(value)?.is_match(value)))
}

fn is_valid(builtin: &'static str, args: &[Value]) -> Result<Value, Fault> {
    let Ok(pattern) = text(builtin, args, 0) else {
        return Ok(Value::from(false));
    };
    match Pattern::compile(builtin, pattern) {
        Ok(_) => Ok(Value::from(true)),
        Err(Fault::Invalid { .. }) => Ok(Value::from(false)),
        Err(fault) => Err(fault),
    }
}

fn find(builtin: &'static str, args: &[Value]) -> Result<Value, Fault> {
    let pattern = Pattern::compile(builtin, text(builtin, args, 0)?)?;
    let value = text(builtin, args, 1)?;
    let limit = limit(builtin, args, 2)?;
    let found = pattern.on(value)?.find_iter(value).take(limit);
    Ok(strings(found.map(|m| m.as_str())))
}

fn find_submatches(builtin: &'static str, args: &[Value]) -> Result<Value, Fault> {
    let pattern = Pattern::compile(builtin, text(builtin, args, 0)?)?;
    let value = text(builtin, args, 1)?;
    let limit = limit(builtin, args, 2)?;
    let found = pattern.on(value)?.captures_iter(value).take(limit);
    let found = found.map(|c| strings(c.iter().map(|g| g.map_or("", |m| m.as_str()))));
    Ok(Value::from(found.collect::<Vec<Value>>()))
}

fn split(builtin: &'static str, args: &[Value]) -> Result<Value, Fault> {
    let pattern = text(builtin, args, 0)?;
    let value = text(builtin, args, 1)?;
    let compiled = Pattern::compile(builtin, pattern)?;
    if value.is_empty() && !pattern.is_empty() {
        return Ok(strings([""].into_iter()));
    }
    // Go's rule: an empty match at the start or the end splits nothing off.
    let (mut parts, mut from, mut end) = (Vec::new(), 0, 0);
    for m in compiled.on(value)?.find_iter(value) {
        end = m.start();
        if m.end() != 0 {
            parts.extend(value.get(from..end));
        }
        from = m.end();
    }
    if end != value.len() {
        parts.extend(value.get(from..));
    }
    Ok(strings(parts.into_iter()))
}

fn replace(builtin: &'static str, args: &[Value]) -> Result<Value, Fault> {
    let value = text(builtin, args, 0)?;
    let pattern = Pattern::compile(builtin, text(builtin, args, 1)?)?;
    let template = text(builtin, args, 2)?;
    let replaced = pattern
        .on(value)?
        .replace_all(value, |groups: &Captures<'_>| expand(template, groups));
    Ok(Value::from(replaced.as_ref()))
}

/// A replacement with its `$1`, `${name}` and `$$` filled in. A group that is none is empty, a `$`
/// that starts nothing is itself.
fn expand(template: &str, groups: &Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{');
        let from = braced.unwrap_or(after);
        let length = from
            .find(|c: char| c != '_' && !c.is_alphabetic() && !c.is_numeric())
            .unwrap_or(from.len());
        let (name, tail) = from.split_at(length);
        let tail = match braced {
            Some(_) => tail.strip_prefix('}'),
            None => Some(tail),
        };
        match tail {
            Some(tail) if !name.is_empty() => {
                out.push_str(group(name, groups));
                rest = tail;
            }
            _ => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// A group by number (without leading zeros) or name.
fn group<'t>(name: &str, groups: &Captures<'t>) -> &'t str {
    let number =
        name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    let found = if number {
        name.parse().ok().and_then(|n: usize| groups.get(n))
    } else {
        groups.name(name)
    };
    found.map_or("", |m| m.as_str())
}

fn template_match(builtin: &'static str, args: &[Value]) -> Result<Value, Fault> {
    let template = text(builtin, args, 0)?;
    let value = text(builtin, args, 1)?;
    let delimiter = |at: usize| match text(builtin, args, at)?.as_bytes() {
        [byte] => Ok(char::from(*byte)),
        _ => Err(Fault::Argument {
            builtin,
            number: at + 1,
            want: "one ASCII character",
        }),
    };
    let pattern = template_pattern(template, delimiter(2)?, delimiter(3)?)
        .map_err(|refusal| refusal.of(builtin, template))?;
    let pattern = Pattern::compile(builtin, &pattern)?;
    Ok(Value::from(pattern.on(value)?.is_match(value)))
}

/// The pattern of a template: what is between delimiters is a pattern, what is around them is text.
fn template_pattern(template: &str, open: char, close: char) -> Result<String, pattern::Refusal> {
    let unbalanced = || pattern::Refusal::Invalid("its delimiters do not balance".into());
    let mut out = String::from("^");
    let mut level = 0_usize;
    for c in template.chars() {
        if c == open {
            level += 1;
            if level == 1 {
                out.push('(');
                continue;
            }
        } else if c == close {
            level = level.checked_sub(1).ok_or_else(unbalanced)?;
            if level == 0 {
                out.push(')');
                continue;
            }
        }
        if level == 0 {
            pattern::push_literal(&mut out, c);
        } else {
            out.push(c);
        }
    }
    if level != 0 {
        return Err(unbalanced());
    }
    out.push('$');
    Ok(out)
}

#[cfg(test)]
mod tests;
