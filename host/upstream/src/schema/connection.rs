//! The connection of assets (GraphQL Cursor Connections).

use async_graphql::{Error, Result, SimpleObject};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::objects::Asset;

#[derive(SimpleObject)]
pub(super) struct AssetConnection {
    edges: Vec<AssetEdge>,
    nodes: Vec<Asset>,
    page_info: PageInfo,
    total_count: i32,
}

#[derive(SimpleObject)]
pub(super) struct AssetEdge {
    cursor: String,
    node: Asset,
}

#[derive(SimpleObject)]
pub(super) struct PageInfo {
    has_next_page: bool,
    has_previous_page: bool,
    start_cursor: Option<String>,
    end_cursor: Option<String>,
}

impl AssetConnection {
    /// A page forward (GraphQL Cursor Connections, section 4.3).
    pub(super) fn page(
        assets: Vec<Asset>,
        first: Option<i32>,
        after: Option<&str>,
    ) -> Result<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Region, data::Rows};

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
