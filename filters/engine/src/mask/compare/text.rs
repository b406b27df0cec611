//! Names in strings. Nobody says in which language a filter is written (SQL, OData, RSQL, Lucene, …),
//! so a string is read such that no language sees a name where this reading does not.

use std::borrow::Cow;

use crate::schema::lists;

/// Signs of which one side is compared.
const COMPARES: [char; 6] = ['=', '<', '>', '!', ':', '~'];

/// Words that compare what stands before them.
const OPERATORS: &str =
    "asc between co desc eq ew ge gt gte ilike le like lt lte ne neq pr rlike regexp sw";

/// Words before a parenthesis that are no function.
const NO_FUNCTION: &str = "all and any in not or out values";

/// A name that stands in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mention<'t> {
    /// The name, or a path of names.
    pub name: &'t str,
    /// Whether it is surely one, and no word of a text: an operator follows.
    pub sure: bool,
}

/// The text with escapes of letters resolved: `\u0061`, `\u{61}`, `\x61`.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") && !text.contains("\\x") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('\\') {
        out.push_str(before);
        match escape(from) {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('\\');
                rest = from;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn escape(from: &str) -> Option<(char, &str)> {
    let (kind, from) = from.split_at_checked(1)?;
    let (hex, after) = match (kind, from.strip_prefix('{')) {
        // Digits alone, so that what nothing closes is not read to the end of the text each time.
        ("u", Some(braced)) => {
            let digits = braced.find(|c: char| !c.is_ascii_hexdigit())?;
            let (hex, after) = braced.split_at_checked(digits)?;
            (hex, after.strip_prefix('}')?)
        }
        ("u", None) => from.split_at_checked(4)?,
        ("x", _) => from.split_at_checked(2)?,
        _ => return None,
    };
    let c = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
    Some((c, after))
}

/// The names in an expression: all words, but for those in literals.
pub(super) fn mentions(text: &str) -> Vec<Mention<'_>> {
    // Whether a backslash escapes a quote is another question of language: then nothing is quoted.
    let quotes = !text.contains("\\'") && !text.contains("\\\"");
    let mut found = Vec::new();
    let mut before = Before::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if quotes
            && matches!(c, '\'' | '"')
            && !before.last.is_alphanumeric()
            && let Some((literal, after)) = after.split_once(c)
        {
            quoted(c, literal, &before, after, &mut found);
            before.see(c, "");
            rest = after;
        } else if is_name(c) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let function = before.sign == '(' && before.is_call;
            let argument = function && behind_blanks(after).starts_with([',', ')']);
            found.push(Mention {
                name,
                sure: argument || compares(after),
            });
            before.see(name.chars().last().unwrap_or(c), name);
            rest = after;
        } else {
            before.see(c, "");
            rest = after;
        }
    }
    found
}

/// What stands before a place.
struct Before<'t> {
    /// The character.
    last: char,
    /// The last one that is no blank.
    sign: char,
    /// The word, if it is one.
    word: &'t str,
    /// Of a parenthesis: whether a function's name is before it.
    is_call: bool,
}

impl Default for Before<'_> {
    fn default() -> Self {
        Self {
            last: ' ',
            sign: ' ',
            word: "",
            is_call: false,
        }
    }
}

impl<'t> Before<'t> {
    fn see(&mut self, c: char, word: &'t str) {
        self.last = c;
        if c.is_whitespace() {
            return;
        }
        let lower = self.word.to_ascii_lowercase();
        self.is_call = c == '(' && !lower.is_empty() && !lists(NO_FUNCTION, &lower);
        self.word = word;
        self.sign = c;
    }
}

