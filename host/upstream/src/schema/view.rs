//! What of the rows a request may reach.

use std::sync::{Arc, PoisonError, RwLock};

use async_graphql::{Context, Error, Result};
use tokio::sync::broadcast;

use super::objects::{Asset, Person, Vendor};
use crate::data::{AssetRow, PersonRow, VendorRow};

/// Whose data the request is about: one tenant's, or the whole region's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope(pub Option<String>);

impl Scope {
    pub(super) fn covers(&self, tenant: &str) -> bool {
        self.0.as_deref().is_none_or(|only| only == tenant)
    }
}

/// Where changed assets are told.
pub(crate) type Changes = broadcast::Sender<Arc<AssetRow>>;

/// A region's rows; assets change.
pub(super) struct Store {
    pub(super) people: Vec<Arc<PersonRow>>,
    pub(super) vendors: Vec<Arc<VendorRow>>,
    pub(super) assets: RwLock<Vec<Arc<AssetRow>>>,
    pub(super) changes: Changes,
}

/// The rows within a request's scope.
pub(super) struct View<'a> {
    store: &'a Store,
    scope: &'a Scope,
}

impl<'a> View<'a> {
    pub(super) fn of(ctx: &Context<'a>) -> Result<Self> {
        Ok(Self {
            store: ctx.data::<Store>()?,
            scope: ctx.data::<Scope>()?,
        })
    }

    pub(super) fn people(&self) -> impl Iterator<Item = Person> + use<'a> {
        let scope = self.scope;
        self.store
            .people
            .iter()
            .filter(move |row| scope.covers(row.tenant))
            .map(|row| Person(Arc::clone(row)))
    }

    pub(super) fn person(&self, id: &str) -> Option<Person> {
        self.people().find(|person| person.0.id == id)
    }

    pub(super) fn vendors(&self) -> impl Iterator<Item = Vendor> + use<'a> {
        let scope = self.scope;
        self.store
            .vendors
            .iter()
            .filter(move |row| scope.covers(row.tenant))
            .map(|row| Vendor(Arc::clone(row)))
    }

    pub(super) fn vendor(&self, id: &str) -> Option<Vendor> {
        self.vendors().find(|vendor| vendor.0.id == id)
    }

    pub(super) fn assets(&self) -> Vec<Asset> {
        self.store
            .assets
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(|row| self.scope.covers(row.tenant))
            .map(|row| Asset(Arc::clone(row)))
            .collect()
    }

    pub(super) fn asset(&self, id: &str) -> Option<Asset> {
        self.assets().into_iter().find(|asset| asset.0.id == id)
    }

    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut AssetRow)) -> Result<Asset> {
        let mut assets = self
            .store
            .assets
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let row = assets
            .iter_mut()
            .find(|row| row.id == id && self.scope.covers(row.tenant))
            .ok_or_else(|| Error::new("no such asset"))?;
        change(Arc::make_mut(row));
        // Nobody may be listening.
        _ = self.store.changes.send(Arc::clone(row));
        Ok(Asset(Arc::clone(row)))
    }
}
