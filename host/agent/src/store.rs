//! Opening a store: once, for one operation.

mod http;
mod neo4j;
mod postgres;
mod refusal;
mod region;
mod s3;
mod sigv4;
mod told;
mod xml;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::config::StoreConfig;
use crate::error::ConfigError;
use crate::names::{Nonce, Tenant, Token};
use crate::outcome::{Operation, Outcome, StoreKind};
use told::Told;

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Ask {
    pub op: Operation,
    pub nonce: Nonce,
    pub tenant: Tenant,
    pub token: Option<Token>,
}

/// A store and the secrets that open it.
pub(crate) struct Store {
    name: String,
    kind: StoreKind,
    region_names: BTreeMap<String, String>,
    client: Client,
}

enum Client {
    Postgres(postgres::Client),
    S3(s3::Client),
    Neo4j(neo4j::Client),
}

impl Store {
    /// Takes the secrets from the environment.
    pub(crate) fn configure(
        config: &StoreConfig,
        environment: &impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let secret = |name: &Option<String>| match name {
            None => Ok(None),
            Some(variable) => environment(variable)
                .filter(|secret| !secret.is_empty())
                .map(Some)
                .ok_or_else(|| ConfigError::Secret {
                    store: config.name().to_owned(),
                    variable: variable.clone(),
                }),
        };
        let client = match config {
            StoreConfig::Postgres(store) => {
                let password = secret(&store.password_env)?;
                Client::Postgres(postgres::Client::new(store.clone(), password))
            }
            StoreConfig::S3(store) => {
                let key = secret(&store.access_key_env)?.zip(secret(&store.secret_key_env)?);
                let key = key.map(|(id, secret)| sigv4::Key { id, secret });
                Client::S3(s3::Client::new(store.clone(), key))
            }
            StoreConfig::Neo4j(store) => {
                let password = secret(&store.password_env)?;
                Client::Neo4j(neo4j::Client::new(store.clone(), password))
            }
        };
        Ok(Self {
            name: config.name().to_owned(),
            kind: config.kind(),
            region_names: config.region_names().clone(),
            client,
        })
    }

    /// Does it when it is its turn, in no more time than this.
    pub(crate) async fn operate(&self, ask: &Ask, limit: Duration, turns: &Semaphore) -> Outcome {
        let start = Instant::now();
        let told = tokio::time::timeout(limit, async {
            let _turn = turns.acquire().await;
            self.attempt(ask).await
        })
        .await;
        let told = told.unwrap_or_else(|_| {
            Told::failed(format!(
                "the store did not answer within {} ms",
                limit.as_millis()
            ))
        });
        let region = told.identity.as_deref();
        Outcome {
            region: region.and_then(|identity| region::of(identity, &self.region_names)),
            store: self.name.clone(),
            kind: self.kind,
            op: ask.op,
            result: told.result,
            code: told.code,
            reason: told.reason.map(|reason| self.clean(&reason, ask)),
            identity: told.identity,
            ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    async fn attempt(&self, ask: &Ask) -> Told {
        match &self.client {
            Client::Postgres(client) => client.operate(ask).await,
            Client::S3(client) => client.operate(ask).await,
            Client::Neo4j(client) => client.operate(ask).await,
        }
    }

    /// A reason without what must not be told, should a store have repeated it.
    fn clean(&self, reason: &str, ask: &Ask) -> String {
        let secrets = match &self.client {
            Client::Postgres(client) => client.secrets(),
            Client::S3(client) => client.secrets(),
            Client::Neo4j(client) => client.secrets(),
        };
        told::clean(reason, ask.token.as_ref(), &secrets)
    }
}
