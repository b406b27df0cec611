//! Who may connect to whom, by the NetworkPolicies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::cluster::{Cluster, labels, list, selects, text};

/// An end of a connection.
#[derive(Clone)]
struct End {
    name: &'static str,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Pod {
        namespace: &'static str,
        labels: BTreeMap<String, String>,
    },
    Outside(Ipv4Addr),
}

/// A pod of a namespace, with the labels of the workload of this name, or without any.
fn pod(cluster: &Cluster, name: &'static str, namespace: &'static str, like: Option<&str>) -> End {
    let workloads = cluster.workloads();
    let labels = like.map(|like| workloads.iter().find(|w| w.name == like).unwrap().labels());
    End {
        name,
        place: Place::Pod {
            namespace,
            labels: labels.unwrap_or_default(),
        },
    }
}

/// The labels of a namespace; what is not ours has its name alone.
fn of_namespace(cluster: &Cluster, name: &str) -> BTreeMap<String, String> {
    let ours = cluster.get("Namespace", "", name);
    let mut all = ours.map_or_else(BTreeMap::new, |n| labels(&n["metadata"]["labels"]));
    all.insert("kubernetes.io/metadata.name".into(), name.into());
    all
}

/// Whether a peer of a rule is this end.
fn is_peer(cluster: &Cluster, here: &str, peer: &Value, end: &End) -> bool {
    match (&end.place, peer.get("ipBlock")) {
        (Place::Outside(address), Some(block)) => {
            let (network, bits) = text(block, "/cidr").split_once('/').unwrap();
            let mask = u32::MAX << (32 - bits.parse::<u32>().unwrap());
            let network: Ipv4Addr = network.parse().unwrap();
            (address.to_bits() ^ network.to_bits()) & mask == 0
        }
        (Place::Outside(_), None) | (Place::Pod { .. }, Some(_)) => false,
        (Place::Pod { namespace, labels }, None) => {
            let there = match peer.get("namespaceSelector") {
                Some(selector) => selects(selector, &of_namespace(cluster, namespace)),
                None => *namespace == here,
            };
            there && peer.get("podSelector").is_none_or(|s| selects(s, labels))
        }
    }
}

/// Whether the policies that are for one end let the other through, in a direction.
fn lets(cluster: &Cluster, at: &End, other: &End, port: u16, kind: &str) -> bool {
    let Place::Pod { namespace, labels } = &at.place else {
        return true;
    };
    let mut policies = cluster
        .of_kind("NetworkPolicy")
        .filter(|policy| {
            text(policy, "/metadata/namespace") == *namespace
                && selects(&policy["spec"]["podSelector"], labels)
                && list(policy, "/spec/policyTypes").iter().any(|t| t == kind)
        })
        .peekable();
    if policies.peek().is_none() {
        return true;
    }
    let (rules, peers) = match kind {
        "Ingress" => ("/spec/ingress", "/from"),
        _ => ("/spec/egress", "/to"),
    };
    policies.flat_map(|policy| list(policy, rules)).any(|rule| {
        let (peers, ports) = (list(rule, peers), list(rule, "/ports"));
        (peers.is_empty() || peers.iter().any(|p| is_peer(cluster, namespace, p, other)))
            && (ports.is_empty() || ports.iter().any(|p| p["port"] == port))
    })
}

#[test]
fn nobody_reaches_more_than_it_needs() {
    let cluster = Cluster::read();
    let outside = |name, address| End {
        name,
        place: Place::Outside(address),
    };
    let ends = [
        pod(&cluster, "conductor", "maestro", Some("conductor")),
        pod(&cluster, "beside the conductor", "maestro", None),
        pod(&cluster, "gateway", "maestro-eu", Some("gateway")),
        pod(&cluster, "beside the gateway", "maestro-eu", None),
        pod(&cluster, "service", "assets-eu", Some("assets")),
        // Another region's, with all the labels that a pod can have.
        pod(&cluster, "foreign gateway", "maestro-us", Some("gateway")),
        pod(&cluster, "stranger", "default", None),
        pod(&cluster, "name server", "kube-system", None),
        outside("store of orders", Ipv4Addr::new(10, 1, 0, 9)),
        outside("store of files", Ipv4Addr::new(10, 1, 0, 10)),
        outside("store of another region", Ipv4Addr::new(10, 2, 0, 9)),
    ];
    let ports = [
        53, 443, 4000, 5432, 7080, 7081, 7082, 9000, 9901, 10000, 15432, 15900, 18000, 18080,
    ];
    // Who is ours is kept in, and so is who is reached by strangers.
    let ours = |end: &End| {
        matches!(&end.place, Place::Pod { namespace, .. }
        if cluster.get("Namespace", "", namespace).is_some())
    };
    let mut seen = BTreeSet::new();
    for from in &ends {
        for to in &ends {
            if from.name == to.name || !(ours(from) || ours(to)) {
                continue;
            }
            for port in ports {
                if lets(&cluster, from, to, port, "Egress")
                    && lets(&cluster, to, from, port, "Ingress")
                {
                    seen.insert(format!("{} -> {}:{port}", from.name, to.name));
                }
            }
        }
    }
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(
        seen,
        [
            "foreign gateway -> gateway:10000",
            "gateway -> conductor:18000",
            "gateway -> conductor:18080",
            "gateway -> conductor:7082",
            "gateway -> name server:53",
            "gateway -> service:4000",
            "name server -> gateway:10000",
            "service -> conductor:18000",
            "service -> conductor:18080",
            "service -> conductor:7082",
            "service -> name server:53",
            "service -> store of files:9000",
            "service -> store of orders:5432",
            "store of another region -> gateway:10000",
            "store of files -> gateway:10000",
            "store of orders -> gateway:10000",
            "stranger -> gateway:10000",
        ]
    );
    // The API's door is open to its own namespace, whose pods are let out by nothing here: what is to look at
    // it gets a policy of its own.
    let beside = &ends[1];
    assert!(lets(&cluster, &ends[0], beside, 7080, "Ingress"));
    assert!(!lets(&cluster, &ends[0], &ends[2], 7080, "Ingress"));
}
