/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Two stores have a name.
    #[error("two stores have the name `{0}`")]
    Twice(String),
    /// A setting is not what it must be.
    #[error("the store `{store}`: `{setting}` {problem}")]
    Setting {
        /// The store.
        store: String,
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A secret is not set.
    #[error(
        "the environment variable {variable}, which holds a secret of the store `{store}`, is not set"
    )]
    Secret {
        /// The store.
        store: String,
        /// The variable.
        variable: String,
    },
    /// Operations would have no time.
    #[error("`limit_ms` must be more than 0")]
    Limit,
}

/// Why the agent ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its configuration can't be used.
    #[error("the agent's configuration can't be used")]
    Config(#[from] ConfigError),
    /// A listener failed.
    #[error("the agent's listener failed")]
    Listener(#[from] std::io::Error),
}
