//! A server, the gateway before it, and who asks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use upstream::personas::{ADMIN_ACME, ANALYST_ACME, AUDITOR_ACME, Persona, SUPPORT_ACME};
use upstream::tokens::Issuer;

use crate::answer::Answer;
use crate::canary::Class;
use crate::client::{self, Ask};
use crate::door::{Door, checkout, target};
use crate::node::{Script, Server};

/// How long a gateway may take from its start to its first answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who asks, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Who.
    pub persona: Persona,
    /// For what.
    pub purpose: &'static str,
    /// The classes that the repository's policy shows this caller.
    pub sees: &'static [Class],
}

/// Sees nothing that is masked.
pub const ANALYST: Caller = Caller {
    persona: ANALYST_ACME,
    purpose: "analytics",
    sees: &[],
};

/// Sees how to reach people.
pub const SUPPORT: Caller = Caller {
    persona: SUPPORT_ACME,
    purpose: "support",
    sees: &[Class::Contact],
};

/// Sees money and exports.
pub const AUDITOR: Caller = Caller {
    persona: AUDITOR_ACME,
    purpose: "audit",
    sees: &[Class::Export, Class::Financial],
};

/// Sees all.
pub const ADMIN: Caller = Caller {
    persona: ADMIN_ACME,
    purpose: "administration",
    sees: &[
        Class::Contact,
        Class::Export,
        Class::Financial,
        Class::Identity,
        Class::Location,
    ],
};

impl Caller {
    /// Everybody.
    pub const ALL: [Self; 4] = [ANALYST, SUPPORT, AUDITOR, ADMIN];
}

/// A server and its gateway. Both end with it.
pub struct Stage {
    door: Door,
    server: Server,
    issuer: Issuer,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// Starts both and waits until a request passes.
    ///
    /// # Panics
    /// A part can't be had; the message says which.
    pub async fn start(script: Script) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let schema = schema(script);
        let file = directory.path().join("schema.graphql");
        std::fs::write(&file, &schema).expect("the schema's file");
        let server = Server::start(script, &target(), &file)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let issuer = Issuer::generate();
        let jwks = issuer.jwks();
        let door = Door::open(server.address, &schema, jwks, directory.path()).await;
        let stage = Self {
            door,
            server,
            issuer,
            _directory: directory,
        };
        stage.until_it_serves().await;
        stage
    }

    async fn until_it_serves(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(ANALYST, &Ask::query("{ __typename }")).await;
            if answer.status == 200 {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "the gateway does not serve: {answer:?}\n{}",
                self.door.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks the gateway.
    pub async fn ask(&self, caller: Caller, ask: &Ask) -> Answer {
        let ask = ask
            .clone()
            .with("authorization", &format!("Bearer {}", self.token(caller)))
            .with("x-ig-purpose", caller.purpose);
        client::send(self.door.address, &ask).await
    }

    /// Asks the server itself, as nobody in particular.
    pub async fn direct(&self, ask: &Ask) -> Answer {
        client::send(self.server.address, ask).await
    }

    /// A token of a caller.
    pub fn token(&self, caller: Caller) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock after 1970");
        caller.persona.token(&self.issuer, now.as_secs())
    }

    /// The URLs of the server's and the gateway's endpoint.
    pub fn urls(&self) -> [String; 2] {
        [self.server.address, self.door.address].map(|address| format!("http://{address}/graphql"))
    }

    /// The requests that the server has seen.
    pub async fn requests(&self) -> Vec<Value> {
        self.server.requests().await
    }

    /// The gateway's access log, as far as it is written.
    pub fn access_log(&self) -> String {
        self.door.access_log()
    }
}

/// The repository's schema, and what the server adds to it.
fn schema(script: Script) -> String {
    let read = |path: &str| {
        let path = checkout().join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let schema = read("policies/schema.graphql");
    match script.extends() {
        true => schema + "\n" + &read("tests/apollo/node/extensions.graphql"),
        false => schema,
    }
}
