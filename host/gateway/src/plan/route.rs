//! Where a request goes: a GraphQL path to the cluster that the residency filter named, anything else
//! nowhere.
//!
//! There is no retry, mirror or hedge: each could carry a tenant's data somewhere a second time. A
//! request whose cluster header no filter has set names no cluster, which Envoy answers 503.

use envoy_types::pb::envoy::config::core::v3::{
    DataSource, HeaderValue, HeaderValueOption, data_source,
    header_value_option::HeaderAppendAction,
};
use envoy_types::pb::envoy::config::route::v3 as route;

use super::{CLUSTER_HEADER, millis, no};
use crate::spec::GatewaySpec;

/// The route configuration's name.
pub(super) const NAME: &str = "graphql";

const NOT_FOUND: &str =
    r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"not a GraphQL endpoint"}"#;

pub(super) fn routes(spec: &GatewaySpec) -> route::RouteConfiguration {
    let mut routes: Vec<route::Route> = spec
        .paths
        .iter()
        .map(|path| route::Route {
            name: path.clone(),
            r#match: Some(exactly(path)),
            request_headers_to_remove: vec![CLUSTER_HEADER.to_owned()],
            action: Some(route::route::Action::Route(route::RouteAction {
                cluster_specifier: Some(route::route_action::ClusterSpecifier::ClusterHeader(
                    CLUSTER_HEADER.to_owned(),
                )),
                timeout: millis(spec.limits.response_timeout_ms),
                ..Default::default()
            })),
            ..Default::default()
        })
        .collect();
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

pub(super) fn anything() -> route::RouteMatch {
    route::RouteMatch {
        path_specifier: Some(route::route_match::PathSpecifier::Prefix("/".to_owned())),
        ..Default::default()
    }
}

fn exactly(path: &str) -> route::RouteMatch {
    route::RouteMatch {
        path_specifier: Some(route::route_match::PathSpecifier::Path(path.to_owned())),
        ..Default::default()
    }
}
