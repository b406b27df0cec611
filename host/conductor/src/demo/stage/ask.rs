//! Requests of the demo's callers.

use upstream::personas::Persona;
use upstream::tokens::Issuer;

use super::Stage;
use crate::client::{self, Answer, Live};
use crate::demo::now;

const JSON: (&str, &str) = ("content-type", "application/json");

/// Who asks, and for what purpose; empty for none.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The persona.
    pub persona: &'a Persona,
    /// The purpose that it states.
    pub purpose: &'a str,
}

impl Caller<'_> {
    /// Its token, as a request presents it.
    pub fn token(&self, issuer: &Issuer) -> String {
        format!("Bearer {}", self.persona.token(issuer, now()))
    }

    fn headers<'a>(&'a self, token: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut headers = vec![("authorization", token)];
        if !self.purpose.is_empty() {
            headers.push(("x-ig-purpose", self.purpose));
        }
        headers
    }
}

impl Stage {
    /// Asks a gateway as a persona, for a purpose: GraphQL by POST.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn ask(
        &self,
        region: &str,
        persona: &Persona,
        purpose: &str,
        body: String,
        extra: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let headers = [&[JSON], extra].concat();
        let caller = Caller { persona, purpose };
        self.send(region, caller, "POST", "/graphql", &headers, body)
            .await
    }

    /// Asks a gateway for a path.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn get(
        &self,
        persona: &Persona,
        purpose: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let caller = Caller { persona, purpose };
        self.send("eu", caller, "GET", path, headers, String::new())
            .await
    }

    /// Sends a gateway a request of a caller.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(
        &self,
        region: &str,
        caller: Caller<'_>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> anyhow::Result<Answer> {
        let token = caller.token(&self.issuer);
        let headers = [&caller.headers(&token), headers].concat();
        let listen = self.region(region)?.listen;
        client::send(listen, method, path, &headers, body).await
    }

    /// Asks a gateway for an answer that comes bit by bit.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn open(
        &self,
        persona: &Persona,
        purpose: &str,
        accept: &str,
        body: String,
    ) -> anyhow::Result<Live> {
        let caller = Caller { persona, purpose };
        let token = caller.token(&self.issuer);
        let headers = [&caller.headers(&token)[..], &[JSON, ("accept", accept)]].concat();
        let listen = self.region("eu")?.listen;
        client::open(listen, "POST", "/graphql", &headers, body).await
    }

    /// Asks a gateway, reads the first of the answer's body, and hangs up.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn abandon(
        &self,
        region: &str,
        persona: &Persona,
        purpose: &str,
        body: String,
    ) -> anyhow::Result<()> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let token = persona.token(&self.issuer, now());
        let mut stream = tokio::net::TcpStream::connect(self.region(region)?.listen).await?;
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: demo\r\nauthorization: Bearer {token}\r\n\
             x-ig-purpose: {purpose}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut first = vec![0; 200_000];
        stream.read_exact(&mut first).await?;
        Ok(())
    }

    /// Asks the conductor's HTTP port.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn api(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        Ok(client::send(self.api, "GET", path, &[], String::new())
            .await?
            .json())
    }
}
