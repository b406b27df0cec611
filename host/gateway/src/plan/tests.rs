use std::net::{Ipv4Addr, SocketAddr};

use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::route::v3 as route_pb;

use super::*;
use crate::spec::{
    EndpointSpec, FilterSpec, HostPort, JwtSpec, RouteSpec, TracingSpec, Variant, WasmSource,
    XdsSpec,
};

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(crate) fn filter(name: &str) -> FilterSpec {
    FilterSpec {
        name: name.to_owned(),
        wasm: WasmSource::Http {
            url: format!("http://conductor/wasm/{name}.wasm"),
            sha256: "ab".repeat(32),
        },
        vm_id: name.to_owned(),
        configuration: r#"{"revision":"r1"}"#.to_owned(),
        env_keys: Vec::new(),
        allow_on_headers_stop_iteration: false,
    }
}

fn route(name: &str, path: &str, streams: bool) -> RouteSpec {
    RouteSpec {
        name: name.to_owned(),
        path: path.to_owned(),
        streams,
    }
}

/// A gateway with everything in it.
pub(crate) fn sample() -> GatewaySpec {
    GatewaySpec {
        region: "eu".to_owned(),
        node_id: "gateway-eu-1".to_owned(),
        node_cluster: "gateway".to_owned(),
        listen: local(10000),
        admin: local(9901),
        xds: XdsSpec {
            server: local(18000).into(),
            variant: Variant::Delta,
            tls: None,
            others_secured: false,
        },
        api: Some(HostPort {
            host: "conductor.example".to_owned(),
            port: 7080,
        }),
        paths: vec!["/graphql".to_owned()],
        routes: vec![
            route("person", "/v1/people/{id}", false),
            route("people", "/v1/people", false),
            route("export", "/export/people", true),
        ],
        endpoints: vec![
            EndpointSpec {
                address: local(20001),
                priority: 0,
            },
            EndpointSpec {
                address: local(20002),
                priority: 1,
            },
        ],
        agents: vec![EndpointSpec {
            address: local(20003),
            priority: 0,
        }],
        probe_role: "prober".to_owned(),
        health_check: None,
        jwt: JwtSpec {
            issuer: "https://issuer.example".to_owned(),
            audiences: vec!["graphql".to_owned()],
            jwks: r#"{"keys":[{"kty":"EC"}]}"#.to_owned(),
            forward: false,
        },
        filters: vec![
            FilterSpec {
                env_keys: vec!["IG_CONTEXT_KEYS".to_owned()],
                ..filter("residency")
            },
            FilterSpec {
                env_keys: vec!["IG_MASK_KEYS".to_owned()],
                allow_on_headers_stop_iteration: true,
                ..filter("masking")
            },
        ],
        access_log: "/var/log/gateway/access.jsonl".into(),
        access_log_service: None,
        tracing: Some(TracingSpec {
            server: HostPort {
                host: "conductor.example".to_owned(),
                port: 4317,
            },
            sampling_percent: 1.0,
        }),
        limits: Default::default(),
    }
}

fn find(planned: &[Planned], kind: &str) -> Vec<u8> {
    let found = planned.iter().find(|p| p.type_url.ends_with(kind));
    found.unwrap().bytes.clone()
}

#[test]
fn the_same_specification_gives_the_same_bytes() {
    let first = plan(&sample()).unwrap();
    for _ in 0..20 {
        assert_eq!(first, plan(&sample()).unwrap());
    }
}

#[test]
fn a_gateway_has_these_resources() {
    let names: Vec<String> = plan(&sample())
        .unwrap()
        .iter()
        .map(|p| format!("{} {}", p.type_url.rsplit('.').next().unwrap(), p.name))
        .collect();
    assert_eq!(
        names,
        [
            "Cluster region-eu",
            "ClusterLoadAssignment region-eu",
            "Listener gateway",
            "RouteConfiguration graphql",
            "Cluster ig-agents",
            "ClusterLoadAssignment ig-agents",
            "Cluster traces",
            "TypedExtensionConfig residency",
            "TypedExtensionConfig masking",
        ]
    );
}

