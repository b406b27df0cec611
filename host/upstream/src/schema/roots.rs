//! Queries, mutations and subscriptions, and what only they speak of.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{
    Context, Enum, Error, ID, InputObject, Object, Result, SimpleObject, Subscription,
    futures_util::{Stream, stream},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{
    abstracts::{Contact, Node, SearchResult},
    connection::AssetConnection,
    objects::{Asset, DateTime, Person, Vendor, value},
    view::{Scope, View},
};
use crate::data::{AssetRow, Status};

pub(crate) struct Query;

#[Object]
impl Query {
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Person> {
        View::of(ctx)?
            .people()
            .next()
            .ok_or_else(|| Error::new("no such tenant in this region"))
    }

    async fn asset(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Asset>> {
        Ok(View::of(ctx)?.asset(&id))
    }

    async fn assets(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        filter: Option<AssetFilter>,
    ) -> Result<AssetConnection> {
        let filter = filter.unwrap_or_default();
        let mut assets = View::of(ctx)?.assets();
        assets.retain(|asset| filter.admits(&asset.0));
        AssetConnection::page(assets, first, after.as_deref())
    }

    async fn person(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Person>> {
        Ok(View::of(ctx)?.person(&id))
    }

    async fn people(&self, ctx: &Context<'_>) -> Result<Vec<Person>> {
        Ok(View::of(ctx)?.people().collect())
    }

    async fn vendors(&self, ctx: &Context<'_>) -> Result<Vec<Vendor>> {
        Ok(View::of(ctx)?.vendors().collect())
    }

    async fn contacts(&self, ctx: &Context<'_>) -> Result<Vec<Contact>> {
        let view = View::of(ctx)?;
        Ok(view
            .people()
            .map(Contact::Person)
            .chain(view.vendors().map(Contact::Vendor))
            .collect())
    }

    async fn node(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Node>> {
        let view = View::of(ctx)?;
        Ok(view
            .asset(&id)
            .map(Node::Asset)
            .or_else(|| view.person(&id).map(Node::Person))
            .or_else(|| view.vendor(&id).map(Node::Vendor)))
    }

    /// Everything whose name contains the text, whatever the case; the empty text finds all.
    async fn search(&self, ctx: &Context<'_>, text: String) -> Result<Vec<SearchResult>> {
        let view = View::of(ctx)?;
        let mut found = Vec::new();
        found.extend(
            view.people()
                .filter(|person| contains(person.0.name, &text))
                .map(SearchResult::Person),
        );
        found.extend(
            view.vendors()
                .filter(|vendor| contains(&vendor.0.name, &text))
                .map(SearchResult::Vendor),
        );
        found.extend(
            view.assets()
                .into_iter()
                .filter(|asset| contains(&asset.0.name, &text))
                .map(SearchResult::Asset),
        );
        Ok(found)
    }

    async fn export_assets(&self, ctx: &Context<'_>, format: ExportFormat) -> Result<Export> {
        let rows = View::of(ctx)?.assets();
        let body = match format {
            ExportFormat::Csv => rows
                .iter()
                .map(|Asset(row)| format!("{},{},{}\r\n", row.id, row.name, row.email))
                .collect(),
            ExportFormat::Json => rows
                .iter()
                .map(|Asset(row)| {
                    serde_json::json!({"id": row.id, "name": row.name, "email": row.email})
                })
                .collect::<serde_json::Value>()
                .to_string(),
        };
        Ok(Export {
            format,
            generated_at: DateTime("2026-01-01T00:00:00Z".to_owned()),
            rows,
            body,
        })
    }
}

pub(crate) struct Mutation;

#[Object]
impl Mutation {
    async fn rename_asset(&self, ctx: &Context<'_>, id: ID, name: String) -> Result<Asset> {
        View::of(ctx)?.change(&id, |row| row.name = name)
    }

    async fn set_owner(
        &self,
        ctx: &Context<'_>,
        asset_id: ID,
        person_id: Option<ID>,
    ) -> Result<Asset> {
        let view = View::of(ctx)?;
        let owner = person_id
            .map(|id| {
                view.person(&id)
                    .map(|person| person.0.id.clone())
                    .ok_or_else(|| Error::new("no such person"))
            })
            .transpose()?;
        view.change(&asset_id, |row| row.owner = owner)
    }
}

/// What a subscriber hears. It listens from before its request is answered, so that it misses
/// nothing of what is changed after.
pub(crate) struct Ear(pub Mutex<Option<Receiver<Arc<AssetRow>>>>);

pub(crate) struct Subscription;

#[Subscription]
impl Subscription {
    async fn asset_changed(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Asset> + use<>> {
        let scope = ctx.data::<Scope>()?.clone();
        let ear = ctx.data::<Ear>()?;
        let changes = ear.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let changes = changes.ok_or_else(|| Error::new("one field a subscription"))?;
        Ok(stream::unfold(
            (changes, scope),
            async |(mut changes, scope)| {
                loop {
                    match changes.recv().await {
                        Ok(row) if scope.covers(row.tenant) => {
                            return Some((Asset(row), (changes, scope)));
                        }
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    }
                }
            },
        ))
    }
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum ExportFormat {
    Csv,
    Json,
}

#[derive(InputObject, Default)]
struct AssetFilter {
    status: Option<Status>,
    tag: Option<String>,
    name_contains: Option<String>,
    min_value: Option<f64>,
}

impl AssetFilter {
    fn admits(&self, row: &AssetRow) -> bool {
        self.status.is_none_or(|status| row.status == status)
            && self
                .tag
                .as_deref()
                .is_none_or(|tag| row.tags.contains(&tag))
            && self
                .name_contains
                .as_deref()
                .is_none_or(|part| contains(&row.name, part))
            && self
                .min_value
                .is_none_or(|least| value(row.value_cents) >= least)
    }
}

#[derive(SimpleObject)]
struct Export {
    format: ExportFormat,
    generated_at: DateTime,
    rows: Vec<Asset>,
    body: String,
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}
