//! Names and texts that nobody would choose, and somebody will.

use proof::JournalError;
use proptest::prelude::*;

use crate::stage::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What is written is read back, under names that file systems take, whatever the texts are.
    #[test]
    fn any_text_makes_a_proof(tenants in prop::collection::btree_set(".{0,24}", 1..4), text in ".*") {
        let directory = tempfile::tempdir().unwrap();
        let key = key();
        let mut journal = open(directory.path(), &key);
        let batch = tenants.iter().map(|tenant| {
            let mut statement = passed(tenant, NINE);
            statement.findings = vec![text.clone(), "\u{0}\u{1f}\u{7f}\u{2028}\u{10ffff}".to_owned()];
            statement.filters.insert(text.clone(), tenant.clone());
            statement.filters.insert("\u{fb33}\u{1f600}".to_owned(), String::new());
            statement
        });
        let added = journal.append(batch.collect());
        if tenants.contains("") {
            prop_assert!(matches!(added, Err(JournalError::TenantName)));
        } else {
            prop_assert_eq!(added.unwrap().len(), tenants.len());
        }
        drop(journal);
        let journal = open(directory.path(), &key);
        prop_assert_eq!(journal.repairs().len(), 0);
        let report = check(&contents(directory.path()));
        prop_assert!(report.holds(), "{:?}", report.faults);
    }
}
