use std::net::{Ipv4Addr, SocketAddr};

use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use prost::Message;

use super::*;
use crate::plan::Planned;
use crate::plan::tests::{filter, sample as gateway};
use crate::spec::EndpointSpec;

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn listener(name: &str, protocol: Protocol, port: u16) -> EgressSpec {
    EgressSpec {
        name: name.to_owned(),
        protocol,
        listen: local(port),
        store_region: "eu".to_owned(),
        endpoints: vec![EndpointSpec {
            address: local(port + 1_000),
            priority: 0,
        }],
        guard: filter(&format!("guard-{name}")),
    }
}

pub(crate) fn sample() -> SidecarSpec {
    let gateway = gateway();
    SidecarSpec {
        region: "eu".to_owned(),
        node_id: "sidecar-eu-1".to_owned(),
        node_cluster: "sidecar".to_owned(),
        admin: local(9902),
        xds: gateway.xds,
        api: gateway.api,
        other_regions: vec!["us".to_owned()],
        listeners: vec![
            listener("postgres", Protocol::Tcp, 15_432),
            listener("objects", Protocol::Http, 19_000),
            EgressSpec {
                store_region: "us".to_owned(),
                ..listener("postgres-us", Protocol::Tcp, 15_433)
            },
        ],
        access_log: "/var/log/sidecar/access.jsonl".into(),
        access_log_service: None,
        limits: Default::default(),
    }
}

fn find<M: Message + Default>(planned: &[Planned], kind: &str, name: &str) -> M {
    let found = planned
        .iter()
        .find(|p| p.type_url.ends_with(kind) && p.name == name);
    M::decode(&found.unwrap().bytes[..]).unwrap()
}

