//! Upstreams that misbehave.

use upstream::Fault;

use super::{ANALYST, Seen, VIEWER, leaks, query};
use crate::demo::stage::Stage;

pub(super) async fn bad_upstreams(stage: &Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let upstream = stage.region("eu")?.upstream()?;
    for (name, fault) in [
        ("upstream: JSON that breaks off", Fault::Truncated),
        ("upstream: no JSON at all", Fault::Garbage),
        (
            "upstream: JSON that breaks after a value",
            Fault::BrokenAfterValue,
        ),
        ("upstream: bytes that are not UTF-8", Fault::BadUtf8),
        ("upstream: one key twice", Fault::DuplicateKey),
        ("upstream: a page of HTML with status 500", Fault::Html500),
        ("upstream: compressed as nobody can decode", Fault::Brotli),
    ] {
        upstream.set_fault(Some(fault));
        let answer = stage
            .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
            .await?;
        let code = answer.code();
        let code = if code == "UPSTREAM_ENCODING" {
            "UPSTREAM_ENCODING"
        } else {
            "MASKING_FAILED"
        };
        seen.refused(name, &answer, 502, code);
    }
    upstream.set_fault(Some(Fault::Reset));
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
        .await?;
    seen.refused(
        "upstream: a connection that breaks",
        &answer,
        502,
        "UPSTREAM_UNAVAILABLE",
    );
    for (name, fault) in [
        ("upstream: an error that quotes values", Fault::ErrorValues),
        (
            "upstream: a member that was not asked for",
            Fault::UnknownKey,
        ),
        ("upstream: an object in a string's place", Fault::WrongType),
        (
            "upstream: one byte at a time",
            Fault::SlowChunks {
                bytes: 1,
                pause_ms: 0,
            },
        ),
        (
            "upstream: a type that lies",
            Fault::LyingContentType {
                content_type: "image/png".into(),
            },
        ),
        (
            "upstream: headers that only a gateway sets",
            Fault::ForgedMaskHeader,
        ),
        ("upstream: values in trailers", Fault::Trailers),
        ("upstream: compressed by gzip in spite of all", Fault::Gzip),
        ("upstream: compressed by deflate", Fault::Deflate),
    ] {
        upstream.set_fault(Some(fault));
        let answer = stage
            .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
            .await?;
        let headers = format!("{:?}", answer.headers);
        let all = leaks(&answer.body) + leaks(&headers);
        seen.note(
            name,
            "200, masked, 0 personal values",
            format!("{}, {all} values", answer.status),
            answer.status == 200
                && all == 0
                && answer.header("x-ig-mask").is_empty()
                && answer.header("content-encoding").is_empty()
                && answer.json()["data"]["viewer"]["name"].is_string(),
        );
    }
    upstream.set_fault(Some(Fault::Bomb { megabytes: 256 }));
    let answer = stage
        .ask("eu", ANALYST, "analytics", query(VIEWER), &[])
        .await?;
    seen.note(
        "upstream: 256 MB in a small compressed body",
        "withheld or cut off, 0 personal values",
        format!("{}, complete: {}", answer.status, answer.complete),
        (answer.status == 502 || !answer.complete) && leaks(&answer.body) == 0,
    );
    upstream.set_fault(Some(Fault::Huge { megabytes: 16 }));
    let people = query("{ people { name email phone } }");
    let answer = stage.ask("eu", ANALYST, "analytics", people, &[]).await?;
    upstream.set_fault(None);
    let megabytes = answer.body.len() / 1_000_000;
    seen.note(
        "upstream: 16 MB",
        "complete, valid, 0 personal values",
        format!("{megabytes} MB, {} values", leaks(&answer.body)),
        answer.complete
            && megabytes >= 8
            && answer.json()["data"]["people"].is_array()
            && leaks(&answer.body) == 0,
    );
    Ok(())
}
