//! What Envoy itself says in the place of an upstream.

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;

use super::jwt;

/// A GraphQL client reads errors as GraphQL errors, also this one.
const UNAUTHENTICATED: &str = r#"{"errors":[{"message":"the request carries no valid token","extensions":{"code":"UNAUTHENTICATED"}}]}"#;

/// An upstream that can't be reached, or that broke off before anything of its response went on.
const UNAVAILABLE: &str = r#"{"errors":[{"message":"the upstream can't be reached or does not answer","extensions":{"code":"UPSTREAM_UNAVAILABLE"}}]}"#;

/// Envoy's flags of a response that it made because of the upstream.
const UPSTREAM_FLAGS: [&str; 9] = ["LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "UPE"];

/// Refusals for want of a valid token, and failures of the upstream, as GraphQL errors. Whatever
/// else is answered in an upstream's place has its body from a filter of ours, or stays as Envoy
/// writes it.
pub(super) fn config() -> hcm::LocalReplyConfig {
    hcm::LocalReplyConfig {
        mappers: vec![
            mapper(
                accesslog::access_log_filter::FilterSpecifier::AndFilter(accesslog::AndFilter {
                    filters: vec![status(401), no_claims()],
                }),
                UNAUTHENTICATED,
            ),
            mapper(
                accesslog::access_log_filter::FilterSpecifier::ResponseFlagFilter(
                    accesslog::ResponseFlagFilter {
                        flags: UPSTREAM_FLAGS.map(str::to_owned).into(),
                    },
                ),
                UNAVAILABLE,
            ),
        ],
        ..Default::default()
    }
}

fn mapper(when: accesslog::access_log_filter::FilterSpecifier, body: &str) -> hcm::ResponseMapper {
    hcm::ResponseMapper {
        filter: Some(filter(when)),
        body_format_override: Some(core::SubstitutionFormatString {
            content_type: "application/json".to_owned(),
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
