//! host/xds
