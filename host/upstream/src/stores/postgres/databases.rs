use std::collections::BTreeMap;

use super::{
    answer::{Answer, Report},
    sql::Query,
};
use crate::stores::room::Room;

/// Tenants by nonce.
type Table = BTreeMap<String, String>;

/// The table of each database, in those that have one.
#[derive(Debug, Default)]
pub struct Databases {
    tables: BTreeMap<String, Option<Table>>,
    room: Room,
}

impl Databases {
    pub(super) fn count(&self, of: &str) -> usize {
        let rows = self.tables.values().flatten().flatten();
        rows.filter(|(nonce, tenant)| *nonce == of || *tenant == of)
            .count()
    }

    /// Makes the database, should it not be there.
    pub(super) fn connect(&mut self, database: &str) -> Result<(), Report> {
        if !self.tables.contains_key(database) {
            self.take(&[database.len()])?;
            self.tables.insert(database.to_owned(), None);
        }
        Ok(())
    }

    fn take(&mut self, texts: &[usize]) -> Result<(), Report> {
        match self.room.take(texts) {
            true => Ok(()),
            false => Err(Report::new("53100", "this store is full")),
        }
    }

    /// What the answer says, but for an error. Nothing is done if there is one.
    pub(super) fn execute(
        &mut self,
        database: &str,
        region: &str,
        query: &Query<'_>,
        answer: &mut Answer,
    ) -> Result<(), Report> {
        match query {
            Query::Nothing => answer.empty_query(),
            Query::CreateTable => {
                match self.tables.get_mut(database) {
                    Some(table @ None) => *table = Some(Table::new()),
                    _ => answer.notice(&Report::new(
                        "42P07",
                        "relation \"ig_sentinel\" already exists, skipping",
                    )),
                }
                answer.complete("CREATE TABLE");
            }
            Query::Insert { nonce, tenant } => {
                if self.table(database)?.contains_key(*nonce) {
                    let message =
                        "duplicate key value violates unique constraint \"ig_sentinel_pkey\"";
                    return Err(Report {
                        detail: Some(format!("Key (nonce)=({nonce}) already exists.")),
                        ..Report::new("23505", message)
                    });
                }
                self.take(&[nonce.len(), tenant.len()])?;
                self.table(database)?
                    .insert((*nonce).to_owned(), (*tenant).to_owned());
                answer.complete("INSERT 0 1");
            }
            Query::Tenant { nonce } => {
                let tenant = self.table(database)?.get(*nonce);
                answer.column("tenant");
                rows(answer, tenant.into_iter());
            }
            Query::Nonces => {
                let nonces = self.table(database)?.keys();
                answer.column("nonce");
                rows(answer, nonces);
            }
            Query::Delete { nonce } => {
                let deleted = self.table(database)?.remove(*nonce);
                if let Some(tenant) = &deleted {
                    self.room.give_back(&[nonce.len(), tenant.len()]);
                }
                answer.complete(&format!("DELETE {}", usize::from(deleted.is_some())));
            }
            Query::ClusterName => {
                answer.column("current_setting");
                rows(answer, [region].into_iter());
            }
        }
        Ok(())
    }

    fn table(&mut self, database: &str) -> Result<&mut Table, Report> {
        let table = self.tables.get_mut(database).and_then(Option::as_mut);
        table.ok_or_else(|| Report::new("42P01", "relation \"ig_sentinel\" does not exist"))
    }
}

fn rows(answer: &mut Answer, values: impl Iterator<Item = impl AsRef<str>>) {
    let mut count = 0;
    for value in values {
        answer.row(value.as_ref());
        count += 1;
    }
    answer.complete(&format!("SELECT {count}"));
}
