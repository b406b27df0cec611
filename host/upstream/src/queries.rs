//! The operations that the demo sends, each a file in `queries/`.

use serde_json::{Value, json};

/// An operation to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// What it shows; the name of its file.
    pub name: &'static str,
    /// The document.
    pub document: &'static str,
}

impl Query {
    /// The request body (GraphQL over HTTP, section 5.4).
    #[must_use]
    pub fn body(&self) -> String {
        json!({"query": self.document}).to_string()
    }

    /// The request body with variables.
    #[must_use]
    pub fn body_with(&self, variables: &Value) -> String {
        json!({"query": self.document, "variables": variables}).to_string()
    }
}

macro_rules! queries {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: Query = Query {
            name: $name,
            document: include_str!(concat!("../queries/", $name, ".graphql")),
        };)*

        /// Every operation.
        pub const ALL: &[Query] = &[$($constant),*];
    };
}

queries! {
    /// Fields by their own names.
    PLAIN = "plain";
    /// The same fields under other names, two of them of one field.
    ALIAS = "alias";
    /// Named, inline and nested fragments.
    FRAGMENTS = "fragments";
    /// Members of a union, told apart by `__typename`.
    SEARCH = "search";
    /// Members of a union without `__typename`, under one response key.
    SEARCH_WITHOUT_TYPENAME = "search_without_typename";
    /// Fields of an interface.
    CONTACTS = "contacts";
    /// A page of a connection; variables `first` and `after`.
    CONNECTION = "connection";
    /// `@skip` and `@include` by the variable `withContact`.
    CONDITIONS = "conditions";
    /// The whole export.
    EXPORT = "export";
    /// Every masked coordinate, by every road.
    EVERYTHING = "everything";
    /// A mutation whose result has masked fields; variables `id` and `name`.
    RENAME = "rename";
}
