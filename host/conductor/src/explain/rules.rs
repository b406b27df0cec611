//! The rules behind a reason: where the words stand in the policy's modules.

use engine::policy::Module;
use serde::Serialize;

/// A rule that says these words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The words.
    pub reason: String,
    /// The module.
    pub module: String,
    /// The line at which the text begins.
    pub line: usize,
    /// The rule that it belongs to, where the text is a later branch (`else`) of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The text.
    pub text: String,
}

/// The rules that give a reason, whole (`role!=admin`) or from a pattern (`role=%s, purpose=%s`).
pub fn locate(reason: &str, modules: &[Module]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for module in modules {
        let lines: Vec<&str> = module.text.lines().collect();
        for (place, line) in lines.iter().enumerate() {
            if !literals(line).iter().any(|literal| says(literal, reason)) {
                continue;
            }
            let rule = rule(reason, &module.path, &lines, place);
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    // Words that stand somewhere whole are not from a pattern that could be anything.
    let whole = |rule: &Rule| rule.text.contains(&format!("{reason:?}"));
    if rules.iter().any(whole) {
        rules.retain(whole);
    }
    rules
}

/// The strings of a line of Rego.
fn literals(line: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['"', '`', '#']) {
        let (_, from) = rest.split_at(at);
        let mut characters = from.char_indices();
        match characters.next() {
            // The rest is a comment.
            None | Some((_, '#')) => break,
            Some((_, quote)) => {
                let mut text = String::new();
                let mut escaped = false;
                let mut end = from.len();
                for (place, c) in characters {
                    if escaped {
                        text.push(c);
                        escaped = false;
                    } else if c == '\\' && quote == '"' {
                        escaped = true;
                    } else if c == quote {
                        end = place + 1;
                        break;
                    } else {
                        text.push(c);
                    }
                }
                literals.push(text);
                rest = from.get(end..).unwrap_or_default();
            }
        }
    }
    literals
}

/// Whether a string is the reason, or a pattern of `sprintf` that gives it.
fn says(literal: &str, reason: &str) -> bool {
    if literal == reason {
        return !reason.is_empty();
    }
    let mut pieces = Vec::new();
    let mut rest = literal;
    while let Some(at) = rest.find('%') {
        let verb = rest.get(at + 1..at + 2);
        if !matches!(verb, Some("s" | "d" | "v" | "q")) {
            return false;
        }
        pieces.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    // A pattern of nothing but values says everything.
    let Some((first, middle)) = pieces.split_first() else {
        return false;
    };
    if pieces
        .iter()
        .chain([&rest])
        .all(|piece| piece.trim().is_empty())
    {
        return false;
    }
    let Some(mut left) = reason.strip_prefix(first) else {
        return false;
    };
    for piece in middle {
        match left.split_once(piece) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(rest)
}

/// The paragraph around a line, and whose branch it is.
fn rule(reason: &str, module: &str, lines: &[&str], place: usize) -> Rule {
    let blank = |at: usize| lines.get(at).is_none_or(|line| line.trim().is_empty());
    let begins = |mut at: usize| {
        while at > 0 && !blank(at - 1) {
            at -= 1;
        }
        at
    };
    let begin = begins(place);
    let mut end = place;
    while !blank(end + 1) {
        end += 1;
    }
    let paragraph = lines.get(begin..=end).unwrap_or_default();
    let head = |from: usize| {
        let mut rest = lines.get(from..).unwrap_or_default().iter();
        rest.find(|line| !line.starts_with('#'))
            .copied()
            .unwrap_or_default()
    };
    let mut of = None;
    let mut at = begin;
    while head(at).starts_with("else") && at > 1 {
        at -= 1;
        while at > 0 && blank(at) {
            at -= 1;
        }
        at = begins(at);
        of = Some(format!("{} (line {})", head(at), at + 1));
    }
    Rule {
        reason: reason.to_owned(),
        module: module.to_owned(),
        line: begin + 1,
        of,
        text: paragraph.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Vec<Module> {
        vec![Module {
            path: "ig/masking.rego".into(),
            text: "package ig.masking\n\n# \"role!=admin\" in a comment\nx := 1\n\n\
                   rule(f) := {\"reason\": \"role=admin\"} if admin\n\n\
                   else := {\"reason\": reason} if {\n\treason := sprintf(\"role=%s, purpose=%s\", [a, b])\n}\n\n\
                   else := {\"reason\": \"role!=admin\"}\n\nall := sprintf(\"%s\", [x])\n"
                .into(),
        }]
    }

    #[test]
    fn words_are_found_where_they_stand() {
        for (reason, line, begins, of) in [
            ("role=admin", 6, "rule(f) := ", None),
            (
                "role=support, purpose=care",
                8,
                "else := {\"reason\": reason}",
                Some(6),
            ),
            (
                "role!=admin",
                12,
                "else := {\"reason\": \"role!=admin\"}",
                Some(6),
            ),
        ] {
            let found = locate(reason, &modules());
            let [rule] = found.as_slice() else {
                panic!("{reason}: {found:?}")
            };
            assert_eq!(rule.line, line);
            assert!(rule.text.starts_with(begins), "{}", rule.text);
            let of = of.map(|of| format!("(line {of})"));
            match (of, &rule.of) {
                (Some(of), Some(found)) => assert!(found.ends_with(&of), "{found}"),
                (None, None) => {}
                other => panic!("{other:?}"),
            }
        }
        for nothing in ["", "role=", "anything", "x"] {
            assert_eq!(locate(nothing, &modules()), [], "{nothing}");
        }
    }

    #[test]
    fn strings_are_read_as_rego_has_them() {
        assert_eq!(literals(r#"a := "b\"c" + `d"e` # "f""#), ["b\"c", "d\"e"]);
        assert_eq!(literals("\"open"), ["open"]);
        assert!(says("role=%s, purpose=%s", "role=a, purpose=b"));
        assert!(!says("role=%s, purpose=%s", "role=a"));
        assert!(says("acr<%s", "acr<mfa"));
        assert!(!says("100%", "100%x"));
    }
}
