use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where data lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// Europe.
    Eu,
    /// United States.
    Us,
    /// Asia and the Pacific.
    Apac,
}

impl Region {
    /// Every region of the demo.
    pub const ALL: [Self; 3] = [Self::Eu, Self::Us, Self::Apac];

    /// As written in configuration, headers and e-mail addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eu => "eu",
            Self::Us => "us",
            Self::Apac => "apac",
        }
    }

    /// The tenants whose home this is.
    #[must_use]
    pub const fn tenants(self) -> [&'static str; 2] {
        match self {
            Self::Eu => ["acme", "globex"],
            Self::Us => ["initech", "umbrella"],
            Self::Apac => ["hooli", "wonka"],
        }
    }

    /// The home of a tenant, if it has one.
    #[must_use]
    pub fn of_tenant(tenant: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|region| region.tenants().contains(&tenant))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no region's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown region {0:?}: expected eu, us or apac")]
pub struct UnknownRegion(String);

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|region| region.as_str() == name)
            .ok_or_else(|| UnknownRegion(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tenants_lead_back_to_the_region() {
        for region in Region::ALL {
            assert_eq!(region.to_string().parse(), Ok(region));
            for tenant in region.tenants() {
                assert_eq!(Region::of_tenant(tenant), Some(region));
            }
        }
        assert_eq!(Region::of_tenant("nowhere"), None);
        assert_eq!(
            "mars".parse::<Region>().unwrap_err().to_string(),
            "unknown region \"mars\": expected eu, us or apac"
        );
    }
}
