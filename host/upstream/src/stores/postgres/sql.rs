//! The statements that are known.

use crate::stores::statement::Statement;

/// What the store says of itself.
pub(super) const KNOWN: &str = "This store knows, one at a time: \
    CREATE TABLE IF NOT EXISTS ig_sentinel (nonce text PRIMARY KEY, tenant text NOT NULL, \
    written_at timestamptz NOT NULL DEFAULT now()); \
    INSERT INTO ig_sentinel (nonce, tenant) VALUES ('N', 'T'); \
    SELECT tenant FROM ig_sentinel WHERE nonce = 'N'; \
    DELETE FROM ig_sentinel WHERE nonce = 'N'; \
    SELECT nonce FROM ig_sentinel; \
    SELECT current_setting('cluster_name').";

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS IG_SENTINEL ( NONCE TEXT PRIMARY KEY , \
    TENANT TEXT NOT NULL , WRITTEN_AT TIMESTAMPTZ NOT NULL DEFAULT NOW ( ) )";

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Query<'a> {
    Nothing,
    CreateTable,
    Insert { nonce: &'a str, tenant: &'a str },
    Tenant { nonce: &'a str },
    Delete { nonce: &'a str },
    Nonces,
    ClusterName,
}

impl<'a> Query<'a> {
    pub(super) fn of(statement: &'a Statement) -> Option<Self> {
        if statement.is_empty() {
            return Some(Self::Nothing);
        }
        if let Some([]) = statement.fit(CREATE_TABLE) {
            return Some(Self::CreateTable);
        }
        if let Some([nonce, tenant]) =
            statement.fit("INSERT INTO IG_SENTINEL ( NONCE , TENANT ) VALUES ( ? , ? )")
        {
            return Some(Self::Insert { nonce, tenant });
        }
        if let Some([nonce]) = statement.fit("SELECT TENANT FROM IG_SENTINEL WHERE NONCE = ?") {
            return Some(Self::Tenant { nonce });
        }
        if let Some([nonce]) = statement.fit("DELETE FROM IG_SENTINEL WHERE NONCE = ?") {
            return Some(Self::Delete { nonce });
        }
        if let Some([]) = statement.fit("SELECT NONCE FROM IG_SENTINEL") {
            return Some(Self::Nonces);
        }
        match statement.fit("SELECT CURRENT_SETTING ( ? )") {
            Some([name]) if name.eq_ignore_ascii_case("cluster_name") => Some(Self::ClusterName),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_says_that_it_knows_it_knows() {
        let list = KNOWN.split_once(": ").expect("a list").1;
        let statements = list.trim_end_matches('.').split("; ");
        let mut count = 0;
        for text in statements {
            let statement = Statement::read(text).expect("tokens");
            assert!(Query::of(&statement).is_some(), "{text}");
            count += 1;
        }
        assert_eq!(count, 6);
    }
}
