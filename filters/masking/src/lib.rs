//! A filter.