/// A literal: or what some language takes for a name or for no literal at all.
fn quoted<'t>(
    quote: char,
    literal: &'t str,
    before: &Before<'_>,
    after: &str,
    found: &mut Vec<Mention<'t>>,
) {
    let path = |c: char| is_name(c) || matches!(c, '$' | '@' | '/' | '[' | ']');
    let trimmed = literal.trim();
    if !trimmed.is_empty() && trimmed.chars().all(path) {
        let is_name = quote == '"'
            || matches!(before.sign, '[' | '.' | '>')
            || (before.sign == '(' && before.is_call)
            || trimmed.starts_with(['$', '/'])
            || behind_blanks(after).starts_with(COMPARES);
        if is_name {
            found.push(Mention {
                name: trimmed,
                sure: false,
            });
        }
        return;
    }
    let mut last = ' ';
    let mut rest = literal;
    while let Some(c) = rest.chars().next() {
        let end = match is_name(c) {
            true => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            false => c.len_utf8(),
        };
        let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let sign = |c: char| COMPARES.contains(&c) || "(),+*/%|&^[]`\"'".contains(c);
        // Only for a name: what follows one ends at the next, so that all of it is read once.
        let stands = || (last != ':' && sign(last)) || behind_blanks(after).starts_with(sign);
        if is_name(c) && (stands() || compares(after)) {
            found.push(Mention { name, sure: false });
        }
        if !c.is_whitespace() {
            last = name.chars().last().unwrap_or(c);
        }
        rest = after;
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn behind_blanks(text: &str) -> &str {
    let behind = text.trim_start();
    #[cfg(test)]
    tests::SKIPPED.with(|skipped| skipped.set(skipped.get() + text.len() - behind.len()));
    behind
}

/// Whether a comparison goes on so behind a name.
fn compares(after: &str) -> bool {
    let after = after.trim_start_matches(['"', '\'', '`', ']', ')', '\\']);
    let after = behind_blanks(after);
    if after.starts_with(COMPARES) {
        return true;
    }
    let word: String = after.chars().take_while(|c| c.is_alphabetic()).collect();
    !word.is_empty() && lists(OPERATORS, &word.to_lowercase())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Bytes of blanks that were gone over.
        pub(super) static SKIPPED: Cell<usize> = const { Cell::new(0) };
    }

    fn names(text: &str) -> Vec<&str> {
        mentions(text).into_iter().map(|m| m.name).collect()
    }

    #[test]
    fn escapes_of_letters_are_resolved() {
        for text in ["em\\u0061il", "em\\u{61}il", "em\\x61il"] {
            assert_eq!(unescaped(text), "email", "{text}");
        }
        assert_eq!(unescaped("em\\u{0000000000061}il"), "email");
        for same in [
            "\\u{+61}",
            "\\u{6 1}",
            "\\u{\\u{61",
            "a\\'b",
            "\\u",
            "\\u{",
            "\\uzzzz",
            "\\ud800",
            "\\x6",
            "plain",
            "\\\\",
        ] {
            assert_eq!(unescaped(same), same);
        }
    }

    #[test]
    fn words_outside_of_literals_are_names() {
        for (text, want) in [
            ("contains(email,'x')", vec!["contains", "email"]),
            ("'x' = email", vec!["x", "email"]),
            ("a.email/*x*/=1", vec!["a.email", "x", "1"]),
            ("\"email\" = 'x'", vec!["email"]),
            ("[email] = 'x y'", vec!["email"]),
            ("`email` = ''", vec!["email"]),
            ("owner/email", vec!["owner", "email"]),
            ("name = 'ann email'", vec!["name"]),
            ("name = \"ann email\"", vec!["name"]),
            // An apostrophe is no quote, nor is a quote that nothing closes.
            ("o'brien email d'or", vec!["o", "brien", "email", "d", "or"]),
            ("x = 'email", vec!["x", "email"]),
            // Some language may not know this quote.
            ("' email:ada '", vec!["email"]),
            ("' f(email, 1) '", vec!["f", "email", "1"]),
            ("' email eq 1 '", vec!["email"]),
            // In some language the quote is escaped, in another it is not.
            ("a='\\' or email or '", vec!["a", "or", "email", "or"]),
            // Keys that are written as literals.
            ("data ->> 'email' = 'x'", vec!["data", "-", "email"]),
            ("data['email'] = 'x'", vec!["data", "email"]),
            ("col('email') > 3", vec!["col", "email", "3"]),
            ("{'email': 'x'}", vec!["email"]),
            ("json(d, '$.email')", vec!["json", "d", "$.email"]),
            ("name in ('email')", vec!["name", "in"]),
            ("mail = 'ada@email.example'", vec!["mail"]),
        ] {
            assert_eq!(names(text), want, "{text}");
        }
    }

    #[test]
    fn the_work_grows_as_the_text_does() {
        for (before, after) in [
            ("", ""),
            ("'", "'"),
            ("' f x", "x '"),
            ("f(a", ")"),
            ("'a'", "= 1"),
        ] {
            let text = |blanks: usize| format!("{before}{}{after}", " ".repeat(blanks));
            let skipped = |blanks: usize| {
                SKIPPED.set(0);
                mentions(&text(blanks));
                SKIPPED.get()
            };
            let most = skipped(2_000);
            assert!(most <= 8_000, "{before}…{after}: {most}");
            assert!(most <= 2 * skipped(1_000) + 16, "{before}…{after}: {most}");
        }
    }

    #[test]
    fn names_are_sure_where_an_operator_follows() {
        let sure = |text: &str| {
            mentions(text)
                .iter()
                .any(|m| m.sure && m.name == "useremail")
        };
        for text in [
            "useremail=1",
            "useremail > 1",
            "useremail LIKE 'x'",
            "max(useremail)",
            "f(useremail, 1)",
            "(useremail)=1",
        ] {
            assert!(sure(text), "{text}");
        }
        for text in [
            "useremail",
            "name:useremail",
            "useremail in stock",
            "(useremail)",
        ] {
            assert!(!sure(text), "{text}");
        }
    }
}