/// The configuration of a listener's last network filter.
fn last_filter<M: Message + prost::Name + Default>(planned: &[Planned], name: &str) -> M {
    use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
    let listener: Listener = find(planned, "Listener", name);
    match listener.filter_chains[0]
        .filters
        .last()
        .unwrap()
        .config_type
        .clone()
    {
        Some(ConfigType::TypedConfig(any)) => M::decode(&any.value[..]).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sidecar_has_these_resources_and_always_the_same_bytes() {
    let planned = plan(&sample()).unwrap();
    let names: Vec<String> = planned
        .iter()
        .map(|p| format!("{} {}", p.type_url.rsplit('.').next().unwrap(), p.name))
        .collect();
    assert_eq!(
        names,
        [
            "Cluster store-postgres",
            "ClusterLoadAssignment store-postgres",
            "Cluster store-objects",
            "ClusterLoadAssignment store-objects",
            "Cluster store-postgres-us",
            "ClusterLoadAssignment store-postgres-us",
            "Cluster refusal",
            "Listener refusal",
            "Listener postgres",
            "TypedExtensionConfig guard-postgres",
            "Listener objects",
            "TypedExtensionConfig guard-objects",
            "Listener postgres-us",
            "TypedExtensionConfig guard-postgres-us",
        ]
    );
    for _ in 0..20 {
        assert_eq!(planned, plan(&sample()).unwrap());
    }
    let us: ClusterLoadAssignment = find(&planned, "ClusterLoadAssignment", "store-postgres-us");
    assert_eq!(us.endpoints[0].locality.as_ref().unwrap().region, "us");
}

#[test]
fn a_log_service_gets_what_the_file_gets_of_requests_and_connections() {
    use envoy_types::pb::envoy::config::accesslog::v3::AccessLog;
    use envoy_types::pb::envoy::config::accesslog::v3::access_log::ConfigType;
    use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
        HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
    };
    let mut spec = sample();
    assert_eq!(
        last_filter::<TcpProxy>(&plan(&spec).unwrap(), "postgres")
            .access_log
            .len(),
        1
    );
    spec.access_log_service = Some(local(4319).into());
    let planned = plan(&spec).unwrap();
    assert!(planned.iter().any(|p| p.name == "decisions"));
    let any = |logs: Vec<AccessLog>| match logs.into_iter().nth(1).unwrap().config_type {
        Some(ConfigType::TypedConfig(any)) => any.value,
        other => panic!("{other:?}"),
    };
    let tcp: TcpProxy = last_filter(&planned, "postgres");
    let http: hcm::HttpConnectionManager = last_filter(&planned, "objects");
    let of_tcp = TcpGrpcAccessLogConfig::decode(&any(tcp.access_log)[..]).unwrap();
    let of_http = HttpGrpcAccessLogConfig::decode(&any(http.access_log)[..]).unwrap();
    for common in [of_tcp.common_config, of_http.common_config] {
        let tags: Vec<String> = common
            .unwrap()
            .custom_tags
            .into_iter()
            .map(|t| t.tag)
            .collect();
        for tag in [
            "egress",
            "listener",
            "node",
            "request_id",
            "store_region",
            "time",
        ] {
            assert!(tags.iter().any(|t| t == tag), "{tag}: {tags:?}");
        }
    }
}

#[test]
fn without_its_guard_a_listener_leads_nowhere() {
    use envoy_types::pb::envoy::config::route::v3::{route, route_action};
    let planned = plan(&sample()).unwrap();
    let tcp: TcpProxy = last_filter(&planned, "postgres");
    use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;
    assert_eq!(
        tcp.cluster_specifier,
        Some(ClusterSpecifier::Cluster("refusal".to_owned()))
    );
    let http: hcm::HttpConnectionManager = last_filter(&planned, "objects");
    let Some(hcm::http_connection_manager::RouteSpecifier::RouteConfig(routes)) =
        http.route_specifier
    else {
        panic!("no routes")
    };
    for each in &routes.virtual_hosts[0].routes {
        let Some(route::Action::Route(action)) = &each.action else {
            panic!("no route")
        };
        assert_eq!(
            action.cluster_specifier,
            Some(route_action::ClusterSpecifier::ClusterHeader(
                "x-ig-route".to_owned()
            ))
        );
        assert!(action.retry_policy.is_none() && action.hedge_policy.is_none());
        assert!(action.request_mirror_policies.is_empty());
    }
    assert_eq!(http.early_header_mutation_extensions.len(), 1);
}

#[test]
fn faulty_specifications_are_refused_by_name() {
    type Spoil = fn(&mut SidecarSpec);
    let cases: [(&str, Spoil); 13] = [
        ("region", |s| s.region = "EU".to_owned()),
        ("node_id", |s| s.node_id.clear()),
        ("admin", |s| s.admin.set_ip(Ipv4Addr::UNSPECIFIED.into())),
        ("\"postgres-us\": its store is in another region", |s| {
            s.other_regions.clear()
        }),
        ("\"refusal\": the responder", |s| {
            s.listeners[0].name = "refusal".to_owned()
        }),
        ("\"postgres\": another listener has its name", |s| {
            s.listeners[1].name = "postgres".to_owned();
        }),
        ("\"objects\": another listener has its address", |s| {
            s.listeners[1].listen = s.listeners[0].listen;
        }),
        ("\"Objects\": its name must be", |s| {
            s.listeners[1].name = "Objects".to_owned();
        }),
        ("\"objects\": the administration port", |s| {
            s.listeners[1].listen = s.admin;
        }),
        ("\"postgres\": priorities must count up", |s| {
            s.listeners[0].endpoints[0].priority = 3;
        }),
        ("\"objects\": it must listen on a loopback", |s| {
            s.listeners[1].listen.set_ip(Ipv4Addr::UNSPECIFIED.into());
        }),
        ("\"postgres\": its store has no endpoints", |s| {
            s.listeners[0].endpoints.clear()
        }),
        ("it needs a vm_id", |s| {
            s.listeners[1].guard.vm_id = "guard-postgres".to_owned()
        }),
    ];
    for (word, spoil) in cases {
        let mut spec = sample();
        spoil(&mut spec);
        let error = plan(&spec).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn the_bootstrap_of_a_sidecar_is_the_gateways_with_listeners_inside() {
    let text = crate::sidecar_bootstrap(&sample()).unwrap();
    assert!(text.contains("id: \"sidecar-eu-1\"") && text.contains("cluster: \"sidecar\""));
    assert_eq!(text.matches("envoy.bootstrap.internal_listener").count(), 1);
    assert!(
        !text
            .lines()
            .any(|l| !l.starts_with('#') && l.contains("${"))
    );
}
