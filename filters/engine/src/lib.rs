//! filters/engine