#[test]
fn a_log_service_is_a_cluster_and_a_second_log() {
    use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::HttpGrpcAccessLogConfig;
    use envoy_types::pb::envoy::r#type::tracing::v3::custom_tag::Type;
    let mut spec = sample();
    assert_eq!(access_log::access_logs(&spec).len(), 1);
    spec.access_log_service = Some(local(4318).into());
    let names: Vec<String> = plan(&spec).unwrap().into_iter().map(|p| p.name).collect();
    assert!(names.contains(&"decisions".to_owned()), "{names:?}");
    let log = access_log::access_logs(&spec).pop().unwrap();
    let Some(envoy_types::pb::envoy::config::accesslog::v3::access_log::ConfigType::TypedConfig(
        any,
    )) = log.config_type
    else {
        panic!("a typed configuration");
    };
    let config = HttpGrpcAccessLogConfig::decode(&any.value[..]).unwrap();
    let tags = config.common_config.unwrap().custom_tags;
    let tag = |name: &str| {
        tags.iter()
            .find(|t| t.tag == name)
            .and_then(|t| t.r#type.clone())
    };
    assert!(matches!(tag("decision"), Some(Type::Value(v)) if v.contains("wasm.ig.decision")));
    assert!(matches!(tag("region"), Some(Type::Literal(l)) if l.value == "eu"));
    // Where its port asks for certificates, the bootstrap knows how to show them.
    spec.xds.others_secured = true;
    let names: Vec<String> = plan(&spec).unwrap().into_iter().map(|p| p.name).collect();
    assert!(!names.contains(&"decisions".to_owned()), "{names:?}");
    assert_eq!(access_log::access_logs(&spec).len(), 2);
}

#[test]
fn the_receiver_of_spans_is_looked_up_by_its_name_only() {
    use envoy_types::pb::envoy::config::cluster::v3::cluster::{
        ClusterDiscoveryType, DiscoveryType,
    };
    for (host, kind) in [
        ("conductor.example", DiscoveryType::StrictDns),
        ("127.0.0.1", DiscoveryType::Static),
        ("::1", DiscoveryType::Static),
    ] {
        let server = HostPort {
            host: host.to_owned(),
            port: 4317,
        };
        let want = ClusterDiscoveryType::Type(kind as i32);
        let cluster = tracing::cluster("traces", &server);
        assert_eq!(cluster.cluster_discovery_type, Some(want), "{host}");
    }
}

#[test]
fn failover_stays_in_the_region_and_in_order() {
    let bytes = find(&plan(&sample()).unwrap(), "ClusterLoadAssignment");
    let assignment = ClusterLoadAssignment::decode(&bytes[..]).unwrap();
    let seen: Vec<(u32, String)> = assignment
        .endpoints
        .iter()
        .map(|group| (group.priority, group.locality.clone().unwrap().region))
        .collect();
    assert_eq!(seen, [(0, "eu".to_owned()), (1, "eu".to_owned())]);
}

#[test]
fn no_route_repeats_a_request_or_sends_it_elsewhere() {
    let bytes = find(&plan(&sample()).unwrap(), "RouteConfiguration");
    let routes = route_pb::RouteConfiguration::decode(&bytes[..]).unwrap();
    assert!(routes.request_mirror_policies.is_empty());
    for host in &routes.virtual_hosts {
        assert!(host.retry_policy.is_none() && host.hedge_policy.is_none());
        assert!(host.request_mirror_policies.is_empty());
        for route in &host.routes {
            if let Some(route_pb::route::Action::Route(action)) = &route.action {
                assert!(action.retry_policy.is_none() && action.hedge_policy.is_none());
                assert!(action.request_mirror_policies.is_empty());
                assert_eq!(
                    route.request_headers_to_remove,
                    [CLUSTER_HEADER, ROUTE_HEADER]
                );
            }
        }
    }
}

#[test]
fn a_stream_has_time_and_the_more_exact_route_comes_first() {
    use route_pb::route_match::PathSpecifier;
    let mut spec = sample();
    spec.routes.push(route("v1.me", "/v1.0/me", false));
    spec.routes.push(route("any", "/v1.0/{a}/{b}", false));
    let bytes = find(&plan(&spec).unwrap(), "RouteConfiguration");
    let routes = route_pb::RouteConfiguration::decode(&bytes[..]).unwrap();
    let seen: Vec<String> = routes.virtual_hosts[0]
        .routes
        .iter()
        .filter_map(|r| {
            let matches = r.r#match.as_ref().unwrap();
            let path = match matches.path_specifier.as_ref().unwrap() {
                PathSpecifier::Path(path) => path,
                PathSpecifier::SafeRegex(regex) => &regex.regex,
                _ => return None,
            };
            let Some(route_pb::route::Action::Route(action)) = &r.action else {
                return None;
            };
            let accept = matches.headers.len();
            let timeout = action.timeout.as_ref().unwrap().seconds;
            let most = action.max_stream_duration.as_ref();
            let most = most.map(|m| m.max_stream_duration.as_ref().unwrap().seconds);
            Some(format!("{} {path} {accept} {timeout} {most:?}", r.name))
        })
        .collect();
    assert_eq!(
        seen,
        [
            "/graphql /graphql 1 0 Some(3600)",
            "/graphql /graphql 0 30 None",
            "probe /ig/probe 1 30 None",
            "person /v1/people/[^/]+ 0 30 None",
            "people /v1/people 0 30 None",
            "export /export/people 0 0 Some(3600)",
            "v1.me /v1.0/me 0 30 None",
            r"any /v1\.0/[^/]+/[^/]+ 0 30 None",
        ]
    );
}

#[test]
fn probes_lead_to_agents_by_the_word_of_the_residency_filter_only() {
    let bytes = find(&plan(&sample()).unwrap(), "RouteConfiguration");
    let routes = route_pb::RouteConfiguration::decode(&bytes[..]).unwrap();
    let probe = routes.virtual_hosts[0].routes.iter();
    let probe = probe.clone().find(|r| r.name == "probe").unwrap();
    let header = &probe.r#match.as_ref().unwrap().headers[0];
    assert_eq!(header.name, CLUSTER_HEADER);
    // Of the prober only: whoever else has a token has no business in the stores.
    let metadata = &probe.r#match.as_ref().unwrap().dynamic_metadata;
    assert_eq!(metadata.len(), 1);
    let text = format!("{:?}", metadata[0]);
    for part in ["jwt_authn", "payload", "roles", "OneOf", "prober"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut without = sample();
    without.agents.clear();
    let planned = plan(&without).unwrap();
    assert!(planned.iter().all(|p| p.name != AGENTS));
    let bytes = find(&planned, "RouteConfiguration");
    let routes = route_pb::RouteConfiguration::decode(&bytes[..]).unwrap();
    let mut others = routes.virtual_hosts[0].routes.iter();
    assert!(others.all(|r| r.name != "probe"));
    let mut taken = sample();
    taken.routes.push(route("taken", PROBE_PATH, false));
    assert!(plan(&taken).is_err());
}

#[test]
fn no_intent_of_a_client_is_reserved() {
    for intent in ["x-ig-purpose", "x-ig-data-region", "x-ig-warrant"] {
        assert!(!RESERVED_HEADERS.contains(&intent), "{intent}");
    }
}

#[test]
fn faulty_specifications_are_refused_by_name() {
    type Spoil = fn(&mut GatewaySpec);
    let cases: [(&str, Spoil); 14] = [
        ("region", |s| s.region = "EU west".to_owned()),
        ("node_id", |s| s.node_id.clear()),
        ("admin", |s| s.admin.set_ip(Ipv4Addr::UNSPECIFIED.into())),
        ("paths", |s| s.paths = vec!["graphql".to_owned()]),
        ("\"person\": its path must be absolute", |s| {
            s.routes[0].path = "/v1/people?{id}".to_owned();
        }),
        ("\"people\": its path is a GraphQL endpoint", |s| {
            s.routes[1].path = "/graphql".to_owned();
        }),
        ("route \"\": it needs a name", |s| s.routes[0].name.clear()),
        ("endpoints", |s| s.endpoints[1].priority = 3),
        ("jwt.jwks", |s| s.jwt.jwks = "{}".to_owned()),
        ("\"masking\": another", |s| {
            s.filters[0].name = "masking".to_owned();
        }),
        ("\"masking\": it needs a vm_id", |s| {
            s.filters[1].vm_id = "residency".to_owned();
        }),
        ("\"residency\": its code comes by HTTP", |s| s.api = None),
        ("sampling_percent", |s| {
            s.tracing.as_mut().unwrap().sampling_percent = 100.5;
        }),
        ("sampling_percent", |s| {
            s.tracing.as_mut().unwrap().sampling_percent = f64::NAN;
        }),
    ];
    for (word, spoil) in cases {
        let mut spec = sample();
        spoil(&mut spec);
        let error = plan(&spec).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}
