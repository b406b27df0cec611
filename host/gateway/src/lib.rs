//! host/gateway
