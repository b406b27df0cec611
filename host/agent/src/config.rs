use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::error::ConfigError;
use crate::outcome::StoreKind;

/// What stands for the tenant's name in names of databases, users and buckets.
const TENANT: &str = "{tenant}";

/// The stores that the agent opens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Milliseconds that an operation may take, from its connection to the store's name of itself.
    #[serde(default = "default_limit_ms")]
    pub limit_ms: u64,
    /// The stores.
    #[serde(default)]
    pub stores: Vec<StoreConfig>,
}

fn default_limit_ms() -> u64 {
    5_000
}

impl Default for Config {
    fn default() -> Self {
        let limit_ms = default_limit_ms();
        let stores = Vec::new();
        Self { limit_ms, stores }
    }
}

/// A store, by what it speaks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum StoreConfig {
    /// PostgreSQL.
    Postgres(PostgresConfig),
    /// S3.
    S3(S3Config),
    /// Neo4j, by HTTP.
    Neo4j(Neo4jConfig),
}

/// A PostgreSQL store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// By which it is asked for.
    pub name: String,
    /// The guard's, `HOST:PORT`.
    pub address: String,
    /// The database; `{tenant}` in it stands for the tenant's name.
    pub database: String,
    /// The user; `{tenant}` in it stands for the tenant's name.
    pub user: String,
    /// The environment variable with the user's password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// What the store calls itself, and the region that it means by it. Empty: it is the region.
    #[serde(default)]
    pub region_names: BTreeMap<String, String>,
}

/// An S3 store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// By which it is asked for.
    pub name: String,
    /// The guard's, `HOST:PORT`.
    pub address: String,
    /// The bucket; `{tenant}` in it stands for the tenant's name.
    pub bucket: String,
    /// The store's own name, for the `Host` header; the address if there is none.
    #[serde(default)]
    pub host: Option<String>,
    /// The environment variable with the id of the key that signs. Without it nothing is signed.
    #[serde(default)]
    pub access_key_env: Option<String>,
    /// The environment variable with this key.
    #[serde(default)]
    pub secret_key_env: Option<String>,
    /// The region that signatures are for.
    #[serde(default = "default_signing_region")]
    pub signing_region: String,
    /// What the store calls the bucket's location, and the region that it means by it. Empty: it is
    /// the region.
    #[serde(default)]
    pub region_names: BTreeMap<String, String>,
}

fn default_signing_region() -> String {
    "us-east-1".to_owned()
}

/// A Neo4j store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neo4jConfig {
    /// By which it is asked for.
    pub name: String,
    /// The guard's, `HOST:PORT`.
    pub address: String,
    /// The database; `{tenant}` in it stands for the tenant's name.
    pub database: String,
    /// The user; `{tenant}` in it stands for the tenant's name. Without it nobody is named.
    #[serde(default)]
    pub user: Option<String>,
    /// The environment variable with the user's password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// The tags of servers, and the region that is meant by each. Empty: a tag is the region.
    #[serde(default)]
    pub region_names: BTreeMap<String, String>,
}

impl StoreConfig {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Postgres(store) => &store.name,
            Self::S3(store) => &store.name,
            Self::Neo4j(store) => &store.name,
        }
    }

    /// What it speaks.
    pub fn kind(&self) -> StoreKind {
        match self {
            Self::Postgres(_) => StoreKind::Postgres,
            Self::S3(_) => StoreKind::S3,
            Self::Neo4j(_) => StoreKind::Neo4j,
        }
    }

    /// Whose identities stand for which regions.
    pub(crate) fn region_names(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Postgres(store) => &store.region_names,
            Self::S3(store) => &store.region_names,
            Self::Neo4j(store) => &store.region_names,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |setting, problem| {
            let store = self.name().to_owned();
            Err(ConfigError::Setting {
                store,
                setting,
                problem,
            })
        };
        if !is_plain(self.name()) {
            return wrong("name", "must be of a-z, A-Z, 0-9, ., _ and -");
        }
        let (Self::Postgres(PostgresConfig { address, .. })
        | Self::S3(S3Config { address, .. })
        | Self::Neo4j(Neo4jConfig { address, .. })) = self;
        if !is_address(address) {
            return wrong("address", "must be HOST:PORT");
        }
        let name_of = |template: &str| template.replace(TENANT, "t");
        let plain = "must be of a-z, A-Z, 0-9, ., _, - and {tenant}";
        match self {
            Self::Postgres(store) => {
                for (setting, name) in [("database", &store.database), ("user", &store.user)] {
                    if name.is_empty() || name.contains('\0') {
                        return wrong(setting, "must be a name");
                    }
                }
            }
            Self::S3(store) => {
                if !is_plain(&name_of(&store.bucket)) {
                    return wrong("bucket", plain);
                }
                if store.access_key_env.is_some() != store.secret_key_env.is_some() {
                    return wrong("secret_key_env", "and `access_key_env` go together");
                }
                let graphic = |host: &String| !host.is_empty() && is_graphic(host);
                if !store.host.as_ref().is_none_or(graphic) {
                    return wrong("host", "must be a name");
                }
                if !is_plain(&store.signing_region) {
                    return wrong("signing_region", "must be of a-z, A-Z, 0-9, ., _ and -");
                }
            }
            Self::Neo4j(store) => {
                if !is_plain(&name_of(&store.database)) {
                    return wrong("database", plain);
                }
                if store.password_env.is_some() && store.user.is_none() {
                    return wrong("password_env", "needs a `user`");
                }
                if store.user.as_ref().is_some_and(|u| u.contains(':')) {
                    return wrong("user", "must have no colon");
                }
            }
        }
        Ok(())
    }
}

impl Config {
    /// Says what the agent could not work with, its secrets aside.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.limit_ms == 0 {
            return Err(ConfigError::Limit);
        }
        let mut names = BTreeSet::new();
        for store in &self.stores {
            store.check()?;
            if !names.insert(store.name()) {
                return Err(ConfigError::Twice(store.name().to_owned()));
            }
        }
        Ok(())
    }
}

/// A name with the tenant's in its place.
pub(crate) fn fill(template: &str, tenant: &str) -> String {
    template.replace(TENANT, tenant)
}

/// Whether a name needs no escape in a path.
fn is_plain(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(legal)
}

fn is_graphic(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_address(address: &str) -> bool {
    let parts = address.rsplit_once(':');
    parts.is_some_and(|(host, port)| {
        !host.is_empty() && is_graphic(host) && port.parse::<u16>().is_ok_and(|p| p > 0)
    })
}

#[cfg(test)]
mod tests;
