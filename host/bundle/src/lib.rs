//! host/bundle
