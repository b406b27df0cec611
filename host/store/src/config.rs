use std::path::Path;

use serde::Deserialize;

/// Where decisions are kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `sqlite:PATH` or `postgres://USER@HOST:PORT/DATABASE`, with PostgreSQL's own parameters behind a
    /// `?` (`sslmode=verify-full`, `sslrootcert=…`). Without it: `decisions.db` in the state directory.
    pub url: Option<String>,
    /// The variable of the environment that holds PostgreSQL's password.
    pub password_env: String,
    /// How many days decisions and gaps are kept; 0 keeps them for ever.
    pub retain_days: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: None,
            password_env: "CONDUCTOR_STORE_PASSWORD".to_owned(),
            retain_days: 30,
        }
    }
}

impl StoreConfig {
    /// The same with relative paths below `base`, and a place in `state` if none is named.
    #[must_use]
    pub fn placed(mut self, base: &Path, state: &Path) -> Self {
        let path = match self.url.as_deref() {
            None => Some(state.join("decisions.db")),
            Some(url) => sqlite_path(url).map(|path| base.join(path)),
        };
        if let Some(path) = path {
            self.url = Some(format!("sqlite:{}", path.display()));
        }
        self
    }
}

/// The file of an URL of SQLite.
pub(crate) fn sqlite_path(url: &str) -> Option<&Path> {
    let path = url.strip_prefix("sqlite:")?;
    Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_absolute() {
        let placed = |url: Option<&str>| {
            let config = StoreConfig {
                url: url.map(str::to_owned),
                ..StoreConfig::default()
            };
            config
                .placed(Path::new("/base"), Path::new("/state"))
                .url
                .unwrap()
        };
        assert_eq!(placed(None), "sqlite:/state/decisions.db");
        assert_eq!(placed(Some("sqlite:a.db")), "sqlite:/base/a.db");
        assert_eq!(placed(Some("sqlite:///a.db")), "sqlite:/a.db");
        assert_eq!(placed(Some("postgres://u@h/d")), "postgres://u@h/d");
    }
}
