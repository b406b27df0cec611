//! The objects that rows become, and the scalars in them.

use std::sync::Arc;

use async_graphql::{Context, ID, Json, Object, Result, scalar};
use serde::{Deserialize, Serialize};

use super::{connection::AssetConnection, view::View};
use crate::data::{AssetRow, LocationRow, PersonRow, Role, Status, VendorRow};

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DateTime(pub(super) String);
scalar!(DateTime);

#[derive(Clone)]
pub(super) struct Asset(pub(super) Arc<AssetRow>);

#[Object]
impl Asset {
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.clone())
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn serial(&self) -> Option<&str> {
        Some(&self.0.serial)
    }

    async fn value(&self) -> Option<f64> {
        Some(value(self.0.value_cents))
    }

    async fn value_cents(&self) -> i32 {
        self.0.value_cents
    }

    async fn status(&self) -> Status {
        self.0.status
    }

    async fn tags(&self) -> &[&'static str] {
        &self.0.tags
    }

    async fn owner(&self, ctx: &Context<'_>) -> Result<Option<Person>> {
        let view = View::of(ctx)?;
        Ok(self.0.owner.as_deref().and_then(|id| view.person(id)))
    }

    async fn custodians(&self, ctx: &Context<'_>) -> Result<Vec<Person>> {
        let view = View::of(ctx)?;
        Ok(self
            .0
            .custodians
            .iter()
            .filter_map(|id| view.person(id))
            .collect())
    }

    async fn vendor(&self, ctx: &Context<'_>) -> Result<Option<Vendor>> {
        let view = View::of(ctx)?;
        Ok(self.0.vendor.as_deref().and_then(|id| view.vendor(id)))
    }

    async fn location(&self) -> Option<Location> {
        self.0.location.clone().map(Location)
    }

    async fn notes(&self) -> Option<&str> {
        self.0.notes.as_deref()
    }

    async fn metadata(&self) -> Option<Json<serde_json::Value>> {
        Some(Json(self.0.metadata.clone()))
    }

    pub(super) async fn email(&self) -> Option<String> {
        Some(self.0.email.clone())
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at.clone())
    }
}

#[derive(Clone)]
pub(super) struct Person(pub(super) Arc<PersonRow>);

#[Object]
impl Person {
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.clone())
    }

    async fn name(&self) -> &str {
        self.0.name
    }

    pub(super) async fn email(&self) -> Option<String> {
        Some(self.0.email.clone())
    }

    pub(super) async fn phone(&self) -> Option<String> {
        Some(self.0.phone.clone())
    }

    async fn salary(&self) -> Option<i32> {
        Some(self.0.salary)
    }

    async fn national_id(&self) -> Option<&str> {
        Some(&self.0.national_id)
    }

    async fn birth_date(&self) -> Option<DateTime> {
        Some(DateTime(self.0.birth_date.clone()))
    }

    async fn roles(&self) -> &[Role] {
        &self.0.roles
    }

    async fn manager(&self, ctx: &Context<'_>) -> Result<Option<Person>> {
        let view = View::of(ctx)?;
        Ok(self.0.manager.as_deref().and_then(|id| view.person(id)))
    }

    async fn assets(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<AssetConnection> {
        let mut assets = View::of(ctx)?.assets();
        assets.retain(|asset| asset.0.owner.as_ref() == Some(&self.0.id));
        AssetConnection::page(assets, first, after.as_deref())
    }
}

#[derive(Clone)]
pub(super) struct Vendor(pub(super) Arc<VendorRow>);

#[Object]
impl Vendor {
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.clone())
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) async fn email(&self) -> Option<String> {
        Some(self.0.email.clone())
    }

    pub(super) async fn phone(&self) -> Option<String> {
        Some(self.0.phone.clone())
    }

    async fn website(&self) -> Option<&str> {
        Some(&self.0.website)
    }

    async fn account(&self, ctx: &Context<'_>) -> Result<Option<Person>> {
        Ok(View::of(ctx)?.person(&self.0.account))
    }
}

pub(super) struct Location(pub(super) LocationRow);

#[Object]
impl Location {
    async fn country(&self) -> &str {
        self.0.country
    }

    async fn city(&self) -> &str {
        self.0.city
    }

    async fn latitude(&self) -> Option<f64> {
        Some(self.0.latitude)
    }

    async fn longitude(&self) -> Option<f64> {
        Some(self.0.longitude)
    }
}

pub(super) fn value(cents: i32) -> f64 {
    f64::from(cents) / 100.0
}
