//! How an answer is written, by what the upstream says it is, and the content type that it gets:
//! a known media type and nothing of the upstream's own.

use std::sync::Arc;

use crate::body::{
    BodyLimits, CsvBody, EventsBody, Form, JsonBody, LinesBody, MultipartBody, boundary,
    boundary_to_write,
};
use crate::config::Format;
use crate::filter::is_among;
use crate::mask::{Plan, RoutePlan};

/// Media types of JSON answers to GraphQL.
const GRAPHQL: [&str; 2] = ["application/json", "application/graphql-response+json"];

/// Media types of JSON documents; any other that ends with `+json` is told to be the first.
const JSON: [&str; 8] = [
    "application/json",
    "application/geo+json",
    "application/graphql-response+json",
    "application/hal+json",
    "application/json-patch+json",
    "application/ld+json",
    "application/problem+json",
    "application/vnd.api+json",
];

/// Media types of JSON lines.
const LINES: [&str; 3] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
];

fn essence(content_type: Option<&str>) -> &str {
    content_type
        .and_then(|c| c.split(';').next())
        .unwrap_or_default()
        .trim()
}

/// The values of a parameter, without quotes.
fn parameter<'a>(content_type: Option<&'a str>, name: &str) -> impl Iterator<Item = &'a str> {
    content_type
        .into_iter()
        .flat_map(|c| c.split(';').skip(1))
        .filter_map(|p| p.split_once('='))
        .filter(move |(n, _)| n.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().trim_matches('"'))
}

/// Whether what the upstream says of its answer is that it comes bit by bit.
pub(super) fn comes_in_parts(said: Option<&str>) -> bool {
    said.and_then(boundary).is_some() || is_events(said)
}

fn is_events(said: Option<&str>) -> bool {
    essence(said).eq_ignore_ascii_case("text/event-stream")
}

/// The content type of an answer: the known media type that the upstream says, or the first; and
/// `charset=utf-8` where the upstream says it. Whatever else it says, the answer is UTF-8.
fn content_type(said: Option<&str>, known: &[&'static str]) -> String {
    let essence = essence(said);
    let media = known.iter().find(|k| k.eq_ignore_ascii_case(essence));
    let media = media.or(known.first()).copied().unwrap_or_default();
    match parameter(said, "charset").next() {
        Some(charset) if charset.eq_ignore_ascii_case("utf-8") => format!("{media}; charset=utf-8"),
        _ => media.to_owned(),
    }
}

/// The content type of a JSON answer to GraphQL.
pub(super) fn json_type(said: Option<&str>) -> String {
    content_type(said, &GRAPHQL)
}

/// Whether rows are not said to be without a header (RFC 4180 §3).
pub(super) fn has_header_row(said: Option<&str>) -> bool {
    parameter(said, "header").all(|h| h.eq_ignore_ascii_case("present"))
}

/// How the answer to an operation is written: whatever the upstream says it is, it is read as that
/// or not at all.
pub(super) fn graphql_form(
    plan: &Arc<Plan>,
    said: Option<&str>,
    limits: BodyLimits,
) -> (Box<dyn Form>, String) {
    if let Some(boundary) = said.and_then(boundary) {
        let ours = boundary_to_write(&boundary);
        let mut content_type = format!("multipart/mixed; boundary=\"{ours}\"");
        for known in [
            "deferSpec=20220824",
            "incrementalSpec=v0.2",
            "subscriptionSpec=1.0",
        ] {
            let parameters = said.into_iter().flat_map(|s| s.split(';'));
            if parameters
                .map(|p| p.replace('"', ""))
                .any(|p| p.trim() == known)
            {
                content_type.push_str("; ");
                content_type.push_str(known);
            }
        }
        let body = MultipartBody::new(plan, limits, &boundary);
        return (Box::new(body), content_type);
    }
    if is_events(said) {
        let body = EventsBody::new(plan, limits);
        return (Box::new(body), "text/event-stream".into());
    }
    (Box::new(JsonBody::new(plan, limits)), json_type(said))
}

/// How a route's answer is written; `None` if its content type does not say.
pub(super) fn written_as(format: Format, said: Option<&str>) -> Option<Format> {
    if format != Format::Auto {
        return Some(format);
    }
    let essence = essence(said).to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Some(Format::Json),
        e if is_among(e, &LINES) => Some(Format::Ndjson),
        "text/csv" => Some(Format::Csv),
        e if e.starts_with("application/") && e.ends_with("+json") => Some(Format::Json),
        _ => None,
    }
}

/// The form of a route's answer.
pub(super) fn route_form(
    route: &Arc<RoutePlan>,
    format: Format,
    said: Option<&str>,
    limits: BodyLimits,
) -> (Box<dyn Form>, String) {
    let plan = &route.plan;
    match format {
        Format::Csv => (
            Box::new(CsvBody::new(route, limits)),
            "text/csv; charset=utf-8".into(),
        ),
        Format::Ndjson => (
            Box::new(LinesBody::new(plan, limits, route.row)),
            content_type(said, &LINES),
        ),
        Format::Json | Format::Auto => (
            Box::new(JsonBody::at(plan, limits, route.document)),
            content_type(said, &JSON),
        ),
    }
}
