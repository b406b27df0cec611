//! Interfaces and the union.

use async_graphql::{ID, Interface, Union};

use super::objects::{Asset, Person, Vendor};

#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
pub(super) enum Node {
    Asset(Asset),
    Person(Person),
    Vendor(Vendor),
}

#[derive(Interface)]
#[expect(clippy::duplicated_attributes, reason = "two fields may have one type")]
#[graphql(
    field(name = "email", ty = "Option<String>"),
    field(name = "phone", ty = "Option<String>")
)]
pub(super) enum Contact {
    Person(Person),
    Vendor(Vendor),
}

#[derive(Union)]
pub(super) enum SearchResult {
    Asset(Asset),
    Person(Person),
    Vendor(Vendor),
}
