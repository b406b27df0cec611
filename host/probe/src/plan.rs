//! What is tried for a tenant.

use std::collections::{BTreeMap, BTreeSet};

use crate::observe::Operation;

/// A tenant, as the directory has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Where its data is.
    pub home: String,
    /// The regions that serve it, its home among them.
    pub regions: BTreeSet<String>,
    /// Whether it is shut out everywhere.
    pub quarantined: bool,
}

/// A store that a region's services reach through their sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub kind: String,
}

/// The stores of each region.
pub type Regions = BTreeMap<String, Vec<Store>>;

/// One thing to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Through the home's gateway.
    Home {
        /// In this store.
        store: Store,
        /// This.
        operation: Operation,
        /// After the sentinel was deleted.
        deleted: bool,
    },
    /// Through another region's gateway.
    Gateway {
        /// That region.
        region: String,
        /// The store.
        store: Store,
    },
    /// From services that must not be let in: another region's, and at home those with no or another
    /// region's word.
    Elsewhere {
        /// That region.
        region: String,
        /// The store there.
        store: Store,
    },
}

/// The steps for a tenant, in their order: those who must not be let in try while the sentinel is there.
#[must_use]
pub fn steps(tenant: &Tenant, regions: &Regions) -> Vec<Step> {
    let home = regions.get(&tenant.home).map_or(&[][..], Vec::as_slice);
    let at_home = |operation, deleted| {
        home.iter().map(move |store| Step::Home {
            store: store.clone(),
            operation,
            deleted,
        })
    };
    let mut steps: Vec<Step> = Vec::new();
    steps.extend(at_home(Operation::Write, false));
    steps.extend(at_home(Operation::Read, false));
    for (region, stores) in regions {
        if *region == tenant.home {
            steps.extend(stores.iter().map(|store| Step::Elsewhere {
                region: region.clone(),
                store: store.clone(),
            }));
        }
        if tenant.regions.contains(region) {
            continue;
        }
        steps.extend(stores.first().map(|store| Step::Gateway {
            region: region.clone(),
            store: store.clone(),
        }));
        steps.extend(stores.iter().map(|store| Step::Elsewhere {
            region: region.clone(),
            store: store.clone(),
        }));
    }
    steps.extend(at_home(Operation::Delete, false));
    steps.extend(at_home(Operation::Read, true));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str) -> Store {
        Store {
            name: name.into(),
            kind: "postgres".into(),
        }
    }

    #[test]
    fn others_try_while_the_sentinel_is_there() {
        let regions = Regions::from([
            ("eu".to_owned(), vec![store("a"), store("b")]),
            ("sea".to_owned(), vec![store("c")]),
            ("us".to_owned(), vec![store("d"), store("e")]),
        ]);
        let tenant = Tenant {
            name: "acme".into(),
            home: "eu".into(),
            regions: ["eu".to_owned(), "sea".to_owned()].into(),
            quarantined: false,
        };
        let short: Vec<String> = steps(&tenant, &regions)
            .iter()
            .map(|step| match step {
                Step::Home {
                    store,
                    operation,
                    deleted,
                } => format!("{} {} {deleted}", operation.name(), store.name),
                Step::Gateway { region, store } => format!("gateway {region} {}", store.name),
                Step::Elsewhere { region, store } => format!("from {region} {}", store.name),
            })
            .collect();
        let want = [
            "write a false",
            "write b false",
            "read a false",
            "read b false",
            "from eu a",
            "from eu b",
            "gateway us d",
            "from us d",
            "from us e",
            "delete a false",
            "delete b false",
            "read a true",
            "read b true",
        ];
        assert_eq!(short, want);
    }
}
