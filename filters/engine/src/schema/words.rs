//! Names as words.

/// The words of a name, in lower case: `ownerEmail`, `OWNER_EMAIL` and `owner-email` have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Words {
    words: Box<[Box<str>]>,
    /// All of them, written as one.
    joined: Box<str>,
}

impl Words {
    /// The words of `name`.
    pub fn of(name: &str) -> Self {
        let mut words: Vec<Box<str>> = Vec::new();
        let mut word = String::new();
        let mut before = ' ';
        for c in name.chars() {
            let starts = c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
            if !c.is_alphanumeric() || starts {
                words.extend((!word.is_empty()).then(|| word.as_str().into()));
                word.clear();
            }
            if c.is_alphanumeric() {
                word.extend(c.to_lowercase());
            }
            before = c;
        }
        words.extend((!word.is_empty()).then(|| word.into()));
        Self {
            joined: words.concat().into(),
            words: words.into(),
        }
    }

    /// Whether these words hold those of `part`, one after the other or written as one.
    pub fn hold(&self, part: &Self) -> bool {
        if part.words.is_empty() {
            return false;
        }
        self.words
            .windows(part.words.len())
            .any(|w| *w == *part.words)
            || self.words.contains(&part.joined)
    }

    /// Whether one of the words is among `list`.
    pub fn are_among(&self, list: &[&str]) -> bool {
        self.words.iter().any(|w| list.contains(&&**w))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_words() {
        let names = [
            "ownerEmail",
            "OWNER_EMAIL",
            "owner-email",
            "owner.email",
            "OwnerEmail",
            "_ownerEmail_",
        ];
        for name in names {
            assert_eq!(Words::of(name), Words::of("owner_email"), "{name}");
        }
        let holds = |name: &str, part: &str| Words::of(name).hold(&Words::of(part));
        assert!(holds("ownerEmailContains", "email"));
        assert!(holds("e_mail_contains", "eMail"));
        assert!(holds("birthdate", "birthDate"));
        assert!(!holds("emailer", "email"));
        assert!(!holds("mail", "email"));
        assert!(!holds("email", ""));
        assert!(Words::of("orderBy").are_among(&["by"]));
    }
}
