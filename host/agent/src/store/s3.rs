//! S3: a sentinel is an object whose content is its tenant.

use engine::context::CONTEXT_HEADER;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use jiff::Timestamp;

use super::http::{Answer, send};
use super::sigv4::{Key, Unsigned, sign};
use super::told::Told;
use super::xml::element;
use super::{Ask, refusal};
use crate::config::{S3Config, fill};
use crate::outcome::{Operation, OutcomeKind};

pub(super) struct Client {
    config: S3Config,
    key: Option<Key>,
}

impl Client {
    pub(super) fn new(config: S3Config, key: Option<Key>) -> Self {
        Self { config, key }
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        let key = self.key.as_ref();
        key.map_or_else(Vec::new, |key| vec![key.secret.as_str(), &key.id])
    }

    pub(super) async fn operate(&self, ask: &Ask) -> Told {
        let bucket = fill(&self.config.bucket, ask.tenant.as_str());
        let object = format!("/{bucket}/ig-sentinel/{}", ask.nonce.as_str());
        let done = match self.run(ask, &object).await {
            Ok(done) | Err(done) => done,
        };
        match done.is_well() {
            true => done.of(self.location(ask, &bucket).await),
            false => done,
        }
    }

    async fn run(&self, ask: &Ask, object: &str) -> Result<Told, Told> {
        match ask.op {
            Operation::Write => {
                let body = ask.tenant.as_str();
                let answer = self.send(ask, "PUT", object, "", body).await?;
                match answer.status {
                    200 => Ok(Told::well(OutcomeKind::Done)),
                    _ => Err(refusal::s3(answer.status, &answer.body)),
                }
            }
            Operation::Read => {
                let answer = self.send(ask, "GET", object, "", "").await?;
                match answer.status {
                    200 => Ok(Told::found(&answer.body, ask.tenant.as_str())),
                    _ if is_missing(&answer) => Ok(Told::well(OutcomeKind::Absent)),
                    _ => Err(refusal::s3(answer.status, &answer.body)),
                }
            }
            Operation::Delete => {
                // S3 deletes what is not there as well; whether it was is to be asked before. What is
                // told is what became of deleting, even where reading is refused.
                let before = self.send(ask, "GET", object, "", "").await?;
                let answer = self.send(ask, "DELETE", object, "", "").await?;
                match answer.status {
                    200 | 204 if is_missing(&before) => Ok(Told::well(OutcomeKind::Absent)),
                    200 | 204 => Ok(Told::well(OutcomeKind::Done)),
                    _ => Err(refusal::s3(answer.status, &answer.body)),
                }
            }
        }
    }

    /// Where the bucket is, by S3's own names.
    async fn location(&self, ask: &Ask, bucket: &str) -> Result<String, Told> {
        let path = format!("/{bucket}");
        let answer = self.send(ask, "GET", &path, "location=", "").await?;
        match (answer.status, element(&answer.body, "LocationConstraint")) {
            (200, Some(location)) => Ok(region(location)),
            (200, None) => Err(Told::failed("its answer names no location")),
            _ => Err(refusal::s3(answer.status, &answer.body)),
        }
    }

    async fn send(
        &self,
        ask: &Ask,
        method: &str,
        path: &str,
        query: &str,
        body: &str,
    ) -> Result<Answer, Told> {
        let host = self.config.host.as_ref().unwrap_or(&self.config.address);
        let target = match query {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", host);
        if let Some(token) = &ask.token {
            request = request.header(CONTEXT_HEADER, token.as_str());
        }
        if let Some(key) = &self.key {
            let unsigned = Unsigned {
                method,
                host,
                path,
                query,
                body: body.as_bytes(),
            };
            let headers = sign(
                key,
                &self.config.signing_region,
                &unsigned,
                Timestamp::now(),
            );
            for (name, value) in headers.into_iter().flatten() {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned())));
        // The error could hold what was to be a header.
        let request = request.map_err(|_| Told::failed("the request can't be written"))?;
        Ok(send(&self.config.address, request).await?)
    }
}

fn is_missing(answer: &Answer) -> bool {
    let code = element(&answer.body, "Code");
    answer.status == 404 && code.as_deref() == Some("NoSuchKey")
}

/// The region of a location: the oldest ones have other names
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html>).
fn region(location: String) -> String {
    match location.as_str() {
        "" => "us-east-1".to_owned(),
        "EU" => "eu-west-1".to_owned(),
        _ => location,
    }
}
