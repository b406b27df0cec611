//! Names as words.

/// Letters that a name must have to be found inside any longer word. Shorter ones (`name`, `iban`)
/// stand in words that have nothing to do with them.
const LONG: usize = 5;

/// What a name is written together with, where it is not set off by case or a sign.
const AFFIXES: &str = "after any asc avg before between boss by contact contains count customer desc \
    employee ends endswith eq equals es exists filter from group gt gte has in is like \
    lt lte match max member min my ne neq not null of order owner person s sort starts \
    startswith sum to user where";

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

    /// Whether these words hold those of `part`, however both are set apart (`E_MAIL` is `email`),
    /// and in the singular or the plural.
    pub fn hold(&self, part: &Self) -> bool {
        // The longest plural has two letters more than its singular.
        self.joined.contains(part.root())
            && self
                .runs(part.joined.len() + 2)
                .any(|run| is_same(run, &part.joined))
    }

    /// Words that follow one another, written as one, in `longest` bytes at most: callers choose the
    /// names, so the work must not grow faster than they do.
    fn runs(&self, longest: usize) -> impl Iterator<Item = &str> {
        let starts = self.words.iter().scan(0, |at, word| {
            let start = *at;
            *at += word.len();
            Some(start)
        });
        starts.enumerate().flat_map(move |(first, start)| {
            let ends = self.words.iter().skip(first).scan(start, |end, word| {
                *end += word.len();
                Some(*end)
            });
            ends.take_while(move |end| end - start <= longest)
                .filter_map(move |end| self.joined.get(start..end))
        })
    }

    /// Whether `part` stands inside one of the words (`useremail`, `EMAILASC`): a long name anywhere
    /// at its start or end, a short one only beside what names are usually written together with,
    /// so that `name` is not found in `filename`.
    pub fn embed(&self, part: &Self) -> bool {
        let name = &*part.joined;
        if name.len() < 3 || !self.joined.contains(name) {
            return false;
        }
        let usual = |rest: &str| {
            rest.is_empty() || lists(AFFIXES, rest) || rest.bytes().all(|b| b.is_ascii_digit())
        };
        let parts = |word: &str, at: usize| {
            let before = word.get(..at).is_some_and(usual);
            let after = word.get(at + name.len()..).is_some_and(usual);
            match name.len() < LONG {
                true => before && after,
                false => before || after,
            }
        };
        let starts = |word: &str, at: usize| word.get(at..).is_some_and(|w| w.starts_with(name));
        self.words
            .iter()
            .any(|word| (0..word.len()).any(|at| starts(word, at) && parts(word, at)))
    }

    /// Whether both are the same name, in the singular or the plural.
    pub fn are(&self, other: &Self) -> bool {
        is_same(&self.joined, &other.joined)
    }

    /// Whether both are the same name, letter by letter.
    pub fn spell(&self, other: &Self) -> bool {
        self.joined == other.joined
    }

    /// Whether one of the words is in the list.
    pub fn are_among(&self, list: &str) -> bool {
        self.words.iter().any(|word| lists(list, word))
    }

    /// Whether one of the words starts with one of the list.
    pub fn start_with(&self, list: &str) -> bool {
        let starts = |word: &str| list.split(' ').any(|stem| word.starts_with(stem));
        self.words.iter().any(|word| starts(word))
    }

    /// The first word.
    pub fn first(&self) -> &str {
        self.words.first().map(|w| &**w).unwrap_or_default()
    }

    /// Pairs of a word and the one before it; nothing is before the first.
    pub fn pairs(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        let before = std::iter::once(None).chain(self.words.iter().map(|w| Some(&**w)));
        before.zip(self.words.iter().map(|w| &**w))
    }

    /// The words behind the first of those in the list; of a name in one word, what is behind one of
    /// them in it.
    pub fn behind(&self, list: &str) -> Option<Self> {
        if let [word] = &*self.words {
            let behind = |l: &str| word.get(word.find(l)? + l.len()..);
            let found = list.split(' ').find_map(behind);
            return found.filter(|rest| rest.len() >= LONG).map(Self::of);
        }
        let at = self.words.iter().position(|word| lists(list, word))?;
        let behind: Vec<Box<str>> = self.words.iter().skip(at + 1).cloned().collect();
        (!behind.is_empty()).then(|| Self {
            joined: behind.concat().into(),
            words: behind.into(),
        })
    }

    /// What of the name stands in its singular and in its plural.
    fn root(&self) -> &str {
        let name = &*self.joined;
        for end in ["ies", "es", "s", "y"] {
            if let Some(root) = name.strip_suffix(end).filter(|r| r.len() > 1) {
                return root;
            }
        }
        if name.is_empty() { "\0" } else { name }
    }
}

