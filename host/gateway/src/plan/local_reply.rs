//! What Envoy itself says in the place of an upstream.

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;

use super::{jwt, route};
use crate::spec::GatewaySpec;

/// A GraphQL client reads errors as GraphQL errors, also this one.
const UNAUTHENTICATED: &str = r#"{"errors":[{"message":"the request carries no valid token","extensions":{"code":"UNAUTHENTICATED"}}]}"#;

/// An upstream that can't be reached, or that broke off before anything of its response went on.
const UNAVAILABLE: &str = r#"{"errors":[{"message":"the upstream can't be reached or does not answer","extensions":{"code":"UPSTREAM_UNAVAILABLE"}}]}"#;

/// What others read: problem documents (RFC 9457).
const UNAUTHENTICATED_PROBLEM: &str = r#"{"type":"urn:maestro:unauthenticated","title":"Unauthorized","status":401,"detail":"the request carries no valid token","code":"UNAUTHENTICATED"}"#;

const UNAVAILABLE_PROBLEM: &str = r#"{"type":"urn:maestro:upstream-unavailable","title":"Bad Gateway","status":%RESPONSE_CODE%,"detail":"the upstream can't be reached or does not answer","code":"UPSTREAM_UNAVAILABLE"}"#;

/// Envoy's flags of a response that it made because of the upstream.
const UPSTREAM_FLAGS: [&str; 9] = ["LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "UPE"];

/// Refusals for want of a valid token, and failures of the upstream, as GraphQL errors on GraphQL
/// paths and as problem documents elsewhere. Whatever else is answered in an upstream's place has
/// its body from a filter of ours, or stays as Envoy writes it.
pub(super) fn config(spec: &GatewaySpec) -> hcm::LocalReplyConfig {
    let unauthenticated = || vec![status(401), no_claims()];
    let unavailable = || {
        let flags = UPSTREAM_FLAGS.map(str::to_owned).into();
        vec![filter(
            accesslog::access_log_filter::FilterSpecifier::ResponseFlagFilter(
                accesslog::ResponseFlagFilter { flags },
            ),
        )]
    };
    let graphql = |mut when: Vec<_>| {
        when.push(is_graphql(&spec.paths));
        when
    };
    hcm::LocalReplyConfig {
        mappers: vec![
            mapper(
                graphql(unauthenticated()),
                "application/json",
                UNAUTHENTICATED,
            ),
            mapper(unauthenticated(), PROBLEM, UNAUTHENTICATED_PROBLEM),
            mapper(graphql(unavailable()), "application/json", UNAVAILABLE),
            mapper(unavailable(), PROBLEM, UNAVAILABLE_PROBLEM),
        ],
        ..Default::default()
    }
}

const PROBLEM: &str = "application/problem+json";

fn mapper(
    when: Vec<accesslog::AccessLogFilter>,
    content_type: &str,
    body: &str,
) -> hcm::ResponseMapper {
    let mut when = when;
    let all = match (when.len(), when.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            when.extend(last);
            filter(accesslog::access_log_filter::FilterSpecifier::AndFilter(
                accesslog::AndFilter { filters: when },
            ))
        }
    };
    hcm::ResponseMapper {
        filter: Some(all),
        body_format_override: Some(core::SubstitutionFormatString {
            content_type: content_type.to_owned(),
            format: Some(core::substitution_format_string::Format::TextFormatSource(
                core::DataSource {
                    specifier: Some(core::data_source::Specifier::InlineString(body.to_owned())),
                    ..Default::default()
                },
            )),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The request is for one of these paths, whatever its query string.
fn is_graphql(paths: &[String]) -> accesslog::AccessLogFilter {
    let paths: Vec<String> = paths.iter().map(|p| route::literally(p)).collect();
    let expression = format!("({})(\\?.*)?", paths.join("|"));
    filter(accesslog::access_log_filter::FilterSpecifier::HeaderFilter(
        accesslog::HeaderFilter {
            header: Some(route::header(":path", &expression)),
        },
    ))
}

fn filter(specifier: accesslog::access_log_filter::FilterSpecifier) -> accesslog::AccessLogFilter {
    accesslog::AccessLogFilter {
        filter_specifier: Some(specifier),
    }
}

fn status(code: u32) -> accesslog::AccessLogFilter {
    filter(
        accesslog::access_log_filter::FilterSpecifier::StatusCodeFilter(
            accesslog::StatusCodeFilter {
                comparison: Some(accesslog::ComparisonFilter {
                    op: accesslog::comparison_filter::Op::Eq as i32,
                    value: Some(core::RuntimeUInt32 {
                        default_value: code,
                        runtime_key: "maestro.local_reply.status".to_owned(),
                    }),
                }),
            },
        ),
    )
}

/// The token was not accepted: its claims are not in the metadata. A refusal by a later filter,
/// which has a body of its own, has them.
fn no_claims() -> accesslog::AccessLogFilter {
    filter(
        accesslog::access_log_filter::FilterSpecifier::MetadataFilter(accesslog::MetadataFilter {
            matcher: Some(matcher::MetadataMatcher {
                filter: jwt::NAME.to_owned(),
                path: vec![matcher::metadata_matcher::PathSegment {
                    segment: Some(matcher::metadata_matcher::path_segment::Segment::Key(
                        "payload".to_owned(),
                    )),
                }],
                value: Some(matcher::ValueMatcher {
                    match_pattern: Some(matcher::value_matcher::MatchPattern::NullMatch(
                        matcher::value_matcher::NullMatch {},
                    )),
                }),
                ..Default::default()
            }),
            match_if_key_not_found: super::yes(),
        }),
    )
}
