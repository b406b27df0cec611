//! The served schema. `policies/schema.graphql` says the same; a test compares the two.

use std::sync::RwLock;

use async_graphql::EmptySubscription;

use self::{
    abstracts::{Contact, Node},
    roots::{Mutation, Query},
    view::Store,
};
use crate::{Region, data::Rows};

mod abstracts;
#[cfg(test)]
mod agreement;
mod connection;
mod objects;
mod roots;
mod view;

pub(crate) use view::Scope;

pub(crate) type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// The schema over a region's rows.
pub(crate) fn schema(region: Region) -> Schema {
    let Rows {
        people,
        vendors,
        assets,
    } = Rows::of(region);
    async_graphql::Schema::build(Query, Mutation, EmptySubscription)
        .register_output_type::<Node>()
        .register_output_type::<Contact>()
        .data(Store {
            people,
            vendors,
            assets: RwLock::new(assets),
        })
        .finish()
}

/// The served schema in the schema definition language, without any `@mask`.
#[must_use]
pub fn sdl() -> String {
    schema(Region::Eu).sdl()
}
