//! Where a client of PostgreSQL carries the context token.

use super::startup::Startup;

/// The setting, or its mark in an application's name.
const MARK: &str = "ig.context=";

/// Why the token can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CarrierError {
    #[error("the options give the context token twice")]
    Twice,
}

impl CarrierError {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Twice => "CONTEXT_AMBIGUOUS",
        }
    }
}

/// The token: of `options` if they have one, else of `application_name`.
pub(super) fn token(startup: &Startup<'_>) -> Result<Option<Vec<u8>>, CarrierError> {
    let mut found: Option<String> = None;
    let mut setting = false;
    for word in words(startup.options) {
        let value = match std::mem::take(&mut setting) {
            true => Some(word.as_str()),
            false if word == "-c" => {
                setting = true;
                None
            }
            false => word.strip_prefix("-c").or_else(|| word.strip_prefix("--")),
        };
        let token = value.and_then(|v| v.strip_prefix(MARK));
        if token.is_some_and(|token| found.replace(token.to_owned()).is_some()) {
            return Err(CarrierError::Twice);
        }
    }
    let found = match found {
        Some(found) => Some(found),
        None => in_name(startup.application_name)?,
    };
    Ok(found.map(String::into_bytes))
}

/// `NAME ig.context=TOKEN`, or the token alone: three parts joined by dots, the first an object in
/// base64.
fn in_name(name: &str) -> Result<Option<String>, CarrierError> {
    let mut marked = name.split_whitespace().filter_map(|w| w.strip_prefix(MARK));
    match (marked.next(), marked.next()) {
        (Some(_), Some(_)) => Err(CarrierError::Twice),
        (Some(token), None) => Ok(Some(token.to_owned())),
        _ => {
            let alone = name.starts_with("eyJ") && name.split('.').count() == 3;
            Ok(alone.then(|| name.to_owned()))
        }
    }
}

/// The words of `options`, as `pg_split_opts` of `src/backend/utils/init/postinit.c` splits them:
/// by white space, where a backslash takes the next character as it is.
fn words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(c) = characters.next() {
        match c {
            // The white space of `isspace` in C.
            ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r' => words.extend(word.take()),
            '\\' => {
                let word = word.get_or_insert_default();
                word.extend(characters.next());
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(options: &str, application_name: &str) -> Result<Option<String>, CarrierError> {
        let startup = Startup {
            user: "u",
            database: "d",
            options,
            application_name,
            replication: false,
        };
        Ok(token(&startup)?.map(|t| String::from_utf8(t).unwrap()))
    }

    #[test]
    fn splits_as_the_server_does() {
        for (options, want) in [
            ("", vec![]),
            ("  ", vec![]),
            ("-c a=b", vec!["-c", "a=b"]),
            (r"-c a=b\ c\\d  -x", vec!["-c", r"a=b c\d", "-x"]),
            (r"a\", vec!["a"]),
            ("\\", vec![""]),
            ("a\tb\x0bc", vec!["a", "b", "c"]),
        ] {
            assert_eq!(words(options), want, "{options}");
        }
    }

    #[test]
    fn finds_the_token_where_it_may_be() {
        for (options, name, want) in [
            ("-c ig.context=T", "", Some("T")),
            ("-cig.context=T", "", Some("T")),
            ("--ig.context=T", "", Some("T")),
            (r"-c ig.con\text=T", "", Some("T")),
            (
                "-c search_path=x -c ig.context=T",
                "app ig.context=U",
                Some("T"),
            ),
            ("-c search_path=x", "app ig.context=U", Some("U")),
            ("", "ig.context=U", Some("U")),
            ("", "eyJa.b.c", Some("eyJa.b.c")),
            ("", "eyJa.b", None),
            ("", "psql", None),
            ("ig.context=T", "", None),
            ("-c -c ig.context=T", "", None),
            ("-c", "", None),
        ] {
            assert_eq!(
                found(options, name),
                Ok(want.map(str::to_owned)),
                "{options} {name}"
            );
        }
        for (options, name) in [
            ("-c ig.context=T -c ig.context=T", ""),
            ("", "ig.context=T ig.context=U"),
        ] {
            assert_eq!(found(options, name), Err(CarrierError::Twice));
        }
    }
}
