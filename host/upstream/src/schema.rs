//! The served schema. `policies/schema.graphql` says the same; a test compares the two.

use std::sync::RwLock;

use self::{
    abstracts::{Contact, Node},
    roots::{Mutation, Query, Subscription},
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

pub(crate) use roots::Ear;
pub(crate) use view::{Changes, Scope};

pub(crate) type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// The schema over a region's rows; what is changed is told to `changes`.
pub(crate) fn schema(region: Region, changes: Changes) -> Schema {
    let Rows {
        people,
        vendors,
        assets,
    } = Rows::of(region);
    async_graphql::Schema::build(Query, Mutation, Subscription)
        .register_output_type::<Node>()
        .register_output_type::<Contact>()
        .data(Store {
            people,
            vendors,
            assets: RwLock::new(assets),
            changes,
        })
        .finish()
}

/// The served schema in the schema definition language, without any `@mask`.
#[must_use]
pub fn sdl() -> String {
    schema(Region::Eu, Changes::new(1)).sdl()
}
