//! The served schema. `policies/schema.graphql` says the same; a test compares the two.

use std::sync::{Arc, PoisonError, RwLock};

use async_graphql::{
    Context, EmptySubscription, Enum, Error, ID, InputObject, Interface, Json, Object, Result,
    SimpleObject, Union, scalar,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    Region,
    data::{AssetRow, LocationRow, PersonRow, Role, Rows, Status, VendorRow},
};

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

/// Whose data the request is about: one tenant's, or the whole region's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope(pub Option<String>);

impl Scope {
    fn covers(&self, tenant: &str) -> bool {
        self.0.as_deref().is_none_or(|only| only == tenant)
    }
}

struct Store {
    people: Vec<Arc<PersonRow>>,
    vendors: Vec<Arc<VendorRow>>,
    assets: RwLock<Vec<Arc<AssetRow>>>,
}

/// The rows within a request's scope.
struct View<'a> {
    store: &'a Store,
    scope: &'a Scope,
}

impl<'a> View<'a> {
    fn of(ctx: &Context<'a>) -> Result<Self> {
        Ok(Self {
            store: ctx.data::<Store>()?,
            scope: ctx.data::<Scope>()?,
        })
    }

    fn people(&self) -> impl Iterator<Item = Person> + use<'a> {
        let scope = self.scope;
        self.store
            .people
            .iter()
            .filter(move |row| scope.covers(row.tenant))
            .map(|row| Person(Arc::clone(row)))
    }

    fn person(&self, id: &str) -> Option<Person> {
        self.people().find(|person| person.0.id == id)
    }

    fn vendors(&self) -> impl Iterator<Item = Vendor> + use<'a> {
        let scope = self.scope;
        self.store
            .vendors
            .iter()
            .filter(move |row| scope.covers(row.tenant))
            .map(|row| Vendor(Arc::clone(row)))
    }

    fn vendor(&self, id: &str) -> Option<Vendor> {
        self.vendors().find(|vendor| vendor.0.id == id)
    }

    fn assets(&self) -> Vec<Asset> {
        self.store
            .assets
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(|row| self.scope.covers(row.tenant))
            .map(|row| Asset(Arc::clone(row)))
            .collect()
    }

    fn asset(&self, id: &str) -> Option<Asset> {
        self.assets().into_iter().find(|asset| asset.0.id == id)
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut AssetRow)) -> Result<Asset> {
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
        Ok(Asset(Arc::clone(row)))
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct DateTime(String);
scalar!(DateTime);

#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
enum Node {
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
enum Contact {
    Person(Person),
    Vendor(Vendor),
}

#[derive(Union)]
enum SearchResult {
    Asset(Asset),
    Person(Person),
    Vendor(Vendor),
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

#[derive(Clone)]
struct Asset(Arc<AssetRow>);

#[Object]
impl Asset {
    async fn id(&self) -> ID {
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

    async fn email(&self) -> Option<String> {
        Some(self.0.email.clone())
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at.clone())
    }
}

#[derive(Clone)]
struct Person(Arc<PersonRow>);

#[Object]
impl Person {
    async fn id(&self) -> ID {
        ID(self.0.id.clone())
    }

    async fn name(&self) -> &str {
        self.0.name
    }

    async fn email(&self) -> Option<String> {
        Some(self.0.email.clone())
    }

    async fn phone(&self) -> Option<String> {
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
struct Vendor(Arc<VendorRow>);

#[Object]
impl Vendor {
    async fn id(&self) -> ID {
        ID(self.0.id.clone())
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn email(&self) -> Option<String> {
        Some(self.0.email.clone())
    }

    async fn phone(&self) -> Option<String> {
        Some(self.0.phone.clone())
    }

    async fn website(&self) -> Option<&str> {
        Some(&self.0.website)
    }

    async fn account(&self, ctx: &Context<'_>) -> Result<Option<Person>> {
        Ok(View::of(ctx)?.person(&self.0.account))
    }
}

struct Location(LocationRow);

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

#[derive(SimpleObject)]
struct AssetConnection {
    edges: Vec<AssetEdge>,
    nodes: Vec<Asset>,
    page_info: PageInfo,
    total_count: i32,
}

#[derive(SimpleObject)]
struct AssetEdge {
    cursor: String,
    node: Asset,
}

#[derive(SimpleObject)]
struct PageInfo {
    has_next_page: bool,
    has_previous_page: bool,
    start_cursor: Option<String>,
    end_cursor: Option<String>,
}

#[derive(SimpleObject)]
struct Export {
    format: ExportFormat,
    generated_at: DateTime,
    rows: Vec<Asset>,
    body: String,
}

impl AssetConnection {
    /// A page forward (GraphQL Cursor Connections, section 4.3).
    fn page(assets: Vec<Asset>, first: Option<i32>, after: Option<&str>) -> Result<Self> {
        let total = assets.len();
        let skip = match after {
            None => 0,
            Some(cursor) => {
                let position = assets.iter().position(|asset| asset.cursor() == cursor);
                1 + position.ok_or_else(|| Error::new("the cursor is not of this connection"))?
            }
        };
        let take = match first {
            None => total,
            Some(first) => usize::try_from(first).map_err(|_| Error::new("`first` is negative"))?,
        };
        let nodes: Vec<Asset> = assets.into_iter().skip(skip).take(take).collect();
        let edges: Vec<AssetEdge> = nodes
            .iter()
            .map(|node| AssetEdge {
                cursor: node.cursor(),
                node: node.clone(),
            })
            .collect();
        let cursor = |edge: Option<&AssetEdge>| edge.map(|edge| edge.cursor.clone());
        Ok(Self {
            page_info: PageInfo {
                has_next_page: skip + nodes.len() < total,
                has_previous_page: skip > 0,
                start_cursor: cursor(edges.first()),
                end_cursor: cursor(edges.last()),
            },
            edges,
            nodes,
            total_count: i32::try_from(total).unwrap_or(i32::MAX),
        })
    }
}

impl Asset {
    fn cursor(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(format!("asset:{}", self.0.id))
    }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

fn value(cents: i32) -> f64 {
    f64::from(cents) / 100.0
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use async_graphql::parser::{
        parse_schema,
        types::{InputValueDefinition, TypeKind, TypeSystemDefinition},
    };

    use super::*;

    /// Type → what it is → its members, each with its type, nullability included.
    fn shape(sdl: &str) -> BTreeMap<String, (String, Vec<String>)> {
        let argument = |argument: &InputValueDefinition| {
            let default = argument.default_value.as_ref();
            format!(
                "{}: {}{}",
                argument.name.node,
                argument.ty.node,
                default.map_or_else(String::new, |default| format!(" = {}", default.node))
            )
        };
        let mut types = BTreeMap::new();
        for definition in parse_schema(sdl).expect("the schema parses").definitions {
            let TypeSystemDefinition::Type(ty) = definition else {
                continue;
            };
            let fields = |fields: &[async_graphql::Positioned<
                async_graphql::parser::types::FieldDefinition,
            >]| {
                fields
                    .iter()
                    .map(|field| {
                        let arguments: Vec<String> = field
                            .node
                            .arguments
                            .iter()
                            .map(|value| argument(&value.node))
                            .collect();
                        format!(
                            "{}({}): {}",
                            field.node.name.node,
                            arguments.join(", "),
                            field.node.ty.node
                        )
                    })
                    .collect::<Vec<_>>()
            };
            let (kind, mut members) = match &ty.node.kind {
                TypeKind::Scalar => ("scalar", Vec::new()),
                TypeKind::Object(object) => {
                    let mut members = fields(&object.fields);
                    members.extend(
                        object
                            .implements
                            .iter()
                            .map(|name| format!("implements {}", name.node)),
                    );
                    ("type", members)
                }
                TypeKind::Interface(interface) => ("interface", fields(&interface.fields)),
                TypeKind::Union(union) => (
                    "union",
                    union.members.iter().map(|m| m.node.to_string()).collect(),
                ),
                TypeKind::Enum(values) => (
                    "enum",
                    values
                        .values
                        .iter()
                        .map(|value| value.node.value.node.to_string())
                        .collect(),
                ),
                TypeKind::InputObject(input) => (
                    "input",
                    input.fields.iter().map(|f| argument(&f.node)).collect(),
                ),
            };
            members.sort();
            types.insert(ty.node.name.node.to_string(), (kind.to_owned(), members));
        }
        types
    }

    #[test]
    fn the_served_schema_is_the_one_that_the_policies_know() {
        let known = shape(include_str!("../../../policies/schema.graphql"));
        let served = shape(&sdl());
        let names: HashSet<_> = known.keys().chain(served.keys()).collect();
        for name in names {
            assert_eq!(served.get(name), known.get(name), "type {name}");
        }
    }

    #[test]
    fn a_page_follows_the_one_before() {
        let assets: Vec<Asset> = Rows::of(Region::Us).assets.into_iter().map(Asset).collect();
        let page =
            |first, after: Option<&str>| AssetConnection::page(assets.clone(), Some(first), after);
        let one = page(40, None).expect("a page");
        assert!(one.page_info.has_next_page && !one.page_info.has_previous_page);
        let two = page(40, one.page_info.end_cursor.as_deref()).expect("a page");
        assert_eq!((one.nodes.len(), two.nodes.len()), (40, 8));
        assert!(!two.page_info.has_next_page && two.page_info.has_previous_page);
        assert!(page(-1, None).is_err());
        assert!(page(1, Some("forged")).is_err());
    }
}
