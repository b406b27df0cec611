//! What names say of the values under them.

use crate::schema::{Words, lists};

/// Words of names under which a string lists fields.
const LISTING: &str = "aggregate attr attribute attributes average avg by ceq cgt cgte clt clte cne cneq \
    column columns count dimension dimensions distinct facet facets field fields group \
    key keys max mean measure median metric min order properties property select sort \
    sum unique var";

/// Words of names under which a string is an expression over fields.
const EXPRESSION: &str = "cel cond condition criteria expr fiql find formula having lucene odata predicate q \
    raw rsql script selector sql when where";

/// Starts of words that list, as in `sortBy`, `orderby`, `grouping`.
const LISTS: &str = "aggreg column facet field group order sort";

/// Starts of words that express, as in `filters`, `searchQuery`, `matching`.
const EXPRESSES: &str = "condition expression filter match predicat quer search where";

/// Words of names that compare what is under them even where the rest is written.
const COMPARING: &str = "cond condition criteria distinct expr fiql find groupby having key keys orderby \
    ordering predicate q rsql selector unique when where";

/// Starts of such words.
const COMPARES: &str = "condition expression filter match quer search sort";

/// Words that make `by` one that compares: `createdBy` is written as any other.
const COMPARING_BY: &str =
    "distinct filter find get group lookup match order partition search sort";

/// Words of names of which texts are compared, while objects under them are written: an order may
/// be one of goods.
const ORDERING: &str = "aggregate facet facets group order";

/// First words of mutations that write nothing of what their arguments say: those select.
const SELECTING: &str = "count delete destroy erase find get list purge remove search";

/// Words of names of fields and paths behind which stands by what they select.
const BY: &str = "by having per where";

/// The same, for what only reads.
const WITH: &str = "by for having matching per where with";

/// What a value may do where it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Context {
    listing: bool,
    expression: bool,
    written: bool,
}

impl Context {
    /// Of what is only written: members that compare by their name are looked for.
    pub(super) const WRITTEN: Self = Self {
        listing: false,
        expression: false,
        written: true,
    };

    /// Of an expression.
    pub(super) const EXPRESSION: Self = Self {
        listing: false,
        expression: true,
        written: false,
    };

    /// Under a name. A name that means a field with a value has that value under it: no string there
    /// names anything, unless the name says so too.
    pub(super) fn under(self, name: &Words, is_value: bool) -> Self {
        let listing = name.are_among(LISTING) || name.start_with(LISTS);
        let expression = name.are_among(EXPRESSION) || name.start_with(EXPRESSES);
        let inherits = !is_value;
        Self {
            listing: listing || (inherits && self.listing),
            expression: expression || (inherits && self.expression),
            written: false,
        }
    }

    /// Under the name of a member of what is written; `None` if it compares.
    pub(super) fn written_under(name: &Words) -> Option<Self> {
        let by = name
            .pairs()
            .any(|(before, word)| word == "by" && before.is_none_or(|b| lists(COMPARING_BY, b)));
        if by || name.are_among(COMPARING) || name.start_with(COMPARES) {
            return None;
        }
        Some(Self {
            listing: name.are_among(ORDERING),
            ..Self::WRITTEN
        })
    }

    /// Whether a string can name anything.
    pub(super) fn reads(self) -> bool {
        self.listing || self.expression
    }

    /// Whether a string is a list of names.
    pub(super) fn lists(self) -> bool {
        self.listing
    }

    /// Whether an object's members are written.
    pub(super) fn is_written(self) -> bool {
        self.written
    }

    /// Whether an enum value can name a field.
    pub(super) fn reads_enums(self) -> bool {
        !self.written || self.listing
    }
}

/// Whether a mutation of this name selects by its arguments.
pub(super) fn selects(mutation: &str) -> bool {
    lists(SELECTING, Words::of(mutation).first())
}

/// By what a field or path of this name selects, if the name says so.
pub(super) fn selected_by(name: &Words, writes: bool) -> Option<Words> {
    name.behind(if writes { BY } else { WITH })
}
