use std::collections::BTreeMap;

use super::{
    Table,
    cypher::{Query, Refusal},
};
use crate::stores::room::Room;

/// The longest name of a database, in bytes (Neo4j's operations manual, "Naming rules").
const LONGEST_NAME: usize = 63;

/// The nodes of each database that has any.
#[derive(Debug, Default)]
pub struct Nodes {
    databases: BTreeMap<String, Vec<Node>>,
    room: Room,
}

#[derive(Debug)]
struct Node {
    nonce: String,
    tenant: String,
}

impl Nodes {
    pub(super) fn count(&self, of: &str) -> usize {
        let nodes = self.databases.values().flatten();
        nodes
            .filter(|node| node.nonce == of || node.tenant == of)
            .count()
    }

    pub(super) fn execute(
        &mut self,
        database: &str,
        region: &str,
        query: Query<'_>,
    ) -> Result<Table, Refusal> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if database.is_empty() || database.len() > LONGEST_NAME || !database.bytes().all(legal) {
            return Err(Refusal::NO_DATABASE);
        }
        Ok(match query {
            Query::Create { nonce, tenant } => {
                // Each with the name of its database, so that no empty one is left to pay for.
                if !self.room.take(&[database.len(), nonce.len(), tenant.len()]) {
                    return Err(Refusal::FULL);
                }
                let nodes = self.databases.entry(database.to_owned()).or_default();
                nodes.push(Node {
                    nonce: nonce.to_owned(),
                    tenant: tenant.to_owned(),
                });
                Table {
                    made: 1,
                    ..Table::default()
                }
            }
            Query::Tenant { nonce } => {
                let nodes = self.databases.get(database).into_iter().flatten();
                let found = nodes.filter(|node| node.nonce == nonce);
                Table {
                    field: Some("s.tenant"),
                    values: found.map(|node| node.tenant.clone()).collect(),
                    ..Table::default()
                }
            }
            Query::Delete { nonce } => Table {
                deleted: self.delete(database, nonce),
                ..Table::default()
            },
            Query::ServerTags => Table {
                field: Some("value"),
                values: vec![region.to_owned()],
                ..Table::default()
            },
        })
    }

    fn delete(&mut self, database: &str, nonce: &str) -> usize {
        let Some(nodes) = self.databases.get_mut(database) else {
            return 0;
        };
        let before = nodes.len();
        for node in nodes.extract_if(.., |node| node.nonce == nonce) {
            self.room
                .give_back(&[database.len(), node.nonce.len(), node.tenant.len()]);
        }
        let deleted = before - nodes.len();
        if nodes.is_empty() {
            self.databases.remove(database);
        }
        deleted
    }
}
