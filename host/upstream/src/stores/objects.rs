//! S3's interface, as far as single objects go
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/>).

mod buckets;
mod reply;
mod request;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use tokio::net::TcpStream;

pub use buckets::Buckets;

use super::{
    LONGEST,
    counted::Counted,
    store::{Contents, Shared, Store},
};
use crate::serving;
use buckets::Object;
use reply::Refusal;
use request::{Action, Target};

/// The header that says where a bucket is.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// An S3 that is spoken to by paths: `/BUCKET/KEY`.
///
/// PUT, GET, HEAD and DELETE of an object, with its content type and `x-amz-meta-` headers; PUT and
/// HEAD of a bucket, which the first PUT into it makes as well; `GET /BUCKET?location`, the region's
/// name; `GET /BUCKET?list-type=2`, the keys. Everything else is refused: `NotImplemented`.
///
/// No signature and no checksum is checked, whoever asks is served, and an `ETag` is no MD5. Reading
/// takes no conditions and no ranges: it gives the whole object.
pub type Objects = Store<Buckets>;

impl Contents for Buckets {
    fn sentinels(&self, of: &str) -> usize {
        self.count(of)
    }

    async fn serve(shared: Arc<Shared<Self>>, stream: Counted<TcpStream>) {
        serving::http(stream, Router::new().fallback(answer).with_state(shared)).await;
    }
}

async fn answer(State(shared): State<Arc<Shared<Buckets>>>, request: Request) -> Response<Body> {
    shared.counters.request();
    let path = request.uri().path().to_owned();
    match serve(&shared, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(&path),
    }
}

async fn serve(shared: &Shared<Buckets>, request: Request) -> Result<Response<Body>, Refusal> {
    let target = Target::read(request.uri())?;
    let action = Action::of(request.method(), request.headers(), &target)?;
    let Target { bucket, key, .. } = target;
    Ok(match action {
        Action::Location => {
            shared.contents().bucket(&bucket)?;
            reply::location(&shared.region)
        }
        Action::List(list) => {
            let mut contents = shared.contents();
            let keys = contents.bucket(&bucket)?;
            reply::keys(&bucket, &list, keys)
        }
        Action::HeadBucket => {
            shared.contents().bucket(&bucket)?;
            reply::empty(StatusCode::OK, BUCKET_REGION, &shared.region)
        }
        Action::MakeBucket => {
            shared.contents().make(&bucket)?;
            reply::empty(
                StatusCode::OK,
                header::LOCATION.as_str(),
                &format!("/{bucket}"),
            )
        }
        Action::Put => {
            let (head, body) = request.into_parts();
            let length = head.headers.get(header::CONTENT_LENGTH);
            let content = to_bytes(body, LONGEST)
                .await
                .map_err(|_| too_long_or_broken(length))?;
            let object = Object::new(content, kept(&head.headers));
            let etag = object.etag.clone();
            shared.contents().put(&bucket, key, object)?;
            reply::empty(StatusCode::OK, header::ETAG.as_str(), &etag)
        }
        Action::Get => {
            let mut contents = shared.contents();
            let object = contents.bucket(&bucket)?.get(&key);
            reply::object(object.ok_or(Refusal::NO_SUCH_KEY)?)
        }
        Action::Delete => {
            shared.contents().delete(&bucket, &key)?;
            reply::no_content()
        }
    })
}

/// A body that is announced short enough can only have broken off.
fn too_long_or_broken(length: Option<&HeaderValue>) -> Refusal {
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    match length.is_some_and(|length| length <= LONGEST) {
        true => Refusal::INCOMPLETE,
        false => Refusal::TOO_LARGE,
    }
}

/// The headers that come back with an object.
fn kept(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| {
            *name == header::CONTENT_TYPE || name.as_str().starts_with("x-amz-meta-")
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