/// Whether a list, words with a blank between two, holds the word.
pub fn lists(list: &str, word: &str) -> bool {
    list.split(' ').any(|l| l == word)
}

/// Whether two names are the same, or one is the plural of the other.
fn is_same(a: &str, b: &str) -> bool {
    let plural = |one: &str, many: &str| {
        let ending = many.strip_prefix(one);
        one.len() > 1 && matches!(ending, Some("s" | "es"))
            || one.strip_suffix('y').is_some_and(|stem| {
                !stem.is_empty() && many.strip_prefix(stem).is_some_and(|rest| rest == "ies")
            })
    };
    a == b || plural(a, b) || plural(b, a)
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
        assert!(Words::of("orderBy").are_among("by of"));
        assert_eq!(Words::of("orderBy").first(), "order");
        assert!(Words::of("my_sorting").start_with("sort"));
        assert!(Words::of("birth_dates").are(&Words::of("birthDate")));
        assert!(!Words::of("birth_dates").spell(&Words::of("birthDate")));
    }

    #[test]
    fn names_hold_others() {
        let holds = |name: &str, part: &str| Words::of(name).hold(&Words::of(part));
        for (name, part) in [
            ("ownerEmailContains", "email"),
            ("e_mail_contains", "eMail"),
            ("E_MAIL", "email"),
            ("e-mail", "email"),
            ("birthdate", "birthDate"),
            ("birth_date", "birthdate"),
            ("emails", "email"),
            ("email", "emails"),
            ("salaries_gt", "salary"),
            ("salary", "salaries"),
            ("addresses", "address"),
            ("address", "addresses"),
            ("ids", "id"),
        ] {
            assert!(holds(name, part), "{name} {part}");
        }
        for (name, part) in [
            ("emailer", "email"),
            ("mail", "email"),
            ("email", ""),
            ("filename", "name"),
            ("salar", "salary"),
            ("salari", "salary"),
            ("a", "as"),
        ] {
            assert!(!holds(name, part), "{name} {part}");
        }
    }

    #[test]
    fn the_work_grows_as_the_name_does() {
        let runs = |words: usize| Words::of(&"a_".repeat(words)).runs(7).count();
        assert_eq!(runs(4), 10);
        assert_eq!(runs(1_000) * 2, runs(2_000) - 21);
    }

    #[test]
    fn names_stand_in_longer_words() {
        let embeds = |name: &str, part: &str| Words::of(name).embed(&Words::of(part));
        for (name, part) in [
            ("useremail", "email"),
            ("EMAILASC", "email"),
            ("byemailasc", "email"),
            ("emailaddress", "email"),
            ("email2", "email"),
            ("by_useremail", "email"),
            ("maxsalary", "salary"),
            ("userIban2", "iban"),
            ("ibanasc", "iban"),
            ("birthdateafter", "birthDate"),
        ] {
            assert!(embeds(name, part), "{name} {part}");
        }
        for (name, part) in [
            ("filename", "name"),
            ("hostname", "name"),
            ("page", "age"),
            ("message", "age"),
            ("somebody", "body"),
            ("valid", "id"),
            ("reemailed", "email"),
            ("email", ""),
        ] {
            assert!(!embeds(name, part), "{name} {part}");
        }
    }

    #[test]
    fn names_say_by_what() {
        let behind = |name: &str| Words::of(name).behind("by");
        assert_eq!(behind("personByEmail"), Some(Words::of("email")));
        assert_eq!(behind("by-work-email"), Some(Words::of("workEmail")));
        assert_eq!(behind("personbyemail"), Some(Words::of("email")));
        for none in ["person", "createdBy", "babyname", ""] {
            assert_eq!(behind(none), None, "{none}");
        }
    }
}
