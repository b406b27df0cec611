//! Where a request goes: a GraphQL path or a route to the cluster that the residency filter named
//! and the masking filter handed over,
//! anything else nowhere.
//!
//! There is no retry, mirror or hedge: each could carry a tenant's data somewhere a second time. A
//! request whose cluster header no filter has set names no cluster, which Envoy answers 503.

use std::cmp::Reverse;

use envoy_types::pb::envoy::config::core::v3::{
    DataSource, HeaderValue, HeaderValueOption, data_source,
    header_value_option::HeaderAppendAction,
};
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;

use super::{AGENTS, CLUSTER_HEADER, PROBE_PATH, ROUTE_HEADER, cluster_name, jwt, millis, no};
use crate::spec::{GatewaySpec, Limits, RouteSpec};

/// The route configuration's name.
pub(super) const NAME: &str = "graphql";

const NOT_FOUND: &str =
    r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"nothing is served here"}"#;

/// What a client that can read answers bit by bit accepts.
const ACCEPTS_STREAMS: &str = "(?i).*(text/event-stream|multipart/mixed).*";

pub(super) fn routes(spec: &GatewaySpec) -> route::RouteConfiguration {
    let limits = &spec.limits;
    let mut routes = Vec::new();
    for path in &spec.paths {
        let mut streams = exactly(path);
        streams.headers = vec![header("accept", ACCEPTS_STREAMS)];
        routes.push(to_cluster(path, streams, limits, true));
        routes.push(to_cluster(path, exactly(path), limits, false));
    }
    if !spec.agents.is_empty() {
        routes.push(to_agents(spec));
    }
    // Envoy takes the first that fits: the more of a path is fixed, the earlier it stands.
    let mut others: Vec<&RouteSpec> = spec.routes.iter().collect();
    others.sort_by_key(|r| Reverse(r.path.split('/').filter(|s| !is_any(s)).count()));
    for other in others {
        let matches = pattern(&other.path);
        routes.push(to_cluster(&other.name, matches, limits, other.streams));
    }
    routes.push(route::Route {
        name: "not-found".to_owned(),
        r#match: Some(anything()),
        response_headers_to_add: vec![HeaderValueOption {
            header: Some(HeaderValue {
                key: "content-type".to_owned(),
                value: "application/problem+json".to_owned(),
                ..Default::default()
            }),
            append_action: HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
            ..Default::default()
        }],
        action: Some(route::route::Action::DirectResponse(
            route::DirectResponseAction {
                status: 404,
                body: Some(DataSource {
                    specifier: Some(data_source::Specifier::InlineString(NOT_FOUND.to_owned())),
                    ..Default::default()
                }),
                ..Default::default()
            },
        )),
        ..Default::default()
    });
    route::RouteConfiguration {
        name: NAME.to_owned(),
        virtual_hosts: vec![route::VirtualHost {
            name: NAME.to_owned(),
            domains: vec!["*".to_owned()],
            routes,
            ..Default::default()
        }],
        validate_clusters: no(),
        ..Default::default()
    }
}

pub(crate) fn anything() -> route::RouteMatch {
    route::RouteMatch {
        path_specifier: Some(route::route_match::PathSpecifier::Prefix("/".to_owned())),
        ..Default::default()
    }
}

fn to_cluster(
    name: &str,
    matches: route::RouteMatch,
    limits: &Limits,
    streams: bool,
) -> route::Route {
    use route::route_action::{ClusterSpecifier, MaxStreamDuration};
    let mut action = route::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::ClusterHeader(ROUTE_HEADER.to_owned())),
        timeout: millis(limits.response_timeout_ms),
        ..Default::default()
    };
    if streams {
        action.timeout = millis(0);
        action.max_stream_duration = Some(MaxStreamDuration {
            max_stream_duration: millis(limits.stream_duration_ms),
            ..Default::default()
        });
    }
    route::Route {
        name: name.to_owned(),
        r#match: Some(matches),
        request_headers_to_remove: vec![CLUSTER_HEADER.to_owned(), ROUTE_HEADER.to_owned()],
        action: Some(route::route::Action::Route(action)),
        ..Default::default()
    }
}

/// The prober's requests that the residency filter has sent to this region. The agent answers nothing that could be
/// masked: it says what it saw to who asks it directly.
fn to_agents(spec: &GatewaySpec) -> route::Route {
    let mut matches = exactly(PROBE_PATH);
    let region = literally(&cluster_name(&spec.region));
    matches.headers = vec![header(CLUSTER_HEADER, &region)];
    matches.dynamic_metadata = vec![has_role(&spec.probe_role)];
    route::Route {
        name: "probe".to_owned(),
        r#match: Some(matches),
        request_headers_to_remove: vec![CLUSTER_HEADER.to_owned(), ROUTE_HEADER.to_owned()],
        action: Some(route::route::Action::Route(route::RouteAction {
            cluster_specifier: Some(route::route_action::ClusterSpecifier::Cluster(
                AGENTS.to_owned(),
            )),
            timeout: millis(spec.limits.response_timeout_ms),
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// That the verified token lists a role.
fn has_role(role: &str) -> matcher::MetadataMatcher {
    use matcher::{list_matcher, metadata_matcher, string_matcher, value_matcher};
    let value = |pattern| matcher::ValueMatcher {
        match_pattern: Some(pattern),
    };
    let exact = value(value_matcher::MatchPattern::StringMatch(
        matcher::StringMatcher {
            match_pattern: Some(string_matcher::MatchPattern::Exact(role.to_owned())),
            ..Default::default()
        },
    ));
    let any = matcher::ListMatcher {
        match_pattern: Some(list_matcher::MatchPattern::OneOf(Box::new(exact))),
    };
    let segment = |key: &str| metadata_matcher::PathSegment {
        segment: Some(metadata_matcher::path_segment::Segment::Key(key.to_owned())),
    };
    matcher::MetadataMatcher {
        filter: jwt::NAME.to_owned(),
        path: vec![segment(jwt::PAYLOAD), segment("roles")],
        value: Some(value(value_matcher::MatchPattern::ListMatch(Box::new(any)))),
        ..Default::default()
    }
}

fn is_any(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

/// A path with `{name}` for any segment. What of it is no single segment to a server, as `%2F` is
/// not, the masking filter refuses.
fn pattern(path: &str) -> route::RouteMatch {
    if !path.split('/').any(is_any) {
        return exactly(path);
    }
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| match is_any(segment) {
            true => "[^/]+".to_owned(),
            false => literally(segment),
        })
        .collect();
    route::RouteMatch {
        path_specifier: Some(route::route_match::PathSpecifier::SafeRegex(regex(
            segments.join("/"),
        ))),
        ..Default::default()
    }
}

/// A text as a regular expression (RE2).
pub(super) fn literally(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

fn regex(regex: String) -> matcher::RegexMatcher {
    matcher::RegexMatcher {
        regex,
        ..Default::default()
    }
}

/// A header whose whole text fits a regular expression.
pub(super) fn header(name: &str, expression: &str) -> route::HeaderMatcher {
    let text = matcher::StringMatcher {
        match_pattern: Some(matcher::string_matcher::MatchPattern::SafeRegex(regex(
            expression.to_owned(),
        ))),
        ..Default::default()
    };
    route::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(route::header_matcher::HeaderMatchSpecifier::StringMatch(
            text,
        )),
        ..Default::default()
    }
}

fn exactly(path: &str) -> route::RouteMatch {
    route::RouteMatch {
        path_specifier: Some(route::route_match::PathSpecifier::Path(path.to_owned())),
        ..Default::default()
    }
}
