//! host/upstream
