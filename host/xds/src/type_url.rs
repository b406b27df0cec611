//! The resource types of xDS, and what the protocol says differently about each.

/// `envoy.config.cluster.v3.Cluster` (CDS).
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// `envoy.config.endpoint.v3.ClusterLoadAssignment` (EDS).
pub const ENDPOINT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// `envoy.extensions.transport_sockets.tls.v3.Secret` (SDS).
pub const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// `envoy.config.listener.v3.Listener` (LDS).
pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// `envoy.config.route.v3.ScopedRouteConfiguration` (SRDS).
pub const SCOPED_ROUTE: &str = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration";
/// `envoy.config.route.v3.RouteConfiguration` (RDS).
pub const ROUTE: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
/// `envoy.config.route.v3.VirtualHost` (VHDS).
pub const VIRTUAL_HOST: &str = "type.googleapis.com/envoy.config.route.v3.VirtualHost";
/// `envoy.config.core.v3.TypedExtensionConfig` (ECDS).
pub const EXTENSION_CONFIG: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";

/// Whether a state-of-the-world response carries every resource of this type, so that an absent one
/// is a removed one, and whether a request may subscribe to all of them (the wildcard). The
/// protocol says so of listeners and clusters alone.
pub fn is_full_state(type_url: &str) -> bool {
    matches!(type_url, LISTENER | CLUSTER)
}

/// Whether a resource of this type is never taken away from a client. Envoy drops a filter the
/// moment its delta ECDS resource is removed (envoyproxy/envoy#32823), and traffic then passes
/// without it: a filter's configuration is replaced, or its listener is.
pub fn is_never_removed(type_url: &str) -> bool {
    type_url == EXTENSION_CONFIG
}

/// Whether removals of this type wait until the client has taken everything else: the "break" of
/// make-before-break. A cluster goes after the last route to it went.
pub fn is_removed_last(type_url: &str) -> bool {
    matches!(type_url, CLUSTER | ENDPOINT)
}

/// The order in which a change is sent on an aggregated stream, lowest first: what is referred to
/// before what refers to it.
///
/// Clusters, endpoints, secrets, listeners, scoped routes, routes, virtual hosts, extension
/// configurations, then any other type.
pub fn rank(type_url: &str) -> u8 {
    match type_url {
        CLUSTER => 0,
        ENDPOINT => 1,
        SECRET => 2,
        LISTENER => 3,
        SCOPED_ROUTE => 4,
        ROUTE => 5,
        VIRTUAL_HOST => 6,
        EXTENSION_CONFIG => 7,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_referred_to_comes_first() {
        let mut order = [EXTENSION_CONFIG, ROUTE, LISTENER, ENDPOINT, CLUSTER, "x"];
        order.sort_by_key(|url| rank(url));
        assert_eq!(
            order,
            [CLUSTER, ENDPOINT, LISTENER, ROUTE, EXTENSION_CONFIG, "x"]
        );
    }
}
