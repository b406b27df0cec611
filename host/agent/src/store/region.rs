//! The region that a store's name of itself stands for.

use std::collections::{BTreeMap, BTreeSet};

/// The region of an identity: of it as it is, or of the tags in it, if they all mean one. Where no
/// names are configured, identities are regions.
pub(super) fn of(identity: &str, names: &BTreeMap<String, String>) -> Option<String> {
    if names.is_empty() {
        return Some(identity.to_owned());
    }
    if let Some(region) = names.get(identity) {
        return Some(region.clone());
    }
    let tags = identity.trim_start_matches('[').trim_end_matches(']');
    let regions: BTreeSet<&String> = tags
        .split(',')
        .filter_map(|tag| names.get(tag.trim()))
        .collect();
    let mut regions = regions.into_iter();
    match (regions.next(), regions.next()) {
        (Some(region), None) => Some(region.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_means_one_region_or_none() {
        let names = [
            ("eu-central-1", "eu"),
            ("eu-west-1", "eu"),
            ("us-east-1", "us"),
        ];
        let names = names.map(|(n, r)| (n.to_owned(), r.to_owned())).into();
        for (identity, want) in [
            ("eu-central-1", Some("eu")),
            ("eu-central-1,replica", Some("eu")),
            ("[replica, us-east-1]", Some("us")),
            ("eu-central-1,eu-west-1", Some("eu")),
            ("eu-central-1,us-east-1", None),
            ("eu", None),
            ("eu-central-12", None),
        ] {
            assert_eq!(of(identity, &names).as_deref(), want, "{identity}");
        }
        assert_eq!(of("eu", &BTreeMap::new()).as_deref(), Some("eu"));
    }
}
