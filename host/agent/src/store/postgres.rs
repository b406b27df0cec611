//! PostgreSQL: the token in the options of the connection, as the guard reads it.

use std::time::Duration;

use postgres_protocol::escape::escape_literal;
use tokio::task::JoinSet;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, Error, NoTls, SimpleQueryMessage};

use super::told::Told;
use super::{Ask, refusal};
use crate::config::{PostgresConfig, fill};
use crate::names::Token;
use crate::outcome::{Operation, OutcomeKind};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS ig_sentinel (nonce text PRIMARY KEY, \
                     tenant text NOT NULL, written_at timestamptz NOT NULL DEFAULT now())";

const IDENTITY: &str = "SELECT current_setting('cluster_name')";

/// How long saying goodbye may take.
const FAREWELL: Duration = Duration::from_millis(200);

pub(super) struct Client {
    config: PostgresConfig,
    password: Option<String>,
}

impl Client {
    pub(super) fn new(config: PostgresConfig, password: Option<String>) -> Self {
        Self { config, password }
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        self.password.as_deref().into_iter().collect()
    }

    pub(super) async fn operate(&self, ask: &Ask) -> Told {
        let (client, connection) = match self.connection(ask).connect(NoTls).await {
            Ok(opened) => opened,
            Err(error) => return told(&error),
        };
        // It ends with this function, also if that is left early.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let done = match run(&client, ask).await {
            Ok(done) => done,
            Err(error) => told(&error),
        };
        let done = match done.is_well() {
            true => done.of(identity(&client).await.map_err(|error| told(&error))),
            false => done,
        };
        drop(client);
        let _ = tokio::time::timeout(FAREWELL, driver.join_next()).await;
        done
    }

    fn connection(&self, ask: &Ask) -> Config {
        let (host, port) = self.config.address.rsplit_once(':').unwrap_or_default();
        let tenant = ask.tenant.as_str();
        let mut config = Config::new();
        config
            .host(host.trim_start_matches('[').trim_end_matches(']'))
            .port(port.parse().unwrap_or_default())
            .dbname(fill(&self.config.database, tenant))
            .user(fill(&self.config.user, tenant))
            .application_name("maestro-agent")
            .ssl_mode(SslMode::Disable);
        if let Some(password) = &self.password {
            config.password(password);
        }
        if let Some(token) = &ask.token {
            config.options(options(token));
        }
        config
    }
}

/// The options with the token. White space would end it, a backslash takes what follows as it is
/// (`pg_split_opts`); no token that a gateway made has either.
fn options(token: &Token) -> String {
    format!("-c ig.context={}", token.as_str().replace('\\', "\\\\"))
}

async fn run(client: &tokio_postgres::Client, ask: &Ask) -> Result<Told, Error> {
    let nonce = escape_literal(ask.nonce.as_str());
    let tenant = ask.tenant.as_str();
    match ask.op {
        Operation::Write => {
            // It may be there already, made by another or by somebody who may do more.
            let made = client.simple_query(TABLE).await;
            let tenant = escape_literal(tenant);
            let insert =
                format!("INSERT INTO ig_sentinel (nonce, tenant) VALUES ({nonce}, {tenant})");
            match (client.simple_query(&insert).await, made) {
                (Ok(_), _) => Ok(Told::well(OutcomeKind::Done)),
                (Err(error), Err(earlier)) if is_missing(&error) => Err(earlier),
                (Err(error), _) => Err(error),
            }
        }
        Operation::Read => {
            let select = format!("SELECT tenant FROM ig_sentinel WHERE nonce = {nonce}");
            match client.simple_query(&select).await {
                Ok(messages) => Ok(match first(&messages) {
                    Some(of) => Told::found(&of, tenant),
                    None => Told::well(OutcomeKind::Absent),
                }),
                Err(error) if is_missing(&error) => Ok(Told::well(OutcomeKind::Absent)),
                Err(error) => Err(error),
            }
        }
        Operation::Delete => {
            let delete = format!("DELETE FROM ig_sentinel WHERE nonce = {nonce}");
            match client.simple_query(&delete).await {
                Ok(messages) => Ok(Told::well(match count(&messages) {
                    0 => OutcomeKind::Absent,
                    _ => OutcomeKind::Done,
                })),
                Err(error) if is_missing(&error) => Ok(Told::well(OutcomeKind::Absent)),
                Err(error) => Err(error),
            }
        }
    }
}

async fn identity(client: &tokio_postgres::Client) -> Result<String, Error> {
    let messages = client.simple_query(IDENTITY).await?;
    Ok(first(&messages).unwrap_or_default())
}

/// Where nothing was ever written there is no table.
fn is_missing(error: &Error) -> bool {
    error.code() == Some(&SqlState::UNDEFINED_TABLE)
}

/// The first value of the first row.
fn first(messages: &[SimpleQueryMessage]) -> Option<String> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten().map(str::to_owned),
        _ => None,
    })
}

/// How many rows it concerned.
fn count(messages: &[SimpleQueryMessage]) -> u64 {
    let counts = messages.iter().map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => *rows,
        _ => 0,
    });
    counts.sum()
}

fn told(error: &Error) -> Told {
    match error.as_db_error() {
        Some(error) => refusal::postgres(error.code().code(), error.message(), error.detail()),
        None => {
            let mut reason = error.to_string();
            if let Some(source) = std::error::Error::source(error) {
                reason.push_str(&format!(": {source}"));
            }
            Told::failed(reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Nonce, Tenant};

    #[test]
    fn a_connection_is_the_tenants_own() {
        let config = PostgresConfig {
            name: "people".into(),
            address: "[::1]:5433".into(),
            database: "db_{tenant}".into(),
            user: "{tenant}".into(),
            password_env: None,
            region_names: Default::default(),
        };
        let token = Token::try_from(r"e.a\ b".replace(' ', "")).unwrap();
        let ask = Ask {
            op: Operation::Read,
            nonce: Nonce::try_from("n".to_owned()).unwrap(),
            tenant: Tenant::try_from("acme".to_owned()).unwrap(),
            token: Some(token),
        };
        let made = Client::new(config, Some("pw".into())).connection(&ask);
        assert_eq!(made.get_dbname(), Some("db_acme"));
        assert_eq!(made.get_user(), Some("acme"));
        assert_eq!(made.get_options(), Some(r"-c ig.context=e.a\\b"));
        assert_eq!(made.get_ports(), [5433]);
        assert_eq!(made.get_ssl_mode(), SslMode::Disable);
    }
}
